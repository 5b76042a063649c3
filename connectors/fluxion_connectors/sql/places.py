"""Values of cursor columns as plain data, with all their digits, for the cursors that a checkpoint holds."""

from __future__ import annotations

import base64
import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any


def pack_place(value: Any) -> Any:
    """A cursor column's value, with all its digits, as plain data."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dt.datetime):
        return {"at": value.isoformat()}
    if isinstance(value, dt.date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, uuid.UUID):
        return {"uuid": str(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"bytes": base64.b64encode(bytes(value)).decode()}
    return str(value)


_UNPACK: dict[str, Callable[[str], Any]] = {
    "at": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "decimal": Decimal,
    "uuid": uuid.UUID,
    "bytes": base64.b64decode,
}


def unpack_place(value: Any) -> Any:
    """The value that :func:`pack_place` packed."""
    if isinstance(value, dict):
        ((kind, text),) = value.items()
        return _UNPACK[kind](text)
    return value
