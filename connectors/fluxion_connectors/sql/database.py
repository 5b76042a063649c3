"""Engines on a database, the same for sources and sinks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from fluxion_flow.connect.secrets import redact
from fluxion_flow.connect.sql.values import from_json_text, json_text

LOCK_WAIT = 30.0
"""Seconds that SQLite waits for another writer."""


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
