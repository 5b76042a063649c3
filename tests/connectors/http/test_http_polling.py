"""The polling source: pages, cursors, conditional requests, and answers that are none."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fluxion_connectors.http import HttpPollingSource, HttpRefused, HttpUnavailable
from http_server import Answer, Request, ScriptedServer

from fluxion_flow.connect.spi import Document
from fluxion_flow.testing.connector_contract import ReplayableSourceContract, read_all


class PollingContract(ReplayableSourceContract):
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _server(self, server: ScriptedServer) -> None:
        self.server = server

    def make_source(self, documents: Sequence[Document]) -> HttpPollingSource:
        self.server.handler = lambda request: self.answer(request, list(documents))
        return HttpPollingSource(f"{self.server.url}/orders", bounded=True, **self.options)

    def answer(self, request: Request, documents: list[Document]) -> Answer:
        raise NotImplementedError

    def break_next_read(self, source: Any) -> Callable[[], None]:
        self.server.script += [Answer(500) for _ in range(4)]
        return self.server.script.clear


class TestPollingOnePage(PollingContract):
    def answer(self, request: Request, documents: list[Document]) -> Answer:
        return Answer(content=documents)

    def break_next_read(self, source: Any) -> Any:
        return None  # the one page is in memory after the first read


class TestPollingLinkedPages(PollingContract):
    options = {"items_pointer": "/items"}

    def answer(self, request: Request, documents: list[Document]) -> Answer:
        page = int(request.query.get("page", 0))
        more = f'<?page={page + 1}>; rel="next", <?page=0>; rel=first' if (page + 1) * 2 < len(documents) else ""
        return Answer(content={"items": documents[page * 2 : page * 2 + 2]}, headers={"Link": more} if more else {})


class TestPollingWithACursorInTheAnswer(PollingContract):
    options = {"items_pointer": "/items", "cursor_pointer": "/next", "cursor_param": "after"}

    def answer(self, request: Request, documents: list[Document]) -> Answer:
        start = int(request.query.get("after", 0))
        end = start + 2
        return Answer(content={"items": documents[start:end], "next": end if end < len(documents) else None})


class TestPollingWithACursorInTheLastItem(PollingContract):
    options = {"cursor_item_pointer": "/n", "cursor_param": "after", "cursor_start": -1}

    def answer(self, request: Request, documents: list[Document]) -> Answer:
        behind = int(request.query["after"]) + 1
        return Answer(content=documents[behind : behind + 2])


class TestPollingWithACursorInAHeader(PollingContract):
    options = {"cursor_header": "X-Cursor"}

    def answer(self, request: Request, documents: list[Document]) -> Answer:
        start = int(request.query.get("cursor", 0))
        return Answer(content=documents[start : start + 2], headers={"X-Cursor": str(start + 2)})


def open_reader(source: HttpPollingSource, cursor: Any = None) -> Any:
    return source.open(source.partitions()[0], cursor)


def test_an_unchanged_answer_is_not_read_again(server: ScriptedServer) -> None:
    def answer(request: Request) -> Answer:
        tags = {"ETag": '"v1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        if request.headers.get("if-none-match") == '"v1"':
            assert request.headers["if-modified-since"] == tags["Last-Modified"]
            return Answer(304)
        return Answer(content=[{"n": 1}], headers=tags)

    server.handler = answer
    source = HttpPollingSource(server.url, interval=0.01)
    reader = open_reader(source)
    assert reader.read(10).documents == [{"n": 1}]
    time.sleep(0.02)
    assert reader.read(10).documents == []
    assert len(server.requests) == 2
    again = open_reader(source, reader.cursor)
    assert again.read(10).documents == []
    reader.close()
    again.close()


def test_the_source_waits_between_polls_and_goes_on_at_its_cursor(server: ScriptedServer) -> None:
    stored = [{"id": 1}, {"id": 2}]
    server.handler = lambda request: Answer(
        content=[item for item in stored if item["id"] > int(request.query.get("since", 0))]
    )
    source = HttpPollingSource(server.url, cursor_item_pointer="/id", cursor_param="since", interval=0.05)
    assert not source.bounded
    reader = open_reader(source)
    assert reader.read(10).documents == stored
    assert reader.read(10).documents == []
    before = len(server.requests)
    assert reader.read(10).documents == []
    assert len(server.requests) == before  # waiting
    stored.append({"id": 3})
    time.sleep(0.06)
    found = reader.read(10)
    assert found.documents == [{"id": 3}]
    assert (found.position, list(found.positions)) == (2, [2])
    reader.close()


def test_a_last_page_that_grows_is_read_on(server: ScriptedServer) -> None:
    stored = [{"n": n} for n in range(3)]

    def answer(request: Request) -> Answer:
        start = int(request.query.get("cursor", 0))
        end = start + 2
        return Answer(content={"items": stored[start:end], "next": end if end < len(stored) else None})

    server.handler = answer
    source = HttpPollingSource(server.url, items_pointer="/items", cursor_pointer="/next", interval=0.01)
    reader = open_reader(source)
    found: list[Document] = []
    for _ in range(3):
        for _ in range(4):
            found += reader.read(10).documents
            time.sleep(0.012)
        stored.append({"n": len(stored)})
    assert [document["n"] for document in found] == [0, 1, 2, 3, 4]
    reader.close()


def test_a_restart_within_a_page_passes_over_what_was_done(server: ScriptedServer) -> None:
    server.handler = lambda request: Answer(content=[{"n": n} for n in range(5)], headers={"ETag": '"x"'})
    source = HttpPollingSource(server.url, bounded=True)
    reader = open_reader(source)
    reader.read(2)
    again = open_reader(source, reader.cursor)
    assert [document["n"] for document in read_all(again, 2)] == [2, 3, 4]
    assert "if-none-match" not in server.requests[-1].headers
    reader.close()
    again.close()


def test_parameters_and_headers_are_sent(server: ScriptedServer) -> None:
    server.handler = lambda request: Answer(content=[])
    source = HttpPollingSource(
        f"{server.url}/o?a=1", params={"b": "2 3", "c": 4}, headers={"X-Key": "k"}, bounded=True, cursor_start="s"
    )
    assert read_all(open_reader(source)) == []
    (request,) = server.requests
    assert request.query == {"a": "1", "b": "2 3", "c": "4", "cursor": "s"}
    assert request.headers["x-key"] == "k"
    assert request.headers["accept"] == "application/json"


@pytest.mark.parametrize(("status", "kind"), [(429, HttpUnavailable), (503, HttpUnavailable), (404, HttpRefused)])
def test_failures_raise_with_what_the_server_asks_for(server: ScriptedServer, status: int, kind: type) -> None:
    server.script.append(Answer(status, headers={"Retry-After": "12"}))
    server.handler = lambda request: Answer(content=[{"n": 1}])
    reader = open_reader(HttpPollingSource(f"{server.url}/o"))
    before = reader.cursor
    with pytest.raises(kind) as caught:
        reader.read(5)
    assert getattr(caught.value, "retry_after", None) == (12 if kind is HttpUnavailable else None)
    assert reader.cursor == before
    assert reader.read(5).documents == [{"n": 1}]
    reader.close()


@pytest.mark.parametrize(
    ("answer", "kind", "expected"),
    [
        (Answer(content=b"<html>"), HttpUnavailable, "the answer is not valid JSON (Expecting value: line 1 column 1"),
        (Answer(content={"data": []}), HttpRefused, "the answer has nothing at items_pointer '/items'"),
        (Answer(content={"items": 3}), HttpRefused, "items_pointer '/items' leads to no list or object"),
        (
            Answer(content={"items": []}, headers={"Link": "<https://elsewhere.example/2>; rel=next"}),
            HttpRefused,
            "the next page is on another server, https://elsewhere.example/2",
        ),
        (Answer(fault="close"), HttpUnavailable, "the server broke the connection off ("),
        (Answer(fault="half", content=b"[]"), HttpUnavailable, "the server broke the connection off ("),
        (Answer(delay=0.5), HttpUnavailable, "the server did not answer in time ("),
    ],
)
def test_an_answer_that_is_none_is_an_error(server: ScriptedServer, answer: Answer, kind: type, expected: str) -> None:
    server.script.append(answer)
    server.handler = lambda request: Answer(content={"items": [{"n": 1}]})
    reader = open_reader(HttpPollingSource(f"{server.url}/o", items_pointer="/items", timeout=0.2))
    with pytest.raises(kind) as caught:
        reader.read(5)
    assert expected in str(caught.value)
    assert reader.read(5).documents == [{"n": 1}]
    reader.close()


def test_items_that_are_no_objects_are_rejects(server: ScriptedServer) -> None:
    server.handler = lambda request: Answer(content=[{"n": 1}, 5, {"n": 2}, "x"])
    reader = open_reader(HttpPollingSource(server.url, bounded=True))
    found = reader.read(10)
    assert found.documents == [{"n": 1}, {"n": 2}]
    assert list(found.positions) == [0, 2]
    assert [(reject.raw, reject.position, reject.error) for reject in found.rejects] == [
        (b"5", 1, "is not a JSON object but a number"),
        (b'"x"', 3, "is not a JSON object but a string"),
    ]
    reader.close()


def test_lag_is_the_age_of_the_cursor(server: ScriptedServer) -> None:
    hour_ago = dt.datetime.now(dt.timezone.utc) - dt.timedelta(hours=1)
    server.handler = lambda request: Answer(content=[{"at": hour_ago.isoformat().replace("+00:00", "Z")}])
    reader = open_reader(HttpPollingSource(server.url, cursor_item_pointer="/at"))
    reader.read(10)
    assert 3600 <= reader.lag() < 7200
    reader.close()


def test_secrets_stand_in_no_error(server: ScriptedServer) -> None:
    server.handler = lambda request: Answer(500)
    source = HttpPollingSource(f"{server.url}/o?key=hunter22", params={"token": "hunter22"})
    with pytest.raises(HttpUnavailable) as caught:
        open_reader(source).read(1)
    assert "hunter22" not in str(caught.value) + repr(source)
