"""Spread and rank: ``$stdDevPop``, ``$stdDevSamp``, ``$percentile``, ``$median``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

from ...errors import Problems, Where, did_you_mean
from ..values import is_number
from .moments import MomentsState, add_moment, merge_moments, moments, standard_deviation
from .registry import Accumulator, ExpressionParser, Node, accumulator, describe, read_options


class _StdDev(Accumulator):
    zero_code = "[0, 0, 0, 0, 0]"
    folds = True
    sample: ClassVar[bool]

    def zero(self) -> MomentsState:
        return moments()

    def add(self, state: MomentsState, value: Any) -> MomentsState:
        return add_moment(state, value)

    def merge(self, a: MomentsState, b: MomentsState) -> MomentsState:
        return merge_moments(a, b)

    def result(self, state: MomentsState) -> float | None:
        return standard_deviation(state, self.sample)


@accumulator(
    "$stdDevPop",
    examples=[
        ([{"x": 4}, {"x": 7}, {"x": 13}, {"x": 16}, {"x": "9"}], {"$stdDevPop": "$x"}, 4.743416490252569),
        ([{"x": 1}], {"$stdDevPop": "$x"}, 0.0),
        ([{}], {"$stdDevPop": "$x"}, None),
    ],
)
class StdDevPop(_StdDev):
    """The standard deviation of the numbers as a whole population, a double; anything else is left out.

    Computed exactly and rounded once. Null for no numbers; NaN where one is NaN or infinite. MongoDB: $stdDevPop.
    """

    sample = False


@accumulator(
    "$stdDevSamp",
    examples=[
        ([{"x": 4}, {"x": 7}, {"x": 13}, {"x": 16}], {"$stdDevSamp": "$x"}, 5.477225575051661),
        ([{"x": 1}], {"$stdDevSamp": "$x"}, None),
    ],
)
class StdDevSamp(_StdDev):
    """The standard deviation of the numbers as a sample, a double; anything else is left out.

    Computed exactly and rounded once. Null for fewer than two numbers; NaN where one is NaN or infinite.
    MongoDB: $stdDevSamp.
    """

    sample = True


METHODS = ("approximate", "discrete", "continuous")
"""How a percentile is computed. MongoDB estimates ``approximate`` by a t-digest; here it is ``discrete``."""


def percentile(ordered: Sequence[float], p: float, method: str) -> float | None:
    """The value below or at which the part ``p`` (0 to 1) of the ascending numbers lies; ``None`` for no numbers.

    ``continuous`` interpolates between the two nearest; the other methods give the smallest number whose rank is at
    least ``p`` times the count.
    """
    count = len(ordered)
    if not count:
        return None
    if method != "continuous":
        return ordered[count - 1 if p >= 1 else max(0, math.ceil(count * p) - 1)]
    rank = p * (count - 1)
    low, high = ordered[math.floor(rank)], ordered[math.ceil(rank)]
    if low == high:
        return low
    part = rank - math.floor(rank)
    return low * (1 - part) + high * part


def as_double(value: Any) -> float | None:
    """The number as a double, never ``-0.0``; ``None`` for NaN and for anything that is no number."""
    if not is_number(value) or (value.is_nan() if isinstance(value, Decimal) else value != value):
        return None
    try:
        return float(value) + 0.0
    except OverflowError:
        return math.inf if value > 0 else -math.inf


class _Ranks(Accumulator):
    """The state is the list of all numbers, as doubles."""

    fast = "if {v}.__class__ is float and {v} > 0.0: {s}.append({v})\nelse: {s} = {add}({s}, {v})"
    zero_code = "[]"
    folds = True

    def __init__(self, p: tuple[float, ...], method: str) -> None:
        self.p = p
        self.method = method

    def zero(self) -> list[float]:
        return []

    def add(self, state: list[float], value: Any) -> list[float]:
        double = as_double(value)
        if double is not None:
            state.append(double)
        return state

    def merge(self, a: list[float], b: list[float]) -> list[float]:
        a += b
        return a

    def result(self, state: list[float]) -> Any:
        ordered = sorted(state)
        return [percentile(ordered, p, self.method) for p in self.p]


def _check_method(method: Any, where: Where, problems: Problems) -> None:
    if method not in METHODS:
        hint = did_you_mean(method, METHODS) if isinstance(method, str) else ""
        problems.add(where, f"must be one of {', '.join(METHODS)}, got {describe(method)}", hint)


_FIVE: list[dict[str, Any]] = [{"x": 3}, {"x": 1}, {"x": 5}, {"x": 2}, {"x": 4}, {"x": "a"}]


@accumulator(
    "$percentile",
    examples=[
        (_FIVE, {"$percentile": {"input": "$x", "p": [0.5, 0.95], "method": "approximate"}}, [3.0, 5.0]),
        (_FIVE, {"$percentile": {"input": "$x", "p": [0.375], "method": "continuous"}}, [2.5]),
        ([{}], {"$percentile": {"input": "$x", "p": [0.5], "method": "approximate"}}, [None]),
    ],
)
class Percentile(_Ranks):
    """The numbers at the given parts ``p`` (0 to 1) of all numbers in order, as doubles; anything else is left out.

    ``method`` is ``discrete`` (the smallest number whose rank is at least ``p`` times the count), ``continuous``
    (interpolated), or ``approximate``, which is ``discrete`` here: exact, where MongoDB estimates large groups. All
    numbers are kept in the state. MongoDB: $percentile.
    """

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        options = read_options(spec, where, problems, ("input", "p", "method"))
        if options is None:
            return None
        _check_method(options["method"], where / "method", problems)
        nodes = [parser.expression(options["input"], where / "input")]
        before = len(problems.found)
        parts = parser.constant(options["p"], where / "p")
        if len(problems.found) > before:
            return None
        if not isinstance(parts, (list, tuple)) or not parts:
            problems.add(
                where / "p", f"must be an array of numbers from 0 to 1, got {describe(parts)}", "such as [0.5, 0.95]"
            )
            return None
        doubles = [as_double(part) for part in parts]
        for i, (part, double) in enumerate(zip(parts, doubles, strict=True)):
            if double is None or not 0 <= double <= 1:
                problems.add(where / "p" / i, f"must be a number from 0 to 1, got {describe(part)}")
        return cls(tuple(double or 0.0 for double in doubles), options["method"]), nodes


@accumulator(
    "$median",
    examples=[
        (_FIVE, {"$median": {"input": "$x", "method": "approximate"}}, 3.0),
        ([{"x": 1}, {"x": 2}], {"$median": {"input": "$x", "method": "discrete"}}, 1.0),
        ([{"x": 1}, {"x": 2}], {"$median": {"input": "$x", "method": "continuous"}}, 1.5),
        ([{}], {"$median": {"input": "$x", "method": "approximate"}}, None),
    ],
)
class Median(_Ranks):
    """The number in the middle of all numbers, a double; anything else is left out, null when nothing is left.

    The same as ``$percentile`` with ``p: [0.5]``, methods included. MongoDB: $median.
    """

    def result(self, state: list[float]) -> float | None:
        return percentile(sorted(state), 0.5, self.method)

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        options = read_options(spec, where, problems, ("input", "method"))
        if options is None:
            return None
        _check_method(options["method"], where / "method", problems)
        return cls((0.5,), options["method"]), [parser.expression(options["input"], where / "input")]
