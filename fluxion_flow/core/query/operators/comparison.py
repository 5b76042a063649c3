"""Comparison: $eq $ne $gt $gte $lt $lte $in $nin (MongoDB: Comparison Query Operators).

Values compare within their type: ``{$gt: 5}`` finds numbers of every kind and nothing else, no bools. Null equals an
absent field. NaN equals itself and stands neither above nor below anything.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from ....errors import Where
from ...expressions import kinds
from ...expressions.emit import Atom, Emitter
from ...expressions.parse import Parser
from ...ordering import canonical, sort_key
from ...values import MISSING, is_number
from ..condition import Condition, Never, Not
from ..parse import is_operators, literal, shown
from ..paths import Reading
from ..registry import field_operator
from .regex import Regex, regex

_MILLISECOND: Final = datetime.timedelta(milliseconds=1)
_NONE: Final = type(None)


def _is_nan(value: Any) -> bool:
    return is_number(value) and value != value


def _is_date(e: Emitter, value: Reading) -> str:
    """Source of "is an aware date in UTC", which compares without further ado."""
    code = value.code
    date, utc = e.bind(datetime.datetime, "datetime"), e.bind(datetime.timezone.utc, "utc")
    return f"{code}.__class__ is {date} and {code}.tzinfo is {utc}"


@dataclass(frozen=True, eq=False)
class Equal(Condition):
    """Equal to a constant; null equals an absent field too. Documents are equal field by field, in their order."""

    value: Any

    @cached_property
    def key(self) -> Any:
        return canonical(self.value)

    def holds(self, value: Any) -> bool:
        if value is None or value is MISSING:
            return self.value is None
        kind = value.__class__
        if (kind is dict or kind is list) and kind is not self.value.__class__:
            return False
        return bool(canonical(value) == self.key)

    def source(self, e: Emitter, value: Reading) -> str:
        fast = self._of_one(e, value)
        if not fast:
            return self.slow(e, value)
        many = value.many(e, self.slow(e, value))
        return f"({fast} or {many})" if many else f"({fast})"

    def _of_one(self, e: Emitter, value: Reading) -> str:
        """Source that answers for every value that is no array; ``""`` where there is no short one."""
        code, constant, kind = value.code, self.value, self.value.__class__
        if constant is None:
            return f"{code} is None or {code} is M" if value.may_be(kinds.ABSENT) else f"{code} is None"
        if kind is bool:
            return f"{code} is {constant}"
        if kind is str or kind is bytes:
            return f"{code} == {e.const(constant).code}"
        if kind is int or kind is float:
            if constant != constant:
                return f"{code} != {code}"
            same = f"{code} == {e.const(constant).code}"
            could_be_bool = (constant == 0 or constant == 1) and value.may_be(kinds.BOOL)
            return f"({same} and {code}.__class__ is not bool)" if could_be_bool else same
        return ""


@field_operator(
    "$eq",
    examples=[
        ({"n": 1}, {"n": {"$eq": 1.0}}, True),
        ({"n": [3, 1]}, {"n": 1}, True),
        ({"n": True}, {"n": 1}, False),
        ({}, {"n": None}, True),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}, False),
    ],
)
def eq(spec: Any, where: Where, parser: Parser) -> Condition:
    """Equal to a value; an array is also found by an element that is. MongoDB: $eq."""
    return Equal(where, literal(spec, where, parser))


@field_operator("$ne", examples=[({"n": [3, 1]}, {"n": {"$ne": 1}}, False), ({}, {"n": {"$ne": 1}}, True)])
def ne(spec: Any, where: Where, parser: Parser) -> Condition:
    """Not equal to a value, no element of an array either; true of an absent field. MongoDB: $ne."""
    if isinstance(spec, re.Pattern):
        parser.problems.add(where, "takes a value, got a regular expression", "use {$not: {$regex: …}}")
    return Not(where, eq(spec, where, parser))


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, eq=False)
class Ordered(Condition):
    """Before or after a constant of the same type. ``symbol`` is one of ``> >= < <=``."""

    symbol: str
    value: Any

    @cached_property
    def key(self) -> Any:
        return sort_key(self.value)

    def holds(self, value: Any) -> bool:
        if value is MISSING:
            value = None
        if self.value is None or value is None or _is_nan(self.value) or _is_nan(value):
            same = self.value is value or (_is_nan(self.value) and _is_nan(value))
            return same and "=" in self.symbol
        key = sort_key(value)
        return bool(key[0] == self.key[0] and _COMPARE[self.symbol](key, self.key))

    def source(self, e: Emitter, value: Reading) -> str:
        if not value.several:
            value = Reading(value.code, e.narrowed(Atom(value.code, value.kinds)).kinds)
        code, constant, kind = value.code, self.value, self.value.__class__
        if kind is str and value.kinds == kinds.STRING:
            return f"({code} {self.symbol} {constant!r})"
        if kind is str:
            fast, guard = f"{code} {self.symbol} {constant!r}", f"{code}.__class__ is str"
        elif (kind is int or kind is float) and constant == constant:
            fast = f"{code} {self.symbol} {e.const(constant).code}"
            if not value.kinds & ~(kinds.INT | kinds.FLOAT):
                return f"({fast})"
            guard = f"{code}.__class__ is float or {code}.__class__ is int"
        elif kind is datetime.datetime:
            symbol, limit = self._whole_milliseconds()
            fast, guard = f"{code} {symbol} {e.bind(limit, 'date')}", _is_date(e, value)
        else:
            return self.slow(e, value)
        otherwise = self.slow(e, value) if self.careful else self.slow_unless_absent(e, value)
        return f"({fast} if {guard} else {otherwise})"

    def _whole_milliseconds(self) -> tuple[str, datetime.datetime]:
        """The comparison of dates, so put that a finer fraction of a millisecond is as good as cut off."""
        if self.symbol in (">=", "<"):
            return self.symbol, self.value
        try:
            return (">=" if self.symbol == ">" else "<"), self.value + _MILLISECOND
        except OverflowError:
            return self.symbol, self.value


def _ordered(symbol: str, spec: Any, where: Where, parser: Parser) -> Condition:
    if isinstance(spec, re.Pattern):
        parser.problems.add(where, "takes a value, got a regular expression", "use $regex")
        return Never(where)
    return Ordered(where, symbol, literal(spec, where, parser))


@field_operator(
    "$gt",
    examples=[
        ({"n": 7}, {"n": {"$gt": 5}}, True),
        ({"n": "7"}, {"n": {"$gt": 5}}, False),
        ({}, {"n": {"$gt": 5}}, False),
    ],
)
def gt(spec: Any, where: Where, parser: Parser) -> Condition:
    """Greater than a value of its type. MongoDB: $gt."""
    return _ordered(">", spec, where, parser)


@field_operator(
    "$gte", examples=[({"n": 5}, {"n": {"$gte": 5.0}}, True), ({"n": [1, 9]}, {"n": {"$gte": 5, "$lte": 3}}, True)]
)
def gte(spec: Any, where: Where, parser: Parser) -> Condition:
    """Greater than a value of its type, or equal to it. MongoDB: $gte."""
    return _ordered(">=", spec, where, parser)


@field_operator("$lt", examples=[({"s": "a"}, {"s": {"$lt": "b"}}, True), ({"s": None}, {"s": {"$lt": "b"}}, False)])
def lt(spec: Any, where: Where, parser: Parser) -> Condition:
    """Less than a value of its type. MongoDB: $lt."""
    return _ordered("<", spec, where, parser)


@field_operator("$lte", examples=[({"n": 5}, {"n": {"$lte": 5}}, True), ({}, {"n": {"$lte": None}}, True)])
def lte(spec: Any, where: Where, parser: Parser) -> Condition:
    """Less than a value of its type, or equal to it. MongoDB: $lte."""
    return _ordered("<=", spec, where, parser)


@dataclass(frozen=True, eq=False)
class OneOf(Condition):
    """Equal to any of several constants, or a match of any of several regular expressions."""

    keys: frozenset[Any]
    """The constants as canonical keys, so that a bool is no number; strings, numbers and null are their own keys."""

    patterns: tuple[Regex, ...] = ()

    def holds(self, value: Any) -> bool:
        if value is MISSING:
            value = None
        return canonical(value) in self.keys or any(pattern.holds(value) for pattern in self.patterns)

    def source(self, e: Emitter, value: Reading) -> str:
        if self.patterns:
            return self.slow(e, value)
        code, keys = value.code, e.bind(self.keys, "keys")
        classes = {key.__class__ for key in self.keys}
        otherwise = self.slow(e, value) if self.careful else self.slow_unless_absent(e, value)
        if classes == {str}:
            guard = f"{code}.__class__ is str"
        elif classes == {int}:
            guard = f"{code}.__class__ is int or {code}.__class__ is float"
        else:
            plain = frozenset({str, int, _NONE} if ("nan",) in self.keys else {str, int, float, _NONE})
            guard = f"{code}.__class__ in {e.bind(plain, 'plain')}"
        return f"({code} in {keys} if {guard} else {otherwise})"


@field_operator(
    "$in",
    examples=[
        ({"k": "b"}, {"k": {"$in": ["a", "b"]}}, True),
        ({"k": [7, 1]}, {"k": {"$in": [1, 2]}}, True),
        ({"k": True}, {"k": {"$in": [1, 2]}}, False),
        ({}, {"k": {"$in": [None]}}, True),
        ({"k": "abc"}, {"k": {"$in": [re.compile("^a")]}}, True),
    ],
)
def in_(spec: Any, where: Where, parser: Parser) -> Condition:
    """Equal to any of the values of an array; a regular expression in it is matched. MongoDB: $in."""
    if not isinstance(spec, (list, tuple)):
        parser.problems.add(where, f"takes an array, got {shown(spec)}")
        return Never(where)
    keys, patterns = set(), []
    for i, item in enumerate(spec):
        if isinstance(item, re.Pattern):
            pattern = regex({"$regex": item}, where / i, parser)
            if isinstance(pattern, Regex):
                patterns.append(pattern)
        elif is_operators(item):
            parser.problems.add(where / i, "takes values, got an object of operators", "join conditions with $or")
        else:
            keys.add(canonical(literal(item, where / i, parser)))
    return OneOf(where, frozenset(keys), tuple(patterns)) if keys or patterns else Never(where)


@field_operator(
    "$nin", examples=[({"k": "c"}, {"k": {"$nin": ["a", "b"]}}, True), ({}, {"k": {"$nin": [None]}}, False)]
)
def nin(spec: Any, where: Where, parser: Parser) -> Condition:
    """Equal to none of the values of an array, no element of an array either. MongoDB: $nin."""
    return Not(where, in_(spec, where, parser))
