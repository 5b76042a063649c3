"""MongoDB's order over all values: comparison, equality, sort keys and hashable keys.

Types come first (missing, null, numbers, string, object, array, binary, bool, date, regex), then values within a type:

* numbers of all kinds compare by their exact value; NaN stands below every other number and equals itself;
* strings compare by code point, which is the order of their UTF-8 bytes;
* objects compare field by field in their own order: type of the field, then name, then value;
* arrays compare element by element; where one is the beginning of the other, the shorter is smaller;
* binary compares by length, then bytes.

MongoDB: Comparison/Sort Order.
"""

from __future__ import annotations

import decimal
import re
from datetime import datetime
from typing import Any, Final

from .values import MISSING, EvaluationError, Missing, not_a_value, to_millis

SortKey = tuple[Any, ...]
"""The rank of the type, then what orders values within it."""

_MISSING_KEY: Final = (0,)
_NULL_KEY: Final = (5,)
_NUMBER: Final = 10
_NAN_KEY: Final = (10,)  # shorter than every other number's key, and so below them
_STRING: Final = 15
_OBJECT: Final = 20
_ARRAY: Final = 25
_BINARY: Final = 30
_BOOL: Final = 40
_DATE: Final = 45
_REGEX: Final = 50


def sort_key(value: Any) -> SortKey:
    """A key that Python sorts in MongoDB's order. Null and missing have the same key, as in ``$sort``.

    Keys are nested tuples of plain values. An array's key orders whole arrays; choosing an array's smallest or
    largest element is the business of ``$sort``. Raises :class:`EvaluationError` for a value no document can hold.
    """
    kind = value.__class__
    if kind is str:
        return (_STRING, value)
    if kind is int:
        return (_NUMBER, value)
    if kind is float:
        return (_NUMBER, value) if value == value else _NAN_KEY
    if value is None or value is MISSING:
        return _NULL_KEY
    if kind is dict:
        fields: list[SortKey] = []
        for name, item in value.items():
            key = sort_key(item)
            fields.append((key[0], name, key))
        return (_OBJECT, tuple(fields))
    if kind is list:
        return (_ARRAY, tuple([sort_key(item) for item in value]))
    if kind is datetime:
        return (_DATE, to_millis(value))
    if kind is bool:
        return (_BOOL, value)
    if kind is decimal.Decimal:
        return _NAN_KEY if value.is_nan() else (_NUMBER, value)
    if kind is bytes:
        return (_BINARY, len(value), value)
    if kind is re.Pattern:
        return (_REGEX, value.pattern, regex_options(value))
    return sort_key(_plain(value))


def compare(a: Any, b: Any) -> int:
    """-1, 0 or 1 as ``a`` stands before, at or after ``b``. Missing stands before null. MongoDB: $cmp."""
    kind = a.__class__
    if kind is b.__class__ and (kind is int or kind is str):
        return int(a > b) - int(a < b)
    key_a = _MISSING_KEY if a is MISSING else sort_key(a)
    key_b = _MISSING_KEY if b is MISSING else sort_key(b)
    return int(key_a > key_b) - int(key_a < key_b)


def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same to MongoDB: ``compare(a, b) == 0``. MongoDB: $eq."""
    kind = a.__class__
    if kind is b.__class__ and (kind is int or kind is str):
        return bool(a == b)
    return bool(canonical(a) == canonical(b))


def canonical(value: Any) -> Any:
    """A hashable key: two values have equal keys exactly when they are :func:`equal`.

    Strings, numbers and null are their own keys; everything else becomes a tuple that begins with a type name, so
    that no wrapped value meets a plain one. Keys hold plain data only and survive pickling.
    Raises :class:`EvaluationError` for a value no document can hold.
    """
    kind = value.__class__
    if kind is str or kind is int or value is None:
        return value
    if kind is float:
        return value if value == value else ("nan",)
    if kind is bool:
        return ("bool", value)
    if kind is dict:
        key: list[Any] = ["object"]
        for name, item in value.items():
            key.append(name)
            key.append(canonical(item))
        return tuple(key)
    if kind is list:
        return ("array", *[canonical(item) for item in value])
    if kind is Missing:
        return ("missing",)
    if kind is datetime:
        return ("date", to_millis(value))
    if kind is decimal.Decimal:
        return ("nan",) if value.is_nan() else value
    if kind is bytes:
        return ("binData", value)
    if kind is re.Pattern:
        return ("regex", value.pattern, regex_options(value))
    return canonical(_plain(value))


def field_sort_key(value: Any, descending: bool = False) -> SortKey:
    """The key of a document's field in ``$sort``: an array counts as its smallest element, or its largest descending.

    An empty array stands below null. Wrap the key in :class:`Descending` to sort downwards.
    MongoDB: $sort, "Sort by an Array Field".
    """
    if value.__class__ is not list:
        return sort_key(value)
    if not value:
        return _MISSING_KEY
    keys = [sort_key(item) for item in value]
    return max(keys) if descending else min(keys)


def representation(value: Any) -> Any:
    """A key that tells equal values apart: ``1``, ``1.0``, ``Decimal("1")`` and ``Decimal("1.0")``, in that order.

    Only for values that are :func:`equal`: where one of several has to be kept, keeping the one with the smallest
    representation makes the choice independent of the order in which they came.
    """
    kind = value.__class__
    if kind is int:
        return (0,)
    if kind is float:
        return (1, repr(value)[:1] == "-")  # 0.0 before -0.0
    if kind is dict:
        return tuple([representation(item) for item in value.values()])
    if kind is list:
        return tuple([representation(item) for item in value])
    return (2, repr(value))


def regex_options(pattern: re.Pattern[str]) -> str:
    """The options of a compiled regular expression as MongoDB writes them: some of ``imsx``, in that order."""
    flags = pattern.flags
    return (
        ("i" if flags & re.IGNORECASE else "")
        + ("m" if flags & re.MULTILINE else "")
        + ("s" if flags & re.DOTALL else "")
        + ("x" if flags & re.VERBOSE else "")
    )


class Descending:
    """Turns the order of a sort key around, for sorting by several fields in different directions."""

    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: Descending) -> bool:
        return bool(other.key < self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Descending) and bool(self.key == other.key)

    __hash__ = None  # type: ignore[assignment]


def _plain(value: Any) -> Any:
    """A value of a subclass (an ordered dict, an enum of strings) as the plain type that it extends."""
    plain: tuple[type[Any], ...] = (int, float, decimal.Decimal, str, dict, list, bytes)
    for known in plain:
        if isinstance(value, known):
            return str.__str__(value) if known is str else known(value)
    if isinstance(value, datetime):
        return datetime.combine(value.date(), value.timetz())
    raise EvaluationError(not_a_value(value))
