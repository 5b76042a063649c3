"""HTTP servers as targets of calls: a client for each, many requests at the same time."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from fluxion_flow.connect.http import RETRIED, USER_AGENT, register_secret_headers, retry_after
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.secrets import redact
from fluxion_flow.enrich.asking import Target
from fluxion_flow.enrich.connections import Named, opened_options
from fluxion_flow.enrich.failures import (
    CallRefused,
    CallTimedOut,
    EnrichError,
    HttpStatusError,
    ServerUnavailable,
    UnreadableAnswer,
)
from fluxion_flow.enrich.http_connections import HttpAnswer, HttpConnections, Timeouts
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.enrich.templates import header_value
from fluxion_flow.errors import Problems, Where

if TYPE_CHECKING:
    pass

OPTIONS = (
    Option(
        "url",
        "string",
        "The server, and the path that the paths of calls are below.",
        None,
        also=("base_url", "baseUrl", "endpoint", "url_template", "urlTemplate"),
    ),
    Option("headers", "object", "Headers of every request.", None, secret=True),
    Option("verify", "boolean", "Check the server's certificate.", True),
    Option("ca_file", "string", "A file of certificates to trust instead of the usual ones.", None),
    Option("retry_statuses", "list", "Statuses after which to try again.", list(RETRIED), items="integer"),
    Option("config", "object", "What manifests name as {{config.name}}.", None, secret=True),
    Option("collections", "object", "Collections for $lookup: name, and how the server is asked for them.", None),
)
URL_NAMES = OPTIONS[0].names
_SHOWN = 200


@dataclass(frozen=True)
class HttpRequest:
    """A request, and how its answer is read (``json``, ``text`` or ``bytes``). ``url`` is whole, with its query."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    parse: str = "json"


class HttpTarget(Target):
    """The server of a connection; or the one of an address, without a connection."""

    def __init__(self, named: Named | None, origin: str = "") -> None:
        self._named = named
        self.origin = origin
        self.name = named.name if named is not None else urlsplit(origin).netloc

    @property
    def key(self) -> Hashable:
        return ("http", self.name, self.origin)

    @property
    def url(self) -> Any:
        """The connection's address; it may be a reference."""
        options = self._named.options if self._named is not None else {}
        return next((options[name] for name in URL_NAMES if options.get(name) is not None), self.origin or None)

    def options(self, problems: Problems) -> dict[str, Any]:
        if self._named is None:
            return {option.name: option.default for option in OPTIONS}
        return opened_options(self._named, OPTIONS, problems)

    def check(self, where: Where, problems: Problems) -> None:
        self.options(problems)

    def open(self, settings: Settings) -> HttpClient:
        problems = Problems()
        options = self.options(problems)
        problems.raise_if_any()
        return HttpClient(self.name, options, str(options["url"] or self.origin).rstrip("/"))


class HttpClient:
    """Requests to one server. ``headers`` of the connection go with each, redirects are not followed."""

    def __init__(self, name: str, options: Mapping[str, Any], base: str) -> None:
        """``base`` is the address that paths stand below, without a slash at its end.

        Raises :class:`CallRefused` for a header that cannot be sent.
        """
        self.name = name
        self.base = base
        headers = {str(n): str(v) for n, v in (options["headers"] or {}).items()}
        register_secret_headers(headers)
        mine = [("User-Agent", USER_AGENT), ("Accept", "application/json, */*"), *headers.items()]
        self._headers = [_sent(n, header_value(n, v, f"connection '{name}'")) for n, v in mine]
        self._retried = frozenset(options["retry_statuses"])
        self._connections = HttpConnections(checked=options["verify"], ca_file=options["ca_file"])

    def address(self, path: str) -> str:
        """The address of a path below the base; nothing in the path can be part of the server's name."""
        return self.base + ("" if not path or path[0] in "/?" else "/") + path

    def close(self) -> None:
        self._connections.close()

    def request(self, request: HttpRequest, settings: Settings) -> Any:
        """The answer's content. Raises :class:`~fluxion_flow.enrich.failures.EnrichError`."""
        started = time.monotonic()
        try:
            answer = self._answer(request, settings, started)
        except Exception as error:
            raise _unanswered(error, request) from error
        if answer.status >= 300:
            milliseconds = int((time.monotonic() - started) * 1000)
            raise _refused(answer, request, milliseconds, answer.status in self._retried)
        return read(answer, request)

    def _answer(self, request: HttpRequest, settings: Settings, started: float) -> HttpAnswer:
        """The whole answer. Raises what :mod:`httpx` does."""
        headers = self._headers
        if request.headers:
            own = [_sent(name, value) for name, value in request.headers]
            names = {name.lower() for name, _ in own}
            headers = [header for header in headers if header[0].lower() not in names] + own
        wait = min(settings.read_timeout, settings.timeout or settings.read_timeout)
        until = None if settings.timeout is None else started + settings.timeout
        timeouts = Timeouts(settings.connect_timeout, wait, until)
        return self._connections.send(request.method, request.url, headers, request.content, timeouts)


