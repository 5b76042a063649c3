from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluxion_flow.policy import breaker


class FakeClock:
    """Seconds that pass when a test says so; ``sleep`` lets them pass and remembers how many."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def fresh_breakers() -> Iterator[None]:
    breaker.reset()
    yield
    breaker.reset()
