"""Enrich: operators that ask servers, databases and files, concurrently, with caches and resilience.

``$httpCall``, ``$sqlQuery``, ``$enrich`` and a ``$lookup`` of what is outside come in by the entry point group
``fluxion_flow.operators``, as anybody's operators do: see :func:`enrich_operator`. Nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxion_flow.enrich.custom import enrich_operator

__all__ = ["enrich_operator"]


def __getattr__(name: str) -> Any:
    if name != "enrich_operator":
        raise AttributeError(f"module 'fluxion_flow.enrich' has no attribute {name!r}")
    from fluxion_flow.enrich.custom import enrich_operator

    return enrich_operator
