"""The webhook source: nothing is answered 2xx that could be lost, and nothing is taken that may not be."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fluxion_connectors.http import HttpWebhookSource, SpoolChanged
from fluxion_connectors.http import webhook as webhook_module


class Endpoint:
    """A source that listens on a free port, and a client of it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.source = HttpWebhookSource("127.0.0.1:0", str(folder / "spool.db"), **options)
        self.reader: Any = None
        self.open()

    def open(self, cursor: Any = None) -> None:
        self.reader = self.source.open("webhook", cursor)
        self.url = f"http://127.0.0.1:{self.reader.port}"

    def send(self, content: Any, path: str = "/", **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url + path, content=body, headers=named)

    def read(self, most: int = 100) -> list[Any]:
        found = self.reader.read(most)
        assert found is not None
        return list(found.documents)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Any]:
    opened: list[Endpoint] = []

    def make(**options: Any) -> Endpoint:
        opened.append(Endpoint(tmp_path, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.reader.close()


def test_events_are_read_in_the_order_of_their_answers(endpoint: Any) -> None:
    hook = endpoint()
    assert hook.source.partitions() == ["webhook"]
    assert not hook.source.bounded
    assert hook.read() == []
    answer = hook.send({"n": 1})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    assert hook.send([{"n": 2}, {"n": 3}]).json() == {"accepted": 2}
    lines = hook.send(b'{"n": 4}\n\n{"n": 5}\n', content_type="application/x-ndjson")
    assert lines.json() == {"accepted": 2}
    assert hook.send([]).json() == {"accepted": 0}
    assert hook.reader.lag() == 5
    found = hook.reader.read(2)
    assert (found.documents, found.position, list(found.positions)) == ([{"n": 1}, {"n": 2}], 1, [1, 2])
    assert found.timestamp > 1_700_000_000_000
    assert hook.read() == [{"n": 3}, {"n": 4}, {"n": 5}]
    assert hook.reader.lag() == 0


def test_events_stay_until_they_are_durable_downstream(endpoint: Any) -> None:
    hook = endpoint()
    hook.send([{"n": n} for n in range(4)])
    first = hook.reader.cursor
    assert len(hook.read(3)) == 3
    third = hook.reader.cursor
    assert set(third) == {"v", "spool", "number"}
    hook.reader.close()
    hook.open(first)
    assert [document["n"] for document in hook.read()] == [0, 1, 2, 3]
    hook.reader.committed(third)
    hook.reader.close()
    hook.open(None)  # without a checkpoint: what is still in the spool
    assert [document["n"] for document in hook.read()] == [3]
    hook.reader.committed(hook.reader.cursor)
    hook.reader.close()
    hook.open(third)
    hook.send({"n": 4})
    assert [document["n"] for document in hook.read()] == [4]
    assert hook.reader.cursor["number"] == 5


def test_a_request_with_a_known_id_is_answered_again_and_not_taken_again(endpoint: Any) -> None:
    hook = endpoint(id_header="Webhook-Id", max_events=3)
    for _ in range(2):
        answer = hook.send([{"n": 1}, {"n": 2}], Webhook_Id="a")
        assert (answer.status_code, answer.json()) == (202, {"accepted": 2})
    hook.send({"n": 3}, Webhook_Id="b")
    assert hook.send({"n": 4}, Webhook_Id="c").status_code == 503
    assert hook.send({"n": 3}, Webhook_Id="b").status_code == 202  # known, though the spool is full
    assert [document["n"] for document in hook.read()] == [1, 2, 3]
    cursor = hook.reader.cursor
    hook.reader.committed(cursor)
    hook.reader.close()
    hook.open(cursor)
    assert hook.send([{"n": 1}, {"n": 2}], Webhook_Id="a").status_code == 202
    assert hook.send({"n": 4}, Webhook_Id="c").status_code == 202  # it was not taken before
    assert [document["n"] for document in hook.read()] == [4]
    for refused in ({}, {"Webhook_Id": "x" * 201}):
        answer = hook.send({"n": 5}, **refused)
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "the header Webhook-Id must hold the request's id"},
        )


