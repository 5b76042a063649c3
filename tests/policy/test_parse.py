from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.connect.secrets import env, interpolate, register_secret, secret
from fluxion_flow.errors import PipelineError, Problems, Where
from fluxion_flow.policy.model import CircuitBreaker, FailureBudget, Retry, StreamingErrorPolicy
from fluxion_flow.policy.parse import parse_policy, policy_to_dict

ON_ERROR = Where.at("on_error")
KAFKA = {"type": "kafka", "topic": "orders.dlq"}


def parsed(spec: Any) -> StreamingErrorPolicy:
    problems = Problems()
    policy = parse_policy(spec, ON_ERROR, problems)
    problems.raise_if_any()
    return policy


def mistakes(spec: Any) -> list[str]:
    problems = Problems()
    parse_policy(spec, ON_ERROR, problems)
    return [str(p) for p in problems]


SLOW_API = {
    "name": "user-service-breaker",
    "failureRateThreshold": 30,
    "slowCallRateThreshold": 50,
    "slowCallDurationThresholdMs": 2000,
    "waitDurationInOpenStateMs": 30000,
    "minimumNumberOfCalls": 5,
    "permittedCallsInHalfOpenState": 3,
    "slidingWindowSize": 20,
    "slidingWindowType": 0,
}
SLOW_API_READ = CircuitBreaker(
    name="user-service-breaker",
    failure_rate_threshold=30,
    slow_call_rate_threshold=50,
    slow_call_duration_threshold=2,
    wait_duration_in_open_state=30,
    minimum_number_of_calls=5,
    permitted_calls_in_half_open_state=3,
    sliding_window_size=20,
    sliding_window_type="COUNT_BASED",
)


@pytest.mark.parametrize(
    ("spec", "policy"),
    [
        ("fail_fast", StreamingErrorPolicy()),
        ("failFast", StreamingErrorPolicy()),
        ("fail", StreamingErrorPolicy()),
        ("skip_and_continue", StreamingErrorPolicy("skip")),
        ("skipAndContinue", StreamingErrorPolicy("skip")),
        ("skip", StreamingErrorPolicy("skip")),
        ("dead_letter", StreamingErrorPolicy("dead_letter")),
        ({"skip": {}}, StreamingErrorPolicy("skip")),
        ({"skip": None}, StreamingErrorPolicy("skip")),
        ({"skip_and_continue": True}, StreamingErrorPolicy("skip")),
        ({"fail_fast": {}}, StreamingErrorPolicy()),
        ({"dead_letter": KAFKA}, StreamingErrorPolicy("dead_letter", dead_letter_sink=KAFKA)),
        ({"deadLetter": KAFKA}, StreamingErrorPolicy("dead_letter", dead_letter_sink=KAFKA)),
        ({"dead_letter": {}}, StreamingErrorPolicy("dead_letter")),
        ({"fail_fast": {}, "dead_letter_sink": KAFKA}, StreamingErrorPolicy(dead_letter_sink=KAFKA)),
        ({"retry": 5}, StreamingErrorPolicy(retries=Retry(5))),
        ({"retry": "5"}, StreamingErrorPolicy(retries=Retry(5))),
        ({"retry": "unlimited"}, StreamingErrorPolicy(retries=Retry(None))),
        ({"retry": {"max_attempts": "unlimited"}}, StreamingErrorPolicy(retries=Retry(None))),
        (
            {"retry": {"max_attempts": 5, "backoff": "200ms", "jitter": "FULL"}, "then": {"dead_letter": KAFKA}},
            StreamingErrorPolicy("dead_letter", Retry(5, 0.2, jitter="full"), dead_letter_sink=KAFKA),
        ),
        ({"then": "skip", "retry": 5}, StreamingErrorPolicy("skip", Retry(5))),
        ({"retry": 5, "skip": {}}, StreamingErrorPolicy("skip", Retry(5))),
        (
            {"retry": 5, "then": {"skip": {}, "granularity": "document"}, "granularity": "batch"},
            StreamingErrorPolicy("skip", Retry(5), granularity="document"),
        ),
        (
            {
                "retry": {
                    "name": "orders-db-retry",
                    "maxAttempts": 3,
                    "waitDurationMs": 50,
                    "multiplier": 2.0,
                    "retryOn": ["sqlalchemy.exc.OperationalError"],
                    "ignore": "ValueError",
                }
            },
            StreamingErrorPolicy(
                retries=Retry(
                    3,
                    backoff=0.05,
                    jitter="none",
                    retry_on=("sqlalchemy.exc.OperationalError",),
                    ignore=("ValueError",),
                    name="orders-db-retry",
                )
            ),
        ),
        (
            {"retry": {"maxAttempts": 3, "waitDurationMs": 60000}},
            StreamingErrorPolicy(retries=Retry(3, backoff=60, multiplier=1, jitter="none")),
        ),
        (
            {"retry": {"maxAttempts": 3, "wait_duration": "1s", "maxBackoff": "5s"}},
            StreamingErrorPolicy(retries=Retry(3, backoff=1, max_backoff=5)),
        ),
        ({"circuitBreaker": SLOW_API}, StreamingErrorPolicy(breaker=SLOW_API_READ)),
        ({"circuit_breaker": {**SLOW_API, "enabled": True}}, StreamingErrorPolicy(breaker=SLOW_API_READ)),
        ({"circuitBreaker": {**SLOW_API, "enabled": False}}, StreamingErrorPolicy()),
        ({"circuit_breaker": {}}, StreamingErrorPolicy(breaker=CircuitBreaker())),
        (
            {"circuit_breaker": {"slidingWindowType": 1, "record": ["OSError"], "ignore": ["KeyError"]}},
            StreamingErrorPolicy(
                breaker=CircuitBreaker(sliding_window_type="TIME_BASED", record=("OSError",), ignore=("KeyError",))
            ),
        ),
        (
            {"circuit_breaker": {"sliding_window_type": "count_based", "permittedNumberOfCallsInHalfOpenState": 4}},
            StreamingErrorPolicy(
                breaker=CircuitBreaker(sliding_window_type="COUNT_BASED", permitted_calls_in_half_open_state=4)
            ),
        ),
        (
            {"skip": {}, "budget": {"percent": 5, "failures": 100, "within": "10m"}},
            StreamingErrorPolicy("skip", budget=FailureBudget(5, 100, 600)),
        ),
        ({"skip": {}, "budget": {"percent": "5 %"}}, StreamingErrorPolicy("skip", budget=FailureBudget(5))),
        ({"granularity": "document"}, StreamingErrorPolicy(granularity="document")),
        (StreamingErrorPolicy.builder().skip(), StreamingErrorPolicy("skip")),
    ],
)
def test_policy_as_data(spec: Any, policy: StreamingErrorPolicy) -> None:
    assert parsed(spec) == policy


