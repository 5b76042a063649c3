"""The operators that Enrich brings; importing this declares them."""

from __future__ import annotations

from fluxion_flow.enrich import http_call, lookup_sources, opening, operation, sql_query

__all__ = ["http_call", "lookup_sources", "opening", "operation", "sql_query"]
