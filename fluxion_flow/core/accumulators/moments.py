"""Exact sums of numbers, their squares and products, for variances that no order of the documents can change.

A double is an integer times a power of two, so sums of doubles and of their products are integers over a common power
of two. The state ``[count, specials, bits, sum, squares]`` holds ``sum / 2**bits`` and ``squares / 4**bits``; for pairs
``[count, specials, bits, sum x, sum y, sum of x*y]``. ``specials`` counts NaN and infinities, which make every result
NaN. Values can be taken out again with ``by=-1``. Results are rounded once.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from ..values import is_number

MomentsState = list[int]


def moments() -> MomentsState:
    """The state of no numbers."""
    return [0, 0, 0, 0, 0]


def add_moment(state: MomentsState, value: Any, by: int = 1) -> MomentsState:
    """Add a number (or take it out, ``by=-1``), in place; anything else changes nothing. Decimals count as doubles."""
    if not is_number(value):
        return state
    state[0] += by
    ratio = _ratio(value)
    if ratio is None:
        state[1] += by
        return state
    x, bits = ratio
    if bits != state[2]:
        _widen(state, bits)
        x <<= state[2] - bits
    state[3] += by * x
    state[4] += by * x * x
    return state


def merge_moments(a: MomentsState, b: MomentsState) -> MomentsState:
    """The state of the numbers of both, as ``a`` changed in place."""
    _widen(a, b[2])
    _widen(b, a[2])
    for i in (0, 1, 3, 4):
        a[i] += b[i]
    return a


def standard_deviation(state: MomentsState, sample: bool) -> float | None:
    """The correctly rounded standard deviation of the population, or of a sample of it.

    ``None`` for no numbers, and for one number of a sample.
    """
    count, specials, bits, total, squares = state
    if count < (2 if sample else 1):
        return None
    if specials:
        return math.nan
    return _square_root(count * squares - total * total, count * (count - 1 if sample else count) << 2 * bits)


def pair_moments() -> MomentsState:
    """The state of no pairs."""
    return [0, 0, 0, 0, 0, 0]


def add_pair(state: MomentsState, x: Any, y: Any, by: int = 1) -> MomentsState:
    """Add a pair (or take it out, ``by=-1``), in place; a pair that is not two numbers changes nothing."""
    if not (is_number(x) and is_number(y)):
        return state
    ratio_x, ratio_y = _ratio(x), _ratio(y)
    state[0] += by
    if ratio_x is None or ratio_y is None:
        state[1] += by
        return state
    (whole_x, bits_x), (whole_y, bits_y) = ratio_x, ratio_y
    _widen(state, max(bits_x, bits_y))
    whole_x <<= state[2] - bits_x
    whole_y <<= state[2] - bits_y
    state[3] += by * whole_x
    state[4] += by * whole_y
    state[5] += by * whole_x * whole_y
    return state


def covariance(state: MomentsState, sample: bool) -> float | None:
    """The correctly rounded covariance of the population, or of a sample of it.

    ``None`` for no pairs, and for one pair of a sample.
    """
    count, specials, bits, total_x, total_y, products = state
    if count < (2 if sample else 1):
        return None
    if specials:
        return math.nan
    above = count * products - total_x * total_y
    try:
        return above / (count * (count - 1 if sample else count) << 2 * bits)
    except OverflowError:
        return math.inf if above > 0 else -math.inf


def _ratio(value: Any) -> tuple[int, int] | None:
    """The number as an integer and the power of two that it is over; ``None`` for NaN and infinities."""
    if isinstance(value, int):
        return int(value), 0
    if isinstance(value, Decimal):
        value = math.nan if value.is_nan() else float(value)
    try:
        above, below = value.as_integer_ratio()
    except (OverflowError, ValueError):
        return None
    return above, below.bit_length() - 1


def _widen(state: MomentsState, bits: int) -> None:
    """Raise the state's power of two to ``2**bits`` where it is lower."""
    more = bits - state[2]
    if more <= 0:
        return
    state[2] = bits
    state[3] <<= more
    if len(state) == 5:
        state[4] <<= 2 * more
    else:
        state[4] <<= more
        state[5] <<= 2 * more


def _square_root(above: int, below: int) -> float:
    """The correctly rounded square root of ``above / below``."""
    if above <= 0:
        return 0.0
    # Scale by a power of four so that the integer root has at least 64 bits; its last bit then records a remainder,
    # which decides between two doubles when the root lies between them.
    shift = max(0, 130 - above.bit_length() + below.bit_length()) // 2 * 2
    scaled = above << shift
    quotient = scaled // below
    root = math.isqrt(quotient)
    exact = root * root == quotient and quotient * below == scaled
    root = root << 1 | (0 if exact else 1)
    try:
        return root / (1 << shift // 2 + 1)
    except OverflowError:
        return math.inf
