"""Query operators by family; every module here is imported when operators are looked up."""
