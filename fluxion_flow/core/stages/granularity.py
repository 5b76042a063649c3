"""Series of preferred numbers, to which $bucketAuto rounds its boundaries.

The series and the rounding are MongoDB's: up to the next number of the series, down to the one before, never staying
where a value already is one. (MongoDB's R40 lacks 335, and its R80 every second number of the Renard series.)
MongoDB: $bucketAuto, granularity.
"""

from __future__ import annotations

import bisect
import math
from typing import Any, Final

from ..values import EvaluationError, is_number, type_name


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())


def _e_series(count: int) -> tuple[float, ...]:
    """The E series of ``count`` numbers a decade with three digits; 920 stands where the formula gives 919."""
    found = [round(100 * 10 ** (i / count)) for i in range(count)]
    return tuple(float(920 if value == 919 else value) for value in found)


SERIES: Final[dict[str, tuple[float, ...]]] = {
    "R5": _numbers("10 16 25 40 63"),
    "R10": _numbers("100 125 160 200 250 315 400 500 630 800"),
    "R20": _numbers("100 112 125 140 160 180 200 224 250 280 315 355 400 450 500 560 630 710 800 900"),
    "R40": _numbers(
        "100 106 112 118 125 132 140 150 160 170 180 190 200 212 224 236 250 265 280 300 "
        "315 355 375 400 425 450 475 500 530 560 600 630 670 710 750 800 850 900 950"
    ),
    "R80": _numbers(
        "103 109 115 122 128 136 145 155 165 175 185 195 206 218 230 243 258 272 290 307 "
        "325 345 365 387 412 437 462 487 515 545 575 615 650 690 730 775 825 875 925 975"
    ),
    "1-2-5": _numbers("10 20 50"),
    "E6": _numbers("10 15 22 33 47 68"),
    "E12": _numbers("10 12 15 18 22 27 33 39 47 56 68 82"),
    "E24": _numbers("10 11 12 13 15 16 18 20 22 24 27 30 33 36 39 43 47 51 56 62 68 75 82 91"),
    "E48": _e_series(48),
    "E96": _e_series(96),
    "E192": _e_series(192),
}

GRANULARITIES: Final = (*SERIES, "POWERSOF2")


def _checked(value: Any) -> float:
    if not is_number(value):
        raise EvaluationError(f"a granularity rounds numbers, got {type_name(value)}")
    number = float(value)
    if number != number or number < 0:
        raise EvaluationError(f"a granularity rounds numbers from 0, got {value}")
    return number


def round_up(value: Any, granularity: str) -> float:
    """The next number of the series above ``value``; 0 stays 0.

    Raises :class:`EvaluationError` for anything but a number from 0.
    """
    number = _checked(value)
    if number == 0 or math.isinf(number):
        return number
    if granularity == "POWERSOF2":
        return math.ldexp(1.0, math.frexp(number)[1])
    series, scale = SERIES[granularity], 1.0
    while number >= series[-1] * scale:
        scale *= 10.0
    while number < series[0] * scale:
        above = series[0] * scale
        scale /= 10.0
        if number >= series[-1] * scale:
            return above
    return next(x * scale for x in series if x * scale > number)


def round_down(value: Any, granularity: str) -> float:
    """The number of the series below ``value``; 0 stays 0.

    Raises :class:`EvaluationError` for anything but a number from 0.
    """
    number = _checked(value)
    if number == 0 or math.isinf(number):
        return number
    if granularity == "POWERSOF2":
        fraction, exponent = math.frexp(number)
        return math.ldexp(1.0, exponent - (2 if fraction == 0.5 else 1))
    series, scale = SERIES[granularity], 1.0
    while number <= series[0] * scale:
        scale /= 10.0
    if scale == 0:
        return 0.0
    while number > series[-1] * scale:
        below = series[-1] * scale
        scale *= 10.0
        if number <= series[0] * scale:
            return below
    scaled = [x * scale for x in series]
    return scaled[bisect.bisect_left(scaled, number) - 1]
