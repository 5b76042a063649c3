"""Databases as targets of calls: an SQLAlchemy engine with a pool of connections for each."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Hashable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fluxion_flow.connect.options import Option
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.core.values import MISSING, type_name
from fluxion_flow.enrich.asking import Target
from fluxion_flow.enrich.connections import Named, opened_options
from fluxion_flow.enrich.failures import CallRefused, CallTimedOut, QueryFailed, ServerUnavailable
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.errors import Problems, Where

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

OPTIONS = (
    Option(
        "url", "string", "The database: sqlite:///file.db, postgresql://user:password@host/name, …", None, secret=True
    ),
    Option("jdbc_url", "string", "The same as JDBC has it: jdbc:postgresql://host:5432/name.", None, secret=True),
    Option("username", "string", "The user, where the url does not say.", None),
    Option("password", "string", "The password, where the url does not say.", None, secret=True),
)


class SqlTarget(Target):
    """The database of a connection."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self.name = named.name

    @property
    def key(self) -> Hashable:
        return ("sql", self.name)

    def check(self, where: Where, problems: Problems) -> None:
        opened_options(self._named, OPTIONS, problems)

    def open(self, settings: Settings) -> SqlClient:
        from sqlalchemy import create_engine

        from fluxion_flow.connect.sql.address import SqlError, database_url
        from fluxion_flow.connect.sql.values import from_json_text, json_text

        problems = Problems()
        options = opened_options(self._named, OPTIONS, problems)
        problems.raise_if_any()
        address = options["url"] or str(options["jdbc_url"] or "").removeprefix("jdbc:")
        try:
            url = database_url(address)
        except SqlError as error:
            raise QueryFailed(f"connection '{self.name}': {error}") from None
        if options["username"] is not None:
            url = url.set(username=options["username"])
        if options["password"] is not None:
            register_secret(options["password"])
            url = url.set(password=options["password"])
        backend = url.get_backend_name()
        arguments: dict[str, Any] = {}
        wait = settings.timeout or settings.read_timeout
        if backend == "sqlite":
            arguments = {"timeout": wait}
        elif backend == "postgresql":
            seconds, limit = max(1, int(settings.connect_timeout)), max(1, int(wait * 1000))
            arguments = {"connect_timeout": seconds, "options": f"-c statement_timeout={limit}"}
        elif backend in ("mysql", "mariadb"):
            arguments = {"connect_timeout": max(1, int(settings.connect_timeout)), "read_timeout": max(1, int(wait))}
        from sqlalchemy.pool import QueuePool

        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=settings.concurrency,
            max_overflow=0,
            pool_timeout=3600,
            isolation_level="AUTOCOMMIT",
            pool_pre_ping=backend != "sqlite",
            hide_parameters=True,
            connect_args=arguments,
            json_serializer=json_text,
            json_deserializer=from_json_text,
        )
        return SqlClient(self.name, engine)


class SqlClient:
    """Statements to one database. What they change is committed with each."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self._tables: dict[tuple[str, str | None], Table] = {}

    def close(self) -> None:
        self.engine.dispose()

    def query(self, statement: Any, values: Mapping[str, Any], *, limit: int | None = None) -> list[dict[str, Any]]:
        """The rows of a statement as documents, at most ``limit``; none for a statement that gives no rows."""
        from fluxion_flow.connect.sql.values import to_document_value

        if self.engine.dialect.name == "sqlite":
            values = {name: _for_sqlite(value) for name, value in values.items()}
        with self.connected() as connection:
            result = connection.execute(statement, dict(values))
            if not result.returns_rows:
                return []
            names = list(result.keys())
            rows = result.fetchall() if limit is None else result.fetchmany(limit)
            return [{name: to_document_value(value) for name, value in zip(names, row, strict=True)} for row in rows]

    def table(self, name: str, schema: str | None) -> Table:
        """A table as the database has it, looked up once. Raises :class:`QueryFailed` when there is none."""
        from sqlalchemy import MetaData, Table
        from sqlalchemy.exc import NoSuchTableError

        found = self._tables.get((name, schema))
        if found is None:
            with self.connected() as connection:
                try:
                    found = Table(name, MetaData(), schema=schema, autoload_with=connection)
                except NoSuchTableError:
                    raise QueryFailed(f"connection '{self.name}': there is no table '{name}'") from None
            self._tables[name, schema] = found
        return found

    @contextlib.contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection for one call, whose one statement is committed by itself; errors come out in our words."""
        from sqlalchemy import exc

        try:
            with self.engine.connect() as connection:
                yield connection
        except exc.DBAPIError as error:
            raise _failure(self.name, error) from error
        except exc.SQLAlchemyError as error:
            raise QueryFailed(f"connection '{self.name}': {_text(error)}") from error


def bound(value: Any, title: str, name: str) -> Any:
    """A document's value as a parameter: null for missing; arrays and objects as JSON text.

    Raises :class:`CallRefused` for what no database has a type for.
    """
    if value is MISSING or value is None:
        return None
    if value.__class__ in (str, int, float, bool, bytes, Decimal):
        return value
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, (dict, list)):
        from fluxion_flow.connect.sql.values import json_text

        try:
            return json.dumps(value) if _is_plain(value) else json_text(value)
        except ValueError as error:
            raise CallRefused(f"{title}: parameter {name} {error}") from None
    raise CallRefused(f"{title}: parameter {name} is of type {type_name(value)}, which cannot be bound")


def _for_sqlite(value: Any) -> Any:
    """Dates as SQLAlchemy stores them in SQLite, decimals as the doubles that SQLite has."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    return float(value) if isinstance(value, Decimal) else value


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or value.__class__ in (str, int, bool, float)


def _failure(name: str, error: Any) -> Exception:
    """A driver's error in our words: its first line, without the statement and its values."""
    text = f"connection '{name}': {_text(error)}"
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state == "57014" or "timeout" in type(error.orig).__name__.lower():
        return CallTimedOut(f"connection '{name}': the database did not answer in time")
    lost = error.connection_invalidated or state.startswith(("08", "53", "57")) or state in ("40001", "40P01")
    said = str(error.orig).lower()
    if (
        lost
        or "database is locked" in said
        or (
            not state
            and type(error.orig).__name__ == "OperationalError"
            and ("connect" in said or "unable to open" in said)
        )
    ):
        return ServerUnavailable(text)
    return QueryFailed(text)


def _text(error: Any) -> str:
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return f"{type(original).__name__}: {lines[0] if lines else ''}".rstrip(": ")
