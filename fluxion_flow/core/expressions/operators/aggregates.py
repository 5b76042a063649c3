"""Accumulators over the values of one document: $sum $avg $min $max $stdDevPop $stdDevSamp $median $percentile.

A single argument that is an array stands for its items; among several arguments an array is one value like any other.
The results are those of the accumulators in ``$group`` (MongoDB: accumulators in other stages).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ....errors import Where
from ... import exact
from ...accumulators import ACCUMULATORS, Accumulator
from ...accumulators.statistics import METHODS, as_double, percentile
from ...values import int64, is_nullish, is_number
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import Operator, form, operator
from .applied import applied
from .uniform import common_type


def values_of(arguments: tuple[Any, ...]) -> Sequence[Any]:
    """What the arguments of an accumulator stand for: the items of a single array, else themselves."""
    if len(arguments) == 1 and arguments[0].__class__ is list:
        return arguments[0]
    return arguments


def folded(name: str) -> Callable[[tuple[Any, ...]], Any]:
    """The accumulator called ``name`` as a function of an operator's arguments."""
    accumulator: Accumulator = ACCUMULATORS[name]()

    def fold(arguments: tuple[Any, ...]) -> Any:
        state = accumulator.zero()
        for value in values_of(arguments):
            state = accumulator.add(state, value)
        return accumulator.result(state)

    return fold


_minimum, _maximum = folded("$min"), folded("$max")
_std_dev_pop, _std_dev_samp = folded("$stdDevPop"), folded("$stdDevSamp")


@operator(
    "$sum",
    returns=kinds.NUMBER,
    examples=[
        ({"a": [1, 2.5, "x"]}, {"$sum": "$a"}, 3.5),
        ({"a": [1, 2], "b": 3}, {"$sum": ["$a", "$b"]}, 3),
        ({"a": [0.1] * 10}, {"$sum": "$a"}, 1.0),
        ({}, {"$sum": "$a"}, 0),
    ],
)
def sum_(*values: Any) -> Any:
    """The sum of the numbers among some values, or in one array; anything else is left out, and none sum to 0.

    Exact, rounded once; an int for ints alone, a decimal where there is one, else a double. MongoDB: $sum.
    """
    return exact.total_of(values_of(values))


def sum_of_array(array: list[Any]) -> Any:
    """The sum of the numbers in an array: as ``$sum``, with a short way for doubles alone and for ints alone."""
    found = set(map(type, array))
    if found == _FLOAT:
        try:
            return math.fsum(array) + 0.0
        except (OverflowError, ValueError):
            return exact.total([0, *array])
    return int64(sum(array)) if found == _INT else exact.total_of(array)


def _sum_state(values: Sequence[Any]) -> tuple[exact.SumState, int]:
    """The state of an exact sum of the numbers among the values, and how many there are."""
    found = set(map(type, values))
    if found == _INT:
        return [sum(values)], len(values)
    if found == _FLOAT:
        return [0, *values], len(values)
    numbers = [value for value in values if is_number(value)]
    state = exact.zero()
    for number in numbers:
        exact.add(state, number)
    return state, len(numbers)


_FLOAT, _INT = {float}, {int}


