"""Enrich: operators that ask servers, databases and files, concurrently, with caches and resilience.

``$httpCall``, ``$sqlQuery``, ``$enrich`` and a ``$lookup`` of what is outside come in by the entry point group
``fluxion_flow.operators``, as anybody's operators do: see :func:`enrich_operator`.
"""

from __future__ import annotations

from fluxion_flow.enrich.custom import enrich_operator

__all__ = ["enrich_operator"]
