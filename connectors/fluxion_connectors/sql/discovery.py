"""What streams a database offers: one for each table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import inspect, types
from sqlalchemy.exc import SQLAlchemyError

from fluxion_connectors.sql.database import engine_of
from fluxion_connectors.sql.failures import said
from fluxion_connectors.sql.positions import TABLE
from fluxion_flow.connect.registry import StreamInfo
from fluxion_flow.connect.sql.address import database_url

_KINDS: tuple[tuple[type[types.TypeEngine[Any]], dict[str, Any]], ...] = (
    (types.Boolean, {"type": "boolean"}),
    (types.Integer, {"type": "integer"}),
    (types.Float, {"type": "number"}),
    (types.Numeric, {"type": "number"}),
    (types.DateTime, {"type": "string", "format": "date-time"}),
    (types.Date, {"type": "string", "format": "date"}),
    (types.ARRAY, {"type": "array"}),
    (types.JSON, {}),
    (types.String, {"type": "string"}),
)
_ORDERED = (types.Integer, types.Numeric, types.DateTime, types.Date)


def discover_streams(options: Mapping[str, Any]) -> list[StreamInfo]:
    """The tables of the database, with the schema of their rows and the columns that can be cursors.

    Raises :class:`~fluxion_connectors.sql.failures.SqlError`.
    """
    engine = engine_of(database_url(options["url"]))
    namespace = options.get("db_schema")
    try:
        inspector = inspect(engine)
        streams = []
        for name in sorted(inspector.get_table_names(schema=namespace)):
            if name == TABLE:
                continue
            columns = inspector.get_columns(name, schema=namespace)
            properties = {found["name"]: _schema(found["type"], bool(found["nullable"])) for found in columns}
            cursors = tuple(found["name"] for found in columns if isinstance(found["type"], _ORDERED))
            schema = {"type": "object", "properties": properties}
            streams.append(StreamInfo(name, namespace or "", schema, cursors))
        return streams
    except SQLAlchemyError as error:
        raise said(error, "listing the tables") from None
    finally:
        engine.dispose()


def _schema(kind: types.TypeEngine[Any], nullable: bool) -> dict[str, Any]:
    for known, schema in _KINDS:
        if isinstance(kind, known):
            return {**schema, "type": [schema["type"], "null"]} if nullable and schema else dict(schema)
    return {}
