"""Connections as functions of the user's own see them: opened, and with the settings of the call at hand."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from fluxion_flow.connect.encoding import encode_value
from fluxion_flow.connect.secrets import resolve
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.enrich.asking import Target
from fluxion_flow.enrich.connections import kind_of, read_connection
from fluxion_flow.enrich.http import OPTIONS as HTTP_OPTIONS
from fluxion_flow.enrich.http import HttpClient, HttpRequest, HttpTarget
from fluxion_flow.enrich.settings import Settings, is_setting, read_settings
from fluxion_flow.enrich.sql import OPTIONS as SQL_OPTIONS
from fluxion_flow.enrich.sql import SqlClient, SqlTarget, bound
from fluxion_flow.enrich.statements import parse_statement
from fluxion_flow.errors import Problems, Where


class HttpConnection:
    """Requests to the server of a connection. A status of 400 or more raises, and so does every failure."""

    def __init__(self, client: HttpClient, settings: Settings) -> None:
        self._client = client
        self._settings = settings

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        parse: str = "json",
    ) -> Any:
        """The answer's content, read as ``parse`` says (``json``, ``text``, ``bytes``). ``body`` is sent as JSON.

        ``path`` stands below the connection's url. Encode what comes from a document: ``urllib.parse.quote``.
        """
        url = self._client.address(path)
        if query:
            url += ("&" if "?" in url else "?") + urlencode(query, doseq=True)
        content, sent = None, dict(headers or {})
        if body is not None:
            content = encode_value(body)
            sent.setdefault("Content-Type", "application/json")
        request = HttpRequest(method.upper(), url, tuple(sent.items()), content, parse)
        return self._client.request(request, self._settings)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer to a GET."""
        return self.request("GET", path, query=query)


class SqlConnection:
    """Statements to the database of a connection; each is committed by itself."""

    def __init__(self, client: SqlClient) -> None:
        self._client = client

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a statement, whose ``:name`` are bound to ``params``."""
        from sqlalchemy import text

        values = {name: bound(value, "query", name) for name, value in (params or {}).items()}
        return self._client.query(text(parse_statement(sql).text), values)


class FunctionTarget(Target):
    """What a function asks by itself: there is nothing to open, or ``options`` that it uses as it likes."""

    def __init__(self, name: str, options: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._options = options

    @property
    def key(self) -> Hashable:
        return ("function", self.name)

    def open(self, settings: Settings) -> Opened:
        return Opened(None, resolve(self._options) if self._options is not None else None)


class ConnectedTarget(Target):
    """A server or a database that a function uses."""

    def __init__(self, inner: HttpTarget | SqlTarget) -> None:
        self._inner = inner
        self.name = inner.name

    @property
    def key(self) -> Hashable:
        return ("opened", self._inner.key)

    def check(self, where: Where, problems: Problems) -> None:
        self._inner.check(where, problems)

    def open(self, settings: Settings) -> Opened:
        return Opened(self._inner.open(settings), None)


class Opened:
    """A client for functions."""

    def __init__(self, client: HttpClient | SqlClient | None, options: Any) -> None:
        self._client = client
        self._options = options

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    @contextmanager
    def used(self, settings: Settings) -> Iterator[Any]:
        """The connection for one call."""
        if isinstance(self._client, HttpClient):
            yield HttpConnection(self._client, settings)
        elif isinstance(self._client, SqlClient):
            yield SqlConnection(self._client)
        else:
            yield self._options


def secret_names(kind: str) -> frozenset[str]:
    """The names of the options of a connection of this type that are secret where calls are made."""
    options = {"http": HTTP_OPTIONS, "sql": SQL_OPTIONS}.get(kind, ())
    return frozenset(name for option in options if option.secret for name in option.names)


def target_of(name: str, where: Where, parser: Parser, target: Target, settings: Settings) -> tuple[Target, Settings]:
    """The target of the connection of this name, and its settings; those given after reporting that there is none."""
    known = parser.resources.connections
    own = {"http": HTTP_OPTIONS, "sql": SQL_OPTIONS}
    if name in known and kind_of(known[name]) not in own:
        options = {k: v for k, v in known[name].items() if not is_setting(str(k))}
        said = {k: v for k, v in known[name].items() if is_setting(str(k))}
        place = Where.at("connections", name)
        return FunctionTarget(name, options), read_settings(said, place, parser.problems, settings)
    named = read_connection(name, where, parser.resources, parser.problems, tuple(own), own)
    if named is None:
        return target, settings
    inner = HttpTarget(named) if named.type == "http" else SqlTarget(named)
    return ConnectedTarget(inner), named.settings
