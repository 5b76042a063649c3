from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow.connect.spi import DeliveryError
from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.breaker import PROBE_POLL, State
from fluxion_flow.policy.budget import BudgetExceeded, BudgetMeter
from fluxion_flow.policy.engine import CircuitOpen, Decision, GaveUp, Interrupted, Pause, PolicyRunner
from fluxion_flow.policy.model import CircuitBreaker, FailureBudget, Retry, StreamingErrorPolicy

FAIL = StreamingErrorPolicy.fail_fast()
SKIP = StreamingErrorPolicy.skip_and_continue()
DEAD = StreamingErrorPolicy.dead_letter({"type": "memory"})
TRICE = StreamingErrorPolicy.retry(3, backoff=1, jitter="none")


def runner(policy: StreamingErrorPolicy, clock: Any, **options: Any) -> PolicyRunner:
    options = {"step": "sink", "clock": clock, "wall": lambda: 1_700_000_000.5, "sleep": clock.sleep, **options}
    return PolicyRunner(policy, **options)


def failing(*errors: BaseException | None, takes: float = 0.0, clock: Any = None) -> Callable[[int], str]:
    """Work that raises these errors one after another, and ends well at ``None``; it remembers its attempts."""
    left = list(errors)
    attempts: list[int] = []

    def work(attempt: int) -> str:
        attempts.append(attempt)
        if clock is not None:
            clock.now += takes
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return f"done at attempt {attempt}"

    work.attempts = attempts
    return work


class Busy(Exception):
    def __init__(self, retry_after: Any) -> None:
        self.retry_after = retry_after


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


ONLY_CONNECTION = StreamingErrorPolicy.retry(3, backoff=1, jitter="none", retry_on="ConnectionError").then(SKIP)
NOT_VALUE = StreamingErrorPolicy.retry(3, backoff=1, jitter="none", ignore=[ValueError, "KeyError"]).then(DEAD)
FOREVER = StreamingErrorPolicy.retry(None, backoff=1, max_backoff=5, jitter="none")


@pytest.mark.parametrize(
    ("policy", "error", "attempt", "decision"),
    [
        (FAIL, ValueError(), 1, Decision("abort")),
        (SKIP, ValueError(), 1, Decision("skip")),
        (DEAD, ValueError(), 1, Decision("dead_letter")),
        (TRICE, ValueError(), 1, Decision("retry", 1)),
        (TRICE, ValueError(), 2, Decision("retry", 2)),
        (TRICE, ValueError(), 3, Decision("abort")),
        (TRICE.then(SKIP), ValueError(), 3, Decision("skip")),
        (TRICE.then(DEAD), ValueError(), 3, Decision("dead_letter")),
        (StreamingErrorPolicy.retry(1), ValueError(), 1, Decision("abort")),
        (FOREVER, ValueError(), 1_000_000, Decision("retry", 5)),
        (ONLY_CONNECTION, ConnectionResetError(), 1, Decision("retry", 1)),
        (ONLY_CONNECTION, ValueError(), 1, Decision("skip")),
        (ONLY_CONNECTION, DeliveryError({0: ValueError(), 1: ConnectionError()}), 1, Decision("retry", 1)),
        (ONLY_CONNECTION, caused(FluxionError(), ConnectionError()), 1, Decision("retry", 1)),
        (NOT_VALUE, UnicodeDecodeError("utf-8", b"", 0, 1, ""), 1, Decision("dead_letter")),
        (NOT_VALUE, KeyError(), 1, Decision("dead_letter")),
        (NOT_VALUE, OSError(), 1, Decision("retry", 1)),
        (NOT_VALUE, DeliveryError({0: ValueError()}), 1, Decision("dead_letter")),
        (NOT_VALUE, DeliveryError({0: ValueError(), 1: OSError()}), 1, Decision("retry", 1)),
        (TRICE, Busy(7), 1, Decision("retry", 7)),
        (TRICE, Busy(0.5), 1, Decision("retry", 1)),
        (TRICE, DeliveryError({0: Busy(7), 1: Busy(9)}), 1, Decision("retry", 9)),
        (TRICE, Busy(float("nan")), 1, Decision("retry", 1)),
        (TRICE, Busy("soon"), 1, Decision("retry", 1)),
        (TRICE, Busy(10**400), 1, Decision("retry", 1)),
        (TRICE, Busy(7), 3, Decision("abort")),
    ],
)
def test_decision(clock: Any, policy: StreamingErrorPolicy, error: Exception, attempt: int, decision: Decision) -> None:
    assert runner(policy, clock).decide(error, attempt) == decision


