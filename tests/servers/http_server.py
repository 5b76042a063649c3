"""A real HTTP server on a loopback port whose answers a test scripts, faults included."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What goes out. ``content`` that is not bytes is sent as JSON. ``fault`` breaks the connection off instead:
    ``"close"`` before a byte is sent, ``"half"`` in the middle of the body, ``"reset"`` with a TCP reset.
    """

    status: int = 200
    content: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fault: str = ""


class ScriptedServer:
    """Answers by ``handler``; answers in ``script`` come first, one a request. ``requests`` holds what was received."""

    def __init__(self, handler: Callable[[Request], Answer] | None = None) -> None:
        self.handler = handler or (lambda request: Answer())
        self.script: list[Answer] = []
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 64 * 1024

            def _any(self) -> None:
                outer._serve(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, connection: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(connection.path)
        body = connection.rfile.read(int(connection.headers.get("Content-Length", 0)))
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in connection.headers.items()}
        request = Request(connection.command, parts.path, query, headers, body)
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.requests.append(request)
            answer = self.script.pop(0) if self.script else self.handler(request)
        time.sleep(answer.delay)
        try:
            self._send(connection, answer)
        finally:
            with self._lock:
                self._at_once -= 1

    def _send(self, connection: BaseHTTPRequestHandler, answer: Answer) -> None:
        content = answer.content if isinstance(answer.content, bytes) else json.dumps(answer.content).encode()
        connection.close_connection = bool(answer.fault) or connection.close_connection
        if answer.fault == "reset":
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if answer.fault in ("close", "reset"):
            with contextlib.suppress(OSError):
                connection.connection.close()
            return
        connection.send_response(answer.status)
        for name, value in answer.headers.items():
            connection.send_header(name, value)
        connection.send_header("Content-Length", str(len(content) + (100 if answer.fault == "half" else 0)))
        connection.end_headers()
        connection.wfile.write(content)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers 200 to everything until it is told otherwise."""
    scripted = ScriptedServer()
    yield scripted
    scripted.close()
