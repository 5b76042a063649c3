"""Documents as rows: which field goes into which column, and what cannot be stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from fluxion_connectors.sql.failures import RowRefused
from fluxion_flow.connect.spi import Document
from fluxion_flow.connect.sql.address import SqlError
from fluxion_flow.connect.sql.values import binder
from fluxion_flow.errors import did_you_mean

Row = dict[str, Any]
_Cell = tuple[str, str, tuple[str, ...], Callable[[Any], Any]]
"""A column, the field that it takes, the path within that field, and what makes the value one of the column's."""
ABSENT = object()


def field_path(text: str) -> tuple[str, ...]:
    """The names in a field path: ``"customer.id"``, or ``"$customer.id"`` as in an expression."""
    return tuple(text.removeprefix("$").split("."))


def value_at(document: Any, path: Sequence[str]) -> Any:
    """What stands at a path; :data:`ABSENT` where nothing does."""
    value: Any = document
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value


@dataclass(slots=True)
class Change:
    """What one document does to the table: write ``row``, or delete the row with these keys."""

    row: Row
    delete: bool = False

    def is_like(self, other: Change) -> bool:
        """Whether both can go into one statement."""
        return self.delete == other.delete and self.row.keys() == other.row.keys()


class RowMaker:
    """Makes changes out of documents.

    ``columns`` maps columns to field paths; without it each column of the table takes the field of its own name, and a
    field without a column is refused unless ``ignore_fields``. A field that a document lacks leaves its column out of
    the row. ``delete_when`` is the path of a field: a document where it is true deletes the row with its keys.
    Where a row's values were made of the document by an expression, they are looked for fields instead of it.
    Raises :class:`SqlError` for a column that the table does not have.
    """

    def __init__(
        self,
        table: Table,
        dialect: str,
        columns: Mapping[str, str] | None,
        keys: Sequence[str],
        *,
        ignore_fields: bool = False,
        delete_when: str | None = None,
    ) -> None:
        self._table = table.name
        known = [column.name for column in table.columns]
        for name in [*(columns or ()), *keys]:
            if name not in known:
                hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
                raise SqlError(f"table {table.name!r} has no column {name!r}; {hint}")
        mapped = columns if columns is not None else {name: name for name in known}
        paths = {name: field_path(path) if columns is not None else (path,) for name, path in mapped.items()}
        bind = {column.name: binder(column.type, dialect) for column in table.columns}
        self._plan: list[_Cell] = [(name, path[0], path[1:], bind[name]) for name, path in paths.items()]
        self._key_plan: list[_Cell] = [(key, (path := paths.get(key, (key,)))[0], path[1:], bind[key]) for key in keys]
        self._fields = None if columns is not None or ignore_fields else frozenset(known)
        self._keys = tuple(keys)
        self._delete_when = field_path(delete_when) if delete_when else None
        self._marker = self._delete_when[0] if self._delete_when else None
        if columns is None and self._marker is not None and self._marker not in known:
            self._fields = self._fields and self._fields | {self._marker}

    def change(self, document: Document, values: Any = None) -> Change:
        """What a document does, or with ``values`` what these do for it. Raises :class:`RowRefused`."""
        if values is None:
            values = document
        elif values.__class__ is not dict:
            raise RowRefused(f"the row of table {self._table!r} must be an object, got {type(values).__name__}")
        if self._delete_when is not None and value_at(document, self._delete_when) is True:
            return Change(self._row(values, self._key_plan), delete=True)
        if self._fields is not None and not self._fields.issuperset(values):
            field = next(field for field in values if field not in self._fields)
            raise RowRefused(
                f"field {field!r} has no column in table {self._table!r}; "
                "add the column, map it in columns, or set extra_fields: ignore"
            )
        return Change(self._row(values, self._plan))

    def _row(self, document: Document, plan: Sequence[_Cell]) -> Row:
        row: Row = {}
        name = ""
        try:
            for name, field, rest, bind in plan:
                value = document.get(field, ABSENT)
                if rest:
                    value = value_at(value, rest)
                if value is not ABSENT:
                    row[name] = bind(value)
        except ValueError as error:
            raise RowRefused(f"column {name!r} of table {self._table!r}: {error}") from None
        for key in self._keys:
            if row.get(key) is None:
                raise RowRefused(f"key column {key!r} of table {self._table!r} has no value")
        if not row:
            raise RowRefused(f"no field of the document has a column in table {self._table!r}")
        return row


def key_of(change: Change, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(change.row[key] for key in keys)
