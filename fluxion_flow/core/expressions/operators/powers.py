"""Powers, roots and logarithms: $pow $sqrt $exp $ln $log $log10 $sigmoid (MongoDB: arithmetic expression operators)."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from ..registry import Operator, operator


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


@pow_.inline
def _pow(e: Emitter, atoms: list[Atom]) -> Atom | None:
    base, exponent = atoms
    if exponent.code not in _LARGEST or not base.may_be(kinds.INT | kinds.FLOAT):
        return None
    bound = _LARGEST[exponent.code]
    guards = [e.plain_number(base), f"-{bound} <= {base.code} <= {bound}"]
    slow = f"{e.bind(pow_.function, 'pow_')}({base.code}, {exponent.code})"
    fast = f"{base.code} ** {exponent.code}"
    return e.guarded(guards, lambda: e.assign(fast, kinds.INT | kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL)


_LARGEST = {"2": 3037000499, "3": 2097151, "4": 55108}
"""The largest integers whose square, cube and fourth power fit in 64 bits."""


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


def _inline(declared: Operator, function: Callable[[float], float], guard: str) -> None:
    """Inline source for ints and doubles for which ``guard`` holds."""

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        (a,) = atoms
        fast = f"{e.bind(function, declared.name[1:] + '_of_double')}({a.code})"
        slow = f"{e.bind(declared.function, declared.name[1:])}({a.code})"
        guards = [e.plain_number(a), guard.format(a.code)]
        return e.guarded(guards, lambda: e.assign(fast, kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL)


_inline(sqrt, math.sqrt, "0 <= {0} <= 1e300")


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


_inline(exp, math.exp, "-700 <= {0} <= 700")


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


_inline(ln, math.log, "0 < {0} <= 1e300")


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


_inline(log10, math.log10, "0 < {0} <= 1e300")


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


@log.inline
def _log(e: Emitter, atoms: list[Atom]) -> Atom | None:
    number, base = (atom.code for atom in atoms)
    guards = [g for g in map(e.plain_number, atoms) if g]
    guards += [f"0 < {number} <= 1e300", f"0 < {base} <= 1e300", f"{base} != 1"]
    slow = f"{e.bind(log.function, 'log')}({number}, {base})"
    of_double = e.bind(math.log, "log_of_double")
    fast = f"{of_double}({number}) / {of_double}({base})"
    return e.guarded(guards, lambda: e.assign(fast, kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL)


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


@sigmoid.inline
def _sigmoid(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    guards = [e.plain_number(a), f"-700 <= {a.code} <= 700"]
    slow = f"{e.bind(sigmoid.function, 'sigmoid')}({a.code})"
    fast = f"1.0 / (1.0 + {e.bind(math.exp, 'exp_of_double')}(-{a.code}))"
    return e.guarded(guards, lambda: e.assign(fast, kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL)
