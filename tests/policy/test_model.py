from __future__ import annotations

import doctest
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow.errors import PipelineError
from fluxion_flow.policy import builder, model
from fluxion_flow.policy.model import CircuitBreaker, FailureBudget, Retry, StreamingErrorPolicy

SINK = {"type": "kafka", "topic": "orders.dlq", "sasl_password": "hunter2"}


@pytest.mark.parametrize("module", [model, builder])
def test_documented_examples_run(module: Any) -> None:
    results = doctest.testmod(module, extraglobs={"StreamingErrorPolicy": StreamingErrorPolicy})
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (StreamingErrorPolicy.fail_fast(), StreamingErrorPolicy()),
        (StreamingErrorPolicy.skip_and_continue(), StreamingErrorPolicy(action="skip")),
        (StreamingErrorPolicy.dead_letter(SINK), StreamingErrorPolicy("dead_letter", dead_letter_sink=SINK)),
        (StreamingErrorPolicy.retry(3), StreamingErrorPolicy(retries=Retry(3))),
        (
            StreamingErrorPolicy.retry(3, backoff="50ms").then(StreamingErrorPolicy.dead_letter(SINK)).per_document(),
            StreamingErrorPolicy("dead_letter", Retry(3, backoff=0.05), None, SINK, "document"),
        ),
        (
            StreamingErrorPolicy.builder()
            .retry(5, backoff="200ms", max_backoff="1m", retry_on="OSError")
            .retry_on(TimeoutError, "httpx.ConnectError")
            .ignore(ValueError)
            .circuit_breaker(name="api", wait_duration_in_open_state="30s")
            .budget(percent=5, failures=100, within="10m")
            .on_failure(print)
            .granularity("document")
            .dead_letter(SINK)
            .build(),
            StreamingErrorPolicy(
                "dead_letter",
                Retry(5, 0.2, 2.0, 60.0, "equal", ("OSError", TimeoutError, "httpx.ConnectError"), (ValueError,)),
                CircuitBreaker(name="api", wait_duration_in_open_state=30.0),
                SINK,
                "document",
                FailureBudget(5.0, 100, 600.0),
                (print,),
            ),
        ),
        (StreamingErrorPolicy.builder().build(), StreamingErrorPolicy()),
        (StreamingErrorPolicy.builder().fail().build(), StreamingErrorPolicy()),
    ],
)
def test_constructors(policy: StreamingErrorPolicy, expected: StreamingErrorPolicy) -> None:
    assert policy == expected
    assert hash(policy) == hash(expected)


def test_then_takes_over_what_the_other_sets() -> None:
    budget = FailureBudget(failures=3)
    other = StreamingErrorPolicy("dead_letter", None, CircuitBreaker(), SINK, "document", budget, (print,))
    assert StreamingErrorPolicy.retry(3).then(other) == StreamingErrorPolicy(
        "dead_letter", Retry(3), CircuitBreaker(), SINK, "document", budget, (print,)
    )
    assert other.then(StreamingErrorPolicy.skip_and_continue()) == StreamingErrorPolicy(
        "skip", None, CircuitBreaker(), SINK, "document", budget, (print,)
    )


def test_policy_does_not_change_with_the_mapping_it_was_made_from() -> None:
    sink = {"type": "kafka", "servers": ["a"]}
    policy = StreamingErrorPolicy.dead_letter(sink)
    sink["servers"].append("b")
    assert policy.dead_letter_sink == {"type": "kafka", "servers": ["a"]}


def test_sink_that_is_an_object_stays_that_object() -> None:
    sink = object()
    assert StreamingErrorPolicy.dead_letter(sink).dead_letter_sink is sink


def test_sink_is_not_shown() -> None:
    assert "hunter2" not in repr(StreamingErrorPolicy.dead_letter(SINK))


def test_policies_survive_pickling() -> None:
    policy = StreamingErrorPolicy.retry(3, retry_on=OSError).then(StreamingErrorPolicy.dead_letter(SINK))
    assert pickle.loads(pickle.dumps(policy)) == policy


