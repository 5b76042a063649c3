"""Exact sums, so that the order in which numbers arrive cannot change a bit of the result.

The state of a sum is a plain list ``[integers, *rest]``. Item 0 is the exact sum of the integers; every further item
is a number that still has to be added: a decimal, if any, stands at index 1, the rest are doubles. The list *stands
for* the exact sum of its items, rounded only when :func:`total` is asked for. Appending a double to it, or adding an
int to item 0, is all that adding costs; :func:`compress` shortens it without changing what it stands for.

Results follow MongoDB's ``$sum``: only integers give an integer (a double beyond 64 bits), any double a double, any
decimal a decimal of 34 digits to which doubles contribute their exact binary value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, Inexact
from fractions import Fraction
from typing import Any, Final

from .values import DECIMAL128, int64

SumState = list[Any]
"""``[int, *doubles]`` or ``[int, Decimal, *doubles]``."""

LONG: Final = 12
"""A merged state with more items than this is compressed."""

VERY_LONG: Final = 4096
"""A state that :func:`add` has made longer than this is compressed, so that its memory stays bounded."""

_HUGE: Final = 2.0**900
"""Doubles at least this large are integers; they join item 0 before a sum of doubles could overflow."""

_EXACT_IN_DOUBLES: Final = 2**53
"""Integers below this are doubles without rounding."""

_EXACT: Final = Context(prec=40_000, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact])
"""Decimal arithmetic with room for any sum of decimal128 and double values, to the last digit."""

_NAN: Final = float("nan")
_INFINITY: Final = float("inf")
_DECIMAL_NAN: Final = Decimal("NaN")


def zero() -> SumState:
    """The sum of nothing."""
    return [0]


def add(state: SumState, value: Any) -> SumState:
    """Add a number; anything else, bools included, changes nothing. Returns the state, changed in place."""
    kind = value.__class__
    if kind is int:
        state[0] += value
    elif kind is float:
        state.append(value)
        if len(state) > VERY_LONG:
            compress(state)
    elif kind is not bool:
        if isinstance(value, Decimal):
            _add_decimal(state, value)
        elif isinstance(value, int):
            state[0] += int(value)
        elif isinstance(value, float):
            state.append(float(value))
    return state


def merge(a: SumState, b: SumState) -> SumState:
    """The sum of two sums, as ``a`` changed in place. Long states are compressed."""
    a[0] += b[0]
    if len(b) > 1:
        if b[1].__class__ is Decimal:
            _join_decimal(a, b[1])
            a += b[2:]
        else:
            a += b[1:]
        if len(a) > LONG:
            compress(a)
    return a


def compress(state: SumState) -> SumState:
    """Shorten the state in place to a few doubles that stand for the same exact sum; returns it.

    Each pass takes the rounded sum out of the list until nothing is left; the passes end because each remainder is at
    most half a last digit of the sum before it.
    """
    start = 2 if len(state) > 1 and state[1].__class__ is Decimal else 1
    doubles = state[start:]
    if len(doubles) < 2:
        return state
    del state[start:]
    special = 0.0
    try:
        rounded = math.fsum(doubles)
    except (OverflowError, ValueError):  # a sum beyond the doubles, or inf and -inf
        rounded = _NAN
    if not math.isfinite(rounded):
        for x in doubles:
            if not math.isfinite(x):
                special += x
        doubles = [x for x in doubles if math.isfinite(x)]
        state[0] += sum(int(x) for x in doubles if abs(x) >= _HUGE)
        doubles = [x for x in doubles if abs(x) < _HUGE]
        rounded = math.fsum(doubles)
        if not math.isfinite(special):
            state.append(special)
    parts = []
    while rounded:
        parts.append(rounded)
        doubles.append(-rounded)
        rounded = math.fsum(doubles)
    state.extend(parts or [0.0])  # an item must stay behind: it tells that doubles were added
    return state


def total(state: SumState) -> int | float | Decimal:
    """What the state stands for, rounded once. Never ``-0.0``; infinities of both signs give NaN."""
    if len(state) == 1:
        return int64(state[0])
    if state[1].__class__ is Decimal:
        return _decimal_total(state)
    if -_EXACT_IN_DOUBLES < state[0] < _EXACT_IN_DOUBLES:
        try:
            rounded = math.fsum(state) + 0.0
            return rounded if rounded == rounded else _NAN
        except (OverflowError, ValueError):
            pass
    return _double_total(state[0], state[1:])


def mean(state: SumState, count: int) -> float | Decimal:
    """The sum divided by ``count``, which must not be 0: a double, or a decimal where decimals were added.

    Integers are divided exactly. Doubles are summed, rounded and divided, as MongoDB does.
    """
    if len(state) == 1:
        return _quotient(state[0], count)
    rounded = total(state)
    if isinstance(rounded, Decimal):
        return DECIMAL128.divide(rounded, Decimal(count))
    if math.isinf(rounded) and all(map(math.isfinite, state[1:])):
        exact = sum(map(Fraction, state[1:]), Fraction(state[0])) / count
        return _quotient(exact.numerator, exact.denominator)
    return rounded / count


def total_of(values: Iterable[Any]) -> int | float | Decimal:
    """The exact sum of the numbers among ``values``, rounded once. The ``$sum`` of an array."""
    state = [0]
    for value in values:
        add(state, value)
    return total(state)


class SlidingSum:
    """An exact sum from which values can be taken out again, for windows that move over their documents.

    What was added and removed leaves no trace: not in the bits of the result, nor in its type.
    """

    __slots__ = ("_counts", "_exponents", "_state", "count")

    def __init__(self) -> None:
        self.count = 0
        """How many numbers are in the sum."""
        self._state: SumState = [0]
        self._counts = {"double": 0, "decimal": 0, "nan": 0, "inf": 0, "-inf": 0}
        self._exponents: dict[int, int] = {}

    def add(self, value: Any) -> None:
        """Add a number; anything else changes nothing."""
        self._change(value, 1)

    def remove(self, value: Any) -> None:
        """Take out a number that was added before; anything else changes nothing."""
        self._change(value, -1)

    def _change(self, value: Any, by: int) -> None:
        if value.__class__ is bool or not isinstance(value, (int, float, Decimal)):
            return
        self.count += by
        if isinstance(value, int):
            self._state[0] += by * value
        elif isinstance(value, float):
            self._counts["double"] += by
            if math.isfinite(value):
                self._state.append(by * value)
                if len(self._state) > LONG:
                    compress(self._state)
            else:
                self._counts["nan" if value != value else "inf" if value > 0 else "-inf"] += by
        else:
            self._counts["decimal"] += by
            if value.is_finite():
                value = DECIMAL128.plus(value)
                exponent = int(value.as_tuple().exponent)
                self._exponents[exponent] = self._exponents.get(exponent, 0) + by
                _add_decimal(self._state, value if by > 0 else value.copy_negate())
            else:
                self._counts["nan" if value.is_nan() else "inf" if value > 0 else "-inf"] += by

    def _current(self) -> SumState:
        """The state of an ordinary sum of the same numbers."""
        counts, state = self._counts, self._state
        numbers = [state[0]]
        start = 2 if len(state) > 1 and state[1].__class__ is Decimal else 1
        if counts["decimal"]:
            exponent = min((e for e, count in self._exponents.items() if count), default=0)
            numbers.append(
                (state[1] if start == 2 else Decimal(0)).quantize(Decimal((0, (1,), exponent)), context=_EXACT)
            )
        if counts["double"]:
            numbers += [0.0, *state[start:]]
        else:  # what is left of removed doubles are whole numbers that compress moved to item 0, and their opposites
            numbers[0] += int(sum(map(Fraction, state[start:])))
        special = _special(counts["nan"], counts["inf"], counts["-inf"])
        if special is not None:
            numbers.append(special)
        return numbers

    def total(self) -> int | float | Decimal:
        """The sum of the numbers that are in it, as :func:`total`."""
        return total(self._current())

    def mean(self) -> float | Decimal | None:
        """Their mean, as :func:`mean`; ``None`` when there are none."""
        return mean(self._current(), self.count) if self.count else None


def _special(nans: int, infinities: int, negative_infinities: int) -> float | None:
    if nans or (infinities and negative_infinities):
        return _NAN
    if infinities:
        return _INFINITY
    return -_INFINITY if negative_infinities else None


def _add_decimal(state: SumState, value: Decimal) -> None:
    """Add a decimal exactly, as the decimal128 that it is."""
    _join_decimal(state, DECIMAL128.plus(value) if value.is_finite() else Decimal(value))


def _join_decimal(state: SumState, value: Decimal) -> None:
    """Add an exact sum of decimals, of any number of digits."""
    if len(state) < 2 or state[1].__class__ is not Decimal:
        state.insert(1, value)
        return
    before = state[1]
    if before.is_finite() and value.is_finite():
        state[1] = _EXACT.add(before, value)
    elif before.is_nan() or value.is_nan() or (before.is_infinite() and value.is_infinite() and before != value):
        state[1] = _DECIMAL_NAN
    elif value.is_infinite():
        state[1] = value


def _double_total(integers: int, doubles: list[float]) -> float:
    """The sum of an integer and doubles, correctly rounded."""
    terms = doubles
    try:
        if integers:
            terms = doubles.copy()
            while integers:
                part = float(integers)
                terms.append(part)
                integers -= int(part)
        rounded = math.fsum(terms) + 0.0
        return rounded if rounded == rounded else _NAN
    except (OverflowError, ValueError):
        special = sum(x for x in terms if not math.isfinite(x))
        if special:
            return special if special == special else _NAN
        exact = sum(map(Fraction, terms), Fraction(integers))
        return _quotient(exact.numerator, exact.denominator)


def _decimal_total(state: SumState) -> Decimal:
    """The sum as decimal128. The doubles are summed exactly before, so that their split cannot show."""
    decimals: Decimal = state[1]
    doubles = state[2:]
    special = sum(x for x in doubles if not math.isfinite(x))
    if special or not decimals.is_finite():
        if special != special or decimals.is_nan() or (special and decimals.is_infinite() and special != decimals):
            return _DECIMAL_NAN
        return decimals if decimals.is_infinite() else Decimal(special)
    binary = sum((Fraction(x) for x in doubles if math.isfinite(x)), Fraction(state[0]))
    # A binary fraction has a finite decimal expansion: m / 2**k = m * 5**k / 10**k.
    digits = binary.denominator.bit_length() - 1
    exact = Decimal(binary.numerator * 5**digits).scaleb(-digits, _EXACT)
    rounded = DECIMAL128.plus(_EXACT.add(decimals, exact))
    return rounded if rounded else rounded.copy_abs()


def _quotient(numerator: int, denominator: int) -> float:
    """The correctly rounded quotient of two integers, infinite where it lies beyond the doubles."""
    try:
        return numerator / denominator
    except OverflowError:
        return _INFINITY if (numerator > 0) == (denominator > 0) else -_INFINITY
