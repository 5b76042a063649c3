"""Extended JSON: plain JSON values, and an object where JSON lacks the type, such as ``{"$date": …}``.

Source: MongoDB's specification "MongoDB Extended JSON (v2)".
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from .stages.shapes import Document
from .values import EPOCH, INT32_MAX, INT32_MIN, to_millis


def from_extended(value: Any) -> Any:
    """``value`` (decoded JSON) with Extended JSON objects as Python values; ``$oid``, ``$timestamp`` and such stay.

    Raises :class:`ValueError` for an Extended JSON object with impossible content.
    """
    if value.__class__ is dict:
        if len(value) <= 2:
            key = next(iter(value), "")
            reader = _EXTENDED_READERS.get(key)
            if reader is not None and (len(value) == 1 or "$type" in value):
                try:
                    return reader(value)
                except (ValueError, TypeError, KeyError, AttributeError, OverflowError, ArithmeticError, re.error):
                    raise ValueError(f"holds a malformed {key}") from None
        return {key: from_extended(item) for key, item in value.items()}
    if value.__class__ is list:
        return [from_extended(item) for item in value]
    return value


def _read_date(value: Document) -> datetime:
    content = value["$date"]
    if content.__class__ is dict:
        content = int(content["$numberLong"])
    if isinstance(content, str):
        moment = msgspec.convert(content, datetime)
        moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    return EPOCH + timedelta(milliseconds=content)


def _read_double(value: Document) -> float:
    return float(value["$numberDouble"].replace("Infinity", "inf"))


def _read_decimal(value: Document) -> Decimal:
    try:
        return Decimal(value["$numberDecimal"])
    except InvalidOperation:
        raise ValueError from None


def _read_binary(value: Document) -> bytes | Document:
    content = value["$binary"]
    if isinstance(content, dict):
        text, kind = content["base64"], content["subType"]
    else:
        text, kind = content, value["$type"]
    if int(kind, 16) != 0:
        return value
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None


_REGEX_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


def _read_regex(value: Document) -> re.Pattern[str]:
    content = value["$regularExpression"]
    flags = re.RegexFlag(0)
    for letter in content["options"]:
        flags |= _REGEX_FLAGS.get(letter, re.RegexFlag(0))
    return re.compile(content["pattern"], flags)


_EXTENDED_READERS: dict[str, Callable[[Document], Any]] = {
    "$date": _read_date,
    "$numberInt": lambda value: int(value["$numberInt"]),
    "$numberLong": lambda value: int(value["$numberLong"]),
    "$numberDouble": _read_double,
    "$numberDecimal": _read_decimal,
    "$binary": _read_binary,
    "$regularExpression": _read_regex,
    "$undefined": lambda value: None,
}


def float_name(value: float) -> str:
    """How a double that JSON has no number for is written."""
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def to_extended(value: Any) -> Any:
    """``value`` in relaxed Extended JSON v2: plain JSON values, and an object where JSON lacks the type."""
    kind = value.__class__
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$numberDouble": float_name(value)}
    if kind is dict:
        return {key: to_extended(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [to_extended(item) for item in value]
    if isinstance(value, datetime):
        return {"$date": _date_content(value)}
    if isinstance(value, Decimal):
        return {"$numberDecimal": str(value)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"$binary": {"base64": base64.b64encode(value).decode(), "subType": "00"}}
    if isinstance(value, re.Pattern):
        options = "".join(letter for letter, flag in _REGEX_FLAGS.items() if value.flags & flag)
        return {"$regularExpression": {"pattern": value.pattern, "options": options}}
    return value


def _date_content(moment: datetime) -> str | dict[str, str]:
    moment = moment.replace(tzinfo=timezone.utc) if moment.tzinfo is None else moment.astimezone(timezone.utc)
    if moment.year < 1970:
        return {"$numberLong": str(to_millis(moment))}
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def to_canonical(value: Any) -> Any:
    """``value`` in canonical Extended JSON v2, which tells the types of all numbers."""
    kind = value.__class__
    if kind is dict:
        return {key: to_canonical(item) for key, item in value.items()}
    if kind is list:
        return [to_canonical(item) for item in value]
    if kind is int:
        return {"$numberInt" if INT32_MIN <= value <= INT32_MAX else "$numberLong": str(value)}
    if kind is float:
        return {"$numberDouble": repr(value) if math.isfinite(value) else float_name(value)}
    if isinstance(value, datetime):
        return {"$date": {"$numberLong": str(to_millis(value))}}
    return to_extended(value)
