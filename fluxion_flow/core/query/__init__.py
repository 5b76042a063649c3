"""The query language of ``$match``: what a document must be like, compiled into Python source.

A query is parsed into a :class:`Predicate` about a document, which holds :class:`Condition`\\ s about the values at its
paths. A path in a query walks into arrays: ``{"items.sku": "A"}`` asks whether any of the values it reaches fits.
MongoDB: Query Documents, Query Predicates.
"""

from __future__ import annotations

from .compile import compile_query, matches
from .parse import parse_query
from .predicate import Predicate

__all__ = ["Predicate", "compile_query", "matches", "parse_query"]
