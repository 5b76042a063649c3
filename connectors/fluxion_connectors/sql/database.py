"""Connections to a database from its URL, the same for sources and sinks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool

from fluxion_connectors.sql.failures import SqlError
from fluxion_connectors.sql.values import from_json_text, json_text
from fluxion_flow.connect.secrets import redact, register_secret

DRIVERS = {
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_INSTALL = {
    "postgresql": "pip install 'fluxion-flow[postgres]'",
    "mysql": "pip install 'fluxion-flow[mysql]'",
    "mariadb": "pip install 'fluxion-flow[mysql]'",
}
LOCK_WAIT = 30.0
"""Seconds that SQLite waits for another writer."""


def parse_url(text: str) -> URL:
    """The URL of a database with the driver that we use. Raises :class:`ValueError`, without the URL in its text."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is no database URL, such as sqlite:///orders.db or postgresql://user@host/name") from None
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def database_url(text: str) -> URL:
    """Like :func:`parse_url`, with the driver found. The password is a secret from now on.

    Raises :class:`SqlError` when the driver is not installed or there is none for such a URL.
    """
    try:
        url = parse_url(text)
    except ValueError as error:
        raise SqlError(f"url {error}") from None
    if url.password is not None:
        register_secret(str(url.password))
    backend = url.get_backend_name()
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise SqlError(f"url: no database is known by {backend!r}; use sqlite, postgresql, mysql or mariadb") from None
    except ModuleNotFoundError as error:
        install = _INSTALL.get(backend, f"pip install {error.name}")
        raise SqlError(f"url: {backend} needs the package {error.name!r}, which is not installed; {install}") from None
    return url


def shown(url: URL) -> str:
    """The URL without its password and its parameters, for messages."""
    return redact(url.set(query={}).render_as_string(hide_password=True))


def engine_of(url: URL, *, writes: bool = False) -> Engine:
    """An engine with one connection, which is tested before each use and made anew when it is dead.

    ``writes``: transactions of SQLite take the write lock at their start, so that two writers wait for each other
    instead of failing half-way. Errors never show bound values.
    """
    sqlite = url.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = {"timeout": LOCK_WAIT} if sqlite else {}
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=1,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=arguments,
        json_serializer=json_text,
        json_deserializer=from_json_text,
    )
    if sqlite:
        _own_transactions(engine, "BEGIN IMMEDIATE" if writes else "BEGIN")
    return engine


def _own_transactions(engine: Engine, begin: str) -> None:
    """Begin SQLite's transactions ourselves: Python's sqlite3 begins them too late for savepoints."""

    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")

    def begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