def test_call_returns_the_result_of_the_first_good_attempt(clock: Any) -> None:
    work = failing(OSError(), OSError(), None)
    assert runner(TRICE, clock).call(work) == "done at attempt 3"
    assert work.attempts == [1, 2, 3]
    assert clock.slept == [1, 2]


@pytest.mark.parametrize(
    ("policy", "kind", "attempts", "text"),
    [
        (FAIL, "abort", 1, "sink: OSError after 1 attempt; the error policy says: abort"),
        (SKIP, "skip", 1, "sink: OSError after 1 attempt; the error policy says: skip"),
        (TRICE, "abort", 3, "sink: OSError after 3 attempts; the error policy says: abort"),
        (TRICE.then(DEAD), "dead_letter", 3, "sink: OSError after 3 attempts; the error policy says: dead_letter"),
    ],
)
def test_call_gives_up_with_the_final_decision(
    clock: Any, policy: StreamingErrorPolicy, kind: str, attempts: int, text: str
) -> None:
    times = iter([10.001, 20.0, 30.0])
    errors = [OSError("password=hunter2") for _ in range(3)]
    with pytest.raises(GaveUp) as raised:
        runner(policy, clock, wall=lambda: next(times)).call(failing(*errors))
    assert raised.value.decision == Decision(kind)
    assert raised.value.error is raised.value.__cause__ is errors[attempts - 1]
    assert raised.value.attempts == attempts
    assert raised.value.first_failure_ms == 10_001
    assert str(raised.value) == text


def test_the_same_random_numbers_give_the_same_waits(clock: Any) -> None:
    policy = StreamingErrorPolicy.retry(5, backoff=1, jitter="full")
    waits = []
    for _ in range(2):
        one = runner(policy, clock, rng=random.Random(7))
        waits.append([one.decide(OSError(), attempt).delay for attempt in range(1, 5)])
    assert waits[0] == waits[1]
    assert len(set(waits[0])) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_interrupts_pass_through_every_policy(clock: Any, error: BaseException) -> None:
    policy = StreamingErrorPolicy.builder().retry(3).circuit_breaker().skip().build()
    heard: list[str] = []
    with pytest.raises(type(error)) as raised:
        runner(policy, clock, on_event=lambda name, **_: heard.append(name)).call(failing(error))
    assert raised.value is error
    assert heard == []


def test_exceeded_budget_inside_the_work_passes_through(clock: Any) -> None:
    error = BudgetExceeded("stages[0]", 5, 10, FailureBudget(failures=5))
    with pytest.raises(BudgetExceeded):
        runner(TRICE.then(SKIP), clock).call(failing(error))
    assert clock.slept == []


def test_wait_that_is_cut_short_leaves_the_work_unsettled(clock: Any) -> None:
    with pytest.raises(Interrupted) as raised:
        runner(TRICE.then(SKIP), clock, sleep=lambda seconds: True).call(failing(OSError()))
    assert str(raised.value) == "sink: interrupted while waiting, after 1 attempt"
    assert raised.value.attempts == 1
    assert isinstance(raised.value.error, OSError)


def test_events_tell_every_failure_and_what_was_decided(clock: Any) -> None:
    heard: list[tuple[Any, ...]] = []
    error = OSError()

    def hear(name: str, **facts: Any) -> None:
        assert facts.pop("error") is error
        heard.append((name, *facts.items()))

    policy = StreamingErrorPolicy.retry(2, backoff=1, jitter="none").then(DEAD)
    with pytest.raises(GaveUp):
        runner(policy, clock, on_event=hear).call(failing(error, error))
    again = (("step", "sink"), ("attempt", 1), ("decision", "retry"), ("delay", 1.0))
    over = (("step", "sink"), ("attempt", 2), ("decision", "dead_letter"), ("delay", 0.0))
    assert heard == [("failure", *again), ("retry", *again), ("failure", *over), ("dead_letter", *over)]


