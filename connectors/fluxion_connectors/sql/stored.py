"""Reading back and deleting the rows that a sink has written to a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import Table, delete, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from fluxion_connectors.sql.database import engine_of
from fluxion_connectors.sql.failures import said
from fluxion_connectors.sql.rows import field_path
from fluxion_connectors.sql.tables import find_table
from fluxion_flow.connect.spi import Document
from fluxion_flow.connect.sql.address import SqlError, database_url
from fluxion_flow.connect.sql.values import to_document_value
from fluxion_flow.connect.stored import StoredDocument, StoredDocuments

_ERRORS = (SQLAlchemyError, OSError, ValueError, TypeError)


class SqlStored(StoredDocuments):
    """The rows of a table, as the documents that they were made of: ``columns`` maps columns to field paths.

    A handle is the value of the column that holds the field ``id``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Of a sink with these options. Raises :class:`ValueError` where rows do not tell what they were made of."""
        if options["row"] is not None:
            raise ValueError("its rows are made by an expression (row), so letters cannot be read back; use columns")
        self._url = database_url(options["url"])
        self._name = options["table"]
        self._columns: Mapping[str, str] | None = options["columns"]
        self._schema = options["db_schema"]

    def read(self) -> Iterator[StoredDocument]:
        """Raises :class:`DatabaseUnavailable`, and :class:`SqlError` when the rows cannot be read."""
        engine = engine_of(self._url)
        try:
            with engine.connect() as connection:
                if not inspect(connection).has_table(self._name, schema=self._schema):
                    return
                table = find_table(connection, self._name, self._schema)
                paths = self._paths(table)
                order = list(table.primary_key.columns) or list(table.columns)[:1]
                rows = connection.execution_options(stream_results=True).execute(select(table).order_by(*order))
                for row in rows.mappings():
                    document: Document = {}
                    for name, path in paths.items():
                        if row[name] is not None:
                            _put(document, path, to_document_value(row[name]))
                    key = document.get("id")
                    yield StoredDocument(f"{self._name} {key}", key, document)
        except _ERRORS as error:
            raise said(error, f"reading table {self._name!r}") from None
        finally:
            engine.dispose()

    def remove(self, handles: Collection[Any]) -> int:
        """Raises :class:`SqlError` when no column holds the field ``id``, and :class:`DatabaseUnavailable`."""
        engine = engine_of(self._url, writes=True)
        try:
            with engine.connect() as connection:
                table = find_table(connection, self._name, self._schema)
                column = next((name for name, path in self._paths(table).items() if path == ("id",)), None)
                if column is None:
                    raise SqlError(f"table {self._name!r} has no column for the field 'id', which rows are deleted by")
                gone = 0
                wanted = list(handles)
                for start in range(0, len(wanted), 500):
                    some = wanted[start : start + 500]
                    gone += connection.execute(delete(table).where(table.c[column].in_(some))).rowcount
                connection.commit()
                return gone
        except _ERRORS as error:
            raise said(error, f"deleting from table {self._name!r}") from None
        finally:
            engine.dispose()

    def _paths(self, table: Table) -> dict[str, tuple[str, ...]]:
        if self._columns is None:
            return {column.name: (column.name,) for column in table.columns}
        return {name: field_path(path) for name, path in self._columns.items()}


def _put(document: Document, path: tuple[str, ...], value: Any) -> None:
    *outer, last = path
    for name in outer:
        document = document.setdefault(name, {})
    document[last] = value