DURATION = 'must be a duration: seconds, or a text such as "500ms", "5s", "2m", "1h", got '


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: StreamingErrorPolicy.retry(0),
            "retry.max_attempts: must be a whole number from 1 up, or unlimited, got 0",
        ),
        (lambda: StreamingErrorPolicy.retry(2, backoff="soon"), f"retry.backoff: {DURATION}'soon'"),
        (lambda: StreamingErrorPolicy.retry(2, backoff=-1), f"retry.backoff: {DURATION}-1"),
        (lambda: StreamingErrorPolicy.retry(2, backoff=float("nan")), f"retry.backoff: {DURATION}nan"),
        (lambda: StreamingErrorPolicy.retry(2, backoff=True), f"retry.backoff: {DURATION}true"),
        (
            lambda: StreamingErrorPolicy.retry(2, multiplier=0.5),
            "retry.multiplier: must be a number from 1 up, got 0.5",
        ),
        (
            lambda: StreamingErrorPolicy.retry(2, jitter="some"),
            "retry.jitter: must be full, equal or none, got 'some'",
        ),
        (
            lambda: StreamingErrorPolicy.retry(2, retry_on=[OSError, 5]),
            "retry.retry_on: must name exception classes, such as [ConnectionError], got 5",
        ),
        (
            lambda: StreamingErrorPolicy.retry(2, ignore=["java.sql.SQLException"]),
            "retry.ignore: 'java.sql.SQLException' is a Java class; name the Python exception, such as ConnectionError",
        ),
        (
            lambda: StreamingErrorPolicy.retry(2).then(StreamingErrorPolicy.retry(3)),
            "then: a retry cannot follow a retry; raise max_attempts of the first one",
        ),
        (
            lambda: Retry(2, backoff="9" * 400 + "s", multiplier=10**400),
            f"retry.backoff: {DURATION}'{'9' * 56}...\n"
            f"retry.multiplier: must be a number from 1 up, got 1{'0' * 56}...",
        ),
        (lambda: Retry(10**5000), "retry.max_attempts: must be a whole number from 1 up, or unlimited, got a huge int"),
        (lambda: CircuitBreaker(name=" "), "circuit_breaker.name: must be a name, got ' '"),
        (
            lambda: CircuitBreaker(failure_rate_threshold=101, wait_duration_in_open_state=0),
            "circuit_breaker.failure_rate_threshold: must be a percentage above 0 and up to 100, got 101\n"
            "circuit_breaker.wait_duration_in_open_state: must be longer than 0, got 0",
        ),
        (FailureBudget, "budget: sets no limit; give percent, failures or both"),
        (
            lambda: StreamingErrorPolicy(granularity="documents"),
            "granularity: must be batch or document, got 'documents'; did you mean 'document'?",
        ),
        (
            lambda: (
                StreamingErrorPolicy.builder()
                .retry(0, backof=3)
                .circuit_breaker(minimum_number_of_calls=0)
                .budget()
                .granularity("row")
                .on_failure("notify")
                .skip()
                .dead_letter(SINK)
                .build()
            ),
            "retry: got an unexpected keyword argument 'backof'\n"
            "circuit_breaker.minimum_number_of_calls: must be a whole number from 1 up, got 0\n"
            "budget: sets no limit; give percent, failures or both\n"
            "granularity: must be batch or document, got 'row'\n"
            "callbacks: must be callable, got 'notify'\n"
            "build: more than one final action: skip(), dead_letter(); keep one",
        ),
        (
            lambda: StreamingErrorPolicy.builder().retry_on(OSError).ignore("KeyError").build(),
            "retry_on: nothing is retried; call retry(max_attempts) too\n"
            "ignore: nothing is retried; call retry(max_attempts) too",
        ),
    ],
)
def test_nonsense_is_refused_with_everything_that_is_wrong(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(PipelineError) as raised:
        make()
    assert str(raised.value) == text
