"""For those who test: their connectors against the SPI's contract, and their pipelines."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxion_flow.testing.flow_tester import FlowResult, FlowTester
    from fluxion_flow.testing.mocks import EnrichmentRule, SinkRules

__all__ = ["EnrichmentRule", "FlowResult", "FlowTester", "SinkRules"]

_HOMES = {"FlowResult": "flow_tester", "FlowTester": "flow_tester", "EnrichmentRule": "mocks", "SinkRules": "mocks"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fluxion_flow.testing' has no attribute {name!r}")
    return getattr(import_module(f"fluxion_flow.testing.{_HOMES[name]}"), name)
