"""Sizes in bytes: $binarySize, $bsonSize (MongoDB: data size operators)."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from ...ordering import regex_options
from ...values import INT32_MAX, INT32_MIN, EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import operator


@operator(
    "$binarySize",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": "naïve"}, {"$binarySize": "$a"}, 6),
        ({}, {"$binarySize": "$a"}, None),
        ({"a": 1}, {"$binarySize": "$a"}, EvaluationError),
    ],
)
def binary_size(value: Any) -> Any:
    """The number of bytes of a string in UTF-8, or of binary data.

    Null if null or missing. Raises for anything else. MongoDB: $binarySize.
    """
    if is_nullish(value):
        return None
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    raise EvaluationError(f"$binarySize takes a string or binary data, got {type_name(value)}")


@operator(
    "$bsonSize",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": {"x": 1}}, {"$bsonSize": "$a"}, 12),
        ({}, {"$bsonSize": "$a"}, None),
        ({"a": 1}, {"$bsonSize": "$a"}, EvaluationError),
    ],
)
def bson_size(document: Any) -> Any:
    """The number of bytes that a document has as BSON.

    Null if null or missing. Raises for anything that is not a document. MongoDB: $bsonSize.
    """
    if is_nullish(document):
        return None
    if document.__class__ is not dict:
        raise EvaluationError(f"$bsonSize takes an object, got {type_name(document)}")
    return size_in_bson(document)


@binary_size.inline
def _binary_size(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if not a.may_be(kinds.STRING):
        return None
    slow = f"{e.bind(binary_size.function, 'binary_size')}({a.code})"
    return e.assign(f"len({a.code}.encode()) if {a.code}.__class__ is str else {slow}", kinds.INT | kinds.NULL)


def size_in_bson(value: Any) -> int:
    """The bytes of a value in BSON, without its type and name. See bsonspec.org."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return 4 if INT32_MIN <= value <= INT32_MAX else 8
    if isinstance(value, (float, datetime)):
        return 8
    if isinstance(value, Decimal):
        return 16
    if isinstance(value, str):
        return 5 + len(value.encode())
    if isinstance(value, dict):
        return 5 + sum(2 + len(name.encode()) + size_in_bson(item) for name, item in value.items())
    if isinstance(value, list):
        return 5 + sum(2 + len(str(i)) + size_in_bson(item) for i, item in enumerate(value))
    if isinstance(value, bytes):
        return 5 + len(value)
    if isinstance(value, re.Pattern):
        return 2 + len(value.pattern.encode()) + len(regex_options(value))
    raise EvaluationError(f"$bsonSize knows no size of {type_name(value)}")
