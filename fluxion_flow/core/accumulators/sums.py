"""Counting and adding: ``$sum``, ``$avg``, ``$count``."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from typing import Any

from ...errors import Problems, Where
from .. import exact
from ..expressions import kinds
from ..values import int64, is_number
from .registry import Accumulator, ExpressionParser, Inline, Node, accumulator, describe


@accumulator(
    "$sum",
    examples=[
        ([{"x": 1}, {"x": 2}], {"$sum": "$x"}, 3),
        ([{"x": 0.1}] * 10, {"$sum": "$x"}, 1.0),
        ([{"x": 1}, {"x": 2.5}, {"x": "3"}, {"x": None}, {}], {"$sum": "$x"}, 3.5),
        ([{"x": 2**63 - 1}, {"x": 1}], {"$sum": "$x"}, 9223372036854775808.0),
        ([{"x": decimal.Decimal("1.10")}, {"x": 2}], {"$sum": "$x"}, decimal.Decimal("3.10")),
        ([{}, {}, {}], {"$sum": 2}, 6),
        ([{"x": "a"}], {"$sum": "$x"}, 0),
    ],
)
class Sum(Accumulator):
    """The sum of the numbers; anything else is left out.

    The sum is exact and rounded once, so that no order of the documents changes it. It is an int when all numbers are
    ints (a double beyond 64 bits), a decimal when one of them is, else a double. MongoDB: $sum.
    """

    fast = (
        "if {v}.__class__ is float: {s}.append({v})\n"
        "elif {v}.__class__ is int: {s}[0] += {v}\n"
        "else: {s} = {add}({s}, {v})"
    )
    inlines = (
        Inline(kinds.FLOAT, "[0, {v}]", "{s}.append({v})"),
        Inline(kinds.INT, "[{v}]", "{s}[0] += {v}"),
        Inline(
            kinds.INT | kinds.FLOAT,
            "[0, {v}] if {v}.__class__ is float else [{v}]",
            "if {v}.__class__ is float: {s}.append({v})\nelse: {s}[0] += {v}",
        ),
    )
    zero_code = "[0]"
    folds = True
    shorten = "if len({s}) > {most}: {compress}({s})"
    merge_fast = (
        "b = {b}\n"
        "if len(b) == 1: {a}[0] += b[0]\n"
        f"elif b[1].__class__ is float and len({{a}}) < {exact.LONG}:\n"
        "    a = {a}\n"
        "    a[0] += b[0]\n"
        "    if len(b) == 2: a.append(b[1])\n"
        "    else: a += b[1:]\n"
        "else: {merge}({a}, b)"
    )

    def zero(self) -> exact.SumState:
        return [0]

    def add(self, state: exact.SumState, value: Any) -> exact.SumState:
        return exact.add(state, value)

    def merge(self, a: exact.SumState, b: exact.SumState) -> exact.SumState:
        return exact.merge(a, b)

    def result(self, state: exact.SumState) -> Any:
        return exact.total(state)

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        if spec.__class__ is int:
            return Count(spec), []
        return super().build(spec, where, parser, problems)


@accumulator(
    "$avg",
    examples=[
        ([{"x": 1}, {"x": 2}], {"$avg": "$x"}, 1.5),
        ([{"x": 4}, {"x": "8"}, {"x": None}, {}], {"$avg": "$x"}, 4.0),
        ([{"x": decimal.Decimal("1")}, {"x": 2}], {"$avg": "$x"}, decimal.Decimal("1.5")),
        ([{"x": "a"}, {}], {"$avg": "$x"}, None),
    ],
)
class Avg(Accumulator):
    """The mean of the numbers; anything else is left out, and null is the mean of none.

    A double, or a decimal when one of the numbers is. The sum behind it is exact. MongoDB: $avg.
    """

    fast = (
        "if {v}.__class__ is float:\n"
        "    {s}[0] += 1\n"
        "    {s}[1].append({v})\n"
        "elif {v}.__class__ is int:\n"
        "    {s}[0] += 1\n"
        "    {s}[1][0] += {v}\n"
        "else: {s} = {add}({s}, {v})"
    )
    inlines = (
        Inline(kinds.FLOAT, "[1, [0, {v}]]", "{s}[0] += 1\n{s}[1].append({v})"),
        Inline(kinds.INT, "[1, [{v}]]", "{s}[0] += 1\n{s}[1][0] += {v}"),
    )
    zero_code = "[0, [0]]"
    folds = True
    shorten = "if len({s}[1]) > {most}: {compress}({s}[1])"

    def zero(self) -> list[Any]:
        return [0, [0]]

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if is_number(value):
            state[0] += 1
            exact.add(state[1], value)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a[0] += b[0]
        exact.merge(a[1], b[1])
        return a

    def result(self, state: list[Any]) -> Any:
        return exact.mean(state[1], state[0]) if state[0] else None


@accumulator("$count", examples=[([{}, {"x": 1}], {"$count": {}}, 2)])
class Count(Accumulator):
    """The number of documents. Takes no argument: ``{}``. MongoDB: $count (aggregation accumulator)."""

    fast = "{s} += 1"
    inlines = (Inline(kinds.ANY, "1", "{s} += 1"),)
    zero_code = "0"
    folds = True
    merge_fast = "{a} += {b}"

    def __init__(self, step: int = 1) -> None:
        self.step = step
        """What each document counts for: ``{"$sum": 2}`` counts by twos."""

    def zero(self) -> int:
        return 0

    def add(self, state: int, value: Any) -> int:
        return state + 1

    def merge(self, a: int, b: int) -> int:
        return a + b

    def result(self, state: int) -> int | float:
        return int64(state * self.step)

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        if not isinstance(spec, Mapping) or spec:
            problems.add(where, f"takes no argument, got {describe(spec)}", 'write {"$count": {}}')
            return None
        return cls(), []
