"""The operators that Enrich brings; importing this declares them."""

from __future__ import annotations

from fluxion_flow.enrich import http_call, opening

__all__ = ["http_call", "opening"]
