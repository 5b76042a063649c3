from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def shown(registry: CollectorRegistry) -> Callable[..., float | None]:
    """``shown("stream_lag", worker="0")``: the sum of the samples that have these labels; ``None`` when none has."""

    def shown(name: str, **labels: str) -> float | None:
        values = [
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(values) if values else None

    return shown