def test_ids_are_forgotten_after_a_time(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = endpoint(id_header="Webhook-Id", id_memory=60)
    hook.send({"n": 1}, Webhook_Id="a")
    now = time.time()
    monkeypatch.setattr("fluxion_connectors.http.spool.time.time", lambda: now + 61)
    hook.send({"n": 2}, Webhook_Id="a")
    assert [document["n"] for document in hook.read()] == [1, 2]


def test_a_full_spool_turns_senders_away(endpoint: Any) -> None:
    hook = endpoint(max_events=2)
    assert hook.send({"n": 1}).status_code == 202
    answer = hook.send([{"n": 2}, {"n": 3}])
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json() == {"error": "too many events are waiting"}
    assert hook.send({"n": 2}).status_code == 202
    assert hook.send({"n": 3}).status_code == 503
    assert len(hook.read()) == 2
    assert hook.send({"n": 3}).status_code == 503  # read is not yet delivered
    hook.reader.committed(hook.reader.cursor)
    assert hook.send({"n": 3}).status_code == 202
    assert hook.read() == [{"n": 3}]


def test_a_disk_that_takes_no_more_turns_senders_away(endpoint: Any, caplog: pytest.LogCaptureFixture) -> None:
    hook = endpoint()
    assert hook.send({"n": 1}).status_code == 202
    connection = hook.reader._spool._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")
    answer = hook.send([{"n": "x" * 1000} for _ in range(50)])
    assert (answer.status_code, answer.json()) == (503, {"error": "events cannot be stored now"})
    assert caplog.messages == ["an event could not be made durable: database or disk is full"]
    connection.execute("PRAGMA max_page_count=100000")
    assert hook.send({"n": 2}).status_code == 202
    assert hook.read() == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "event 0 is not valid JSON: Input data was truncated"),
        (b"", "event 0 is not valid JSON: Input data was truncated"),
        (b"5", "event 0 is not a JSON object but a number"),
        (b"[1", "the body is not valid JSON"),
        (b'[{"n": 1}, 2]', "event 1 is not a JSON object but a number"),
        (b'{"n": "\xff"}', "event 0 is not valid UTF-8 (byte 7)"),
    ],
)
def test_a_body_that_is_no_event_is_refused_whole(endpoint: Any, body: bytes, reason: str) -> None:
    hook = endpoint()
    answer = hook.send(body)
    assert (answer.status_code, answer.json()) == (400, {"error": reason})
    assert hook.read() == []


def test_other_paths_methods_and_sizes_are_refused(endpoint: Any) -> None:
    hook = endpoint(path="/events", max_body=100)
    assert hook.send({"n": 1}).status_code == 404
    assert hook.send({"n": 1}, path="/events?x=1").status_code == 202
    assert hook.send({"n": "x" * 100}, path="/events").json() == {"error": "a body may have 100 bytes"}
    get = httpx.get(hook.url + "/events")
    assert (get.status_code, get.headers["allow"]) == (405, "POST")
    chunked = httpx.post(hook.url + "/events", content=iter([b"{}"]))
    assert (chunked.status_code, chunked.json()) == (411, {"error": "a Content-Length is required"})
    assert hook.read() == [{"n": 1}]


def test_a_bearer_token_is_required(endpoint: Any) -> None:
    hook = endpoint(token="t0ken-1234")
    refused = hook.send({"n": 1})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert hook.send({"n": 1}, authorization="Bearer wrong").status_code == 401
    assert hook.send({"n": 1}, authorization="Bearer t0ken-1234").status_code == 202
    assert "t0ken" not in repr(hook.source) + refused.text