def test_policy_object_is_returned_as_it_is() -> None:
    policy = StreamingErrorPolicy.skip_and_continue()
    assert parsed(policy) is policy


DURATION = 'must be a duration: seconds, or a text such as "500ms", "5s", "2m", "1h", got '
EXAMPLE = "such as fail_fast, skip_and_continue, {retry: 5} or {dead_letter: {...}}"
PARTS = (
    "known are retry, then, fail_fast, skip_and_continue, dead_letter, "
    "circuit_breaker, budget, granularity, dead_letter_sink"
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("fail_fats", ["on_error: unknown error policy 'fail_fats'; did you mean 'fail_fast'?"]),
        ("explode", [f"on_error: unknown error policy 'explode'; {EXAMPLE}"]),
        ("retry", ["on_error: 'retry' does not say how often; write {retry: 5} for 5 attempts in all"]),
        (None, [f"on_error: must be an error policy, got null; {EXAMPLE}"]),
        (5, [f"on_error: must be an error policy, got 5; {EXAMPLE}"]),
        ([], [f"on_error: must be an error policy, got []; {EXAMPLE}"]),
        ({}, [f"on_error: must be an error policy, got an empty mapping; {EXAMPLE}"]),
        ({"retri": 5}, ["on_error.retri: unknown part of an error policy; did you mean 'retry'?"]),
        ({"xyz": 5}, [f"on_error.xyz: unknown part of an error policy; {PARTS}"]),
        ({1: 5}, [f"on_error.1: unknown part of an error policy; {PARTS}"]),
        ({"retry": 0}, ["on_error.retry: must be a whole number from 1 up, or unlimited, got 0"]),
        ({"retry": 2.5}, ["on_error.retry: must be a whole number from 1 up, or unlimited, got 2.5"]),
        ({"retry": None}, ["on_error.retry: must be a whole number from 1 up, or unlimited, got null"]),
        ({"retry": True}, ["on_error.retry: must be a whole number from 1 up, or unlimited, got true"]),
        ({"retry": [3]}, ["on_error.retry: must be a whole number from 1 up, or unlimited, got [3]"]),
        (
            {"retry": {"backoff": "1s"}},
            ["on_error.retry.max_attempts: required by retry; say how many attempts in all, the first included"],
        ),
        (
            {"retry": {"maxAttempts": None}},
            ["on_error.retry.maxAttempts: must be a whole number from 1 up, or unlimited, got null"],
        ),
        (
            {"retry": {"max_atempts": 5, "backoff": "fast", "jitter": "ful", "multiplier": "x", "retry_on": "a b"}},
            [
                "on_error.retry.max_atempts: unknown field of retry; did you mean 'max_attempts'?",
                f"on_error.retry.backoff: {DURATION}'fast'",
                "on_error.retry.jitter: must be full, equal or none, got 'ful'; did you mean 'full'?",
                "on_error.retry.multiplier: must be a number from 1 up, got 'x'",
                "on_error.retry.retry_on: must name exception classes, such as [ConnectionError], got 'a b'",
                "on_error.retry.max_attempts: required by retry; say how many attempts in all, the first included",
            ],
        ),
        (
            {"retry": {"max_attempts": 5, "maxAttempts": 3, "backoff": 1, "waitDurationMs": 5}},
            [
                "on_error.retry.maxAttempts: says the same as max_attempts; keep one",
                "on_error.retry.waitDurationMs: says the same as backoff; keep one",
            ],
        ),
        (
            {"retry": {"maxAttemptsMs": 5, "waitDurationMs": "1s", "max_backoff_ms": -1}},
            [
                "on_error.retry.maxAttemptsMs: unknown field of retry; did you mean 'max_attempts'?",
                "on_error.retry.waitDurationMs: must be a number of milliseconds from 0 up, got '1s'",
                "on_error.retry.max_backoff_ms: must be a number of milliseconds from 0 up, got -1",
                "on_error.retry.max_attempts: required by retry; say how many attempts in all, the first included",
            ],
        ),
        (
            {"skip": {}, "dead_letter": KAFKA},
            ["on_error.dead_letter: given beside skip; keep one final action"],
        ),
        ({"skip": {"a": 1}}, ["on_error.skip: takes no options, got a mapping; write {skip: {}}"]),
        ({"fail_fast": False}, ["on_error.fail_fast: takes no options, got false; write {fail_fast: {}}"]),
        (
            {"dead_letter": "dead.jsonl"},
            ["on_error.dead_letter: must be a sink, got 'dead.jsonl'; such as {type: files, path: dead.jsonl}"],
        ),
        (
            {"dead_letter": KAFKA, "dead_letter_sink": KAFKA},
            ["on_error.dead_letter_sink: the sink is given twice; keep one of dead_letter and dead_letter_sink"],
        ),
        (
            {"then": "skip"},
            ["on_error.then: nothing comes before it; add retry, or write its content without then"],
        ),
        (
            {"retry": 3, "then": {"retry": 3}},
            ["on_error.then.retry: a retry cannot follow a retry; raise max_attempts of the first one"],
        ),
        (
            {"retry": 3, "then": {"skip": {}, "then": "skip"}},
            ["on_error.then.then: a then cannot follow a then; keep one"],
        ),
        (
            {"retry": 3, "then": StreamingErrorPolicy.retry(3)},
            ["on_error.then: a retry cannot follow a retry; raise max_attempts of the first one"],
        ),
        (
            {"retry": 3, "then": "skip", "dead_letter": KAFKA},
            ["on_error.dead_letter: given beside then, which says what happens finally; keep one of the two"],
        ),
        ({"retry": 3, "then": "skipp"}, ["on_error.then: unknown error policy 'skipp'; did you mean 'skip'?"]),
        (
            {"circuit_breaker": {"failureRateTreshold": 30, "enabled": "perhaps", "slidingWindowType": 2}},
            [
                "on_error.circuit_breaker.failureRateTreshold: unknown field of circuit_breaker; "
                "did you mean 'failure_rate_threshold'?",
                "on_error.circuit_breaker.enabled: must be true or false, got 'perhaps'",
                "on_error.circuit_breaker.slidingWindowType: must be COUNT_BASED or TIME_BASED, got 2",
            ],
        ),
        (
            {"circuit_breaker": {"failure_rate_threshold": 0, "sliding_window_size": "many", "when_open": "divrt"}},
            [
                "on_error.circuit_breaker.failure_rate_threshold: must be a percentage above 0 and up to 100, got 0",
                "on_error.circuit_breaker.sliding_window_size: must be a whole number from 1 up, got 'many'",
                "on_error.circuit_breaker.when_open: must be wait or divert, got 'divrt'; did you mean 'divert'?",
            ],
        ),
        (
            {"circuit_breaker": 5},
            ["on_error.circuit_breaker: must be a mapping, got 5; such as {failure_rate_threshold: 50}"],
        ),
        (
            {"budget": 5},
            ["on_error.budget: must be a mapping, got 5; such as {percent: 5, failures: 100, within: 10m}"],
        ),
        ({"budget": {"within": "10m"}}, ["on_error.budget: sets no limit; give percent, failures or both"]),
        (
            {"budget": {"percent": 0, "withn": "10m"}},
            [
                "on_error.budget.percent: must be a percentage above 0 and up to 100, got 0",
                "on_error.budget.withn: unknown field of budget; did you mean 'within'?",
            ],
        ),
        (
            {"granularity": "documents"},
            ["on_error.granularity: must be batch or document, got 'documents'; did you mean 'document'?"],
        ),
        (
            StreamingErrorPolicy.builder().retry(0).granularity("row"),
            [
                "on_error.retry.max_attempts: must be a whole number from 1 up, or unlimited, got 0",
                "on_error.granularity: must be batch or document, got 'row'",
            ],
        ),
        (
            {"retry": 0, "then": {"dead_letter": 7}, "budget": {"percent": 200}, "granularity": 3},
            [
                "on_error.retry: must be a whole number from 1 up, or unlimited, got 0",
                "on_error.then.dead_letter: must be a sink, got 7; such as {type: files, path: dead.jsonl}",
                "on_error.budget.percent: must be a percentage above 0 and up to 100, got 200",
                "on_error.granularity: must be batch or document, got 3",
            ],
        ),
    ],
)
def test_every_problem_is_reported_at_once(spec: Any, expected: list[str]) -> None:
    assert mistakes(spec) == expected


