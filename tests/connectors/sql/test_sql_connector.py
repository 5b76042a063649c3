"""The SQL connector's definitions, and the statements that it has for each database."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from fluxion_connectors.sql import SqlError
from fluxion_connectors.sql.positions import positions_table
from fluxion_connectors.sql.statements import delete_rows, insert_rows, upsert_rows
from fluxion_connectors.sql.tables import define_table
from sqlalchemy.dialects import mysql, oracle, postgresql, sqlite
from sqlalchemy.dialects.mysql import mariadb
from sqlalchemy.schema import CreateTable

from fluxion_flow.connect.registry import check_sink, check_source
from fluxion_flow.errors import Problems, Where
from fluxion_flow.testing.connector_contract import ConnectorContract

DIALECTS: dict[str, Any] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(paramstyle="named"),
    "mysql": mysql.dialect(paramstyle="named"),
    "mariadb": mariadb.MariaDBDialect(paramstyle="named"),
}


class TestSqlConnector(ConnectorContract):
    type = "sql"
    sources = (
        {"url": "sqlite:///orders.db", "table": "orders"},
        {
            "url": "postgresql://user@host/name",
            "query": "SELECT * FROM t WHERE country = :country",
            "parameters": {"country": "DE"},
            "cursor_columns": ["updated"],
            "key_columns": ["id"],
            "poll_interval": "1s",
            "bounded": False,
        },
    )
    sinks = (
        {"url": "sqlite:///orders.db", "table": "orders"},
        {
            "url": "postgresql://user@host/name",
            "table": "orders",
            "mode": "upsert",
            "keys": ["id"],
            "columns": {"id": "$_id", "total": "$sum.total"},
            "create_table": {"id": "integer", "total": "decimal(12, 2)"},
            "delete_when": "$deleted",
        },
    )


def problems_of(kind: str, **options: Any) -> list[str]:
    problems = Problems()
    check = check_source if kind == "source" else check_sink
    check({"type": "sql", **options}, Where.at(kind), problems)
    return list(map(str, problems))


def test_every_problem_of_a_source_is_reported() -> None:
    assert problems_of("source", url="hunter22", start_after=[1], cursor_columns=["a", "b"], parameters={"a": 1}) == [
        "source.url: is no database URL, such as sqlite:///orders.db or postgresql://user@host/name",
        "source: an SQL source takes a table or a query; give one of the two",
        "source.parameters: are for a query; leave them out",
        "source.start_after: must have a value for each of the 2 cursor columns",
    ]
    assert problems_of("source", url="sqlite://", query="SELECT 1") == [
        "source.key_columns: a query has no order of its own; name columns that tell its rows apart"
    ]


def test_every_problem_of_a_sink_is_reported() -> None:
    found = problems_of(
        "sink",
        url="sqlite://",
        table="t",
        mode="upsert",
        delete_when="$gone",
        columns={"a": "", "b": "$b"},
        create_table={"a": "interger"},
    )
    assert found == [
        "sink.keys: mode 'upsert' needs them; name the columns that a row is found by",
        "sink.keys: delete_when needs them; name the columns that a row is found by",
        "sink.columns.a: must be the path of a field, such as '$customer.id'",
        "sink.create_table.a: unknown column type 'interger'; did you mean 'integer'?",
    ]
    assert problems_of("sink", url="sqlite://", table="t", keys=["id"], columns={"a": "$a"}, create_table={}) == [
        "sink.columns: has no column 'id', which is a key; map it",
        "sink.create_table: has no column 'id', which is a key; add it",
    ]
    assert problems_of("sink", url="sqlite://", table="t", keys=["id"], columns={"id": "$id"}, row={"a": "$a"}) == [
        "sink.row: columns say already what goes into a row; give one of the two",
        "sink.row: has no column 'id', which is a key; add it",
    ]
    assert problems_of("sink", url="sqlite://", table="t", row="id") == [
        "sink.row: must be columns with an expression each, or an expression that gives them"
    ]
    assert problems_of("sink", url="sqlite://", table="t", row={"id": {"$foo": 1}}) == [
        "sink.row.id.$foo: unknown operator '$foo'; did you mean '$floor'?"
    ]


TABLE = define_table("order", "shop", {"id": "string", "select": "number"}, ["id"])


def compiled(statement: Any, dialect: str) -> str:
    """The text of a statement, without PostgreSQL's casts of bound values."""
    text = str(statement.compile(dialect=DIALECTS[dialect], column_keys=["id", "select"]))
    return re.sub(r"::(DOUBLE PRECISION|[A-Z]+)", "", " ".join(text.split()))


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "sqlite",
            'INSERT INTO shop."order" (id, "select") VALUES (?, ?) '
            'ON CONFLICT (id) DO UPDATE SET "select" = excluded."select"',
        ),
        (
            "postgresql",
            'INSERT INTO shop."order" (id, "select") VALUES (:id, :select) '
            'ON CONFLICT (id) DO UPDATE SET "select" = excluded."select"',
        ),
        (
            "mysql",
            "INSERT INTO shop.`order` (id, `select`) VALUES (:id, :select) "
            "ON DUPLICATE KEY UPDATE `select` = VALUES(`select`)",
        ),
        (
            "mariadb",
            "INSERT INTO shop.`order` (id, `select`) VALUES (:id, :select) "
            "ON DUPLICATE KEY UPDATE `select` = VALUES(`select`)",
        ),
    ],
)
def test_each_database_has_its_own_upsert(dialect: str, expected: str) -> None:
    statement = upsert_rows(TABLE, ["id", "select"], ["id"], dialect)
    assert compiled(statement, dialect) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_are_quoted_and_values_are_bound(dialect: str) -> None:
    quote = "`" if dialect in ("mysql", "mariadb") else '"'
    odd = define_table(f"a{quote}; DROP TABLE x", None, {"id": "integer", f"b{quote}c": "string"}, ["id"])
    insert = str(insert_rows(odd).compile(dialect=DIALECTS[dialect]))
    assert insert.startswith(
        f"INSERT INTO {quote}a{quote}{quote}; DROP TABLE x{quote} (id, {quote}b{quote}{quote}c{quote}) "
    )
    delete = compiled(delete_rows(odd, ["id"]), dialect)
    assert delete.startswith(f"DELETE FROM {quote}a{quote}{quote}; DROP TABLE x{quote} WHERE ")
    assert delete.endswith(" = ?" if dialect == "sqlite" else " = :key_0")


