"""Angles: $sin $cos $tan, their hyperbolic and inverse kin, degrees and radians (MongoDB: trigonometry operators)."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ...values import DECIMAL128, EvaluationError, decimal128, is_nullish, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import Example, Operator, operator
from . import decimal_trigonometry as decimals


def _declare(
    name: str,
    of_double: Callable[[float], float],
    of_decimal: Callable[[Decimal], Decimal],
    what: str,
    examples: list[Example],
    domain: Callable[[Any], bool] | None = None,
    takes: str = "",
    inside: str = "-700.0 < {0} < 700.0",
) -> Operator:
    """An operator of one number. ``domain`` tells which numbers it takes, ``takes`` says so.

    ``inside``: source of a test for doubles that ``of_double`` takes without any ado.
    """

    def function(number: Any) -> Any:
        if is_nullish(number):
            return None
        if not is_number(number):
            raise EvaluationError(f"{name} takes a number, got {type_name(number)}")
        if number != number:
            return number
        if domain is not None and not domain(number):
            raise EvaluationError(f"{name} takes {takes}, got {number}")
        if isinstance(number, Decimal):
            return of_decimal(number)
        try:
            return of_double(number)
        except OverflowError:
            return -math.inf if number < 0 and name == "$sinh" else math.inf

    raises = f", and for a number that is not {takes.removeprefix('a number ')}" if domain is not None else ""
    function.__name__ = name[1:]
    function.__doc__ = (
        f"{what}, a double or a decimal.\n\n"
        f"Null if null or missing, NaN of NaN. Raises for anything that is not a number{raises}. MongoDB: {name}."
    )
    declared = operator(name, returns=kinds.NUMBER | kinds.NULL, examples=examples)(function)

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        (a,) = atoms
        if not a.may_be(kinds.FLOAT):
            return None
        fast = e.bind(of_double, name[1:] + "_of_double")
        slow = f"{e.bind(function, name[1:])}({a.code})"
        test = f"{a.code}.__class__ is float and {inside.format(a.code)}"
        return e.assign(f"{fast}({a.code}) if {test} else {slow}", kinds.NUMBER | kinds.NULL)

    return declared


def _finite(number: Any) -> bool:
    return math.isfinite(number)


def _from_minus_one_to_one(number: Any) -> bool:
    return bool(-1 <= number <= 1)


def _at_least_one(number: Any) -> bool:
    return bool(number >= 1)


_FINITE = "a finite number"
_UNIT = "a number from -1 to 1"
_INSIDE_UNIT = "-1.0 < {0} < 1.0"


def _examples(name: str, number: Any, value: Any, *wrong: Any) -> list[Example]:
    call = {name: "$a"}
    return [({"a": number}, call, value), ({}, call, None), *(({"a": w}, call, EvaluationError) for w in wrong)]


sin = _declare("$sin", math.sin, decimals.sin, "The sine of an angle in radians",
               _examples("$sin", 0, 0.0, math.inf), _finite, _FINITE)  # fmt: skip
cos = _declare("$cos", math.cos, decimals.cos, "The cosine of an angle in radians",
               _examples("$cos", 0, 1.0, math.inf), _finite, _FINITE)  # fmt: skip
tan = _declare("$tan", math.tan, decimals.tan, "The tangent of an angle in radians",
               _examples("$tan", 0, 0.0, math.inf), _finite, _FINITE)  # fmt: skip
asin = _declare("$asin", math.asin, decimals.asin, "The angle in radians whose sine is a number",
                _examples("$asin", 0, 0.0, 2), _from_minus_one_to_one, _UNIT, _INSIDE_UNIT)  # fmt: skip
acos = _declare("$acos", math.acos, decimals.acos, "The angle in radians whose cosine is a number",
                _examples("$acos", 1, 0.0, 2), _from_minus_one_to_one, _UNIT, _INSIDE_UNIT)  # fmt: skip
atan = _declare("$atan", math.atan, decimals.atan, "The angle in radians whose tangent is a number",
                _examples("$atan", 0, 0.0, "0"))  # fmt: skip
sinh = _declare("$sinh", math.sinh, decimals.sinh, "The hyperbolic sine of a number",
                _examples("$sinh", 0, 0.0, "0"))  # fmt: skip
cosh = _declare("$cosh", math.cosh, decimals.cosh, "The hyperbolic cosine of a number",
                _examples("$cosh", 0, 1.0, "0"))  # fmt: skip
tanh = _declare("$tanh", math.tanh, decimals.tanh, "The hyperbolic tangent of a number",
                _examples("$tanh", 0, 0.0, "0"))  # fmt: skip
asinh = _declare("$asinh", math.asinh, decimals.asinh, "The number whose hyperbolic sine is a number",
                 _examples("$asinh", 0, 0.0, "0"))  # fmt: skip
acosh = _declare("$acosh", math.acosh, decimals.acosh, "The number whose hyperbolic cosine is a number",
                 _examples("$acosh", 1, 0.0, 0), _at_least_one, "a number of at least 1",
                 "1.0 <= {0} < 1e300")  # fmt: skip


def _atanh(number: float) -> float:
    return math.copysign(math.inf, number) if abs(number) == 1 else math.atanh(number)


atanh = _declare("$atanh", _atanh, decimals.atanh, "The number whose hyperbolic tangent is a number",
                 _examples("$atanh", 0, 0.0, 2), _from_minus_one_to_one, _UNIT, _INSIDE_UNIT)  # fmt: skip


def _radians_of_decimal(degrees: Decimal) -> Decimal:
    return DECIMAL128.multiply(degrees, decimals.ONE_DEGREE)


def _degrees_of_decimal(radians: Decimal) -> Decimal:
    return DECIMAL128.multiply(radians, decimals.ONE_RADIAN)


degrees_to_radians = _declare("$degreesToRadians", math.radians, _radians_of_decimal, "An angle in degrees as radians",
                              _examples("$degreesToRadians", 180, math.pi, "180"))  # fmt: skip
radians_to_degrees = _declare("$radiansToDegrees", math.degrees, _degrees_of_decimal, "An angle in radians as degrees",
                              _examples("$radiansToDegrees", math.pi, 180.0, "3"))  # fmt: skip


@operator(
    "$atan2",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"y": 1, "x": 1}, {"$atan2": ["$y", "$x"]}, math.pi / 4),
        ({"y": 1}, {"$atan2": ["$y", "$x"]}, None),
        ({"y": "1", "x": 1}, {"$atan2": ["$y", "$x"]}, EvaluationError),
    ],
)
def atan2(y: Any, x: Any) -> Any:
    """The angle in radians of the point with coordinates ``x`` and ``y`` (given second and first).

    Null if either is null or missing, NaN if either is NaN. Raises for anything that is not a number. MongoDB: $atan2.
    """
    if is_nullish(y) or is_nullish(x):
        return None
    for value in (y, x):
        if not is_number(value):
            raise EvaluationError(f"$atan2 takes numbers, got {type_name(value)}")
    if y.__class__ is Decimal or x.__class__ is Decimal:
        return decimals.atan2(decimal128(y), decimal128(x))
    return math.atan2(y, x)


@atan2.inline
def _atan2(e: Emitter, atoms: list[Atom]) -> Atom | None:
    y, x = atoms
    guards = [e.plain_number(a) for a in atoms]
    slow = f"{e.bind(atan2.function, 'atan2')}({y.code}, {x.code})"
    fast = f"{e.bind(math.atan2, 'atan2_of_doubles')}({y.code}, {x.code})"
    return e.guarded(guards, lambda: e.assign(fast, kinds.FLOAT), slow, kinds.NUMBER | kinds.NULL)