def test_sinks_are_checked_where_they_stand() -> None:
    seen: list[tuple[Any, str]] = []

    def check(sink: Any, where: Where, problems: Problems) -> None:
        seen.append((sink, str(where)))
        problems.add(where / "type", "unknown connector 'kafak'", "did you mean 'kafka'?")

    problems = Problems()
    for spec in (
        {"dead_letter": KAFKA},
        {"retry": 2, "then": {"dead_letter": KAFKA}},
        {"skip": {}, "dead_letter_sink": KAFKA},
        StreamingErrorPolicy.dead_letter(KAFKA),
        StreamingErrorPolicy.dead_letter(object()),
    ):
        parse_policy(spec, ON_ERROR, problems, check_sink=check)
    assert seen == [
        (KAFKA, "on_error.dead_letter"),
        (KAFKA, "on_error.then.dead_letter"),
        (KAFKA, "on_error.dead_letter_sink"),
        (KAFKA, "on_error.dead_letter"),
    ]
    assert str(problems.found[1]) == "on_error.then.dead_letter.type: unknown connector 'kafak'; did you mean 'kafka'?"


def test_values_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTEMPTS", "7")
    monkeypatch.setenv("POLICY", "skip")
    spec = interpolate(
        {"retry": {"max_attempts": "${ATTEMPTS}", "backoff": "${BACKOFF:-50ms}"}, "then": "${POLICY}"},
        ON_ERROR,
        Problems(),
    )
    assert parsed(spec) == StreamingErrorPolicy("skip", Retry(7, backoff=0.05))
    monkeypatch.delenv("ATTEMPTS")
    assert mistakes({"retry": env("ATTEMPTS")}) == [
        "on_error.retry: environment variable ATTEMPTS is not set; export it or write ${ATTEMPTS:-default}"
    ]
    assert mistakes(env("ATTEMPTS")) == [
        "on_error: environment variable ATTEMPTS is not set; export it or write ${ATTEMPTS:-default}"
    ]


