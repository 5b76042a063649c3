"""The table of source positions: written in the same transaction as the rows, so that both are there or neither.

``fluxion_cursors`` holds one row for each sink and source partition: the sink's name, the partition, the source's
cursor as JSON, and the number of the commit that wrote it. After a connection broke during a commit the number tells
whether that commit took place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Column, Connection, MetaData, Table, select, types

from fluxion_connectors.sql.statements import upsert_rows
from fluxion_flow.connect.spi import Cursor

TABLE = "fluxion_cursors"
_COLUMNS = ("sink", "partition", "cursor", "commit_id")


def positions_table(schema: str | None) -> Table:
    """The table, in the schema of the sink's own table."""
    return Table(
        TABLE,
        MetaData(),
        Column("sink", types.String(190), primary_key=True),
        Column("partition", types.String(500), primary_key=True),
        Column("cursor", types.Text(), nullable=False),
        Column("commit_id", types.String(64), nullable=False),
        schema=schema,
    )


def store(
    connection: Connection, table: Table, dialect: str, sink: str, cursors: Mapping[str, Cursor], commit_id: str
) -> None:
    """Write the cursors of source partitions, as part of the connection's transaction."""
    rows = [
        {"sink": sink, "partition": partition, "cursor": json.dumps(cursor), "commit_id": commit_id}
        for partition, cursor in cursors.items()
    ]
    if rows:
        connection.execute(upsert_rows(table, _COLUMNS, ("sink", "partition"), dialect), rows)


def stored(connection: Connection, table: Table, sink: str) -> dict[str, Cursor]:
    """The cursor of every source partition that the sink has committed."""
    found = connection.execute(select(table.c.partition, table.c.cursor).where(table.c.sink == sink))
    return {partition: json.loads(cursor) for partition, cursor in found}


def committed(connection: Connection, table: Table, sink: str, commit_id: str) -> bool:
    """Whether the commit of this number took place."""
    mine = (table.c.sink == sink) & (table.c.commit_id == commit_id)
    return connection.execute(select(table.c.partition).where(mine).limit(1)).first() is not None
