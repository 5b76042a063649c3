"""``$lookup`` in a table: one ``SELECT … WHERE column IN (…)`` for the values of a batch."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fluxion_flow.core.outside import Asker
from fluxion_flow.core.stages.external import ExternalCollection
from fluxion_flow.enrich.asking import Enrichment
from fluxion_flow.enrich.failures import QueryFailed
from fluxion_flow.enrich.lookup_keys import Key, key_of
from fluxion_flow.enrich.sql import SqlClient, SqlTarget
from fluxion_flow.errors import did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import Column, Table


class TableCollection(ExternalCollection):
    """A table, asked by the value of one of its columns."""

    whole = False

    def __init__(
        self,
        target: SqlTarget,
        table: str,
        schema: str,
        columns: tuple[str, ...],
        order: tuple[str, ...],
        size: int,
        shared: dict[str, Any],
    ) -> None:
        self.empty = bool(shared.pop("empty"))
        self._made: dict[str, Any] = {"name": "$lookup", "target": target, **shared}
        self._table: dict[str, Any] = {
            "table": table,
            "schema": schema,
            "columns": columns,
            "order": order,
            "size": size,
        }

    def asker(self, field: tuple[str, ...]) -> Asker:
        identity = ("table", *self._table.values(), field)
        return TableAsker(**self._made, identity=identity, **self._table, field=".".join(field))


@dataclass(frozen=True, eq=False, kw_only=True)
class TableAsker(Enrichment):
    """Asks a table for the rows with a value in the column ``field``."""

    target: SqlTarget
    table: str
    schema: str
    columns: tuple[str, ...]
    order: tuple[str, ...]
    size: int
    field: str

    @property
    def merge(self) -> int:
        return self.size

    def question(self, values: tuple[Any, ...]) -> Hashable:
        return key_of(values[0])

    def near(self, what: Any, memory: dict[Any, Any]) -> Any:
        if what[0] in ("nothing", "nan"):
            return []
        raise LookupError

    def perform(self, client: SqlClient, what: Any) -> Any:
        return self.perform_many(client, [what])[0]

    def perform_many(self, client: SqlClient, whats: Sequence[Any]) -> list[Any]:
        from sqlalchemy import or_, select

        from fluxion_flow.connect.sql.values import to_document_value

        table = client.table(self.table, self.schema or None)
        column = self._column(table, self.field)
        wanted = [self._column(table, name) for name in self.columns] or list(table.columns)
        if column not in wanted:
            wanted.append(column)
        values = [value for what in whats if (value := _bindable(column, what, client.engine.dialect.name)) is not None]
        tests = [column.in_(values)] if values else []
        if ("null", None) in whats:
            tests.append(column.is_(None))
        rows: dict[Key, list[dict[str, Any]]] = {what: [] for what in whats}
        if tests:
            query = select(*wanted).where(or_(*tests)).order_by(*(self._column(table, name) for name in self.order))
            with client.connected() as connection:
                for row in connection.execute(query):
                    document = {c.name: to_document_value(v) for c, v in zip(wanted, row, strict=True)}
                    rows.get(key_of(document[self.field]), []).append(document)
        if self.columns and self.field not in self.columns:
            return [[dict(row) for row in rows[what]] for what in whats]
        return [rows[what] for what in whats]

    def _column(self, table: Table, name: str) -> Column[Any]:
        found = table.columns.get(name)
        if found is None:
            hint = did_you_mean(name, table.columns.keys()) or f"it has {', '.join(table.columns.keys())}"
            raise QueryFailed(f"{self.title}: table '{self.table}' has no column '{name}'; {hint}")
        return found


def _bindable(column: Column[Any], what: Key, dialect: str) -> Any:
    """The value as the column can be compared with it; ``None`` where no row can hold it."""
    from sqlalchemy import types

    from fluxion_flow.connect.sql.values import binder

    kind, value = what
    if kind == "null" or kind not in _kinds(column.type, dialect):
        return None
    if isinstance(column.type, types.Uuid):
        try:
            return uuid.UUID(value)
        except ValueError:
            return None
    if isinstance(column.type, types.Integer) or (kind == "number" and isinstance(column.type, types.NullType)):
        if value == int(value) and -(2**63) <= value < 2**63:
            return int(value)
        return None if isinstance(column.type, types.Integer) else float(value)
    try:
        return binder(column.type, dialect)(value)
    except ValueError:
        return None


def _kinds(column_type: Any, dialect: str) -> tuple[str, ...]:
    """The kinds of keys that a column may hold."""
    from sqlalchemy import types

    if isinstance(column_type, types.Boolean):
        return ("bool",)
    if isinstance(column_type, types.Numeric | types.Integer | types.Float):
        return ("number",)
    if isinstance(column_type, types.DateTime | types.Date):
        return ("date",)
    if isinstance(column_type, types.LargeBinary):
        return ("bytes",)
    if isinstance(column_type, types.String | types.Uuid | types.Enum):
        return ("string",)
    return ("string", "number", "bytes") if dialect == "sqlite" else ("string",)
