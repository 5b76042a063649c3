"""HTTP clients, the same for the source and the sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from fluxion_connectors.http.failures import HttpRefused, place_of, unreachable
from fluxion_flow.connect.http import USER_AGENT, register_secret_headers


def new_client(
    url: str, *, headers: Mapping[str, str] | None, timeout: float, connections: int, verify: bool, ca_file: str | None
) -> httpx.Client:
    """A client of the server of ``url``, for several threads. It follows no redirect, and keeps ``connections`` open.

    ``timeout`` is in seconds, for connecting and for each wait for the server. ``ca_file`` holds certificates to trust.
    """
    mine = {name: str(value) for name, value in (headers or {}).items()}
    register_secret_headers(mine)
    trusted: Any = verify and url.startswith("https:")  # loading the certificates takes long
    if trusted and ca_file is not None:
        import ssl

        trusted = ssl.create_default_context(cafile=ca_file)
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    own = {"User-Agent": USER_AGENT, **mine}
    return httpx.Client(headers=own, timeout=timeout, limits=limits, verify=trusted, follow_redirects=False)


def request(
    client: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes | None = None,
    params: Mapping[str, Any] | None = None,
) -> httpx.Response:
    """The answer to a request, its body read. ``params`` are added to the query that the URL has.

    Raises :class:`HttpUnavailable` when there is none, and :class:`HttpRefused` for a request that cannot be sent.
    """
    try:
        target = httpx.URL(url)
        if params:
            target = target.copy_merge_params(params)
        return client.request(method, target, headers=headers, content=content)
    except httpx.UnsupportedProtocol as error:
        raise HttpRefused(f"{method} {place_of(url)}: {error}") from None
    except httpx.HTTPError as error:
        raise unreachable(error, method, url) from None
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        # The text of such an error may hold the value that is wrong.
        raise HttpRefused(f"{method}: the request cannot be sent ({type(error).__name__})") from None
