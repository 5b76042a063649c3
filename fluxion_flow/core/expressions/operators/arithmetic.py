"""Arithmetic: $add, $subtract, $multiply, $divide, $mod and their kin (MongoDB: arithmetic expression operators)."""

from __future__ import annotations

import datetime
import math
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from ...values import (
    DECIMAL128,
    INT32_MAX,
    INT32_MIN,
    INT64_MIN,
    EvaluationError,
    decimal128,
    from_millis,
    int64,
    is_nullish,
    is_number,
    to_millis,
    type_name,
)
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import operator

_WIDE = Context(prec=12_400, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
"""Room for the quotient of any two decimals, so that a remainder is exact."""


def _two_numbers(name: str, a: Any, b: Any) -> None:
    for value in (a, b):
        if not is_number(value):
            raise EvaluationError(f"{name} takes numbers, got {type_name(value)}")


def _pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Both as Decimal when one of them is."""
    if a.__class__ is Decimal or b.__class__ is Decimal:
        return decimal128(a), decimal128(b)
    return a, b


@operator(
    "$multiply",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"price": 2.5, "qty": 4}, {"$multiply": ["$price", "$qty"]}, 10.0),
        ({"price": 2.5}, {"$multiply": ["$price", "$qty"]}, None),
        ({"price": "2.5"}, {"$multiply": ["$price", 2]}, EvaluationError),
    ],
)
def multiply(*factors: Any) -> Any:
    """Multiply numbers.

    Null if any factor is null or missing; a product of integers beyond 64 bits becomes a double. Raises for anything
    that is not a number. MongoDB: $multiply.
    """
    result: Any = 1
    nothing = False
    for factor in factors:
        if is_nullish(factor):
            nothing = True
        elif not is_number(factor):
            raise EvaluationError(f"$multiply takes numbers, got {type_name(factor)}")
        elif not nothing:
            x, y = _pair(result, factor)
            result = DECIMAL128.multiply(x, y) if x.__class__ is Decimal else x * y
            if result.__class__ is int:
                result = int64(result)
    return None if nothing else result


multiply.symbol = "*"


@operator(
    "$add",
    returns=kinds.NUMBER | kinds.NULL | kinds.DATE,
    examples=[
        ({"a": 1, "b": 2.5}, {"$add": ["$a", "$b"]}, 3.5),
        ({"a": 1}, {"$add": ["$a", "$b"]}, None),
        ({"a": "1"}, {"$add": ["$a", 1]}, EvaluationError),
    ],
)
def add(*terms: Any) -> Any:
    """Add numbers, or numbers of milliseconds to one date.

    Null if any term is null or missing; a sum of integers beyond 64 bits becomes a double. Raises for anything else
    and for two dates. MongoDB: $add.
    """
    total: Any = 0
    first = True
    date: datetime.datetime | None = None
    nothing = False
    for term in terms:
        if is_nullish(term):
            nothing = True
        elif term.__class__ is datetime.datetime:
            if date is not None:
                raise EvaluationError("$add takes only one date")
            date = term
        elif not is_number(term):
            raise EvaluationError(f"$add takes numbers and dates, got {type_name(term)}")
        else:
            x, y = _pair(total, term)
            total = term if first else DECIMAL128.add(x, y) if x.__class__ is Decimal else x + y
            first = False
            if total.__class__ is int:
                total = int64(total)
    if nothing:
        return None
    if date is None:
        return total
    return from_millis(to_millis(date) + _whole_millis(total))


def _whole_millis(number: Any) -> int:
    """Milliseconds to move a date by, rounded half away from zero."""
    if number.__class__ is int:
        return int(number)
    if number != number or number in (float("inf"), float("-inf")):
        raise EvaluationError("a date cannot be moved by NaN or Infinity")
    return int(number + (Decimal("0.5") if number.__class__ is Decimal else 0.5) * (1 if number >= 0 else -1))


def _cut_millis(number: Any) -> int:
    """Milliseconds to move a date back by: $subtract drops the fraction, where $add rounds it."""
    if number != number or number in (float("inf"), float("-inf")):
        raise EvaluationError("a date cannot be moved by NaN or Infinity")
    return int(number)


add.symbol = "+"


@operator(
    "$subtract",
    returns=kinds.NUMBER | kinds.NULL | kinds.DATE,
    examples=[
        ({"a": 5, "b": 2}, {"$subtract": ["$a", "$b"]}, 3),
        ({"a": 5}, {"$subtract": ["$a", "$b"]}, None),
    ],
)
def subtract(minuend: Any, subtrahend: Any) -> Any:
    """Subtract numbers; a date minus a date is milliseconds, a date minus a number of milliseconds a date.

    Null if either is null or missing. MongoDB: $subtract.
    """
    if is_nullish(minuend) or is_nullish(subtrahend):
        return None
    if minuend.__class__ is datetime.datetime:
        if subtrahend.__class__ is datetime.datetime:
            return to_millis(minuend) - to_millis(subtrahend)
        if is_number(subtrahend):
            return from_millis(to_millis(minuend) - _cut_millis(subtrahend))
        raise EvaluationError(f"$subtract cannot take {type_name(subtrahend)} from a date")
    _two_numbers("$subtract", minuend, subtrahend)
    x, y = _pair(minuend, subtrahend)
    if x.__class__ is Decimal:
        return DECIMAL128.subtract(x, y)
    result = x - y
    return int64(result) if result.__class__ is int else result


subtract.symbol = "-"


@operator(
    "$divide",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"total": 10, "parts": 4}, {"$divide": ["$total", "$parts"]}, 2.5),
        ({"total": 10}, {"$divide": ["$total", "$parts"]}, None),
        ({"total": 10}, {"$divide": ["$total", 0]}, EvaluationError),
    ],
)
def divide(dividend: Any, divisor: Any) -> Any:
    """Divide one number by another; the result is a double, or a decimal when either is one.

    Null if either is null or missing. Raises for a divisor of zero. MongoDB: $divide.
    """
    if is_nullish(dividend) or is_nullish(divisor):
        return None
    _two_numbers("$divide", dividend, divisor)
    if divisor == 0:
        raise EvaluationError("$divide by zero")
    x, y = _pair(dividend, divisor)
    return DECIMAL128.divide(x, y) if x.__class__ is Decimal else x / y


divide.symbol = "/"


@operator(
    "$mod",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": -7}, {"$mod": ["$a", 3]}, -1),
        ({"a": 7.5}, {"$mod": ["$a", 2]}, 1.5),
        ({"a": 7}, {"$mod": ["$a", 0]}, EvaluationError),
        ({}, {"$mod": ["$a", 2]}, None),
    ],
)
def mod(dividend: Any, divisor: Any) -> Any:
    """The remainder of a division, with the sign of the dividend.

    Null if either is null or missing. A whole double as divisor counts as an integer. Raises for a divisor of zero and
    for anything that is not a number. MongoDB: $mod.
    """
    if is_nullish(dividend) or is_nullish(divisor):
        return None
    _two_numbers("$mod", dividend, divisor)
    if divisor == 0:
        raise EvaluationError("$mod by zero")
    x, y = _pair(dividend, divisor)
    if x.__class__ is Decimal:
        rest = DECIMAL128.remainder(x, y)
        return _WIDE.remainder(x, y) if rest.is_nan() and x.is_finite() and y.is_finite() else rest
    if y.__class__ is float and x.__class__ is int and y.is_integer() and INT32_MIN <= y <= INT32_MAX:
        y = int(y)
    if x.__class__ is int and y.__class__ is int:
        return int64(abs(x) % abs(y) * (-1 if x < 0 else 1))
    try:
        return math.fmod(x, y)
    except ValueError:
        return math.nan


@mod.inline
def _mod(e: Emitter, atoms: list[Atom]) -> Atom | None:
    a, b = atoms
    guards = [f"{x.code}.__class__ is int" for x in atoms if not x.is_only(kinds.INT)]
    guards += [f"{a.code} >= 0", f"{b.code} > 0"]
    slow = f"{e.bind(mod.function, 'mod')}({a.code}, {b.code})"
    return e.guarded(guards, lambda: e.assign(f"{a.code} % {b.code}", kinds.INT), slow, kinds.NUMBER | kinds.NULL)


@operator(
    "$abs",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": -3}, {"$abs": "$a"}, 3),
        ({"a": "3"}, {"$abs": "$a"}, EvaluationError),
        ({}, {"$abs": "$a"}, None),
    ],
)
def abs_(number: Any) -> Any:
    """The absolute value.

    Null if null or missing. Raises for anything that is not a number, and for the smallest long, which has no
    positive counterpart. MongoDB: $abs.
    """
    if is_nullish(number):
        return None
    if not is_number(number):
        raise EvaluationError(f"$abs takes a number, got {type_name(number)}")
    if isinstance(number, Decimal):
        return number.copy_abs()
    if number == INT64_MIN and number.__class__ is int:
        raise EvaluationError("$abs of the smallest long, -9223372036854775808, does not fit in a long")
    return abs(number)


@abs_.inline
def _abs(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    guards = [e.plain_number(a), f"{a.code} != {INT64_MIN}"]
    slow = f"{e.bind(abs_.function, 'abs_')}({a.code})"
    return e.guarded(
        guards, lambda: e.assign(f"abs({a.code})", kinds.INT | kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL
    )  # fmt: skip