def test_abort_is_told_as_a_failure_only(clock: Any) -> None:
    heard: list[str] = []
    with pytest.raises(GaveUp):
        runner(FAIL, clock, on_event=lambda name, **_: heard.append(name)).call(failing(OSError()))
    assert heard == ["failure"]


def test_callbacks_get_the_error_and_the_facts_and_may_fail(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Any] = []

    def broken(error: BaseException, facts: Any) -> None:
        raise RuntimeError("token=hunter2")

    error = OSError()
    policy = (
        StreamingErrorPolicy.builder().on_failure(broken).on_failure(lambda e, f: heard.append((e, f))).skip().build()
    )
    with caplog.at_level(logging.WARNING), pytest.raises(GaveUp) as raised:
        runner(policy, clock, redact=lambda text: text.replace("hunter2", "***")).call(failing(error))
    assert raised.value.decision == Decision("skip")
    assert heard == [(error, {"step": "sink", "attempt": 1, "decision": "skip", "delay": 0.0})]
    assert [r.getMessage().replace(broken.__qualname__, "broken") for r in caplog.records] == [
        "sink: callback broken failed: RuntimeError: token=***"
    ]
    assert "hunter2" not in caplog.text


BREAKER = CircuitBreaker(sliding_window_type="COUNT_BASED", minimum_number_of_calls=2, wait_duration_in_open_state="5s")


def test_open_breaker_is_waited_for_without_using_up_attempts(clock: Any) -> None:
    policy = StreamingErrorPolicy(retries=Retry(3, backoff=1, jitter="none"), breaker=BREAKER)
    one = runner(policy, clock)
    assert one.call(failing(OSError(), OSError(), None)) == "done at attempt 3"
    assert clock.slept == [1, 2, 3]
    assert one.breaker is not None
    assert one.breaker.state is State.HALF_OPEN


def test_open_breaker_holds_the_stream_back(clock: Any) -> None:
    one = runner(StreamingErrorPolicy(action="skip", breaker=BREAKER), clock)
    for _ in range(2):
        assert one.ready_in() == 0
        with pytest.raises(GaveUp):
            one.call(failing(OSError()))
    assert one.ready_in() == 5
    clock.now += 4
    assert one.ready_in() == 1
    clock.now += 1
    assert one.ready_in() == one.ready_in() == 0


def test_open_breaker_diverts_to_the_final_action(clock: Any) -> None:
    breaker = CircuitBreaker(
        name="orders-api", sliding_window_type="COUNT_BASED", minimum_number_of_calls=2, when_open="divert"
    )
    heard: list[tuple[str, int]] = []
    one = runner(
        StreamingErrorPolicy(action="dead_letter", breaker=breaker),
        clock,
        on_event=lambda name, **f: heard.append((name, f.get("attempt", -1))),
    )
    for _ in range(2):
        with pytest.raises(GaveUp):
            one.call(failing(OSError()))
    heard.clear()
    work = failing()
    with pytest.raises(GaveUp) as raised:
        one.call(work)
    assert work.attempts == []
    assert raised.value.decision == Decision("dead_letter")
    assert raised.value.attempts == 0
    assert isinstance(raised.value.error, CircuitOpen)
    assert str(raised.value.error) == "circuit breaker 'orders-api' is open; it may be asked again in 10.0 s"
    assert heard == [("failure", 0), ("dead_letter", 0)]
    assert one.ready_in() == 0
    assert clock.slept == []


def test_breaker_that_opens_between_attempts_diverts_with_the_last_error(clock: Any) -> None:
    breaker = CircuitBreaker(sliding_window_type="COUNT_BASED", minimum_number_of_calls=2, when_open="divert")
    policy = StreamingErrorPolicy(action="skip", retries=Retry(9, backoff=0, jitter="none"), breaker=breaker)
    last = OSError("second")
    with pytest.raises(GaveUp) as raised:
        runner(policy, clock).call(failing(OSError("first"), last))
    assert raised.value.error is last
    assert raised.value.attempts == 2


def test_slow_work_opens_the_breaker(clock: Any) -> None:
    breaker = CircuitBreaker(
        slow_call_duration_threshold="2s", minimum_number_of_calls=2, sliding_window_type="COUNT_BASED"
    )
    one = runner(StreamingErrorPolicy(breaker=breaker), clock)
    for _ in range(2):
        one.call(failing(takes=3, clock=clock))
    assert one.ready_in() == 10


