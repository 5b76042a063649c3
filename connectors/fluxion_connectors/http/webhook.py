"""A source that others send to: an HTTP endpoint that answers 2xx when an event is on the disk, not before.

Events go into a spool (an SQLite file) first and are read from there; they leave it when everything up to them is
durable downstream. So a sender that got its 2xx can forget the event, whatever crashes afterwards.

=======  ====================================================================================================
answer   when
=======  ====================================================================================================
202      every event of the request is durable, from now on or since it was sent before (``id_header``)
400      the body is no JSON object, array of objects, or lines of objects (``application/x-ndjson``)
401      the bearer token or the signature is missing or wrong
404 405  another path, another method than POST
411 413  no Content-Length; a body above ``max_body``
503      the spool is full, the disk is full, or there are too many connections; with Retry-After
=======  ====================================================================================================

Source of the signature: the HMAC of the raw body in hexadecimal, with or without ``sha256=`` before it, as GitHub's
webhooks send it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import sqlite3
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from fluxion_connectors.http.spool import Spool, SpoolFull
from fluxion_flow.connect.encoding import decode_document, decode_records
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource
from fluxion_flow.errors import FluxionError

PARTITION = "webhook"
CONNECTIONS = 64
"""Connections served at a time; further ones are answered 503."""
PATIENCE = 30.0
"""Seconds to wait for a sender that says nothing."""
LONGEST_ID = 200
"""Characters of a request's id."""
COME_BACK = 5
"""Seconds that a 503 asks to wait."""

_log = logging.getLogger(__name__)


class SpoolChanged(FluxionError):
    """The spool is not what the checkpoint knows it as, so going on in it would lose or repeat events."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``"127.0.0.1:8080"``. Raises :class:`ValueError`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError(f"must be an address such as '127.0.0.1:8080', got {text!r}")
    return host, int(port)


class HttpWebhookSource(StreamingSource):
    """One partition: the events sent to ``path`` at the address ``listen``, kept in the file ``spool`` meanwhile.

    ``max_events`` is the spool's capacity, ``max_body`` in bytes. ``token`` asks for a bearer token; ``hmac_secret``
    for a signature in the header ``hmac_header``; both may be given. With ``id_header`` a request whose id in that
    header was taken in the last ``id_memory`` seconds is answered like the first one and not taken again.
    Raises :class:`ValueError` for a bad address.
    """

    bounded = False
    lag_unit = "events"

    def __init__(
        self,
        listen: str,
        spool: str,
        *,
        path: str = "/",
        max_events: int = 100_000,
        max_body: int = 1024 * 1024,
        token: str | None = None,
        hmac_secret: str | None = None,
        hmac_header: str = "X-Hub-Signature-256",
        hmac_algorithm: str = "sha256",
        id_header: str | None = None,
        id_memory: float = 86_400.0,
        extended_json: bool = False,
    ) -> None:
        self.address = parse_address(listen)
        self.spool = spool
        self.path = path
        self.max_events = max_events
        self.max_body = max_body
        self.token = token
        self.hmac_secret = hmac_secret
        self.hmac_header = hmac_header
        self.hmac_algorithm = hmac_algorithm
        self.id_header = id_header
        self.id_memory = id_memory
        self.extended_json = extended_json
        for value in (token, hmac_secret):
            register_secret(value or "")

    def __repr__(self) -> str:
        return f"HttpWebhookSource({self.address[0]}:{self.address[1]}{self.path})"

    def partitions(self) -> list[str]:
        return [PARTITION]

    def probe(self) -> str:
        """Raises :class:`OSError` when nobody could listen at the address."""
        with socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(self.address)
        return f"{self.address[0]}:{self.address[1]} is free to listen at"

    def open(self, partition: str, cursor: Cursor | None) -> HttpWebhookReader:
        """Begin to listen. Raises :class:`OSError` when the address is taken, :class:`SpoolChanged`."""
        spool = Spool(self.spool, self.max_events, self.id_memory)
        try:
            if cursor is not None and (cursor["spool"] != spool.name or cursor["number"] > spool.last):
                raise SpoolChanged(
                    f"spool {self.spool!r} is not the checkpoint's; restore it, or start without the checkpoint"
                )
            return HttpWebhookReader(self, partition, spool, cursor["number"] if cursor is not None else 0)
        except BaseException:
            spool.close()
            raise


class HttpWebhookReader(SourceReader):
    """Listens, and reads the spool."""

    def __init__(self, source: HttpWebhookSource, partition: str, spool: Spool, number: int) -> None:
        self._source = source
        self._partition = partition
        self._spool = spool
        self._number = number
        try:
            self._server = _Server(source, spool)
        except OSError as error:
            host, port = source.address
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="webhook", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on (the one given, or the one found for 0)."""
        return int(self._server.socket.getsockname()[1])

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "spool": self._spool.name, "number": self._number}

    def read(self, max_documents: int) -> Batch | None:
        """Positions are the events' numbers; the timestamp is the moment when the first one was received."""
        events = self._spool.behind(self._number, max_documents)
        if not events:
            return Batch([], self._partition, self._number)
        numbers = [event.number for event in events]
        bodies = [event.body for event in events]
        documents, positions, rejects = decode_records(bodies, numbers, self._source.extended_json)
        self._number = numbers[-1]
        return Batch(documents, self._partition, numbers[0], positions, events[0].received, rejects)

    def lag(self) -> float:
        """Events in the spool that are still to be read."""
        return float(self._spool.count_behind(self._number))

    def committed(self, cursor: Cursor) -> None:
        """Delete the events before ``cursor``."""
        self._spool.forget(cursor["number"])

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._spool.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, source: HttpWebhookSource, spool: Spool) -> None:
        self.source = source
        self.spool = spool
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        if ":" in source.address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(source.address, _Handler)

    def server_bind(self) -> None:
        # Without the lookup of the host's name that HTTPServer makes, which may take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        try:
            request.settimeout(1.0)
            request.sendall(
                f"HTTP/1.1 503 Service Unavailable\r\nRetry-After: {COME_BACK}\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n".encode()
            )
        except OSError:
            pass
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("a sender's connection broke off", exc_info=True)


