"""What streams a path offers: one for each file, with a schema read off its first documents."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from fluxion_connectors.files.source import FilesSource
from fluxion_flow.connect.encoding import decode_document
from fluxion_flow.connect.registry import StreamInfo

_SAMPLE = 100
_LONGEST_LINE = 1024 * 1024
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def discover_streams(options: Mapping[str, Any]) -> list[StreamInfo]:
    """The files of ``options["path"]``, each with the types that the fields of its first 100 documents have."""
    streams = []
    for path in FilesSource(options["path"], on_missing="empty").files():
        with open(path, "rb") as file:
            lines = islice(iter(lambda: file.readline(_LONGEST_LINE), b""), _SAMPLE)
            streams.append(StreamInfo(path, schema=_schema(list(lines))))
    return streams


def _schema(lines: list[bytes]) -> dict[str, Any]:
    types: dict[str, set[str]] = {}
    for line in lines:
        try:
            document = decode_document(line)
        except ValueError:
            continue
        for name, value in document.items():
            types.setdefault(name, set()).add(_TYPES.get(type(value), "null"))
    return {
        "type": "object",
        "properties": {
            name: {"type": sorted(found) if len(found) > 1 else min(found)} for name, found in types.items()
        },
    }
