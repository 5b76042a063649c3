"""The operators, by family. A new one is one function in the module of its family; nothing else is edited."""
