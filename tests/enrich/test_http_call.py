"""$httpCall against a real server on loopback."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from fluxion_flow import PipelineError, pipeline, run_batch
from fluxion_flow.core.program import DocumentError
from tests.servers.http_server import Answer

USER = {"connection": "users", "path": "/users/{id}", "pathParams": {"id": "$id"}}
NAME = {**USER, "responsePath": "/name"}


def called(documents, call, connections, **more):
    return run_batch(documents, [{"$set": {"r": {"$httpCall": call}}}], connections=connections, **more)


def results(documents, call, connections):
    return [document.get("r") for document in called(documents, call, connections)]


def test_answers_are_put_into_the_documents_in_order(connections, server):
    documents = [{"id": i} for i in range(20)]
    assert results(documents, NAME, connections) == ["Ada" if i == 7 else f"user {i}" for i in range(20)]
    assert len(server.requests) == 20


def test_documents_of_a_batch_are_served_at_the_same_time_up_to_the_concurrency(connections, server):
    users = server.handler
    server.handler = lambda request: Answer(200, users(request).content, delay=0.02)
    connections["users"]["concurrency"] = 8
    results([{"id": i} for i in range(64)], NAME, connections)
    assert 4 <= server.most_at_once <= 8


def test_equal_questions_share_one_call(connections, server):
    assert results([{"id": i % 3} for i in range(30)], NAME, connections) == [f"user {i % 3}" for i in range(30)]
    assert len(server.requests) == 3


def test_a_method_that_changes_something_is_called_for_every_document(connections, server):
    call = {"connection": "users", "method": "post", "path": "/users", "body": {"name": "$name"}}
    assert results([{"name": "Ada"}] * 3, call, connections) == [{"created": True}] * 3
    assert [request.json() for request in server.requests] == [{"name": "Ada"}] * 3


def test_a_call_is_made_only_where_it_is_reached(connections, server):
    chosen = {"$cond": [{"$gt": ["$id", 1]}, {"$httpCall": NAME}, "none"]}
    found = run_batch([{"id": i} for i in range(4)], [{"$set": {"r": chosen}}], connections=connections)
    assert [document["r"] for document in found] == ["none", "none", "user 2", "user 3"]
    assert sorted(request.path for request in server.requests) == ["/users/2", "/users/3"]


def test_one_answer_may_be_part_of_the_next_question(connections, server):
    inner = {"$httpCall": {**USER, "responsePath": "/id"}}
    outer = {"$httpCall": {**NAME, "pathParams": {"id": {"$add": [inner, 5]}}}}
    found = run_batch([{"id": 2}], [{"$set": {"r": outer}}], connections=connections)
    assert found == [{"id": 2, "r": "Ada"}]
    assert [request.path for request in server.requests] == ["/users/2", "/users/7"]


def test_calls_that_do_not_depend_on_each_other_are_made_together(connections, server):
    users = server.handler
    server.handler = lambda request: Answer(200, users(request).content, delay=0.1)

    def of(path):
        return {"$httpCall": {**NAME, "pathParams": {"id": path}}}

    stage = {
        "$set": {
            "a": of("$x"),
            "b": {"c": of("$y")},
            "items": {"$map": {"input": "$ids", "in": of("$$this")}},
            "known": {"$filter": {"input": "$ids", "cond": {"$eq": [of("$$this"), "Ada"]}}},
            "pair": [of("$x"), of("$z")],
        }
    }
    found = run_batch([{"x": 1, "y": 2, "z": 3, "ids": [7, 8]}], [stage], connections=connections)
    assert found[0]["items"] == ["Ada", "user 8"]
    assert (found[0]["a"], found[0]["b"], found[0]["known"], found[0]["pair"]) == (
        "user 1",
        {"c": "user 2"},
        [7],
        ["user 1", "user 3"],
    )
    assert (len(server.requests), server.most_at_once) == (5, 5)


def test_a_call_may_stand_wherever_an_expression_of_a_document_may(connections, server):
    name = {"$httpCall": NAME}
    stages = [
        {"$match": {"$expr": {"$ne": [name, "user 1"]}}},
        {"$project": {"id": 1, "name": name}},
        {"$subPipeline": [{"pipeline": [{"$set": {"again": {"$httpCall": NAME}}}]}]},
        {"$replaceRoot": {"newRoot": {"n": {"$concat": ["$name", "/", "$again"]}}}},
        {"$group": {"_id": "$n", "count": {"$sum": 1}}},
    ]
    found = run_batch([{"id": i} for i in (1, 2, 7, 7)], stages, connections=connections)
    assert found == [{"_id": "user 2/user 2", "count": 1}, {"_id": "Ada/Ada", "count": 2}]


def test_random_numbers_are_those_of_a_run_without_calls(connections):
    draws = [{"$match": {"id": {"$ne": 1}}}, {"$set": {"x": {"$rand": {}}, "y": {"$rand": {}}}}]
    asked = [draws[0], {"$set": {"r": {"$httpCall": NAME}}}, draws[1]]
    documents = [{"id": i} for i in range(6)]
    plain = run_batch(documents, draws, seed=3)
    assert [(d["x"], d["y"]) for d in run_batch(documents, asked, connections=connections, seed=3)] == [
        (d["x"], d["y"]) for d in plain
    ]


def test_values_stand_in_the_url_encoded_and_never_name_another_place(connections, server):
    server.handler = lambda request: Answer(200, {"path": request.path, "query": request.query})
    call = {"connection": "users", "url": "/of/{id}", "params": {"id": "$id", "q": "$q"}}
    document = {"id": "../admin?x=1#f", "q": "a&b=c d"}
    assert results([document], call, connections) == [{"path": "/of/..%2Fadmin%3Fx%3D1%23f", "query": {"q": "a&b=c d"}}]
    for bad in ("..", ".", ""):
        with pytest.raises(DocumentError, match="would name another place"):
            results([{"id": bad}], call, connections)
    for bad in (None, [1], {"a": 1}):
        with pytest.raises(DocumentError, match="'id' in the URL is"):
            results([{"id": bad}], call, connections)


def test_a_path_without_a_slash_cannot_become_part_of_the_servers_name(connections, server):
    server.handler = lambda request: Answer(200, request.path)
    call = {"connection": "users", "path": "{id}/x", "pathParams": {"id": "$id"}}
    assert results([{"id": ".example.com"}, {"id": "@example.com"}], call, connections) == [
        "/.example.com/x",
        "/%40example.com/x",
    ]


def test_query_values_are_text_arrays_repeat_and_nothing_is_left_out(connections, server):
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    names = {"n": "$n", "f": "$f", "t": "$t", "d": "$d", "none": "$none", "missing": "$missing", "list": "$list"}
    call = {"connection": "users", "path": "/users", "query": names}
    document = {"n": 1.5, "f": True, "t": moment, "d": Decimal("1.20"), "none": None, "list": ["a", 7]}
    server.handler = lambda request: Answer(200, request.query)
    assert results([document], call, connections) == [
        {"n": "1.5", "f": "true", "t": "2026-01-02T03:04:05.000Z", "d": "1.20", "list": "7"}
    ]


def test_a_header_from_a_document_cannot_bring_another_header_with_it(connections, server):
    call = {**NAME, "headers": {"X-Trace": "$trace", "X-Kind": "plain", "X-None": "$none"}}
    results([{"id": 1, "trace": "t-1"}], call, connections)
    headers = server.requests[0].headers
    assert (headers["x-trace"], headers["x-kind"], "x-none" in headers) == ("t-1", "plain", False)
    for bad in ("a\r\nX-Admin: 1", "a\nb", "nul\0", "snow ☃"):
        with pytest.raises(DocumentError) as raised:
            results([{"id": 1, "trace": bad}], call, connections)
        assert str(raised.value) == (
            "stages[0].$set.r.$httpCall: $httpCall to 'users': header 'X-Trace' would hold a line break or a character "
            "that headers cannot"
        )
    assert len(server.requests) == 1


def test_bodies_are_json_text_or_bytes(connections, server):
    server.handler = lambda request: Answer(200, {"body": request.body.decode(), "as": request.headers["content-type"]})
    call = {"connection": "users", "method": "PUT", "path": "/x", "body": "$b"}
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    bodies = [{"b": {"a": moment}}, {"b": [1]}, {"b": "text"}, {"b": b"raw"}, {"b": 5}]
    assert results(bodies, call, connections) == [
        {"body": '{"a":"2026-01-02T00:00:00Z"}', "as": "application/json"},
        {"body": "[1]", "as": "application/json"},
        {"body": "text", "as": "text/plain; charset=utf-8"},
        {"body": "raw", "as": "application/octet-stream"},
        {"body": "5", "as": "application/json"},
    ]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {"data": {"list": [{"v": 1}, {"v": 2}], "a/b": 3}}),
        ({"responsePath": "/data/list/1/v"}, 2),
        ({"responsePath": "/data/a~1b"}, 3),
        ({"responsePath": "/data/none"}, None),
        ({"response": {"extract": "$.data.list[0].v"}}, 1),
        ({"response": {"extract": "$"}}, {"data": {"list": [{"v": 1}, {"v": 2}], "a/b": 3}}),
        ({"parse": "text"}, '{"data": {"list": [{"v": 1}, {"v": 2}], "a/b": 3}}'),
        ({"response": {"parse": "bytes"}}, b'{"data": {"list": [{"v": 1}, {"v": 2}], "a/b": 3}}'),
    ],
)
def test_the_part_of_an_answer_that_is_wanted(connections, server, more, expected):
    server.handler = lambda request: Answer(200, {"data": {"list": [{"v": 1}, {"v": 2}], "a/b": 3}})
    assert results([{}], {"connection": "users", "path": "/x", **more}, connections) == [expected]


def test_an_empty_answer_is_null_and_one_that_is_not_json_an_error(connections, server):
    server.handler = lambda request: Answer(204)
    assert results([{}], {"connection": "users", "path": "/x"}, connections) == [None]
    server.handler = lambda request: Answer(200, b"<html>")
    with pytest.raises(DocumentError, match="the answer is not JSON; say how to read it with parse: text"):
        results([{}], {"connection": "users", "path": "/x"}, connections)


def test_a_status_of_400_or_more_is_an_error_with_the_status(connections, server):
    with pytest.raises(DocumentError) as raised:
        results([{"id": 404}], NAME, connections)
    assert str(raised.value) == (
        f"stages[0].$set.r.$httpCall: GET {server.url}/users/404: the server answered 404 Not Found: "
        '{"error": "no such user"}'
    )
    error = raised.value.cause
    assert (error.status, error.retryable) == (404, False)
    assert (error.facts["httpStatusCode"], error.facts["method"]) == (404, "GET")


@pytest.mark.parametrize(
    ("on_error", "expected"),
    [
        ("null", None),
        (None, None),
        ({"value": {"$concat": ["no user ", {"$toString": "$id"}]}}, "no user 404"),
    ],
)
def test_on_error_says_what_a_document_gets_instead(connections, on_error, expected):
    assert results([{"id": 404}, {"id": 7}], {**NAME, "onError": on_error}, connections) == [expected, "Ada"]


def test_faults_of_the_connection_are_errors(connections, server):
    for fault in ("close", "half", "reset"):
        server.handler = lambda request, fault=fault: Answer(200, {"a": 1}, fault=fault)
        with pytest.raises(DocumentError, match="the server broke the connection off"):
            results([{"id": 1}], NAME, connections)
    server.handler = lambda request: Answer(200, {}, delay=1.0)
    with pytest.raises(DocumentError, match="the server did not answer in time"):
        results([{"id": 1}], {**NAME, "readTimeoutMs": 50}, connections)
    server.close()
    with pytest.raises(DocumentError, match="the server cannot be reached"):
        results([{"id": 1}], {**NAME, "connectTimeoutMs": 500}, connections)


def test_a_redirect_is_not_followed_with_the_headers_of_the_connection(connections, server):
    server.handler = lambda request: Answer(302, headers={"Location": "http://127.0.0.1:1/elsewhere"})
    with pytest.raises(DocumentError, match="redirects with 302; name the other address"):
        results([{"id": 1}], NAME, connections)


def test_an_address_without_a_connection_may_be_called(connections, server):
    assert results([{"id": 7}], {"url": server.url + "/users/{id}", "params": {"id": "$id"}}, {}) == [
        {"id": 7, "name": "Ada"}
    ]


def test_every_problem_is_reported_at_once(connections):
    calls = {
        "a": {"connection": "user", "path": "/x"},
        "b": {"connection": "users", "path": "/{id}/{x}", "pathParams": {"id": "$id", "y": 1}, "methd": "GET"},
        "c": {"connection": "users", "url": "http://elsewhere.example/x", "method": "FETCH"},
        "d": {"connection": "users", "path": "/x", "headers": {"bad name": "x", "X-A": "a\nb"}, "parse": "xml"},
        "e": {"path": "/x"},
        "f": {"url": "http://{host}/x", "params": {"host": "$h"}, "onError": "deadletter"},
        "g": {"connection": "users", "path": "/x", "retry": {"maxAttempts": 0}, "cache": {"maxEntries": 5}},
        "h": {"connection": "users", "path": "/x", "responsePath": "data", "circuitBreaker": {"failureRate": 5}},
        "i": {"connection": "$c", "path": "/x", "rateLimit": {"limitForPeriod": 5, "timeoutDurationMs": "x"}},
    }
    stages = [{"$set": {name: {"$httpCall": call} for name, call in calls.items()}}]
    with pytest.raises(PipelineError) as raised:
        run_batch([], stages, connections=connections)
    assert str(raised.value).splitlines() == [
        "stages[0].$set.a.$httpCall.connection: unknown connection 'user'; did you mean 'users'?",
        "stages[0].$set.b.$httpCall.methd: unknown argument; did you mean 'method'?",
        "stages[0].$set.b.$httpCall.pathParams.y: is not in the template; it has 'id', 'x'",
        "stages[0].$set.b.$httpCall.path: has no value for '{x}'; give pathParams: {x: …}",
        "stages[0].$set.c.$httpCall.url: is another server than that of connection 'users', whose headers it would be "
        "given; name a connection of its own",
        "stages[0].$set.c.$httpCall.method: unknown method 'FETCH'; known are GET, HEAD, POST, PUT, PATCH, DELETE, "
        "OPTIONS",
        "stages[0].$set.d.$httpCall.headers.bad name: is no name of a header",
        "stages[0].$set.d.$httpCall.headers.X-A: is no value of a header; a text on one line",
        "stages[0].$set.d.$httpCall.parse: unknown mode 'xml'; known are json, text, bytes",
        "stages[0].$set.e.$httpCall.connection: required; name a connection of type http",
        "stages[0].$set.f.$httpCall.url: a document cannot choose the server; put {names} behind the host",
        "stages[0].$set.f.$httpCall.onError: unknown way to handle an error: 'deadletter'; did you mean 'dead_letter'?",
        "stages[0].$set.g.$httpCall.retry.maxAttempts: must be a whole number from 1 up, or unlimited, got 0",
        "stages[0].$set.g.$httpCall.cache.ttl: required by cache",
        "stages[0].$set.h.$httpCall.circuitBreaker.failureRate: unknown field of circuitBreaker; did you mean "
        "'failure_rate_threshold'?",
        "stages[0].$set.h.$httpCall.responsePath: is neither a JSON Pointer nor a path: 'data'; write '/data' or "
        "'$.data'",
        "stages[0].$set.i.$httpCall.connection: must be the name of a connection; it cannot depend on the document",
        "stages[0].$set.i.$httpCall.rateLimit.timeoutDurationMs: must be a number of milliseconds",
    ]


def test_a_stage_that_brings_documents_together_does_not_ask(connections):
    stages = [{"$group": {"_id": {"$httpCall": NAME}}}, {"$facet": {"a": [{"$set": {"r": {"$httpCall": NAME}}}]}}]
    with pytest.raises(PipelineError) as raised:
        run_batch([], stages, connections=connections)
    assert str(raised.value).splitlines() == [
        "stages[0].$group: $httpCall to 'users' cannot be asked in a stage that brings documents together; ask in a "
        "$set in front of it, or behind it",
        "stages[1].$facet: $httpCall to 'users' cannot be asked in a stage that brings documents together; ask in a "
        "$set in front of it, or behind it",
    ]


def test_an_option_of_a_sink_does_not_ask(connections):
    flow = pipeline("p").source("memory", documents=[]).connection("users", **connections["users"])
    with pytest.raises(PipelineError) as raised:
        flow.sink("kafka", bootstrap_servers="127.0.0.1:1", topic="t", key={"$httpCall": NAME}).compile()
    assert str(raised.value).splitlines()[-1].strip() == (
        "sink.key: $httpCall to 'users' cannot be asked in an option of a connector; ask in a $set stage, and name its "
        "field here"
    )
