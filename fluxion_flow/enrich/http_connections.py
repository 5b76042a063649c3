"""Connections to HTTP servers: one for each request under way, kept for the next.

:mod:`httpcore`, the engine of :mod:`httpx`, is used without the layers above it. Measured on 500 requests at 50 at a
time, these take as much processor time again as the request itself: URLs and headers as objects, a pool that looks
through its connections, and errors renamed on their way. What is rare takes httpx's own way: an address that must be
encoded, an answer that is compressed.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore
    import httpx

KEPT = 5.0
"""Seconds for which a connection is kept that nobody uses, as httpx has it."""
_SERVER = re.compile(r"[^:/?#]*://[^/?#]*")
_AS_IT_IS = re.compile(r"/(?:(?!/\.)(?:[A-Za-z0-9\-._~/?&=+,;:@!$*]|%[0-9A-Fa-f]{2}))*")
"""Paths with queries that need no encoding, and hold no part that begins with a dot."""
_WITH_LENGTH = ("POST", "PUT", "PATCH")
"""Methods whose requests say that they have no content (RFC 9110, section 8.6)."""

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: to connect, to wait for each part of the answer, and, on ``time.monotonic``, the end of it all."""

    connect: float
    read: float
    until: float | None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a server answered; ``content`` is decoded as its encoding says."""

    status: int
    reason: str
    headers: httpx.Headers
    content: bytes

    @property
    def text(self) -> str:
        """The content as text, in the charset that the answer names, else UTF-8."""
        kind = self.headers.get("content-type", "")
        charset = kind.partition("charset=")[2].split(";")[0].strip().strip("\"'") or "utf-8"
        try:
            return self.content.decode(charset, "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")


class HttpConnections:
    """The open connections of one client. Safe to share between threads."""

    def __init__(self, *, checked: bool, ca_file: str | None) -> None:
        """``checked``: whether certificates are; ``ca_file``: which are trusted instead of the usual ones."""
        self._checked = checked
        self._ca_file = ca_file
        self._servers: dict[str, _Server] = {}
        self._closed = False

    def close(self) -> None:
        """Close what is idle; what is in use is closed by its request."""
        self._closed = True
        for server in list(self._servers.values()):
            while (idle := server.take()) is not None:
                idle.close()

    def send(self, method: str, url: str, headers: Headers, content: bytes | None, timeouts: Timeouts) -> HttpAnswer:
        """Send a request and read the whole answer; redirects are not followed.

        Raises what :mod:`httpx` does.
        """
        import httpcore
        import httpx

        renamed = httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError
        try:
            return self._sent(method, url, headers, content, timeouts)
        except renamed as error:
            raise getattr(httpx, type(error).__name__)(str(error)) from error  # they have the same names

    def _sent(self, method: str, url: str, headers: Headers, content: bytes | None, timeouts: Timeouts) -> HttpAnswer:
        import httpcore

        match = _SERVER.match(url)
        name = match[0] if match is not None else ""
        server = self._servers.get(name) or self._servers.setdefault(name, self._server(url))
        target = url[len(name) :]
        request = httpcore.Request(
            method,
            server.address(target.encode() if _AS_IT_IS.fullmatch(target) else _encoded(url)),
            headers=server.headers(method, headers, content),
            content=content,
            extensions={"timeout": {"connect": timeouts.connect, "read": timeouts.read, "write": timeouts.read}},
        )
        connection = server.take() or server.connect(self._trusted if server.encrypted else None)
        try:
            response = connection.handle_request(request)
            parts = []
            for part in response.iter_stream():
                parts.append(part)
                if timeouts.until is not None and time.monotonic() > timeouts.until:
                    raise httpcore.ReadTimeout("the answer took too long")
            response.close()
        except BaseException:
            connection.close()
            raise
        server.give_back(connection)
        if self._closed:
            self.close()
        return _answer(response, b"".join(parts))

    def _server(self, url: str) -> _Server:
        import httpx

        return _Server(httpx.URL(url))

    @cached_property
    def _trusted(self) -> Any:
        """The certificates to trust; loading them takes long."""
        import ssl

        if not self._checked:
            import httpx

            return httpx.create_ssl_context(verify=False)
        return ssl.create_default_context(cafile=self._ca_file)


class _Server:
    """One server, and the connections to it that are idle; the one that was used last is taken first."""

    def __init__(self, url: httpx.URL) -> None:
        import httpcore
        import httpx

        if url.scheme not in ("http", "https") or not url.host:
            raise httpx.UnsupportedProtocol("an address begins with http:// or https:// and a server")
        self.encrypted = url.scheme == "https"
        self._whole = (url.raw_scheme, url.raw_host, url.port)
        self._origin = httpcore.Origin(url.raw_scheme, url.raw_host, url.port or (443 if self.encrypted else 80))
        self._host = (b"Host", url.netloc)
        self._idle: deque[httpcore.HTTPConnection] = deque()

    def address(self, target: bytes) -> httpcore.URL:
        """The address of a path with its query."""
        import httpcore

        scheme, host, port = self._whole
        return httpcore.URL(scheme=scheme, host=host, port=port, target=target)

    def headers(self, method: str, headers: Headers, content: bytes | None) -> list[tuple[bytes, bytes]]:
        """The headers of a request, with those that follow from what it is."""
        given = {name.lower() for name, _ in headers}
        whole = [*headers] if b"host" in given else [self._host, *headers]
        if (content is not None or method in _WITH_LENGTH) and not given & {b"content-length", b"transfer-encoding"}:
            whole.append((b"Content-Length", b"%d" % len(content or b"")))
        return whole

    def take(self) -> httpcore.HTTPConnection | None:
        """An idle connection that is still good, if there is any."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_available() and not connection.has_expired():
                return connection
            connection.close()

    def connect(self, trusted: Any) -> httpcore.HTTPConnection:
        """A new connection; it is opened by its first request."""
        import httpcore

        return httpcore.HTTPConnection(self._origin, ssl_context=trusted, keepalive_expiry=KEPT)

    def give_back(self, connection: httpcore.HTTPConnection) -> None:
        """Keep a connection for the next request."""
        self._idle.append(connection)


def _encoded(url: str) -> bytes:
    """The path and the query of an address, with what they cannot hold percent-encoded."""
    import httpx

    return httpx.URL(url).raw_path


def _answer(response: httpcore.Response, content: bytes) -> HttpAnswer:
    import httpx

    headers = httpx.Headers(response.headers)
    if "content-encoding" in headers:
        content = httpx.Response(response.status, headers=headers, content=content).content
    reason = response.extensions.get("reason_phrase", b"").decode("ascii", "ignore")
    return HttpAnswer(response.status, reason, headers, content)
