"""Tables of SQLite, PostgreSQL, MySQL and MariaDB: ``{type: sql, url: "sqlite:///orders.db", table: orders}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.sql.discovery import discover_streams
from fluxion_connectors.sql.failures import DatabaseUnavailable, RowRefused
from fluxion_connectors.sql.sink import SqlSink, SqlWriter
from fluxion_connectors.sql.source import PAGE_SIZE, SqlReader, SqlSource
from fluxion_connectors.sql.stored import SqlStored
from fluxion_connectors.sql.tables import check_columns
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.secrets import holds_reference
from fluxion_flow.connect.sql.address import SqlError, parse_url
from fluxion_flow.errors import Problems, Where

__all__ = [
    "DatabaseUnavailable",
    "RowRefused",
    "SqlError",
    "SqlReader",
    "SqlSink",
    "SqlSource",
    "SqlWriter",
    "connector",
]


def _check_url(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    if isinstance(options["url"], str):
        try:
            parse_url(options["url"])
        except ValueError as error:
            problems.add(where / "url", str(error))


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    _check_url(options, where, problems)
    if (options["table"] is None) == (options["query"] is None):
        problems.add(where, "an SQL source takes a table or a query", "give one of the two")
    elif options["query"] is not None and not options["cursor_columns"] and not options["key_columns"]:
        problems.add(where / "key_columns", "a query has no order of its own", "name columns that tell its rows apart")
    if options["parameters"] and options["query"] is None:
        problems.add(where / "parameters", "are for a query", "leave them out")
    start, columns = options["start_after"], options["cursor_columns"]
    if isinstance(start, list) and isinstance(columns, list) and len(start) != len(columns):
        problems.add(where / "start_after", f"must have a value for each of the {len(columns)} cursor columns")


def _check_sink(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    _check_url(options, where, problems)
    keys = options["keys"]
    if options["mode"] == "upsert" and not keys:
        problems.add(where / "keys", "mode 'upsert' needs them", "name the columns that a row is found by")
    if options["delete_when"] is not None and not keys:
        problems.add(where / "keys", "delete_when needs them", "name the columns that a row is found by")
    if options["columns"] is not None and not holds_reference(options["columns"]):
        for name, path in options["columns"].items():
            if not isinstance(path, str) or not path.removeprefix("$"):
                problems.add(where / "columns" / name, "must be the path of a field, such as '$customer.id'")
        for key in keys if not holds_reference(keys) else ():
            if key not in options["columns"]:
                problems.add(where / "columns", f"has no column {key!r}, which is a key", "map it")
    if options["row"] is not None:
        _check_row(options, where / "row", problems)
    if options["create_table"] is not None and not holds_reference(options["create_table"]):
        check_columns(options["create_table"], keys, where / "create_table", problems)


def _check_row(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    row = options["row"]
    if options["columns"] is not None:
        problems.add(where, "columns say already what goes into a row", "give one of the two")
    if isinstance(row, (bool, int, float, list)) or (isinstance(row, str) and not row.startswith("$")):
        problems.add(where, "must be columns with an expression each, or an expression that gives them")
    if isinstance(row, Mapping) and not any(str(name).startswith("$") for name in row):
        for key in options["keys"] if not holds_reference(options["keys"]) else ():
            if key not in row:
                problems.add(where, f"has no column {key!r}, which is a key", "add it")


_URL = Option(
    "url",
    "string",
    "The database: sqlite:///file.db, postgresql://user:password@host/name, mysql://... or mariadb://...",
    secret=True,
)
_SCHEMA = Option("db_schema", "string", "The schema that the table is in; the connection's default if left out.", None)

connector = Connector(
    type="sql",
    title="SQL tables and queries",
    doc=__doc__,
    source=SqlSource,
    sink=SqlSink,
    source_options=(
        _URL,
        Option("table", "string", "The table to read.", None),
        Option("query", "string", "A SELECT to read instead; ':name' stands for a parameter.", None),
        Option("parameters", "object", "Values of the query's parameters.", None),
        Option("cursor_columns", "list", "Columns to read in ascending order of.", [], items="string"),
        Option(
            "key_columns",
            "list",
            "Columns that tell rows with the same cursor values apart; the table's primary key if left out.",
            None,
            items="string",
        ),
        Option("start_after", "list", "Values of the cursor columns behind which a first run starts.", None),
        Option("page_size", "integer", "Rows of one SELECT.", PAGE_SIZE, minimum=1),
        Option("poll_interval", "duration", "How long to wait when there was nothing new.", 5.0),
        Option("bounded", "boolean", "Complete after the last row, instead of waiting for new ones.", True),
        _SCHEMA,
    ),
    sink_options=(
        _URL,
        Option("table", "string", "The table to write."),
        Option(
            "mode",
            "string",
            "'insert', or 'upsert': update the row with the same keys if there is one.",
            "insert",
            choices=("insert", "upsert"),
        ),
        Option("keys", "list", "Columns that a row is found by; the table must hold them unique.", [], items="string"),
        Option("columns", "object", "Column: path of the field that goes into it ('$customer.id').", None),
        Option("row", "expression", "The row, instead of columns: an object of columns with an expression each.", None),
        Option(
            "extra_fields",
            "string",
            "What to do with a document that has a field without a column: 'refuse' it, or 'ignore' the field.",
            "refuse",
            choices=("refuse", "ignore"),
        ),
        Option("delete_when", "string", "Path of a field: where it is true, the row is deleted.", None),
        Option("create_table", "object", "Column: type, or a JSON Schema, to create a missing table from.", None),
        _SCHEMA,
        Option(
            "transactional",
            "boolean",
            "Commit the source's position with the rows, in the table fluxion_cursors: exactly once.",
            True,
        ),
        Option(
            "position_name",
            "string",
            "Name of the positions in fluxion_cursors; the pipeline's, the sink's and the table's name if left out.",
            None,
        ),
    ),
    check_source=_check_source,
    check_sink=_check_sink,
    discover_streams=discover_streams,
    stored=SqlStored,
)
