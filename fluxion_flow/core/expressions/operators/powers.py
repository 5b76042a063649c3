"""Powers, roots and logarithms: $pow $sqrt $exp $ln $log $log10 $sigmoid (MongoDB: arithmetic expression operators)."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ...values import (
    DECIMAL128,
    INT64_MAX,
    INT64_MIN,
    EvaluationError,
    decimal128,
    int64,
    is_nullish,
    is_number,
    type_name,
)
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import operator


def _numbers(name: str, *values: Any) -> None:
    for value in values:
        if not is_number(value):
            raise EvaluationError(f"{name} takes a number, got {type_name(value)}")


def _above_zero(number: Any) -> bool:
    """Whether a number is above 0 or NaN. (To compare a decimal NaN would raise.)"""
    return bool(number != number or number > 0)


@operator(
    "$pow",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 5}, {"$pow": ["$a", 3]}, 125),
        ({"a": 4}, {"$pow": ["$a", -1]}, 0.25),
        ({"a": 0}, {"$pow": ["$a", -1]}, EvaluationError),
        ({}, {"$pow": ["$a", 2]}, None),
    ],
)
def pow_(base: Any, exponent: Any) -> Any:
    """Raise a number to a power. Integers give an integer where the result is one of 64 bits, else a double.

    Null if either is null or missing. Raises for anything that is not a number, and for zero to a negative power.
    MongoDB: $pow.
    """
    if is_nullish(base) or is_nullish(exponent):
        return None
    _numbers("$pow", base, exponent)
    if base == 0 and exponent == exponent and exponent < 0:
        raise EvaluationError("$pow takes no base of 0 with a negative exponent")
    if base.__class__ is Decimal or exponent.__class__ is Decimal:
        if exponent == 0 or base == 1:
            return Decimal(1)
        return DECIMAL128.power(decimal128(base), decimal128(exponent))
    if isinstance(base, float) or isinstance(exponent, float):
        return _double_power(float(base), float(exponent))
    if base in (0, 1, -1):
        return base ** abs(exponent)
    if 0 <= exponent < 64:
        result = base**exponent
        if INT64_MIN <= result <= INT64_MAX:
            return result
    return _double_power(float(int64(base)), float(int64(exponent)))


def _double_power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except ValueError:
        return math.nan
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf


@operator(
    "$sqrt",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 25}, {"$sqrt": "$a"}, 5.0),
        ({"a": -1}, {"$sqrt": "$a"}, EvaluationError),
        ({}, {"$sqrt": "$a"}, None),
    ],
)
def sqrt(number: Any) -> Any:
    """The square root, a double or a decimal.

    Null if null or missing. Raises for a negative number and for anything that is not a number. MongoDB: $sqrt.
    """
    if is_nullish(number):
        return None
    _numbers("$sqrt", number)
    if number == number and number < 0:
        raise EvaluationError("$sqrt takes a number of at least 0")
    return DECIMAL128.sqrt(number) if isinstance(number, Decimal) else math.sqrt(number)


@sqrt.inline
def _sqrt(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    root = e.bind(math.sqrt, "square_root")
    slow = f"{e.bind(sqrt.function, 'sqrt')}({a.code})"
    guards = [e.plain_number(a), f"{a.code} >= 0"]
    return e.guarded(
        guards, lambda: e.assign(f"{root}({a.code})", kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL
    )  # fmt: skip


@operator(
    "$exp",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 0}, {"$exp": "$a"}, 1.0),
        ({}, {"$exp": "$a"}, None),
        ({"a": "1"}, {"$exp": "$a"}, EvaluationError),
    ],
)
def exp(exponent: Any) -> Any:
    """Euler's number raised to a power, a double or a decimal.

    Null if null or missing. Raises for anything that is not a number. MongoDB: $exp.
    """
    if is_nullish(exponent):
        return None
    _numbers("$exp", exponent)
    if isinstance(exponent, Decimal):
        return DECIMAL128.exp(exponent)
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf


@operator(
    "$ln",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[({"a": 1}, {"$ln": "$a"}, 0.0), ({"a": 0}, {"$ln": "$a"}, EvaluationError), ({}, {"$ln": "$a"}, None)],
)
def ln(number: Any) -> Any:
    """The natural logarithm, a double or a decimal.

    Null if null or missing. Raises for anything that is not a number above 0. MongoDB: $ln.
    """
    if is_nullish(number):
        return None
    _numbers("$ln", number)
    if not _above_zero(number):
        raise EvaluationError("$ln takes a number above 0")
    if isinstance(number, Decimal) and not number.is_nan():
        return DECIMAL128.ln(number)
    return math.log(number)


@operator(
    "$log10",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 1000}, {"$log10": "$a"}, 3.0),
        ({"a": -1}, {"$log10": "$a"}, EvaluationError),
        ({}, {"$log10": "$a"}, None),
    ],
)
def log10(number: Any) -> Any:
    """The logarithm to base 10, a double or a decimal.

    Null if null or missing. Raises for anything that is not a number above 0. MongoDB: $log10.
    """
    if is_nullish(number):
        return None
    _numbers("$log10", number)
    if not _above_zero(number):
        raise EvaluationError("$log10 takes a number above 0")
    if isinstance(number, Decimal) and not number.is_nan():
        return DECIMAL128.log10(number)
    return math.log10(number)


@operator(
    "$log",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 8}, {"$log": ["$a", 2]}, 3.0),
        ({"a": 8}, {"$log": ["$a", 1]}, EvaluationError),
        ({}, {"$log": ["$a", 2]}, None),
    ],
)
def log(number: Any, base: Any) -> Any:
    """The logarithm of a number to a base, a double or a decimal.

    Null if either is null or missing, NaN if either is NaN. Raises for anything that is not a number above 0, and for
    a base of 1. MongoDB: $log.
    """
    if is_nullish(number) or is_nullish(base):
        return None
    _numbers("$log", number, base)
    if number != number or base != base:
        return math.nan
    if number <= 0:
        raise EvaluationError("$log takes a number above 0")
    if base <= 0 or base == 1:
        raise EvaluationError("$log takes a base above 0 that is not 1")
    if number.__class__ is Decimal or base.__class__ is Decimal:
        return DECIMAL128.divide(DECIMAL128.ln(decimal128(number)), DECIMAL128.ln(decimal128(base)))
    over, under = math.log(number), math.log(base)
    return over / under if math.isfinite(over) or math.isfinite(under) else math.nan


@operator(
    "$sigmoid",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[({"a": 0}, {"$sigmoid": "$a"}, 0.5), ({}, {"$sigmoid": "$a"}, None)],
)
def sigmoid(number: Any) -> Any:
    """``1 / (1 + e ** -x)``, between 0 and 1; a double or a decimal.

    Null if null or missing. Raises for anything that is not a number. MongoDB: $sigmoid.
    """
    if is_nullish(number):
        return None
    _numbers("$sigmoid", number)
    if isinstance(number, Decimal):
        return DECIMAL128.divide(Decimal(1), DECIMAL128.add(Decimal(1), DECIMAL128.exp(number.copy_negate())))
    try:
        return 1.0 / (1.0 + math.exp(-number))
    except OverflowError:
        return 0.0
