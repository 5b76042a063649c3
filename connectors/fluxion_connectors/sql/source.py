"""Rows of a table or a query as documents, page by page, in the order of cursor columns.

A page is the rows behind the last one read, by *all* of the cursor and key columns together: rows that share a cursor
value are told apart by their keys, so a page may end between them and none is lost or repeated. A row whose cursor or
key column is null has no place in that order and is not read.

A row that is committed with a cursor value below one that was already read is not seen: choose a column that grows in
the order of commits, or read at a time when nobody writes.

The position of a document is its number in the order of reading. The timestamp of all batches is the moment when the
partition was first opened; cursors carry it along.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, bindparam, column, or_, select, text
from sqlalchemy.exc import SQLAlchemyError

from fluxion_connectors.sql.database import engine_of, shown
from fluxion_connectors.sql.failures import said
from fluxion_connectors.sql.places import pack_place, unpack_place
from fluxion_connectors.sql.tables import find_table
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource
from fluxion_flow.connect.sql.address import SqlError, database_url
from fluxion_flow.connect.sql.values import to_document_value
from fluxion_flow.errors import did_you_mean

PAGE_SIZE = 1000
_DATABASE_ERRORS = (SQLAlchemyError, OSError, ValueError, TypeError)


class SqlSource(StreamingSource):
    """One partition: the rows of ``table``, or of ``query`` with its ``parameters`` bound (``:name`` in the query).

    ``cursor_columns`` are read in ascending order; ``key_columns`` tell rows with the same cursor values apart (the
    table's primary key when it is ``None``). Without cursor columns rows are read in the order of their keys. A source
    that is not ``bounded`` asks again every ``poll_interval`` seconds. ``start_after`` holds the cursor columns' values
    behind which a run without a checkpoint starts.
    """

    lag_unit = "rows"

    def __init__(
        self,
        url: str,
        *,
        table: str | None = None,
        query: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        cursor_columns: Sequence[str] = (),
        key_columns: Sequence[str] | None = None,
        start_after: Sequence[Any] | None = None,
        page_size: int = PAGE_SIZE,
        poll_interval: float = 5.0,
        bounded: bool = True,
        db_schema: str | None = None,
    ) -> None:
        if (table is None) == (query is None):
            raise ValueError("an SQL source takes a table or a query, one of the two")
        self._url = database_url(url)
        self.table = table
        self.query = query.strip().removesuffix(";") if query is not None else None
        self.parameters = dict(parameters or {})
        self.cursor_columns = tuple(cursor_columns or ())
        self.key_columns = tuple(key_columns) if key_columns is not None else None
        self.start_after = tuple(start_after) if start_after is not None else None
        self.page_size = page_size
        self.poll_interval = poll_interval
        self.bounded = bounded
        self.schema = db_schema
        self._opened: int | None = None

    def __repr__(self) -> str:
        return f"SqlSource({shown(self._url)!r}, {self.table or 'query'})"

    @property
    def name(self) -> str:
        """What is read, for messages: ``table 'orders'`` or ``the query``."""
        return f"table {self.table!r}" if self.table is not None else "the query"

    def partitions(self) -> list[str]:
        return [self.table or "query"]

    def open(self, partition: str, cursor: Cursor | None) -> SqlReader:
        """Raises :class:`DatabaseUnavailable`, and :class:`SqlError` for a table or columns that are not there."""
        if cursor is not None:
            started = cursor["started"]
        else:
            self._opened = started = self._opened or int(time.time() * 1000)
        engine = engine_of(self._url)
        try:
            with engine.connect() as connection:
                rows, order = self._rows(connection)
            return SqlReader(self, engine, partition, rows, order, cursor, started)
        except _DATABASE_ERRORS as error:
            engine.dispose()
            raise said(error, f"opening {self.name}") from None
        except BaseException:
            engine.dispose()
            raise

    def _rows(self, connection: Connection) -> tuple[FromClause, list[ColumnElement[Any]]]:
        """What to select from, and the columns that order it."""
        keys = self.key_columns
        rows: FromClause
        if self.table is not None:
            rows = find_table(connection, self.table, self.schema)
            if keys is None:
                keys = tuple(key.name for key in rows.primary_key.columns)
        else:
            statement = text(self.query or "").bindparams(**self.parameters)
            empty = text(f"SELECT * FROM ({self.query}) AS q WHERE 1 = 0").bindparams(**self.parameters)
            names = connection.execute(empty).keys()
            rows = statement.columns(*map(column, names)).subquery("q")
        order = list(dict.fromkeys([*self.cursor_columns, *(keys or ())]))
        known = [found.name for found in rows.columns]
        for name in order:
            if name not in known:
                hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
                raise SqlError(f"{self.name} has no column {name!r}; {hint}")
        if not order:
            raise SqlError(f"{self.name} has no primary key to order its rows by; name key_columns")
        return rows, [rows.columns[name] for name in order]


class SqlReader(SourceReader):
    """Reads rows behind a place. No transaction is open between two pages."""

    def __init__(
        self,
        source: SqlSource,
        engine: Any,
        partition: str,
        rows: FromClause,
        order: list[ColumnElement[Any]],
        cursor: Cursor | None,
        started: int,
    ) -> None:
        self._source = source
        self._engine = engine
        self._partition = partition
        self._columns = [found.name for found in order]
        self._started = started
        self._after: list[Any] | None = None
        self._count = 0
        if cursor is not None:
            if cursor["columns"] != self._columns:
                raise SqlError(
                    f"the checkpoint's rows were ordered by {', '.join(cursor['columns'])}, and now they are by "
                    f"{', '.join(self._columns)}; set the columns back, or start without the checkpoint"
                )
            self._after, self._count = cursor["after"], cursor["count"]
        self._begin = _page(rows, order, 0).limit(source.page_size)
        self._next = _page(rows, order, len(order)).limit(source.page_size)
        self._first = self._begin
        if self._after is None and source.start_after is not None:
            self._first = _page(rows, order, len(source.start_after)).limit(source.page_size)
        self._page: list[dict[str, Any]] = []
        self._at = 0
        self._short = False
        self._complete = False

    @property
    def cursor(self) -> dict[str, Any]:
        return {
            "v": 1,
            "columns": list(self._columns),
            "after": None if self._after is None else list(self._after),
            "count": self._count,
            "started": self._started,
        }

    def read(self, max_documents: int) -> Batch | None:
        """Raises :class:`DatabaseUnavailable` or :class:`SqlError`; the next read then goes on at the same place."""
        if self._at == len(self._page) and not self._complete:
            self._fetch()
        first = self._count
        rows = self._page[self._at : self._at + max_documents]
        if not rows:
            if self._source.bounded:
                self._complete = True
                return None
            return Batch([], self._partition, first, (), self._started)
        self._at += len(rows)
        self._count += len(rows)
        self._after = [pack_place(rows[-1][name]) for name in self._columns]
        documents = [{name: to_document_value(value) for name, value in row.items()} for row in rows]
        return Batch(documents, self._partition, first, range(first, self._count), self._started)

    def _fetch(self) -> None:
        if self._after is not None:
            statement, places = self._next, [unpack_place(place) for place in self._after]
        else:
            statement, places = self._first, list(self._source.start_after or ())
        bound = {f"place_{number}": place for number, place in enumerate(places)}
        try:
            with self._engine.connect() as connection:
                self._page = [dict(row) for row in connection.execute(statement, bound).mappings()]
        except _DATABASE_ERRORS as error:
            raise said(error, f"reading {self._source.name}") from None
        self._at = 0
        self._short = len(self._page) < self._source.page_size

    def lag(self) -> float | None:
        """Rows that are still to be read, where that is known: after the last page."""
        return float(len(self._page) - self._at) if self._short else None

    def close(self) -> None:
        self._engine.dispose()


def _page(rows: FromClause, order: Sequence[ColumnElement[Any]], given: int) -> Select[Any]:
    """The rows in order, behind a place that the values of the first ``given`` columns name."""
    statement = select(rows).order_by(*order).where(*(key.is_not(None) for key in order))
    if given == 0:
        return statement
    places = [bindparam(f"place_{number}", type_=key.type) for number, key in enumerate(order[:given])]
    behind = [
        and_(*(order[same] == places[same] for same in range(number)), order[number] > places[number])
        for number in range(given)
    ]
    # The first condition says nothing new; it lets the database use an index.
    return statement.where(order[0] >= places[0], or_(*behind))