def test_references_inside_a_sink_stay_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLQ_PASSWORD", "hunter2!")
    policy = parsed({"dead_letter": {"type": "kafka", "password": secret("DLQ_PASSWORD")}})
    assert policy.dead_letter_sink == {"type": "kafka", "password": secret("DLQ_PASSWORD")}
    data = policy_to_dict(policy)
    assert data == {"dead_letter": {"type": "kafka", "password": {"$secret": "DLQ_PASSWORD"}}}
    assert parsed(interpolate(data, ON_ERROR, Problems())) == policy


def test_secrets_do_not_show_in_problems() -> None:
    register_secret("hunter2!")
    for spec in ("hunter2!", {"retry": "hunter2!"}, {"dead_letter": "hunter2!"}, ["hunter2!"], {"skip": "hunter2!"}):
        assert "hunter2" not in " ".join(mistakes(spec))


@pytest.mark.parametrize(
    ("policy", "data"),
    [
        (StreamingErrorPolicy.fail_fast(), {"fail_fast": {}}),
        (StreamingErrorPolicy.skip_and_continue().per_document(), {"skip_and_continue": {}, "granularity": "document"}),
        (StreamingErrorPolicy.dead_letter(), {"dead_letter": {}}),
        (StreamingErrorPolicy.retry(5), {"retry": {"max_attempts": 5}}),
        (StreamingErrorPolicy.retry(None), {"retry": {"max_attempts": "unlimited"}}),
        (
            StreamingErrorPolicy.retry(5, backoff="1s", retry_on=[OSError]).then(
                StreamingErrorPolicy.dead_letter(KAFKA)
            ),
            {
                "retry": {"max_attempts": 5, "backoff": 1.0, "retry_on": ["OSError"]},
                "then": {"dead_letter": KAFKA},
            },
        ),
        (StreamingErrorPolicy(dead_letter_sink=KAFKA), {"fail_fast": {}, "dead_letter_sink": KAFKA}),
    ],
)
def test_policy_to_data(policy: StreamingErrorPolicy, data: Any) -> None:
    assert policy_to_dict(policy) == data