@pytest.mark.parametrize("prefix", ["sha256=", ""])
def test_a_signature_is_required(endpoint: Any, prefix: str) -> None:
    hook = endpoint(hmac_secret="k3y-of-hooks", hmac_header="X-Signature")
    body = b'{"n": 1}'
    good = prefix + hmac.new(b"k3y-of-hooks", body, hashlib.sha256).hexdigest()
    assert hook.send(body).status_code == 401
    assert hook.send(body, x_signature=good[:-1] + "0" if good[-1] != "0" else good[:-1] + "1").status_code == 401
    assert hook.send(b'{"n": 2}', x_signature=good).status_code == 401
    assert hook.send(body, x_signature=good).status_code == 202
    assert hook.read() == [{"n": 1}]


def test_too_many_connections_are_turned_away(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_module, "CONNECTIONS", 1)
    hook = endpoint()
    with socket.create_connection(("127.0.0.1", hook.reader.port)) as idle:
        idle.sendall(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n{")
        answer = hook.send({"n": 1})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    while hook.send({"n": 2}).status_code == 503:
        pass
    assert hook.read() == [{"n": 2}]


def test_a_sender_that_breaks_off_leaves_nothing(endpoint: Any) -> None:
    hook = endpoint()
    with socket.create_connection(("127.0.0.1", hook.reader.port)) as broken:
        broken.sendall(b'POST / HTTP/1.1\r\nContent-Length: 500\r\n\r\n{"n": 1}')
        broken.shutdown(socket.SHUT_WR)
        assert broken.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert hook.send({"n": 2}).status_code == 202
    assert hook.read() == [{"n": 2}]


def test_another_spool_is_refused(tmp_path: Path) -> None:
    source = HttpWebhookSource("127.0.0.1:0", str(tmp_path / "spool.db"))
    for change in ({"spool": "another"}, {"number": 7}):
        reader = source.open("webhook", None)
        cursor = {**reader.cursor, **change}
        reader.close()
        with pytest.raises(SpoolChanged) as caught:
            source.open("webhook", cursor)
        assert str(caught.value) == (
            f"spool {str(tmp_path / 'spool.db')!r} is not the checkpoint's; restore it, or start without the checkpoint"
        )


def test_a_taken_address_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as caught:
            HttpWebhookSource(f"127.0.0.1:{port}", str(tmp_path / "spool.db")).open("webhook", None)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in str(caught.value)


def test_many_senders_at_once_lose_nothing(endpoint: Any) -> None:
    hook = endpoint()

    def send(sender: int) -> None:
        with httpx.Client() as client:
            for n in range(25):
                assert client.post(hook.url, json={"id": sender * 100 + n}).status_code == 202

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = hook.read(1000)
    assert sorted(document["id"] for document in found) == sorted(s * 100 + n for s in range(6) for n in range(25))


LISTENER = """
import sys, time
from fluxion_connectors.http import HttpWebhookSource
reader = HttpWebhookSource("127.0.0.1:0", sys.argv[1]).open("webhook", None)
print(reader.port, flush=True)
time.sleep(600)
"""


def test_what_was_answered_survives_kills(tmp_path: Path) -> None:
    path = str(tmp_path / "spool.db")
    answered: list[int] = []
    for kill in range(5):
        process = subprocess.Popen([sys.executable, "-c", LISTENER, path], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        threading.Timer(0.05 + 0.03 * kill, os.kill, (process.pid, signal.SIGKILL)).start()
        with httpx.Client() as client:
            for n in range(kill * 10_000, (kill + 1) * 10_000):
                try:
                    if client.post(url, json={"n": n}).status_code == 202:
                        answered.append(n)
                except httpx.HTTPError:
                    break
        process.wait()
        process.stdout.close()
    assert answered
    with sqlite3.connect(path) as connection:
        stored = [json.loads(body)["n"] for (body,) in connection.execute("SELECT body FROM events ORDER BY number")]
    connection.close()
    assert [n for n in answered if n not in set(stored)] == []
    assert len(stored) == len(set(stored)) <= len(answered) + 5
