"""Rounding: $ceil, $floor, $round, $trunc (MongoDB: arithmetic expression operators)."""

from __future__ import annotations

import math
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from ...values import INT64_MAX, INT64_MIN, EvaluationError, is_nullish, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import Operator, operator
from .whole_numbers import whole_number

_EXACT = Context(prec=1200, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
"""Room for the exact decimal value of any double."""

_FINITE = "-1.7976931348623157e308 <= {0} <= 1.7976931348623157e308"


def _a_number(name: str, value: Any) -> None:
    if not is_number(value):
        raise EvaluationError(f"{name} takes a number, got {type_name(value)}")


@operator(
    "$ceil",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[({"a": 7.2}, {"$ceil": "$a"}, 8.0), ({"a": -2.8}, {"$ceil": "$a"}, -2.0), ({}, {"$ceil": "$a"}, None)],
)
def ceil(number: Any) -> Any:
    """The smallest whole number that is not below a number; a double stays a double.

    Null if null or missing. Raises for anything that is not a number. MongoDB: $ceil.
    """
    return _whole("$ceil", number, math.ceil, ROUND_CEILING)


@operator(
    "$floor",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[({"a": 7.8}, {"$floor": "$a"}, 7.0), ({"a": -2.2}, {"$floor": "$a"}, -3.0), ({}, {"$floor": "$a"}, None)],
)
def floor(number: Any) -> Any:
    """The largest whole number that is not above a number; a double stays a double.

    Null if null or missing. Raises for anything that is not a number. MongoDB: $floor.
    """
    return _whole("$floor", number, math.floor, ROUND_FLOOR)


def _whole(name: str, number: Any, of_double: Any, of_decimal: str) -> Any:
    if is_nullish(number):
        return None
    _a_number(name, number)
    if isinstance(number, Decimal):
        return number.to_integral_value(of_decimal)
    if isinstance(number, float):
        return math.copysign(of_double(number), number) if math.isfinite(number) else number
    return number


def _inline_whole(declared: Operator, code: str) -> None:
    """Inline source for doubles: ``code`` computes the whole double from ``{0}``; ints are what they are."""

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        (a,) = atoms
        if not a.may_be(kinds.FLOAT):
            return None
        slow = f"{e.bind(declared.function, declared.name[1:])}({a.code})"
        whole = f"{code.format(a.code)} if {a.code}.__class__ is float and {_FINITE.format(a.code)} else {slow}"
        return e.assign(whole, declared.returns)


_inline_whole(ceil, "-(-{0} // 1.0)")
_inline_whole(floor, "{0} // 1.0")


@operator(
    "$round",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": 10.5}, {"$round": "$a"}, 10.0),
        ({"a": 2.345}, {"$round": ["$a", 2]}, 2.35),
        ({"a": 1250}, {"$round": ["$a", -2]}, 1200),
        ({"a": "2.5"}, {"$round": ["$a", 1]}, EvaluationError),
    ],
)
def round_(number: Any, place: Any = 0) -> Any:
    """Round to a number of decimal places (0 by default, at most 100), or to tens, hundreds … for a negative one.

    A tie goes to the even neighbour. A double is rounded by its exact binary value: 2.345 is a little above the tie.
    Int, double and decimal stay what they are. Null if either is null or missing. Raises for anything that is not a
    number, for a place that is not a whole number from -20 to 100, and for a result beyond 64 bits. MongoDB: $round.
    """
    if is_nullish(number):
        return None
    _a_number("$round", number)
    if is_nullish(place):
        return None
    places = whole_number("$round", "its place", place, -20, 100)
    if isinstance(number, Decimal):
        return _quantized(number, places, ROUND_HALF_EVEN)
    if isinstance(number, float):
        return round(number, places) if math.isfinite(number) else number
    if places >= 0:
        return number
    return _long("$round", round(number, places))


@round_.inline
def _round(e: Emitter, atoms: list[Atom]) -> Atom | None:
    a = atoms[0]
    place = "0" if len(atoms) == 1 else atoms[1].code
    if not a.may_be(kinds.FLOAT) or not place.isdigit() or int(place) > 100:
        return None
    slow = f"{e.bind(round_.function, 'round_')}({a.code}, {place})"
    test = f"{a.code}.__class__ is float and {_FINITE.format(a.code)}"
    return e.assign(f"round({a.code}, {place}) if {test} else {slow}", kinds.NUMBER | kinds.NULL)


@operator(
    "$trunc",
    returns=kinds.NUMBER | kinds.NULL,
    examples=[
        ({"a": -7.8}, {"$trunc": "$a"}, -7.0),
        ({"a": 1234.5678}, {"$trunc": ["$a", 2]}, 1234.56),
        ({"a": 1299}, {"$trunc": ["$a", -2]}, 1200),
        ({}, {"$trunc": "$a"}, None),
    ],
)
def trunc(number: Any, place: Any = 0) -> Any:
    """Cut to a number of decimal places (0 by default, at most 100), or to tens, hundreds … for a negative one.

    A double is cut by its exact binary value. Int, double and decimal stay what they are. Null if either is null or
    missing. Raises for anything that is not a number, and for a place that is not a whole number from -20 to 100.
    MongoDB: $trunc.
    """
    if is_nullish(number):
        return None
    _a_number("$trunc", number)
    if is_nullish(place):
        return None
    places = whole_number("$trunc", "its place", place, -20, 100)
    if isinstance(number, Decimal):
        return _quantized(number, places, ROUND_DOWN)
    if isinstance(number, float):
        if not math.isfinite(number):
            return number
        if places == 0:
            return math.copysign(math.trunc(number), number)
        unit = Decimal((0, (1,), -places))
        return float(Decimal(number).quantize(unit, ROUND_DOWN, _EXACT))
    if places >= 0:
        return number
    unit_size = 10**-places
    return (abs(number) // unit_size) * unit_size * (-1 if number < 0 else 1)


@trunc.inline
def _trunc(e: Emitter, atoms: list[Atom]) -> Atom | None:
    a = atoms[0]
    if not a.may_be(kinds.FLOAT) or (len(atoms) > 1 and atoms[1].code != "0"):
        return None
    slow = f"{e.bind(trunc.function, 'trunc')}({a.code})"
    test = f"{a.code}.__class__ is float and {_FINITE.format(a.code)}"
    cut = f"({a.code} // 1.0 if {a.code} >= 0 else -(-{a.code} // 1.0))"
    return e.assign(f"{cut} if {test} else {slow}", kinds.NUMBER | kinds.NULL)


def _quantized(number: Decimal, places: int, rounding: str) -> Decimal:
    """A decimal with that many places, or with as many as 34 digits allow."""
    if not number.is_finite():
        return number
    exponent = -places
    if number:
        exponent = max(exponent, number.adjusted() - 33)
    return number.quantize(Decimal((0, (1,), exponent)), rounding, _EXACT)


def _long(name: str, number: int) -> int:
    if INT64_MIN <= number <= INT64_MAX:
        return number
    raise EvaluationError(f"{name} gives {number}, which does not fit in a long")