class _Refused(Exception):
    """A request that is answered with this status and reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        self.status = status
        self.reason = reason


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fluxion-flow"
    sys_version = ""
    timeout = PATIENCE
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # an answer goes out in one piece
    server: _Server

    def do_POST(self) -> None:
        try:
            events = self._events(self._body())
            self.server.spool.append(events, self._id())
        except _Refused as refused:
            self._answer(refused.status, {"error": refused.reason})
        except SpoolFull:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "too many events are waiting"})
        except sqlite3.Error as error:
            _log.warning("an event could not be made durable: %s", error)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "events cannot be stored now"})
        else:
            self._answer(HTTPStatus.ACCEPTED, {"accepted": len(events)})

    def _other_method(self) -> None:
        self.close_connection = True
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "send events with POST"})

    do_GET = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _other_method  # noqa: N815 - named by http.server

    def _body(self) -> bytes:
        """The body of a request that may be made."""
        source = self.server.source
        self.close_connection, keep = True, not self.close_connection  # while its body is unread
        if self.path.partition("?")[0] != source.path:
            raise _Refused(HTTPStatus.NOT_FOUND, "no events are taken at this path")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required")
        if int(length) > source.max_body:
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {source.max_body} bytes")
        self._check_token()
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refused(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
        self.close_connection = not keep
        self._check_signature(body)
        return body

    def _id(self) -> str | None:
        """The id of the request, where requests have one."""
        name = self.server.source.id_header
        if name is None:
            return None
        given = self.headers.get(name, "")
        if not 0 < len(given) <= LONGEST_ID:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"the header {name} must hold the request's id")
        return given

    def _check_token(self) -> None:
        token = self.server.source.token
        given = self.headers.get("Authorization", "")
        if token is not None and not _same(given, f"Bearer {token}"):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "the bearer token is missing or wrong")

    def _check_signature(self, body: bytes) -> None:
        source = self.server.source
        if source.hmac_secret is None:
            return
        given = self.headers.get(source.hmac_header, "").removeprefix(f"{source.hmac_algorithm}=")
        wanted = hmac.new(source.hmac_secret.encode(), body, source.hmac_algorithm).hexdigest()
        if not _same(given.lower(), wanted):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "the signature is missing or wrong")

    def _events(self, body: bytes) -> list[bytes]:
        """The JSON text of every event in a body."""
        if self.headers.get_content_type() in ("application/x-ndjson", "application/jsonl"):
            events = [line for line in body.splitlines() if line.strip()]
        elif body.lstrip()[:1] == b"[":
            try:
                events = [bytes(item) for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
            except (msgspec.DecodeError, ValueError, RecursionError):
                raise _Refused(HTTPStatus.BAD_REQUEST, "the body is not valid JSON") from None
        else:
            events = [body]
        for number, event in enumerate(events):
            try:
                decode_document(event, self.server.source.extended_json)
            except ValueError as error:
                raise _Refused(HTTPStatus.BAD_REQUEST, f"event {number} {error}") from None
        return events

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", str(COME_BACK))
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def _same(given: str, wanted: str) -> bool:
    """Whether two texts are the same, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(
        hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest(), hashlib.sha256(wanted.encode()).digest()
    )
