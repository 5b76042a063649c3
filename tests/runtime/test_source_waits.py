"""How long a source that has nothing new is left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fluxion_flow.runtime.source import _Part


def waits(count: int, waited: float | None = None, **source: Any) -> list[float]:
    part: Any = SimpleNamespace(_source=SimpleNamespace(**source), _waited=waited)
    return [_Part._wait(part) for _ in range(count)]


def test_each_empty_read_doubles_the_wait_up_to_the_poll_interval() -> None:
    assert waits(6, first_wait=0.001, poll_interval=0.01) == [0.001, 0.002, 0.004, 0.008, 0.01, 0.01]


def test_without_a_first_wait_it_is_the_poll_interval_at_once() -> None:
    assert waits(3, first_wait=None, poll_interval=5.0) == [5.0, 5.0, 5.0]