def test_what_data_cannot_hold_is_refused() -> None:
    policy = StreamingErrorPolicy("dead_letter", dead_letter_sink=object(), callbacks=(print,))
    with pytest.raises(PipelineError) as raised:
        policy_to_dict(policy, Where.at("stages", 0, "on_error"))
    assert str(raised.value) == (
        "stages[0].on_error: has callbacks, which data cannot hold; add them in Python\n"
        "stages[0].on_error: its dead-letter sink is a Python object; give the sink as a mapping"
    )


NAMES = st.lists(st.sampled_from(["OSError", "httpx.ConnectError", "ValueError"]), max_size=2).map(tuple)
SPANS = st.floats(0.001, 1e6)
COUNTS = st.integers(1, 10**6)
PERCENTAGES = st.floats(0.01, 100)
LABELS = st.none() | st.text(min_size=1).filter(str.strip)
POLICIES = st.builds(
    StreamingErrorPolicy,
    action=st.sampled_from(["fail", "skip", "dead_letter"]),
    retries=st.none()
    | st.builds(
        Retry,
        max_attempts=st.none() | COUNTS,
        backoff=SPANS,
        multiplier=st.floats(1, 100),
        max_backoff=SPANS,
        jitter=st.sampled_from(["full", "equal", "none"]),
        retry_on=NAMES,
        ignore=NAMES,
        name=LABELS,
    ),
    breaker=st.none()
    | st.builds(
        CircuitBreaker,
        name=LABELS,
        failure_rate_threshold=PERCENTAGES,
        slow_call_rate_threshold=PERCENTAGES,
        slow_call_duration_threshold=SPANS,
        wait_duration_in_open_state=SPANS,
        permitted_calls_in_half_open_state=COUNTS,
        minimum_number_of_calls=COUNTS,
        sliding_window_size=COUNTS,
        sliding_window_type=st.sampled_from(["COUNT_BASED", "TIME_BASED"]),
        record=NAMES,
        ignore=NAMES,
        when_open=st.sampled_from(["wait", "divert"]),
    ),
    dead_letter_sink=st.none() | st.fixed_dictionaries({"type": st.text(min_size=1)}),
    granularity=st.sampled_from([None, "batch", "document"]),
    budget=st.none()
    | st.builds(
        FailureBudget, percent=PERCENTAGES, failures=st.none() | COUNTS, within=st.none() | SPANS, minimum=COUNTS
    ),
)


@given(POLICIES)
def test_data_gives_an_equal_policy_back(policy: StreamingErrorPolicy) -> None:
    problems = Problems()
    data = interpolate(policy_to_dict(policy), ON_ERROR, problems)
    assert not problems
    assert parsed(data) == policy


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("retry", "then", "skip", "dead_letter", "circuitBreaker", "budget", "granularity", "fail_fast"),
                    *("maxAttempts", "backoff", "waitDurationMs", "record", "percent", "within", "enabled", "x"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JUNK)
def test_no_data_makes_the_parser_raise(spec: Any) -> None:
    problems = Problems()
    policy = parse_policy(spec, ON_ERROR, problems)
    assert isinstance(policy, StreamingErrorPolicy)
    for problem in problems:
        assert str(problem.where).startswith("on_error")
