from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fluxion_flow.policy import breaker as breakers
from fluxion_flow.policy.breaker import PROBE_POLL, Breaker, State, breaker_named
from fluxion_flow.policy.model import CircuitBreaker

DOWN = ConnectionError("down")


def run(breaker: Breaker, outcomes: str) -> None:
    """Make permitted calls: ``+`` ends well, ``-`` fails, ``s`` ends well but slowly."""
    for outcome in outcomes:
        assert breaker.permit() == 0
        if outcome == "-":
            breaker.failure(DOWN, 0.1)
        else:
            breaker.success(99 if outcome == "s" else 0.1)


COUNT = {"sliding_window_type": "COUNT_BASED", "sliding_window_size": 4, "minimum_number_of_calls": 4}


@pytest.mark.parametrize(
    ("config", "outcomes", "state"),
    [
        (COUNT, "---", State.CLOSED),
        (COUNT, "+++-", State.CLOSED),
        (COUNT, "++--", State.OPEN),
        (COUNT, "-+++-+", State.CLOSED),
        (COUNT, "++++--", State.OPEN),
        ({**COUNT, "minimum_number_of_calls": 100}, "----", State.OPEN),
        ({**COUNT, "minimum_number_of_calls": 1}, "-", State.OPEN),
        ({**COUNT, "failure_rate_threshold": 100}, "+---", State.CLOSED),
        ({**COUNT, "failure_rate_threshold": 100}, "+----", State.OPEN),
        ({**COUNT, "slow_call_rate_threshold": 50}, "++ss", State.OPEN),
        ({**COUNT, "slow_call_rate_threshold": 75}, "++ss", State.CLOSED),
        ({"minimum_number_of_calls": 4}, "+---", State.OPEN),
        ({"minimum_number_of_calls": 5}, "----", State.CLOSED),
    ],
)
def test_rates_open_the_breaker(clock: Any, config: dict[str, Any], outcomes: str, state: State) -> None:
    breaker = Breaker(CircuitBreaker(**config), clock=clock)
    run(breaker, outcomes)
    assert breaker.state is state


def test_time_window_forgets_whole_seconds(clock: Any) -> None:
    config = CircuitBreaker(sliding_window_size=10, minimum_number_of_calls=2)
    breaker = Breaker(config, clock=clock)
    run(breaker, "-")
    clock.now += 10
    run(breaker, "+-")
    assert breaker.state is State.OPEN
    breaker = Breaker(config, clock=clock)
    run(breaker, "-")
    clock.now += 10
    run(breaker, "-")
    assert breaker.state is State.CLOSED


def test_open_breaker_permits_nothing_until_its_wait_is_over(clock: Any) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT, wait_duration_in_open_state="10s"), clock=clock)
    run(breaker, "----")
    assert breaker.permit() == 10
    clock.now += 9
    assert breaker.ready_in() == 1
    clock.now += 1
    assert breaker.ready_in() == 0
    assert breaker.state is State.OPEN
    assert breaker.permit() == 0
    assert breaker.state is State.HALF_OPEN


@pytest.mark.parametrize(
    ("probes", "state"),
    [("+", State.HALF_OPEN), ("++", State.CLOSED), ("+-", State.OPEN), ("--", State.OPEN), ("ss", State.OPEN)],
)
def test_probes_decide_whether_a_half_open_breaker_closes(clock: Any, probes: str, state: State) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT, permitted_calls_in_half_open_state=2), clock=clock)
    run(breaker, "----")
    clock.now += 10
    run(breaker, probes)
    assert breaker.state is state


def test_half_open_breaker_permits_only_its_probes(clock: Any) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT, permitted_calls_in_half_open_state=2), clock=clock)
    run(breaker, "----")
    clock.now += 10
    assert [breaker.permit() for _ in range(3)] == [0, 0, PROBE_POLL]
    breaker.release()
    assert breaker.ready_in() == 0
    assert [breaker.permit(), breaker.permit()] == [0, PROBE_POLL]


def test_breaker_starts_with_an_empty_window_after_it_closed(clock: Any) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT), clock=clock)
    run(breaker, "----")
    clock.now += 10
    run(breaker, "++")
    run(breaker, "---")
    assert breaker.state is State.CLOSED


def test_ignored_errors_count_as_nothing_and_give_the_probe_back(clock: Any) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT, ignore=["ValueError"], record=[ValueError, OSError]), clock=clock)
    for _ in range(20):
        breaker.failure(ValueError(), 0.1)
    run(breaker, "----")
    assert breaker.state is State.OPEN
    clock.now += 10
    for _ in range(20):
        assert breaker.permit() == 0
        breaker.failure(ValueError(), 0.1)
    assert breaker.state is State.HALF_OPEN


def test_errors_that_are_not_recorded_count_as_successes(clock: Any) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT, record=["OSError"]), clock=clock)
    breaker.failure(KeyError(), 0.1)
    breaker.failure(KeyError(), 0.1)
    breaker.failure(KeyError(), 0.1)
    run(breaker, "-")
    assert breaker.state is State.CLOSED


