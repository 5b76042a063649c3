"""The small HTTP server of a run: health, metrics, the status page and the status as JSON. It only answers ``GET``.

It runs on threads of its own. Without a token it answers only requests that were addressed to loopback, so that a page
from elsewhere cannot read it through a browser (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from ...errors import FluxionError

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECTIONS = 32
"""Requests that are answered at a time; more are turned away."""

TIMEOUT = 10.0
"""Seconds that a request may take to come in."""

COOKIE = "fluxion_token"
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Health = Callable[[], tuple[bool, str]]


class PortTaken(FluxionError):
    """The status page cannot listen where it was told to."""


class StatusServer:
    """Answers on ``host`` and ``port`` (0: any that is free) until :meth:`stop`.

    ``live`` and ``ready`` say whether, and why; ``own()`` is the status of this process and ``whole()`` that of all of
    the run. ``/live`` and ``/ready`` are open to everybody who gets there; the rest needs the ``token``, if there is
    one: as ``Authorization: Bearer``, or once as ``/?token=`` in a browser, which then keeps it as a cookie.

    Raises :class:`PortTaken`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        token: str | None,
        *,
        live: Health,
        ready: Health,
        own: Callable[[], Any],
        whole: Callable[[], Any],
        registry: CollectorRegistry,
    ) -> None:
        self._token = token
        self._answers: dict[str, Callable[[], Any]] = {"/status.json": own, "/all.json": whole}
        self._health = {"/live": live, "/ready": ready}
        self._registry = registry
        try:
            self._server = _Server(host, port, self)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise PortTaken(
                f"the status page cannot listen on {host}:{port} ({why}); free the port, or set another status_port"
            ) from None
        self.port: int = self._server.server_address[1]
        thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), daemon=True)
        thread.name = "fluxion-status"
        thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: _Request) -> None:
        """Answer one request."""
        parts = urlsplit(request.path)
        if parts.path in self._health:
            good, why = self._health[parts.path]()
            name = parts.path.removeprefix("/")
            return request.send_json({name: good, "why": why}, 200 if good else 503)
        if self._token is None:
            if _host_of(request.headers.get("Host", "")) not in LOOPBACK:
                return request.send_text("the status page answers on loopback only; ask for 127.0.0.1\n", 403)
        elif parts.path == "/" and "token" in (query := parse_qs(parts.query)):
            if not self._is_token(query["token"][-1]):
                return request.send_text("wrong token\n", 401)
            cookie = f"{COOKIE}={_digest(self._token)}; HttpOnly; SameSite=Strict; Path=/"
            return request.send(b"", "text/plain", 303, {"Location": "/", "Set-Cookie": cookie})
        elif not self._may_see(request):
            more = {"WWW-Authenticate": "Bearer"}
            return request.send_text("a token is needed: 'Authorization: Bearer ...', or /?token=...\n", 401, more)
        return self._open(request, parts.path)

    def _open(self, request: _Request, path: str) -> None:
        if path in self._answers:
            return request.send_json(self._answers[path]())
        if path in FILES:
            name, kind = FILES[path]
            content = resources.files(__package__).joinpath("page").joinpath(name).read_bytes()
            return request.send(content, kind, 200, SAFE)
        if path == "/metrics":
            encode, kind = choose_encoder(request.headers.get("Accept", ""))
            return request.send(encode(self._registry), kind)
        known = ", ".join(("/", *self._answers, "/metrics", *self._health))
        return request.send_text(f"there is no {path}; there are {known}\n", 404)

    def _may_see(self, request: _Request) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._is_token(given.strip())
        try:
            kept = SimpleCookie(request.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return kept is not None and hmac.compare_digest(kept.value, _digest(self._token or ""))

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())


def _digest(token: str) -> str:
    """What a browser keeps in place of the token."""
    return hashlib.sha256(f"fluxion-flow {token}".encode()).hexdigest()


def _host_of(header: str) -> str:
    """The host of a ``Host`` header, without its port."""
    return urlsplit(f"//{header}").hostname or ""


class _Request(BaseHTTPRequestHandler):
    timeout = TIMEOUT
    server_version = "fluxion-flow"
    sys_version = ""

    def do_GET(self) -> None:
        try:
            self.server.owner.answer(self)  # type: ignore[attr-defined]
        except (BrokenPipeError, ConnectionError, TimeoutError):
            """Whoever asked is gone."""
        except Exception:
            log.exception("the status page cannot answer %s", urlsplit(self.path).path)
            self.send_text("the status cannot be told; the log says why\n", 500)

    do_HEAD = do_GET  # noqa: N815

    def send_json(self, data: Any, status: int = 200) -> None:
        self.send(json.dumps(data, default=str).encode(), "application/json", status, SAFE)

    def send_text(self, text: str, status: int, more: dict[str, str] | None = None) -> None:
        self.send(text.encode(), "text/plain; charset=utf-8", status, more)

    def send(self, content: bytes, kind: str, status: int = 200, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a token may stand in an address."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, owner: StatusServer) -> None:
        self.owner = owner
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Request)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request to the status page broke off", exc_info=True)
