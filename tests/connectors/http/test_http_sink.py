"""The HTTP sink: what is sent, what an answer means, and which documents an error names."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from fluxion_connectors.http import HttpRefused, HttpSink, HttpUnavailable
from http_server import Answer, Request, ScriptedServer

from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.connect.spi import Batch, DeliveryError
from fluxion_flow.testing.connector_contract import SinkContract


class HttpSinkContract(SinkContract):
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _server(self, server: ScriptedServer) -> None:
        self.server = server
        self.stored: list[Any] = []
        server.handler = self.take

    def take(self, request: Request) -> Answer:
        self.stored += self.documents_in(request)
        return Answer(202)

    def documents_in(self, request: Request) -> Any:
        return request.json()

    def make_sink(self) -> HttpSink:
        return HttpSink(f"{self.server.url}/orders", **self.options)

    def delivered(self) -> list[Any]:
        return self.stored

    def refused_document(self) -> Any:
        return {"n": object()}

    def break_next_write(self, sink: Any, writer: Any) -> Callable[[], None]:
        self.server.script += [Answer(503) for _ in range(6)]
        return self.server.script.clear


class TestHttpSinkOfArrays(HttpSinkContract):
    pass


class TestHttpSinkOfLines(HttpSinkContract):
    options = {"body": "lines"}

    def documents_in(self, request: Request) -> Any:
        assert request.headers["content-type"] == "application/x-ndjson"
        return [json.loads(line) for line in request.body.splitlines()]


class TestHttpSinkOfDocumentsInOrder(HttpSinkContract):
    options = {"body": "document", "concurrency": 1}

    def documents_in(self, request: Request) -> Any:
        return [request.json()]


def batch(*documents: Any, partition: str = "p", position: int = 0, positions: Any = ()) -> Batch:
    return Batch(list(documents), partition, position, positions)


def write(sink: HttpSink, given: Batch) -> None:
    writer = sink.open("0", None)
    try:
        writer.write(given)
        writer.flush()
    finally:
        writer.close()


def test_a_request_has_the_method_headers_and_path_of_its_document(server: ScriptedServer) -> None:
    sink = HttpSink(
        f"{server.url}/customers/{{customer.id}}/orders/{{id}}?v=1",
        method="PUT",
        body="document",
        headers={"X-Key": "k"},
        concurrency=1,
    )
    write(sink, batch({"id": 7, "customer": {"id": "a/b?c=1&d ü"}}))
    (request,) = server.requests
    assert request.method == "PUT"
    assert request.path == "/customers/a%2Fb%3Fc%3D1%26d%20%C3%BC/orders/7"
    assert request.query == {"v": "1"}
    assert request.headers["x-key"] == "k"
    assert request.headers["content-type"] == "application/json"
    assert request.json() == {"id": 7, "customer": {"id": "a/b?c=1&d ü"}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "the url takes field 'id', which has no value"),
        ({"id": {"a": 1}}, "the url takes field 'id', which has a value of type dict"),
        ({"id": ".."}, "the url takes field 'id', whose value '..' cannot stand in one"),
    ],
)
def test_a_document_without_a_value_for_the_url_is_refused(
    server: ScriptedServer, document: Any, expected: str
) -> None:
    with pytest.raises(DeliveryError) as caught:
        write(HttpSink(f"{server.url}/{{id}}", body="document"), batch({"id": 1}, document))
    assert {index: str(error) for index, error in caught.value.errors.items()} == {1: expected}
    assert [request.path for request in server.requests] == ["/1"]


def test_expressions_say_what_is_sent_of_a_document_and_how(server: ScriptedServer) -> None:
    sink = HttpSink(
        f"{server.url}/{{id}}",
        body="document",
        method=Expression({"$cond": ["$gone", "DELETE", "PUT"]}),
        value=Expression({"$cond": ["$gone", None, {"total": "$total", "at": "$at"}]}),
        headers={"X-Key": "k"},
        document_headers=Expression({"X-Total": "$total", "X-At": "$at", "X-None": "$none"}),
        idempotency_key=Expression({"$concat": ["order-", {"$toString": "$id"}]}),
        concurrency=1,
    )
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    write(sink, batch({"id": 1, "total": 2.5, "at": moment}, {"id": 2, "gone": True}))
    put, deleted = server.requests
    assert (put.method, put.path, put.json()) == ("PUT", "/1", {"total": 2.5, "at": "2026-01-02T03:04:05Z"})
    names = ("x-key", "x-total", "x-at", "x-none", "idempotency-key", "content-type")
    assert [put.headers.get(name) for name in names] == [
        "k", "2.5", "2026-01-02T03:04:05Z", None, "order-1", "application/json",
    ]  # fmt: skip
    assert (deleted.method, deleted.path, deleted.body) == ("DELETE", "/2", b"")
    assert [deleted.headers.get(name) for name in names] == ["k", None, None, None, "order-2", None]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"h": "a\r\nX-Evil: 1"}, "header 'X-H' would hold a line break or another character that headers cannot"),
        ({"h": [1]}, "header 'X-H' cannot be a value of type list"),
        ({"m": "GET"}, "the method must be one of POST, PUT, PATCH, DELETE, got 'GET'"),
        ({"k": None}, "the idempotency key is null, missing or empty"),
        ({"k": "ü"}, "the idempotency key would hold a line break or another character that headers cannot"),
        ({"v": {"n": object()}}, "cannot be written as JSON: "),
    ],
)
def test_a_document_that_makes_no_request_is_refused(server: ScriptedServer, document: Any, expected: str) -> None:
    sink = HttpSink(
        server.url,
        body="document",
        method=Expression("$m"),
        value=Expression("$v"),
        document_headers=Expression({"X-H": "$h"}),
        idempotency_key=Expression("$k"),
    )
    good = {"m": "POST", "k": "k", "v": 1, "h": "h"}
    with pytest.raises(DeliveryError) as caught:
        write(sink, batch(good, {**good, **document}))
    ((index, error),) = caught.value.errors.items()
    assert index == 1
    assert str(error).startswith(expected)
    assert [request.json() for request in server.requests] == [1]


def test_the_values_of_a_batch_go_in_one_request(server: ScriptedServer) -> None:
    with pytest.raises(DeliveryError) as caught:
        write(HttpSink(server.url, value=Expression("$v")), batch({"v": 1}, {}, {"v": {"a": "b"}}))
    assert {index: str(error) for index, error in caught.value.errors.items()} == {
        1: "the value is null or missing, and one request holds the values of a batch"
    }
    assert [request.json() for request in server.requests] == [[1, {"a": "b"}]]


def test_documents_are_sent_concurrently_within_the_bound(server: ScriptedServer) -> None:
    server.handler = lambda request: Answer(delay=0.05)
    write(HttpSink(server.url, body="document", concurrency=3), batch(*({"n": n} for n in range(12))))
    assert sorted(request.json()["n"] for request in server.requests) == list(range(12))
    assert server.most_at_once == 3


def test_errors_of_single_documents_are_named(server: ScriptedServer) -> None:
    statuses = {0: 200, 1: 422, 2: 503, 3: 200}
    server.handler = lambda request: Answer(statuses[request.json()["n"]], {"why": "because"}, {"Retry-After": "7"})
    with pytest.raises(DeliveryError) as caught:
        write(HttpSink(f"{server.url}/o", body="document"), batch(*({"n": n} for n in range(4))))
    refused, unavailable = caught.value.errors[1], caught.value.errors[2]
    assert sorted(caught.value.errors) == [1, 2]
    assert isinstance(refused, HttpRefused)
    assert isinstance(unavailable, HttpUnavailable)
    assert unavailable.retry_after == 7
    assert str(refused).startswith(f"POST {server.url}/o: the server answered 422 Unprocessable ")
    assert str(refused).endswith(': {"why": "because"}')


def test_idempotency_keys_do_not_depend_on_batches(server: ScriptedServer) -> None:
    sink = HttpSink(server.url, body="document", concurrency=1)
    documents = [{"n": 1}, {"n": 1}, {"n": 2}, {"n": 3}]
    write(sink, batch(*documents, position=10, positions=[10, 10, 20, 30]))
    write(sink, batch(*documents[:2], position=10, positions=[10, 10]))
    write(sink, batch(*documents[2:], position=20, positions=[20, 30]))
    write(sink, batch({"n": 1}, position=99, positions=[99]))
    write(sink, batch({"n": 1}, partition="q", position=10, positions=[10]))
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert keys[:4] == keys[4:8]
    assert len(set(keys[:4])) == 4
    assert len(set(keys[8:]) | set(keys[:4])) == 6


def test_a_batch_has_one_key_that_a_repeated_batch_has_too(server: ScriptedServer) -> None:
    for n in (1, 1, 2):
        write(HttpSink(server.url, idempotency_header="X-Request-Id"), batch({"n": n}))
    write(HttpSink(server.url, idempotency_header=""), batch({"n": 1}))
    keys = [request.headers.get("x-request-id") for request in server.requests]
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] is None
    assert "idempotency-key" not in server.requests[3].headers


@pytest.mark.parametrize(
    ("status", "retry_after", "kind", "seconds"),
    [
        (429, "3", HttpUnavailable, 3.0),
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", HttpUnavailable, 0.0),
        (500, "soon", HttpUnavailable, None),
        (408, None, HttpUnavailable, None),
        (400, None, HttpRefused, None),
        (401, None, HttpRefused, None),
        (501, None, HttpRefused, None),
    ],
)
def test_an_answer_says_whether_to_try_again(
    server: ScriptedServer, status: int, retry_after: str | None, kind: type, seconds: float | None
) -> None:
    server.script.append(Answer(status, b"no", {"Retry-After": retry_after} if retry_after else {}))
    with pytest.raises((HttpUnavailable, HttpRefused)) as caught:
        write(HttpSink(server.url), batch({"n": 1}))
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert caught.value.retryable is (kind is HttpUnavailable)
    assert getattr(caught.value, "retry_after", None) == seconds


def test_statuses_to_retry_can_be_chosen(server: ScriptedServer) -> None:
    server.script += [Answer(409), Answer(503)]
    sink = HttpSink(server.url, retry_statuses=[409])
    with pytest.raises(HttpUnavailable):
        write(sink, batch({"n": 1}))
    with pytest.raises(HttpRefused):
        write(sink, batch({"n": 1}))


def test_a_redirect_is_not_followed(server: ScriptedServer) -> None:
    server.script.append(Answer(301, headers={"Location": "/new?token=abc"}))
    with pytest.raises(HttpRefused) as caught:
        write(HttpSink(f"{server.url}/old"), batch({"n": 1}))
    assert str(caught.value) == (
        f"POST {server.url}/old: the server answered 301 Moved Permanently; "
        f"it redirects to {server.url}/new: set the url to that"
    )
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Answer(fault="close"), "broke the connection off"),
        (Answer(fault="reset"), "broke the connection off"),
        (Answer(fault="half", content=b"{}"), "broke the connection off"),
        (Answer(delay=1.0), "did not answer in time"),
    ],
)
def test_a_connection_that_breaks_is_tried_again(server: ScriptedServer, fault: Answer, expected: str) -> None:
    server.script.append(fault)
    writer = HttpSink(f"{server.url}/o", timeout=0.2).open("0", None)
    with pytest.raises(HttpUnavailable) as caught:
        writer.write(batch({"n": 1}))
    assert str(caught.value).startswith(f"POST {server.url}/o: the server {expected} (")
    writer.write(batch({"n": 1}))
    writer.close()


def test_a_server_that_is_not_there_cannot_be_reached(server: ScriptedServer) -> None:
    server.close()
    with pytest.raises(HttpUnavailable) as caught:
        write(HttpSink(server.url), batch({"n": 1}))
    assert "the server cannot be reached (" in str(caught.value)


def test_errors_in_the_answer_to_a_batch_name_documents_by_index(server: ScriptedServer) -> None:
    sink = HttpSink(
        server.url,
        errors_pointer="/result/errors",
        error_index_pointer="/at",
        error_message_pointer="/why",
    )
    server.script.append(Answer(content={"result": {"errors": [{"at": 2, "why": "too old"}]}}))
    with pytest.raises(DeliveryError) as caught:
        write(sink, batch({"n": 0}, {"n": object()}, {"n": 2}, {"n": 3}))
    assert sorted(caught.value.errors) == [1, 3]
    assert str(caught.value.errors[3]).endswith(": document refused: too old")
    server.script.append(Answer(content={"result": {}}))
    write(sink, batch({"n": 0}))


def test_errors_in_the_answer_to_a_batch_name_documents_by_place(server: ScriptedServer) -> None:
    server.script.append(Answer(content=[None, {"error": "no"}, False]))
    with pytest.raises(DeliveryError) as caught:
        write(HttpSink(server.url, errors_pointer="", error_message_pointer="/error"), batch({}, {}, {}))
    assert sorted(caught.value.errors) == [1]
    server.script.append(Answer(content=[None, None, None, "one too many"]))
    with pytest.raises(HttpRefused) as refused:
        write(HttpSink(server.url, errors_pointer=""), batch({}, {}, {}))
    assert str(refused.value).endswith("the answer tells of an error in document 3 of 3")


def test_an_answer_without_json_leaves_a_batch_in_doubt(server: ScriptedServer) -> None:
    server.script.append(Answer(content=b"<html>"))
    with pytest.raises(HttpUnavailable) as caught:
        write(HttpSink(server.url, errors_pointer="/errors"), batch({"n": 1}))
    assert str(caught.value).endswith("the server answered 200 without JSON, so what it took is unknown")


def test_secrets_stand_in_no_error(server: ScriptedServer) -> None:
    register_secret("s3cr3t-header")
    server.handler = lambda request: Answer(500, f"bad {request.headers['authorization']} {request.query}".encode())
    sink = HttpSink(
        f"{server.url.replace('//', '//user:s3cr3t-header@')}/o?key=s3cr3t-header",
        headers={"Authorization": "s3cr3t-header"},
    )
    with pytest.raises(HttpUnavailable) as caught:
        write(sink, batch({"n": 1}))
    assert "s3cr3t" not in str(caught.value)
    assert "s3cr3t" not in repr(sink)
    assert str(caught.value).startswith(f"POST {server.url}/o: the server answered 500")
    assert caught.value.__cause__ is None
