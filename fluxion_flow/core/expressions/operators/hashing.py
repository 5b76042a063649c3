"""$toHashedIndexKey: the hash under which MongoDB's hashed indexes and hashed shards file a value."""

from __future__ import annotations

import hashlib
import re
import struct
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from ....errors import Where
from ...ordering import regex_options
from ...values import INT64_MAX, INT64_MIN, EvaluationError, is_nullish, to_millis, type_name
from .. import kinds
from ..nodes import Node
from ..parse import Parser
from ..registry import form
from .applied import applied

_NULL: Final = 5
_NUMBER: Final = 10
_STRING: Final = 15
_OBJECT: Final = 20
_ARRAY: Final = 25
_BINARY: Final = 30
_BOOL: Final = 40
_DATE: Final = 45
_REGEX: Final = 50


@form(
    "$toHashedIndexKey",
    arity="expression",
    examples=[
        ({"a": 42}, {"$toHashedIndexKey": "$a"}, -944302157085130861),
        ({"a": 42.123}, {"$toHashedIndexKey": "$a"}, -944302157085130861),
        ({"a": "string to hash"}, {"$toHashedIndexKey": "$a"}, 763543691661428748),
        ({}, {"$toHashedIndexKey": ["bar", "baz", "qux"]}, -2938911267422831539),
    ],
)
def to_hashed_index_key(spec: Any, where: Where, parser: Parser) -> Node:
    """The 64-bit hash of a value; numbers that are equal once they are cut to whole ones hash alike.

    An array that is written out is the value itself. MongoDB: $toHashedIndexKey.
    """
    return applied(where, "$toHashedIndexKey", hashed, parser.expression(spec, where), returns=kinds.INT)


def hashed(value: Any) -> int:
    """The first 8 bytes of the MD5 of a value's types, names and BSON bytes, as MongoDB's hashed indexes take it."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(struct.pack("<i", 0))
    for part in _parts(value, None):
        digest.update(part)
    return int.from_bytes(digest.digest()[:8], "little", signed=True)


def _parts(value: Any, name: bytes | None) -> list[bytes]:
    """What is hashed of a value: its type's place in the order, its name (inside a document), its BSON bytes."""
    rank, own = _content(value)
    parts = [struct.pack("<i", rank)]
    if name is not None:
        parts.append(name + b"\0")
    if own is not None:
        return [*parts, own]
    items = value.items() if isinstance(value, dict) else ((str(i), item) for i, item in enumerate(value))
    for key, item in items:
        parts += _parts(item, key.encode())
    return [*parts, struct.pack("<i", 0)]


def _content(value: Any) -> tuple[int, bytes | None]:
    """The rank of a value's type and its bytes, ``None`` for what holds other values."""
    if is_nullish(value):
        return _NULL, b""
    if isinstance(value, bool):
        return _BOOL, bytes([value])
    if isinstance(value, (int, float, Decimal)):
        return _NUMBER, struct.pack("<q", _whole(value))
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return _STRING, struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return _OBJECT, None
    if isinstance(value, list):
        return _ARRAY, None
    if isinstance(value, bytes):
        return _BINARY, struct.pack("<i", len(value)) + b"\0" + value
    if isinstance(value, datetime):
        return _DATE, struct.pack("<q", to_millis(value))
    if isinstance(value, re.Pattern):
        return _REGEX, value.pattern.encode() + b"\0" + regex_options(value).encode() + b"\0"
    raise EvaluationError(f"$toHashedIndexKey knows no hash of {type_name(value)}")


def _whole(number: int | float | Decimal) -> int:
    """A number cut to 64 bits; NaN counts as 0."""
    if number != number:
        return 0
    if number >= INT64_MAX:
        return INT64_MAX
    return INT64_MIN if number <= INT64_MIN else int(number)
