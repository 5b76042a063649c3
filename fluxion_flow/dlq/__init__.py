"""Dead letters after the fact: found from a definition, looked through, replayed and purged."""