def test_listeners_hear_every_change_and_cannot_break_the_call(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    breaker = Breaker(CircuitBreaker(**COUNT), name="orders", clock=clock)
    heard: list[tuple[str, State, State]] = []

    def broken(*_: Any) -> None:
        raise KeyError("secret")

    breaker.listen(broken)
    stop = breaker.listen(lambda *change: heard.append(change))
    run(breaker, "----")
    clock.now += 10
    run(breaker, "++")
    stop()
    run(breaker, "----")
    assert heard == [
        ("orders", State.CLOSED, State.OPEN),
        ("orders", State.OPEN, State.HALF_OPEN),
        ("orders", State.HALF_OPEN, State.CLOSED),
    ]
    assert {r.getMessage() for r in caplog.records} == {"a listener of circuit breaker 'orders' failed: KeyError"}


def test_a_name_shares_one_breaker_until_reset(caplog: pytest.LogCaptureFixture) -> None:
    config = CircuitBreaker(**COUNT)
    breaker = breaker_named("orders-api", config)
    assert breaker_named("orders-api", config) is breaker
    assert breaker_named("other", config) is not breaker
    assert caplog.records == []
    with caplog.at_level(logging.WARNING):
        assert breaker_named("orders-api", CircuitBreaker()) is breaker
    assert [r.getMessage() for r in caplog.records] == [
        "circuit breaker 'orders-api' is already in use with other settings; those are kept"
    ]
    breakers.reset()
    assert breaker_named("orders-api", config) is not breaker


def test_threads_share_a_breaker_without_losing_a_count() -> None:
    config = CircuitBreaker(sliding_window_type="COUNT_BASED", sliding_window_size=4000, minimum_number_of_calls=4000)
    breaker = Breaker(config)

    def work() -> None:
        for _ in range(500):
            breaker.permit()
            breaker.failure(DOWN, 0.0)
            breaker.permit()
            breaker.success(0.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.state is State.OPEN


class BreakerAgainstModel(RuleBasedStateMachine):
    """Random calls and pauses, against a model that keeps every outcome in plain lists and counts anew each time."""

    @initialize(
        by_count=st.booleans(),
        size=st.integers(1, 8),
        minimum=st.integers(1, 10),
        probes=st.integers(1, 4),
        failure_rate=st.sampled_from([1, 25, 50, 100]),
        slow_rate=st.sampled_from([25, 50, 100]),
    )
    def start(self, by_count: bool, size: int, minimum: int, probes: int, failure_rate: int, slow_rate: int) -> None:
        self.now = 0.0
        self.config = CircuitBreaker(
            failure_rate_threshold=failure_rate,
            slow_call_rate_threshold=slow_rate,
            slow_call_duration_threshold=1,
            wait_duration_in_open_state=5,
            permitted_calls_in_half_open_state=probes,
            minimum_number_of_calls=minimum,
            sliding_window_size=size,
            sliding_window_type="COUNT_BASED" if by_count else "TIME_BASED",
        )
        self.breaker = Breaker(self.config, clock=lambda: self.now)
        self.state = State.CLOSED
        self.calls: list[tuple[float, bool, bool]] = []
        self.opened = 0.0
        self.probes_left = 0
        self.under_way = 0

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.5, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        expected = self.wait()
        if expected == 0 and self.state is State.OPEN:
            self.state, self.calls, self.probes_left = (
                State.HALF_OPEN,
                [],
                self.config.permitted_calls_in_half_open_state,
            )
        if expected == 0:
            self.under_way += 1
            self.probes_left -= self.state is State.HALF_OPEN
        assert self.breaker.permit() == pytest.approx(expected)

    @precondition(lambda self: self.under_way > 0)
    @rule(failed=st.booleans(), duration=st.sampled_from([0.5, 1.0, 1.5]))
    def end(self, failed: bool, duration: float) -> None:
        self.under_way -= 1
        if failed:
            self.breaker.failure(DOWN, duration)
        else:
            self.breaker.success(duration)
        if self.state is State.OPEN:
            return
        self.calls.append((self.now, failed, duration > 1))
        verdict = self.verdict()
        if verdict is True:
            self.state, self.opened = State.OPEN, self.now
        elif verdict is False and self.state is State.HALF_OPEN:
            self.state, self.calls = State.CLOSED, []

    def wait(self) -> float:
        if self.state is State.OPEN:
            return max(0.0, self.opened + 5 - self.now)
        return PROBE_POLL if self.state is State.HALF_OPEN and self.probes_left <= 0 else 0.0

    def verdict(self) -> bool | None:
        size, minimum = self.config.sliding_window_size, self.config.minimum_number_of_calls
        if self.state is State.HALF_OPEN:
            size = self.config.permitted_calls_in_half_open_state
            window, minimum = self.calls[-size:], min(minimum, size)
        elif self.config.sliding_window_type == "COUNT_BASED":
            window, minimum = self.calls[-size:], min(minimum, size)
        else:
            window = [call for call in self.calls if int(call[0]) > int(self.now) - size]
        if len(window) < minimum:
            return None
        failed = sum(call[1] for call in window) * 100 / len(window)
        slow = sum(call[2] for call in window) * 100 / len(window)
        return failed >= self.config.failure_rate_threshold or slow >= self.config.slow_call_rate_threshold

    @invariant()
    def states_agree(self) -> None:
        if hasattr(self, "breaker"):
            assert self.breaker.state is self.state
            assert self.breaker.ready_in() == pytest.approx(self.wait())


BreakerAgainstModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBreakerAgainstModel = BreakerAgainstModel.TestCase
