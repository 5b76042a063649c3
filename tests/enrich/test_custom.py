"""Operators of one's own, and what every operator's examples say."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fluxion_flow import PipelineError, run_batch
from fluxion_flow.core.expressions import registry
from fluxion_flow.core.expressions.registry import OPERATORS, all_operators
from fluxion_flow.core.program import DocumentError
from fluxion_flow.enrich import enrich_operator


@pytest.fixture(autouse=True)
def no_trace(monkeypatch):
    """Operators that a test declares are gone behind it."""
    all_operators()
    monkeypatch.setattr(registry, "OPERATORS", OPERATORS)
    before = dict(OPERATORS)
    yield
    OPERATORS.clear()
    OPERATORS.update(before)


def results(documents, expression, **more):
    return [d.get("r") for d in run_batch(documents, [{"$set": {"r": expression}}], **more)]


def test_a_function_with_a_connection(connections, server):
    @enrich_operator("$userName")
    def user_name(connection, *, id, prefix="user"):
        """The name of a user. Mine: $userName."""
        return f"{prefix}: {connection.get(f'/users/{id}')['name']}"

    call = {"$userName": {"connection": "users", "id": "$id", "cache": "1m"}}
    assert results([{"id": 7}, {"id": 1}, {"id": 7}], call, connections=connections) == [
        "user: Ada",
        "user: user 1",
        "user: Ada",
    ]
    assert len(server.requests) == 2


def test_an_async_function_and_many_at_the_same_time():
    at_once, most, lock = 0, 0, threading.Lock()

    @enrich_operator("$slow")
    async def slow(*, n):
        """Slow. Mine: $slow."""
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        await asyncio.sleep(0.02)
        with lock:
            at_once -= 1
        return n * 2

    assert results([{"n": i} for i in range(40)], {"$slow": {"n": "$n", "concurrency": 10}}) == [
        i * 2 for i in range(40)
    ]
    assert 5 <= most <= 10


def test_equal_arguments_share_a_call_but_1_is_not_true():
    seen = []

    @enrich_operator("$seen")
    def seen_(*, v):
        """Seen. Mine: $seen."""
        seen.append(v)
        return [v]

    results([{"v": v} for v in (1, 1, True, 1.0, {"a": 1}, {"a": 1})], {"$seen": {"v": "$v"}})
    assert sorted(map(repr, seen)) == sorted(["1", "True", "1.0", "{'a': 1}"])


def test_what_a_function_raises_is_the_documents_failure_and_may_be_tried_again():
    tries = []

    @enrich_operator("$flaky")
    def flaky(*, n):
        """Flaky. Mine: $flaky."""
        tries.append(n)
        if len(tries) < 3:
            raise ConnectionError("lost")
        return n

    with pytest.raises(DocumentError) as raised:
        results([{"n": 1}], {"$flaky": {"n": "$n"}})
    assert str(raised.value) == "stages[0].$set.r.$flaky: $flaky to '$flaky': ConnectionError: lost"
    retry = {"maxAttempts": 3, "waitDurationMs": 1, "retryOn": ["ConnectionError"]}
    assert results([{"n": 1}], {"$flaky": {"n": "$n", "retry": retry}}) == [1]


def test_a_database_and_options_of_another_type(tmp_path):
    @enrich_operator("$total")
    def total(connection, *, a, b):
        """Total. Mine: $total."""
        return connection.query("select :a + :b as s", {"a": a, "b": b})[0]["s"]

    @enrich_operator("$region")
    def region(connection):
        """Region. Mine: $region."""
        return connection["region"]

    connections = {
        "mine": {"type": "cloud", "region": "eu", "cache": "1m"},
        "db": {"type": "sql", "url": f"sqlite:///{tmp_path / 'x.db'}"},
    }
    sums = results([{"a": 1}, {"a": 2}], {"$total": {"connection": "db", "a": "$a", "b": 5}}, connections=connections)
    assert sums == [6, 7]
    assert results([{}], {"$region": {"connection": "mine"}}, connections=connections) == ["eu"]


def test_problems_of_a_call_are_reported_at_once(connections):
    @enrich_operator("$one")
    def one(connection, *, id, kind="a"):
        """One. Mine: $one."""

    stages = [{"$set": {"a": {"$one": {"knd": 1}}, "b": {"$one": 5}, "c": {"$one": {"connection": "user", "id": 1}}}}]
    with pytest.raises(PipelineError) as raised:
        run_batch([], stages, connections=connections)
    assert str(raised.value).splitlines() == [
        "stages[0].$set.a.$one.knd: unknown argument; did you mean 'kind'?",
        "stages[0].$set.a.$one.connection: required; name a connection",
        "stages[0].$set.a.$one.id: required argument is missing",
        "stages[0].$set.b.$one: takes an object of named arguments; such as id, kind",
        "stages[0].$set.c.$one.connection: unknown connection 'user'; did you mean 'users'?",
    ]
    with pytest.raises(ValueError, match="must be keyword-only parameters"):
        enrich_operator("$two")(lambda a: a)
    with pytest.raises(ValueError, match="declared twice"):
        enrich_operator("$one")(one)


SHIP = {
    "id": "demo.http",
    "operations": {"ship": "ship", "find": {"$ref": "#/operationDefs/find"}},
    "operationDefs": {
        "ship": {
            "kind": "action",
            "inputSchema": {"type": "object", "required": ["orderId"]},
            "execution": {
                "type": "http",
                "method": "POST",
                "urlTemplate": "{{config.baseUrl}}/ship",
                "timeoutMs": 8000,
            },
        },
        "find": {
            "kind": "action",
            "execution": {
                "type": "http",
                "method": "GET",
                "urlTemplate": "{{config.baseUrl}}/users/{{input.id}}",
                "headers": {"Authorization": "Bearer {{config.token}}"},
                "responsePath": "/name",
            },
        },
    },
}
HELLO = {
    "id": "demo.hello",
    "operations": {"sayHello": "sayHello", "clean": "clean"},
    "operationDefs": {
        "sayHello": {
            "kind": "action",
            "outputSchema": {"type": "object", "required": ["greeting"]},
            "execution": {"type": "python", "function": "hello"},
        },
        "clean": {"kind": "action", "execution": {"type": "pipelineCall", "targetPipeline": "clean"}},
        "watch": {"kind": "trigger", "execution": {"type": "webhook", "path": "/x"}},
    },
}
MANIFESTS = {"demo.http": SHIP, "demo.hello": HELLO}
RESOURCES = {
    "manifests": MANIFESTS,
    "functions": {"hello": lambda given: {"greeting": f"Hello {given['name']}"}},
    "pipelines": {"clean": [{"$match": {"keep": True}}, {"$set": {"clean": True}}]},
}


def enriched(documents, connections, connector, operation, given, **more):
    call = {"connectorId": connector, "operationId": operation, "input": given, **more}
    return results(documents, {"$enrich": call}, connections=connections, **RESOURCES)


def test_operations_of_manifests(connections, server):
    connections["users"]["config"] = {"token": "t0k3n-value"}
    named = {"connectionRef": "users"}
    assert enriched([{"id": 5}], connections, "demo.http", "ship", {"orderId": "$id"}, **named) == [{"created": True}]
    assert server.requests[-1].json() == {"orderId": 5}
    assert enriched([{"id": 7}], connections, "demo.http", "find", {"id": "$id", "verbose": True}, **named) == ["Ada"]
    last = server.requests[-1]
    assert (last.path, last.query, last.headers["authorization"]) == (
        "/users/7",
        {"verbose": "true"},
        "Bearer t0k3n-value",
    )
    assert enriched([{"n": "Ada"}], {}, "demo.hello", "sayHello", {"name": "$n"}) == [{"greeting": "Hello Ada"}]
    documents = [{"d": {"keep": True}}, {"d": {"keep": False}}]
    assert enriched(documents, {}, "demo.hello", "clean", "$d") == [{"keep": True, "clean": True}, None]


def test_an_input_that_its_schema_refuses_is_not_sent(connections, server):
    with pytest.raises(DocumentError, match="the input: 'orderId' is a required property"):
        enriched([{}], connections, "demo.http", "ship", {"other": 1}, connectionRef="users")
    assert server.requests == []


def test_problems_of_manifests_are_reported_at_once(connections):
    calls = [
        {"connectorId": "demo.htp", "operationId": "ship"},
        {"connectorId": "demo.http", "operationId": "shp", "connectionRef": "users"},
        {"connectorId": "demo.hello", "operationId": "watch"},
        {"connectorId": "demo.http", "operationId": "ship"},
        {"connectorId": "demo.http", "operationId": "find", "connectionRef": "users"},
        {"operationId": "ship", "inputs": {}},
    ]
    with pytest.raises(PipelineError) as raised:
        run_batch([], [{"$set": {"r": {"$enrich": c}}} for c in calls], connections=connections, **RESOURCES)
    assert str(raised.value).splitlines() == [
        "stages[0].$set.r.$enrich.connectorId: there is no manifest 'demo.htp'; did you mean 'demo.http'?",
        "stages[1].$set.r.$enrich.operationId: manifest 'demo.http' has no operation 'shp'; did you mean 'ship'?",
        "manifests.demo.hello.operationDefs.watch: is a trigger, which $enrich cannot call; name an action",
        "manifests.demo.http.operationDefs.ship.execution.urlTemplate: {{config.baseUrl}} has no value; give it as an "
        "option of the connection",
        "stages[3].$set.r.$enrich.connectionRef: required; the operation's address is not whole",
        "manifests.demo.http.operationDefs.find.execution.headers.Authorization: {{config.token}} has no value; give "
        "it as an option of the connection",
        "stages[5].$set.r.$enrich.inputs: unknown argument; did you mean 'input'?",
        "stages[5].$set.r.$enrich.connectorId: required",
    ]


ASKING = {name: entry for name, entry in all_operators().items() if getattr(entry, "outside", False)}


@pytest.mark.parametrize("name", ASKING)
def test_examples_of_operators_are_true(name, connections, server, tmp_path):
    from tests.enrich.test_sql_query import filled

    more = filled(f"sqlite:///{tmp_path / 'orders.db'}")
    assert ASKING[name].examples
    for document, expression, expected in ASKING[name].examples:
        found = results([document], expression, connections={**connections, **more}, **RESOURCES)
        assert found == [expected]


def test_the_operators_of_a_package_that_cannot_be_imported_are_missed_with_a_reason(monkeypatch):
    from fluxion_flow.core import expressions

    monkeypatch.setitem(expressions._broken, "theirs", "operators 'theirs' (their.ops) cannot be imported: no module")
    with pytest.raises(PipelineError) as raised:
        run_batch([], [{"$set": {"r": {"$theirLookup": 1}}}])
    assert "operators 'theirs' (their.ops) cannot be imported: no module; " in str(raised.value)
