"""What streams a path offers: one for each file, with a schema that is read off its first documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from fluxion_connectors.files.source import FilesSource
from fluxion_flow.connect.registry import StreamInfo
from fluxion_flow.connect.spi import Document

_SAMPLE = 100
_TYPES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "number",
    str: "string",
    datetime: "string",
    list: "array",
    dict: "object",
}


def discover_streams(options: Mapping[str, Any]) -> list[StreamInfo]:
    """The files of ``options["path"]``, each with the types that the fields of its first 100 documents have.

    ``options`` are those of a source. Raises what opening a source raises.
    """
    source = FilesSource(**{**options, "on_missing": "empty", "follow": False})
    streams = []
    for path in source.files():
        reader = source.open(f"{path}@0", None)
        try:
            batch = reader.read(_SAMPLE)
        finally:
            reader.close()
        streams.append(StreamInfo(path, schema=_schema(batch.documents if batch is not None else [])))
    return streams


def _schema(documents: list[Document]) -> dict[str, Any]:
    types: dict[str, set[str]] = {}
    for document in documents:
        for name, value in document.items():
            types.setdefault(name, set()).add(_TYPES.get(type(value), "null"))
    return {
        "type": "object",
        "properties": {
            name: {"type": sorted(found) if len(found) > 1 else min(found)} for name, found in types.items()
        },
    }
