"""Values of documents as values of columns, and the other way round.

====================================  =====================================================
a column of                           gives in a document
====================================  =====================================================
timestamps                            datetime in UTC, cut to milliseconds; one without a zone is taken as UTC
dates                                 datetime, midnight UTC
numeric, decimal                      Decimal
bytea, blob                           bytes
json, arrays, composite values        lists and mappings
uuid, time, interval, ranges, enums   str
====================================  =====================================================

The other way, lists and mappings become JSON (a JSON text where the column is no JSON column), datetimes and decimals
become text where the column holds text, and datetimes lose their zone, in UTC, where the column has none.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import types

from fluxion_flow.connect.encoding import encode_value

_PLAIN = frozenset((str, int, float, bool, bytes, Decimal, type(None)))
_BOUND_AS_IS = _PLAIN - {Decimal}
UTC = dt.timezone.utc


def to_document_value(value: Any) -> Any:
    """What a column's value is in a document."""
    kind = value.__class__
    if kind in _PLAIN:
        return value
    if isinstance(value, dt.datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping):
        return {str(key): to_document_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_document_value(item) for item in value]
    if isinstance(value, enum.Enum):
        return to_document_value(value.value)
    if isinstance(value, dt.time):
        return value.isoformat()
    return str(value)


def json_text(value: Any) -> str:
    """``value`` as JSON; what JSON has no type for as text. Raises :class:`ValueError` when it cannot be written."""
    return encode_value(value).decode()


def from_json_text(text: str | bytes) -> Any:
    return json.loads(text)


def binder(column_type: types.TypeEngine[Any], dialect: str) -> Callable[[Any], Any]:
    """A function that makes the value of a document what a column of this type can be bound to.

    The function raises :class:`ValueError` where the value cannot be stored.
    """
    if isinstance(column_type, types.JSON):
        return lambda value: value
    if isinstance(column_type, types.DateTime):
        zoned = bool(column_type.timezone) and dialect != "sqlite"
        return lambda value: _moment(value, zoned)
    if isinstance(column_type, types.Date):
        return _day
    if isinstance(column_type, types.Uuid):
        return lambda value: value if value is None else uuid.UUID(str(value))
    textual = isinstance(column_type, types.String) and not isinstance(column_type, types.Enum)
    decimals = dialect != "sqlite" and not textual
    return lambda value: _scalar(value, decimals)


def _moment(value: Any, zoned: bool) -> Any:
    if isinstance(value, str):
        try:
            value = _parsed(value)
        except ValueError:
            raise ValueError(f"is no date and time: {value[:40]!r}") from None
    if isinstance(value, dt.datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment if zoned else moment.replace(tzinfo=None)
    if value is None:
        return None
    raise ValueError(f"is no date and time but a value of type {type(value).__name__}")


def _parsed(text: str) -> dt.datetime:
    """The moment that an RFC 3339 text, or a date alone, names."""
    if len(text) == 10:
        return dt.datetime.fromisoformat(text)
    return msgspec.convert(text, dt.datetime)


def _day(value: Any) -> Any:
    moment = _moment(value, zoned=True)
    return moment if moment is None else moment.date()


def _scalar(value: Any, decimals: bool) -> Any:
    if value.__class__ in _BOUND_AS_IS:
        return value
    if isinstance(value, (dict, list, tuple)):
        return json_text(value)
    if isinstance(value, Decimal):
        return value if decimals else str(value)
    if isinstance(value, dt.datetime):
        return json_text(value)[1:-1]
    if isinstance(value, re.Pattern):
        return value.pattern
    raise ValueError(f"is a value of type {type(value).__name__}, which no column can hold")