@sum_.inline
def _sum(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 1 or not atoms[0].may_be(kinds.ARRAY):
        return None
    (a,) = atoms
    fast, slow = e.bind(sum_of_array, "sum_of_array"), e.bind(sum_.function, "sum_")
    if a.is_only(kinds.ARRAY):
        return e.assign(f"{fast}({a.code})", kinds.NUMBER)
    return e.assign(f"{fast}({a.code}) if {a.code}.__class__ is list else {slow}({a.code})", kinds.NUMBER)


@operator(
    "$avg",
    returns=kinds.FLOAT | kinds.DECIMAL | kinds.NULL,
    examples=[
        ({"a": [1, 2, "x"]}, {"$avg": "$a"}, 1.5),
        ({"a": 1, "b": 4}, {"$avg": ["$a", "$b", "$c"]}, 2.5),
        ({"a": ["x"]}, {"$avg": "$a"}, None),
    ],
)
def avg(*values: Any) -> Any:
    """The mean of the numbers among some values, or in one array; anything else is left out, null where none is left.

    A double, or a decimal where there is one. MongoDB: $avg.
    """
    state, count = _sum_state(values_of(values))
    return exact.mean(state, count) if count else None


def avg_of_array(array: list[Any]) -> Any:
    """The mean of the numbers in an array: as ``$avg``, with a short way for doubles alone."""
    if set(map(type, array)) == _FLOAT:
        try:
            total = math.fsum(array)
        except (OverflowError, ValueError):
            total = math.inf
        if math.isfinite(total):
            return (total + 0.0) / len(array)
    return avg.function(array)


@avg.inline
def _avg(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 1 or not atoms[0].may_be(kinds.ARRAY):
        return None
    (a,) = atoms
    fast, slow = e.bind(avg_of_array, "avg_of_array"), e.bind(avg.function, "avg")
    return e.assign(f"{fast}({a.code}) if {a.code}.__class__ is list else {slow}({a.code})", avg.returns)


@operator(
    "$min",
    examples=[
        ({"a": [3, None, 1]}, {"$min": "$a"}, 1),
        ({"a": 3, "b": "x"}, {"$min": ["$a", "$b"]}, 3),
        ({"a": []}, {"$min": "$a"}, None),
    ],
)
def min_(*values: Any) -> Any:
    """The smallest of some values, or of the items of one array, in BSON order.

    Null and missing are left out; null where nothing is left. MongoDB: $min.
    """
    return _min_of_array(values[0]) if len(values) == 1 and values[0].__class__ is list else _minimum(values)


@operator(
    "$max",
    examples=[
        ({"a": [3, None, 1]}, {"$max": "$a"}, 3),
        ({"a": 3, "b": "x"}, {"$max": ["$a", "$b"]}, "x"),
        ({"a": []}, {"$max": "$a"}, None),
    ],
)
def max_(*values: Any) -> Any:
    """The largest of some values, or of the items of one array, in BSON order.

    Null and missing are left out; null where nothing is left. MongoDB: $max.
    """
    return _max_of_array(values[0]) if len(values) == 1 and values[0].__class__ is list else _maximum(values)


def _min_of_array(array: list[Any]) -> Any:
    """The smallest item, by Python's own function where that means the same."""
    kind = common_type(array)
    if kind is None:
        return _minimum((array,))
    smallest = min(array)
    return smallest if smallest or kind is not float else _minimum((array,))  # 0.0 and -0.0: one has to be chosen


def _max_of_array(array: list[Any]) -> Any:
    """The largest item, by Python's own function where that means the same."""
    kind = common_type(array)
    if kind is None:
        return _maximum((array,))
    largest = max(array)
    return largest if largest or kind is not float else _maximum((array,))


def _inline_extreme(declared: Operator, symbol: str, of_array: Callable[[list[Any]], Any]) -> None:
    """Inline source for an array, and for two numbers that differ; everything else is the function's."""

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        if len(atoms) == 1 and atoms[0].may_be(kinds.ARRAY):
            (a,) = atoms
            fast = f"{e.bind(of_array, declared.name[1:] + '_of_array')}({a.code})"
            slow = f"{e.bind(declared.function, declared.name[1:] + '_')}({a.code})"
            return e.assign(f"{fast} if {a.code}.__class__ is list else {slow}")
        if len(atoms) != 2:
            return None
        a, b = atoms
        guards = [g for g in (e.plain_number(a), e.plain_number(b)) if g]
        slow = f"{e.bind(declared.function, declared.name[1:] + '_')}({a.code}, {b.code})"
        result = e.temp()
        with e.block(f"if {' and '.join([*guards, f'{a.code} {symbol} {b.code}'])}:"):
            e.line(f"{result} = {a.code}")
        with e.block(f"elif {' and '.join([*guards, f'{b.code} {symbol} {a.code}'])}:"):
            e.line(f"{result} = {b.code}")
        with e.block("else:"):
            e.line(f"{result} = {slow}")
        return Atom(result, a.kinds | b.kinds | kinds.NULL)


_inline_extreme(min_, "<", _min_of_array)
_inline_extreme(max_, ">", _max_of_array)


@operator(
    "$stdDevPop",
    returns=kinds.FLOAT | kinds.NULL,
    examples=[({"a": [4, 7, 13, 16]}, {"$stdDevPop": "$a"}, 4.743416490252569), ({}, {"$stdDevPop": "$a"}, None)],
)
def std_dev_pop(*values: Any) -> Any:
    """The standard deviation of numbers as a whole population; anything else is left out, null where none is left.

    MongoDB: $stdDevPop.
    """
    return _std_dev_pop(values)


@operator(
    "$stdDevSamp",
    returns=kinds.FLOAT | kinds.NULL,
    examples=[
        ({"a": [4, 7, 13, 16]}, {"$stdDevSamp": "$a"}, 5.477225575051661),
        ({"a": [4]}, {"$stdDevSamp": "$a"}, None),
    ],
)
def std_dev_samp(*values: Any) -> Any:
    """The standard deviation of numbers as a sample; anything else is left out, null where fewer than two are left.

    MongoDB: $stdDevSamp.
    """
    return _std_dev_samp(values)


@form(
    "$median",
    arity="{input, method}",
    examples=[
        ({"a": [3, 1, 2, "x"]}, {"$median": {"input": "$a", "method": "approximate"}}, 2.0),
        ({"a": 5}, {"$median": {"input": "$a", "method": "approximate"}}, 5.0),
        ({}, {"$median": {"input": "$a", "method": "approximate"}}, None),
    ],
)
def median(spec: Any, where: Where, parser: Parser) -> Node:
    """The number in the middle of an array's numbers, a double; anything else is left out, null where none is left.

    MongoDB: $median.
    """
    given = parser.arguments(spec, where, ("input", "method"))
    if given is None:
        return Const(where, None)
    _check_method(given["method"], where / "method", parser)
    source = parser.expression(given["input"], where / "input")

    def middle(value: Any) -> Any:
        return percentile(_doubles(value), 0.5, given["method"])

    return applied(where, "$median", middle, source, returns=kinds.FLOAT | kinds.NULL)


@form(
    "$percentile",
    arity="{input, p: [number, …], method}",
    examples=[
        ({"a": [3, 1, 2]}, {"$percentile": {"input": "$a", "p": [0.5, 0.9], "method": "approximate"}}, [2.0, 3.0]),
        ({}, {"$percentile": {"input": "$a", "p": [0.5], "method": "approximate"}}, [None]),
    ],
)
def percentiles(spec: Any, where: Where, parser: Parser) -> Node:
    """The numbers below which lie given parts of an array's numbers, doubles; nulls where there are no numbers.

    Anything that is not a number is left out. ``p`` is an array of constants from 0 to 1. MongoDB: $percentile.
    """
    given = parser.arguments(spec, where, ("input", "p", "method"))
    if given is None:
        return Const(where, None)
    _check_method(given["method"], where / "method", parser)
    source = parser.expression(given["input"], where / "input")
    parts = parser.constant(given["p"], where / "p")
    if not isinstance(parts, list) or not parts:
        parser.problems.add(where / "p", "takes an array of numbers from 0 to 1", "such as [0.5, 0.95]")
        return Const(where, None)
    for i, part in enumerate(parts):
        if part.__class__ not in (int, float) or not 0 <= part <= 1:
            parser.problems.add(where / "p" / i, f"is a number from 0 to 1, got {part!r}")

    def ranks(value: Any) -> list[Any]:
        ordered = _doubles(value)
        return [percentile(ordered, part, given["method"]) for part in parts]

    return applied(where, "$percentile", ranks, source, returns=kinds.ARRAY)


def _check_method(method: Any, where: Where, parser: Parser) -> None:
    if method not in METHODS:
        parser.problems.add(where, f"unknown method {method!r}", f"known are {', '.join(METHODS)}")


def _doubles(value: Any) -> list[float]:
    """The numbers of an array, or a single number, as sorted doubles."""
    if is_nullish(value):
        return []
    items = values_of((value,))
    kind = common_type(items)
    if kind is float and 0.0 not in items:
        return sorted(items)
    if kind is int or kind is float:
        return sorted([item + 0.0 for item in items])
    doubles = (as_double(item) for item in items)
    return sorted(number for number in doubles if number is not None)