def test_mysql_can_create_every_type_with_a_text_as_its_key() -> None:
    kinds = ["string", "integer", "number", "boolean", "timestamp", "date", "json", "binary", "decimal(12, 2)"]
    table = define_table("t", None, {"key": "string", **{f"c{n}": kind for n, kind in enumerate(kinds)}}, ["key"])
    for dialect in ("mysql", "mariadb"):
        created = " ".join(str(CreateTable(table).compile(dialect=DIALECTS[dialect])).split())
        assert "`key` VARCHAR(255) NOT NULL" in created
        assert "c0 TEXT, c1 BIGINT, c2 DOUBLE, c3 BOOL, c4 DATETIME(3), c5 DATE, c6 JSON, c7 BLOB" in created
        assert str(CreateTable(positions_table(None)).compile(dialect=DIALECTS[dialect]))


def test_a_database_without_a_known_upsert_is_refused() -> None:
    with pytest.raises(SqlError) as caught:
        upsert_rows(TABLE, ["id"], ["id"], oracle.dialect().name)
    assert str(caught.value) == (
        "no upsert is known for oracle; use mode: insert, or one of sqlite, postgresql, mysql, mariadb"
    )


def test_rows_of_keys_alone_are_upserted() -> None:
    assert compiled(upsert_rows(TABLE, ["id"], ["id"], "sqlite"), "sqlite").endswith("ON CONFLICT (id) DO NOTHING")
    assert compiled(upsert_rows(TABLE, ["id"], ["id"], "mysql"), "mysql").endswith("UPDATE id = VALUES(id)")
    assert isinstance(TABLE.c.id.type, sa.Text)
