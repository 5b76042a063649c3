"""What an HTTP answer, or none, means: try again, or nothing will work until somebody acts.

Source of the statuses: RFC 9110 (HTTP Semantics), sections 10.2.3 (Retry-After) and 15; RFC 6585 (429).
"""

from __future__ import annotations

from collections.abc import Collection

import httpx

from fluxion_flow.connect.http import RETRIED, retry_after
from fluxion_flow.connect.secrets import redact
from fluxion_flow.errors import FluxionError

_SHOWN = 200


class HttpError(FluxionError):
    """An HTTP server did not do what was asked. ``status`` is its answer's; ``None``: there was no answer."""

    retryable = False

    def __init__(self, text: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(text)


class HttpUnavailable(HttpError, ConnectionError):
    """The server cannot be reached, or asks to come back: after ``retry_after`` seconds, where it says so."""

    retryable = True

    def __init__(self, text: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(text, status=status)


class HttpRefused(HttpError):
    """The server refuses the request; repeating it changes nothing."""


def place_of(url: httpx.URL | str) -> str:
    """A URL without its user, its query and its fragment, which may hold secrets."""
    parsed = httpx.URL(url)
    return redact(str(parsed.copy_with(query=None, fragment=None, username=None, password=None)))


def unreachable(error: httpx.HTTPError, method: str, url: httpx.URL | str) -> HttpUnavailable:
    """``error``, raised instead of an answer, in our words."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        what = "cannot be reached"
    elif isinstance(error, httpx.TimeoutException):
        what = "did not answer in time"
    else:
        what = "broke the connection off"
    said = " ".join(redact(str(error)).split()) or type(error).__name__
    return HttpUnavailable(f"{method} {place_of(url)}: the server {what} ({said})")


def failure_of(response: httpx.Response, retried: Collection[int] = RETRIED) -> HttpError | None:
    """What is wrong with an answer; ``None`` for a 2xx one, whose body must have been read."""
    status = response.status_code
    if 200 <= status < 300:
        return None
    request = response.request
    text = f"{request.method} {place_of(request.url)}: the server answered {status} {response.reason_phrase}".rstrip()
    body = " ".join(redact(response.text[: 4 * _SHOWN]).split())
    if body:
        text += f": {body if len(body) <= _SHOWN else body[: _SHOWN - 3] + '...'}"
    if status in retried:
        return HttpUnavailable(text, status=status, retry_after=retry_after(response.headers))
    if 300 <= status < 400 and "location" in response.headers:
        text += f"; it redirects to {place_of(request.url.join(response.headers['location']))}: set the url to that"
    return HttpRefused(text, status=status)