def _sent(name: str, value: str) -> tuple[bytes, bytes]:
    """A header as it is sent."""
    return name.encode("ascii"), value.encode("latin-1")


def read(answer: HttpAnswer, request: HttpRequest) -> Any:
    """The content of an answer; nothing is null. Raises :class:`UnreadableAnswer`."""
    if request.parse == "bytes":
        return answer.content
    if request.parse == "text":
        return answer.text
    if not answer.content.strip():
        return None
    try:
        return msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = f"{_title(request)}: the answer is not JSON; say how to read it with parse: text or parse: bytes"
        raise UnreadableAnswer(text, facts=_facts(request)) from None


def _title(request: HttpRequest) -> str:
    return f"{request.method} {shown_url(request.url)}"


def _facts(request: HttpRequest) -> dict[str, Any]:
    return {"url": shown_url(request.url), "method": request.method}


def _unanswered(error: Exception, request: HttpRequest) -> EnrichError:
    """An error that came instead of an answer, in our words."""
    import httpx

    title, facts = _title(request), _facts(request)
    if isinstance(error, httpx.TimeoutException):
        what = "cannot be reached in time" if isinstance(error, httpx.ConnectTimeout) else "did not answer in time"
        return CallTimedOut(f"{title}: the server {what}", facts=facts)
    if isinstance(error, httpx.DecodingError):
        return UnreadableAnswer(f"{title}: the answer is not in the encoding that it names", facts=facts)
    if isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError)):
        what = "cannot be reached" if isinstance(error, httpx.ConnectError) else "broke the connection off"
        return ServerUnavailable(f"{title}: the server {what} ({type(error).__name__})", facts=facts)
    return CallRefused(f"{title}: the request cannot be sent ({type(error).__name__})", facts=facts)


def _refused(answer: HttpAnswer, request: HttpRequest, milliseconds: int, again: bool) -> EnrichError:
    """What an answer that is no success means."""
    title, status = _title(request), answer.status
    facts = {**_facts(request), "httpStatusCode": status, "responseTimeMs": milliseconds}
    if status < 400:
        text = f"{title}: the server redirects with {status}; name the other address"
        return HttpStatusError(text, status=status, facts=facts)
    text = f"{title}: the server answered {status} {answer.reason}".rstrip() + _said(answer)
    wait = retry_after(answer.headers)
    return HttpStatusError(text, status=status, facts=facts, retryable=again, retry_after=wait)


def shown_url(url: str) -> str:
    """A URL without its user, its query and its fragment, which may hold secrets."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return redact(f"{parts.scheme}://{host}{parts.path}" if host else parts.path)


def _said(answer: HttpAnswer) -> str:
    body = " ".join(redact(answer.text[: 4 * _SHOWN]).split())
    return f": {body if len(body) <= _SHOWN else body[: _SHOWN - 3] + '...'}" if body else ""
