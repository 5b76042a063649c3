from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.policy.budget import SLICES, BudgetExceeded, BudgetMeter
from fluxion_flow.policy.model import FailureBudget


def exceeded(budget: FailureBudget, *settled: tuple[int, int]) -> list[bool]:
    """Whether the budget was exceeded at each settlement of (well, failed) documents."""
    meter = BudgetMeter(budget, step="sink")
    found = []
    for ok, failed in settled:
        try:
            meter.settled(ok, failed)
            found.append(False)
        except BudgetExceeded:
            found.append(True)
    return found


@pytest.mark.parametrize(
    ("budget", "settled", "expected"),
    [
        (FailureBudget(failures=3), [(0, 1), (0, 1), (0, 1)], [False, False, True]),
        (FailureBudget(failures=3), [(0, 2), (500, 0), (0, 2)], [False, False, True]),
        (FailureBudget(percent=5, minimum=100), [(0, 50), (49, 0), (0, 1)], [False, False, True]),
        (FailureBudget(percent=5, minimum=100), [(0, 50), (50, 0), (0, 1)], [False, False, True]),
        (FailureBudget(percent=5), [(95, 4), (1, 0), (0, 1)], [False, False, False]),
        (FailureBudget(percent=5), [(95, 5)], [True]),
        (FailureBudget(percent="5 %", failures=2), [(10_000, 1), (0, 1)], [False, True]),
        (FailureBudget(failures=1), [(5, 0)], [False]),
    ],
)
def test_budget_is_used_up_when_a_limit_is_reached(
    budget: FailureBudget, settled: list[tuple[int, int]], expected: list[bool]
) -> None:
    assert exceeded(budget, *settled) == expected


def test_failures_leave_the_window(clock: Any) -> None:
    meter = BudgetMeter(FailureBudget(failures=3, within="10m"), step="sink", clock=clock)
    meter.settled(0, 2)
    clock.now += 620
    meter.settled(0, 2)
    with pytest.raises(BudgetExceeded):
        meter.settled(0, 1)


def test_window_holds_all_of_its_span_wherever_a_slice_begins(clock: Any) -> None:
    meter = BudgetMeter(FailureBudget(failures=2, within=SLICES), step="sink", clock=clock)
    clock.now = 1000.9
    meter.settled(0, 1)
    clock.now += SLICES - 0.4
    with pytest.raises(BudgetExceeded):
        meter.settled(0, 1)


def test_error_says_what_was_counted_and_what_to_do(clock: Any) -> None:
    budget = FailureBudget(percent=5, failures=100, within="10m")
    meter = BudgetMeter(budget, step="stages[1].$set", clock=clock)
    meter.settled(200, 8)
    with pytest.raises(BudgetExceeded) as raised:
        meter.settled(0, 12)
    assert str(raised.value) == (
        "stages[1].$set: 20 of 220 documents failed in the last 600 s (9.1 %); "
        "the failure budget is 5 % or 100 in 600 s, so the run stops: "
        "find the cause in the dead letters or the log, or raise the budget"
    )
    assert (raised.value.failed, raised.value.settled, raised.value.budget) == (20, 220, budget)


EVENTS = st.lists(st.tuples(st.sampled_from([0, 0.1, 1, 3, 7, 30]), st.integers(0, 5), st.integers(0, 5)), max_size=40)


@given(EVENTS, st.integers(1, 30), st.sampled_from([1, 10, 60]))
def test_window_reaches_back_within_and_at_most_a_slice_more(
    events: list[tuple[float, int, int]], limit: int, within: float
) -> None:
    now = 0.0
    meter = BudgetMeter(FailureBudget(failures=limit, within=within), step="sink", clock=lambda: now)
    seen: list[tuple[float, int]] = []
    for pause, ok, failed in events:
        now += pause
        seen.append((now, failed))
        surely = sum(f for at, f in seen if now - at < within - 1e-9)
        possibly = sum(f for at, f in seen if now - at <= within * (1 + 1 / SLICES) + 1e-9)
        counted = None
        try:
            meter.settled(ok, failed)
        except BudgetExceeded as error:
            counted = error.failed
        if counted is None:
            assert failed == 0 or surely < limit
        else:
            assert failed > 0
            assert max(surely, limit) <= counted <= possibly
