"""The HTTP connector's definitions, and the small languages in them: pointers and links."""

from __future__ import annotations

from typing import Any

import pytest
from fluxion_connectors.http import HttpPollingSource, HttpWebhookSource
from fluxion_connectors.http.links import links, next_page
from fluxion_connectors.http.pointer import NoSuchValue, parse_pointer, value_at

from fluxion_flow.connect.registry import check_sink, check_source, open_source
from fluxion_flow.errors import Problems, Where
from fluxion_flow.testing.connector_contract import ConnectorContract


class TestHttpConnector(ConnectorContract):
    type = "http"
    sources = (
        {"url": "https://host/orders", "items_pointer": "/items", "cursor_pointer": "/next", "interval": "10s"},
        {"listen": "127.0.0.1:8080", "spool": "events.db", "max_body": "64KiB"},
        {"listen": "0.0.0.0:8080", "spool": "events.db", "token": "t0ken-1234"},
    )
    sinks = (
        {"url": "https://host/orders"},
        {"url": "https://host/orders/{customer.id}", "body": "document", "method": "PUT", "headers": {"X-Key": "k"}},
        {"url": "https://host/orders", "errors_pointer": "/errors", "error_index_pointer": "/index"},
    )


def problems_of(kind: str, **options: Any) -> list[str]:
    problems = Problems()
    check = check_source if kind == "source" else check_sink
    check({"type": "http", **options}, Where.at(kind), problems)
    return list(map(str, problems))


def test_a_source_asks_or_listens() -> None:
    both = "source: an HTTP source takes a url to ask, or an address to listen on; give one of the two"
    assert problems_of("source") == [both]
    assert problems_of("source", url="http://host", listen="127.0.0.1:1") == [both]
    assert problems_of("source", url="http://host", spool="x", token="t") == [
        "source.spool: is an option of a source that listens (listen); leave it out",
        "source.token: is an option of a source that listens (listen); leave it out",
    ]
    asked = open_source({"type": "http", "url": "http://host/x"})
    heard = open_source({"type": "http", "listen": "127.0.0.1:0", "spool": "x.db"})
    assert isinstance(asked, HttpPollingSource)
    assert isinstance(heard, HttpWebhookSource)


def test_every_problem_is_reported() -> None:
    assert problems_of("source", url="host/x", items_pointer="items", cursor_pointer="/~2", cursor_header="X") == [
        "source.url: must be a URL that begins with http:// or https:// and names a host",
        "source.cursor_header: the cursor is taken by cursor_pointer already; give one of the two",
        "source.items_pointer: is no JSON Pointer: 'items'; it begins with '/', such as '/items'",
        "source.cursor_pointer: is no JSON Pointer: '/~2'; '~' is written '~0'",
    ]
    assert problems_of("source", listen="0.0.0.0:80", path="x") == [
        "source.spool: required to listen; name a file, such as 'events.db'",
        "source.path: must begin with '/'",
        "source.listen: anybody could send events to this address; set token or hmac_secret, or listen on 127.0.0.1",
    ]
    assert problems_of("source", listen="8080", spool="x") == [
        "source.listen: must be an address such as '127.0.0.1:8080', got '8080'"
    ]
    assert problems_of("sink", url="http://host/{id}", error_index_pointer="/i") == [
        "sink.url: takes field 'id' of a document; set body: document",
        "sink.error_index_pointer: needs errors_pointer; say where the list of errors is",
    ]
    assert problems_of("sink", url="http://host", body="document", errors_pointer="") == [
        "sink.errors_pointer: is for the answer to a batch; leave it out, or set body: array"
    ]
    assert problems_of(
        "sink", url="http://host", method="$m", document_headers={"A": "$a"}, idempotency_key="$id", value={"$foo": 1}
    ) == [
        "sink.document_headers: is for requests of single documents; set body: document",
        "sink.idempotency_key: is for requests of single documents; set body: document",
        "sink.method: depends on a document; set body: document",
        "sink.value.$foo: unknown operator '$foo'; did you mean '$floor'?",
    ]
    assert problems_of("sink", url="http://host", method="GET") == [
        "sink.method: must be one of POST, PUT, PATCH, DELETE, got 'GET'"
    ]


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("", {"a": [1, {"b": 2}], "": 3, "m~n": 4, "x/y": 5}),
        ("/a/1/b", 2),
        ("/", 3),
        ("/m~0n", 4),
        ("/x~1y", 5),
    ],
)
def test_pointers(pointer: str, expected: Any) -> None:
    document = {"a": [1, {"b": 2}], "": 3, "m~n": 4, "x/y": 5}
    assert value_at(document, parse_pointer(pointer)) == expected


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-", "/a/1/b/c", "/a/x"])
def test_pointers_that_lead_nowhere(pointer: str) -> None:
    with pytest.raises(NoSuchValue):
        value_at({"a": [1, {"b": 2}]}, parse_pointer(pointer))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("garbage", None),
        ('<https://host/b?page=2&x=1,2>; rel="next"', "https://host/b?page=2&x=1,2"),
        ("</p>; rel=prev, </n>;rel=Next", "/n"),
        ('</n>; title="a, \\"b\\"; rel=x"; rel="last next"', "/n"),
        ("</n>; rel=prev; rel=next", None),
        ("</n>", None),
    ],
)
def test_the_next_page_of_a_link_header(header: str, expected: str | None) -> None:
    assert next_page(header) == expected


def test_every_link_of_a_header_is_found() -> None:
    assert list(links('</a>; rel="first last", </b>; anchor="#x", </c>; rel=next')) == [
        ("/a", ["first", "last"]),
        ("/b", []),
        ("/c", ["next"]),
    ]