def test_changes_of_the_breaker_are_told_to_every_runner_that_shares_it(clock: Any) -> None:
    config = CircuitBreaker(name="orders-api", sliding_window_type="COUNT_BASED", minimum_number_of_calls=1)
    policy = StreamingErrorPolicy(action="skip", breaker=config)
    heard: list[tuple[Any, ...]] = []

    def hear(name: str, **facts: Any) -> None:
        if name == "breaker":
            heard.append((facts["step"], facts["breaker"], facts["before"], facts["after"]))

    first, second = (runner(policy, clock, step=step, on_event=hear) for step in ("a", "b"))
    assert first.breaker is second.breaker
    gone = runner(policy, clock, step="c", on_event=hear)
    del gone
    with pytest.raises(GaveUp):
        first.call(failing(OSError()))
    assert heard == [
        ("a", "orders-api", State.CLOSED, State.OPEN),
        ("b", "orders-api", State.CLOSED, State.OPEN),
    ]


def test_unnamed_breakers_are_not_shared(clock: Any) -> None:
    policy = StreamingErrorPolicy(breaker=CircuitBreaker())
    assert runner(policy, clock).breaker is not runner(policy, clock).breaker


def test_interrupted_probe_gives_its_permit_back(clock: Any) -> None:
    config = CircuitBreaker(
        sliding_window_type="COUNT_BASED", minimum_number_of_calls=1, permitted_calls_in_half_open_state=1
    )
    one = runner(StreamingErrorPolicy(action="skip", breaker=config), clock)
    with pytest.raises(GaveUp):
        one.call(failing(OSError()))
    clock.now += 10
    with pytest.raises(KeyboardInterrupt):
        one.call(failing(KeyboardInterrupt()))
    assert one.ready_in() == 0
    assert one.begin() == 0
    assert one.begin() == PROBE_POLL


def test_step_that_must_not_wait_schedules_itself(clock: Any) -> None:
    heard: list[str] = []
    policy = StreamingErrorPolicy(retries=Retry(2, backoff=1, jitter="none"), breaker=BREAKER)
    one = runner(policy, clock, sleep=None, on_event=lambda name, **_: heard.append(name))
    assert one.begin() == 0
    assert one.failed(OSError(), 1) == Decision("retry", 1)
    assert one.begin() == 0
    one.succeeded(0.1)
    assert one.breaker is not None
    assert one.breaker.state is State.OPEN
    assert one.begin() == 5
    assert heard == ["failure", "retry", "breaker"]


def test_budget_of_the_policy_ends_the_run(clock: Any) -> None:
    policy = StreamingErrorPolicy.builder().budget(failures=3).skip().build()
    one = runner(policy, clock)
    one.settled(10, 2)
    with pytest.raises(BudgetExceeded):
        one.settled(0, 1)
    runner(SKIP, clock).settled(0, 1_000_000)


def test_budget_can_be_shared_between_steps(clock: Any) -> None:
    meter = BudgetMeter(FailureBudget(failures=3), step="orders", clock=clock)
    runner(SKIP, clock, meter=meter).settled(0, 2)
    with pytest.raises(BudgetExceeded):
        runner(SKIP, clock, meter=meter).settled(0, 1)


def test_pause_ends_at_once_and_for_good() -> None:
    pause = Pause(slice_seconds=0.001)
    assert pause.sleep(0.002) is False
    timer = threading.Timer(0.005, pause.end)
    timer.start()
    assert pause.sleep(600) is True
    assert pause.sleep(600) is True
    timer.join()


def test_an_error_that_says_it_is_not_retryable_is_not_retried() -> None:
    class Refused(Exception):
        retryable = False

    class Unavailable(Exception):
        retryable = True

    runner = PolicyRunner(StreamingErrorPolicy.retry(5), step="sink")
    assert runner.decide(Refused(), 1).kind == "abort"
    assert runner.decide(Unavailable(), 1).kind == "retry"
    assert runner.decide(DeliveryError({0: Refused(), 1: Unavailable()}), 1).kind == "retry"
    assert runner.decide(DeliveryError({0: Refused()}), 1).kind == "abort"
