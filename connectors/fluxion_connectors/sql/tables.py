"""Tables: found in the database, or created from a mapping of columns to types.

============================  ==============================================================
type                          column
============================  ==============================================================
``string``                    text of any length (in MySQL's keys: 255 characters)
``integer``                   64 bits
``number``                    double precision
``decimal``, ``decimal(p,s)``  exact; without digits given, (38, 10)
``boolean``
``timestamp``                 date and time, with a zone where the database has one
``date``
``json``                      PostgreSQL: jsonb
``binary``
============================  ==============================================================

A JSON Schema of an object (``{"type": "object", "properties": {...}}``) is taken as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, Table, inspect, text, types
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.exc import NoSuchTableError, SQLAlchemyError

from fluxion_flow.connect.sql.address import SqlError
from fluxion_flow.errors import Problems, Where, did_you_mean

_TYPES: dict[str, types.TypeEngine[Any]] = {
    "string": types.Text(),
    "integer": types.BigInteger(),
    "number": types.Double(),
    "boolean": types.Boolean(),
    "timestamp": types.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=3), "mysql", "mariadb"),
    "date": types.Date(),
    "json": types.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql"),
    "binary": types.LargeBinary(),
}
_KEY_TEXT = types.Text().with_variant(mysql.VARCHAR(255), "mysql", "mariadb")
_DECIMAL = re.compile(r"decimal(?:\(\s*(\d+)\s*,\s*(\d+)\s*\))?")
TYPE_NAMES = (*_TYPES, "decimal")
_OF_JSON_SCHEMA = {"array": "json", "object": "json"}


def column_types(given: Mapping[str, Any]) -> dict[str, Any]:
    """Column → name of its type, from a plain mapping or from a JSON Schema of an object."""
    properties = given.get("properties")
    if given.get("type") != "object" or not isinstance(properties, Mapping):
        return dict(given)
    return {name: _of_schema(schema) for name, schema in properties.items()}


def _of_schema(schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(kind, list):
        kinds = [each for each in kind if each != "null"]
        kind = kinds[0] if len(kinds) == 1 else "json"
    if kind == "string" and schema.get("format") == "date-time":
        return "timestamp"
    if kind == "string" and schema.get("format") == "date":
        return "date"
    return _OF_JSON_SCHEMA.get(str(kind), kind if kind is not None else "json")


def check_columns(given: Mapping[str, Any], keys: Collection[str], where: Where, problems: Problems) -> None:
    """Add a problem for every column whose type is unknown, and for every key that is no column."""
    columns = column_types(given)
    for name, kind in columns.items():
        if not isinstance(kind, str) or _type_of(kind) is None:
            hint = did_you_mean(str(kind), TYPE_NAMES) or f"use one of {', '.join(TYPE_NAMES)}"
            problems.add(where / name, f"unknown column type {kind!r}", hint)
    for key in keys:
        if key not in columns:
            problems.add(where, f"has no column {key!r}, which is a key", "add it")


def _type_of(name: str) -> types.TypeEngine[Any] | None:
    match = _DECIMAL.fullmatch(name.strip())
    if match is None:
        return _TYPES.get(name)
    return types.Numeric(int(match[1]), int(match[2])) if match[1] else types.Numeric(38, 10)


def define_table(name: str, schema: str | None, given: Mapping[str, Any], keys: Collection[str]) -> Table:
    """A table with these columns; ``keys`` are its primary key. Raises :class:`SqlError` for an unknown type."""
    columns = []
    for column, kind in column_types(given).items():
        found = _type_of(str(kind))
        if found is None:
            raise SqlError(f"table {name!r}: column {column!r} has the unknown type {kind!r}")
        if column in keys and kind == "string":
            found = _KEY_TEXT
        columns.append(Column(column, found, primary_key=column in keys, autoincrement=False))
    return Table(name, MetaData(), *columns, schema=schema)


def create_missing(engine: Engine, table: Table) -> None:
    """Create ``table`` unless it exists. Several workers may do so at once."""
    try:
        table.create(engine, checkfirst=True)
    except SQLAlchemyError:
        if not inspect(engine).has_table(table.name, schema=table.schema):
            raise


def find_table(connection: Connection, name: str, schema: str | None) -> Table:
    """The table as it is in the database. Raises :class:`SqlError` when there is none."""
    try:
        table = Table(name, MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
    except NoSuchTableError:
        known = inspect(connection).get_table_names(schema=schema)
        hint = did_you_mean(name, known) or "create it, or set create_table"
        raise SqlError(f"there is no table {name!r}; {hint}") from None
    if connection.dialect.name in ("mysql", "mariadb"):
        _correct_mysql(connection, table)
    for column in table.columns:
        if isinstance(column.type, types.JSON):
            column.type.none_as_null = True
    return table


_CHECKS = text(
    "SELECT check_clause FROM information_schema.check_constraints "
    "WHERE constraint_schema = coalesce(:schema, database()) AND table_name = :table"
)
_IS_JSON = re.compile(r"\s*json_valid\(`(.+)`\)\s*", re.IGNORECASE)


def _correct_mysql(connection: Connection, table: Table) -> None:
    """Give columns the types that they were meant to have: MySQL's booleans are TINYINT(1), MariaDB's JSON is a
    LONGTEXT with a check, and SQLAlchemy reads a DOUBLE as a Decimal.
    """
    clauses: list[str] = []
    if getattr(connection.dialect, "is_mariadb", False):
        place = {"schema": table.schema, "table": table.name}
        clauses = [str(clause) for clause in connection.execute(_CHECKS, place).scalars()]
    json = {found[1] for clause in clauses if (found := _IS_JSON.fullmatch(clause))}
    for column in table.columns:
        if column.name in json:
            column.type = types.JSON()
        elif isinstance(column.type, mysql.TINYINT) and column.type.display_width == 1:
            column.type = types.Boolean()
        elif isinstance(column.type, types.Float):
            column.type.asdecimal = False


def is_unique(connection: Connection, table: Table, keys: Collection[str]) -> bool:
    """Whether the database holds these columns together unique: as a primary key, a constraint or an index."""
    wanted = set(keys)
    if {column.name for column in table.primary_key.columns} == wanted:
        return True
    inspector = inspect(connection)
    constraints = inspector.get_unique_constraints(table.name, schema=table.schema)
    indexes = [index for index in inspector.get_indexes(table.name, schema=table.schema) if index["unique"]]
    columns = [found["column_names"] for found in constraints] + [
        found["column_names"] for found in indexes if not found.get("dialect_options", {}).get("postgresql_where")
    ]
    return any(set(found) == wanted for found in columns)
