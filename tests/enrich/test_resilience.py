"""Cache, retry, circuit breaker and rate limit of calls."""

from __future__ import annotations

import time

import pytest

from fluxion_flow import PipelineError, run_batch
from fluxion_flow.core.context import StreamingContext
from fluxion_flow.core.outside import Question
from fluxion_flow.core.program import DocumentError
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.enrich.desk import Desk
from fluxion_flow.enrich.limiter import Limiter
from fluxion_flow.enrich.settings import RateLimit, Settings, read_settings
from fluxion_flow.errors import Problems, Where
from tests.servers.http_server import Answer

NAME = {"connection": "users", "path": "/users/{id}", "pathParams": {"id": "$id"}, "responsePath": "/name"}


def results(documents, connections, **call):
    stage = {"$set": {"r": {"$httpCall": {**NAME, **call}}}}
    return [d["r"] for d in run_batch(documents, [stage], connections=connections)]


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def desk_and_ask(connections, clock, **call):
    """A function that asks one question of a desk with this clock; what it was told of calls."""
    problems = Problems()
    stage = {"$set": {"r": {"$httpCall": {**NAME, **call}}}}
    (built,) = parse_stages([stage], Where.at("stages"), problems, Resources(connections=connections))
    problems.raise_if_any()
    (asker,) = built.asks
    told = []
    desk = Desk(tell=lambda hook, context, **facts: told.append((hook, facts)), clock=clock)

    def ask(number):
        question = Question(asker, asker.question((number,)), "0", number)
        answer = desk.peek(question) or desk.serve([question], StreamingContext("p", "s"))[0]
        if answer.error is not None:
            raise answer.error()
        return asker.taken(answer.value)

    return desk, ask, told


def test_answers_are_kept_for_their_time_and_no_longer(connections, server):
    clock = Clock()
    desk, ask, told = desk_and_ask(connections, clock, cache={"ttlMs": 60_000, "maxEntries": 2})
    assert [ask(1), ask(2), ask(1), ask(2)] == ["user 1", "user 2"] * 2
    assert len(server.requests) == 2
    clock.now += 61
    ask(1)
    assert len(server.requests) == 3
    ask(2), ask(3), ask(2)
    assert len(server.requests) == 5  # two entries: 1 left for 3
    ask(1)
    assert len(server.requests) == 6
    desk.close()
    assert sum(f["calls"] for hook, f in told if hook == "on_enrich" and f["cached"]) == 3


def test_failures_are_kept_only_where_it_is_said_how_long(connections, server):
    clock = Clock()
    for more, requests in (({}, 3), ({"negativeTtlMs": 5000}, 1)):
        server.requests.clear()
        desk, ask, _ = desk_and_ask(connections, clock, cache={"ttlMs": 60_000, **more})
        for _ in range(3):
            with pytest.raises(Exception, match="404"):
                ask(404)
        assert len(server.requests) == requests
        clock.now += 6
        with pytest.raises(Exception, match="404"):
            ask(404)
        assert len(server.requests) == requests + 1
        desk.close()


def test_a_hundred_thousand_documents_over_a_thousand_keys_make_a_thousand_calls(connections, server):
    connections["users"]["cache"] = {"ttl": "1h", "negativeTtl": "1h"}
    stage = {"$set": {"r": {"$httpCall": {**NAME, "pathParams": {"id": {"$mod": ["$id", 1000]}}, "onError": "null"}}}}
    found = run_batch(({"id": i} for i in range(100_000)), [stage], connections=connections)
    assert len(found) == 100_000
    assert found[99_007]["r"] == "Ada"
    assert len(server.requests) == 1000


def test_a_call_is_tried_again_as_often_as_said_and_for_what_may_pass(connections, server):
    server.script = [Answer(503), Answer(200, {}, fault="close"), Answer(429)]
    retry = {"maxAttempts": 4, "waitDurationMs": 1, "multiplier": 2.0}
    assert results([{"id": 7}], connections, retry=retry) == ["Ada"]
    assert len(server.requests) == 4
    server.script = [Answer(503)] * 4
    with pytest.raises(DocumentError, match="503"):
        results([{"id": 7}], connections, retry=retry)
    assert len(server.requests) == 8
    with pytest.raises(DocumentError, match="404"):
        results([{"id": 404}], connections, retry=retry)
    assert len(server.requests) == 9


def test_retry_on_and_ignore_choose_by_class(connections, server):
    retry = {"maxAttempts": 2, "waitDurationMs": 1}
    server.handler = lambda request: Answer(503)
    for more, requests in (
        ({"ignore": ["HttpStatusError"]}, 1),
        ({"retryOn": ["CallTimedOut"]}, 1),
        ({"retryOn": ["HttpStatusError"]}, 2),
    ):
        server.requests.clear()
        with pytest.raises(DocumentError):
            results([{"id": 7}], connections, retry={**retry, **more})
        assert len(server.requests) == requests
    server.close()
    with pytest.raises(DocumentError):
        results([{"id": 7}], connections, retry={**retry, "retryOn": ["httpx.ConnectError"]})


def test_retry_after_is_waited_for(connections, server):
    server.script = [Answer(429, headers={"Retry-After": "1"})]
    started = time.monotonic()
    assert results([{"id": 7}], connections, retry={"maxAttempts": 2, "waitDurationMs": 1}) == ["Ada"]
    assert time.monotonic() - started >= 1.0


def test_a_call_overrides_its_connection(connections, server):
    connections["users"] |= {"retry": {"maxAttempts": 3, "waitDurationMs": 1}}
    server.script = [Answer(503), Answer(503)]
    assert results([{"id": 7}], connections) == ["Ada"]
    server.script = [Answer(503)]
    with pytest.raises(DocumentError):
        results([{"id": 7}], connections, retry={"maxAttempts": 1})


BREAKER = {
    "failureRateThreshold": 50,
    "minimumNumberOfCalls": 4,
    "slidingWindowSize": 4,
    "slidingWindowType": 0,
    "waitDurationInOpenStateMs": 30_000,
    "permittedCallsInHalfOpenState": 2,
}


def test_a_breaker_opens_probes_and_closes(connections, server):
    clock = Clock()
    connections["users"] |= {"circuitBreaker": BREAKER}
    desk, ask, told = desk_and_ask(connections, clock)
    healthy, server.handler = server.handler, lambda request: Answer(500)
    for _ in range(4):
        with pytest.raises(Exception, match="500"):
            ask(1)
    with pytest.raises(Exception, match=r"circuit breaker 'users' is open; it may be asked again in 30\.0 s"):
        ask(1)
    assert len(server.requests) == 4
    clock.now += 31
    server.handler = healthy
    assert [ask(1), ask(1), ask(1)] == ["user 1"] * 3
    desk.close()
    states = [(f["before"], f["after"]) for hook, f in told if hook == "on_breaker" and f["before"] != f["after"]]
    assert states == [("CLOSED", "OPEN"), ("OPEN", "HALF_OPEN"), ("HALF_OPEN", "CLOSED")]


def test_breakers_of_one_name_are_one(connections, server):
    clock = Clock()
    server.handler = lambda request: Answer(500)
    one, ask_one, _ = desk_and_ask(connections, clock, circuitBreaker={**BREAKER, "name": "shared"})
    two, ask_two, _ = desk_and_ask(connections, clock, circuitBreaker={**BREAKER, "name": "shared"})
    for ask in (ask_one, ask_two, ask_one, ask_two):
        with pytest.raises(Exception, match="500"):
            ask(1)
    for ask in (ask_one, ask_two):
        with pytest.raises(Exception, match="'shared' is open"):
            ask(1)
    one.close(), two.close()


def test_a_rate_limit_gives_so_many_permits_a_period():
    clock = Clock()
    limiter = Limiter(RateLimit(2, 1.0), clock)
    assert [limiter.reserve() for _ in range(5)] == [0.0, 0.0, 1.0, 1.0, 2.0]
    clock.now += 2.5
    assert [limiter.reserve() for _ in range(2)] == [0.0, 0.5]
    patient = Limiter(RateLimit(1, 1.0, patience=1.0), clock)
    assert [patient.reserve() for _ in range(3)] == [0.0, 1.0, None]


def test_a_server_is_asked_no_faster_than_the_limit(connections, server):
    connections["users"]["rateLimit"] = {"limitForPeriod": 5, "limitRefreshPeriodMs": 100}
    started = time.monotonic()
    results([{"id": i} for i in range(20)], connections)
    assert time.monotonic() - started >= 0.28
    with pytest.raises(DocumentError, match="the rate limit would keep the call waiting for too long"):
        results(
            [{"id": i} for i in range(20)],
            {"users": {**connections["users"], "rateLimit": {"limitForPeriod": 1, "timeoutDurationMs": 10}}},
        )


def test_both_spellings_are_read_alike():
    camel = {
        "concurrency": 5,
        "connectTimeoutMs": 100,
        "readTimeoutMs": 200,
        "timeoutMs": 300,
        "record": True,
        "retry": {"maxAttempts": 3, "waitDurationMs": 50, "multiplier": 2.0, "ignore": ["ValueError"]},
        "circuitBreaker": {"name": "b", "slowCallRateThreshold": 50, "slowCallDurationThresholdMs": 2000},
        "rateLimit": {"limitForPeriod": 5, "limitRefreshPeriodMs": 500, "timeoutDurationMs": 100},
        "cache": {"ttlMs": 1000, "maxEntries": 5, "negativeTtlMs": 10},
    }
    snake = {
        "max_concurrent_calls": 5,
        "connect_timeout": "100ms",
        "read_timeout": 0.2,
        "timeout": "300ms",
        "record": True,
        "retry": {"max_attempts": 3, "wait_duration_ms": 50, "multiplier": 2.0, "ignore": ["ValueError"]},
        "circuit_breaker": {"name": "b", "slow_call_rate_threshold": 50, "slow_call_duration_threshold": "2s"},
        "rate_limit": {"limit_for_period": 5, "limit_refresh_period": "500ms", "timeout_duration": "100ms"},
        "cache": {"ttl": 1, "max_entries": 5, "negative_ttl": "10ms"},
    }
    problems = Problems()
    read = [read_settings(given, Where(), problems, Settings()) for given in (camel, snake)]
    assert not problems.found
    assert read[0] == read[1]
    assert read[0].policy.breaker.when_open == "divert"


def test_a_connection_of_a_sink_may_say_how_calls_are_made(server, tmp_path):
    from fluxion_flow import StreamingPipelineDefinition

    source = tmp_path / "in.jsonl"
    source.write_text("")
    definition = {
        "name": "p",
        "source": {"type": "files", "path": str(source)},
        "sink": {"type": "http", "connection_ref": "api"},
        "connections": {
            "api": {"type": "http", "url": server.url, "retry": {"maxAttempts": 2}, "readTimeoutMs": 5, "cache": "1m"}
        },
    }
    StreamingPipelineDefinition.from_dict(definition)
    definition["connections"]["api"]["retri"] = 1
    with pytest.raises(PipelineError, match=r"connections\.api\.retri: unknown option of connector 'http'"):
        StreamingPipelineDefinition.from_dict(definition)
