"""Arrays by the order of their items: $sortArray, $firstN, $lastN, $maxN, $minN (MongoDB: array operators)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ....errors import Where
from ...ordering import field_sort_key, sort_key
from ...values import EvaluationError, is_nullish
from .. import kinds
from ..nodes import Const, Node
from ..parse import Parser
from ..paths import path_in
from ..registry import form, operator
from .applied import applied
from .arrays import an_array
from .uniform import in_python_order
from .whole_numbers import whole_number


def in_order(items: list[Any], descending: bool) -> list[Any]:
    """The items in BSON order; equal ones keep theirs."""
    return sorted(items, key=None if in_python_order(items) else sort_key, reverse=descending)


def _count(name: str, n: Any) -> int:
    if n.__class__ is int and 0 < n < 2**31:
        return int(n)
    return whole_number(name, "n", n, 1, 2**63 - 1)


@operator(
    "$firstN",
    returns=kinds.ARRAY,
    examples=[
        ({"a": [1, 2, 3]}, {"$firstN": {"input": "$a", "n": 2}}, [1, 2]),
        ({}, {"$firstN": {"input": "$a", "n": 2}}, EvaluationError),
    ],
)
def first_n(*, input: Any, n: Any) -> list[Any]:
    """The first ``n`` items of an array, or all when it has fewer.

    Raises for anything that is not an array, null and missing too, and for an ``n`` that is not a whole number of at
    least 1. MongoDB: $firstN (array operator).
    """
    count = _count("$firstN", n)
    return an_array("$firstN", input, "an array as its input")[:count]


@operator(
    "$lastN",
    returns=kinds.ARRAY,
    examples=[
        ({"a": [1, 2, 3]}, {"$lastN": {"input": "$a", "n": 2}}, [2, 3]),
        ({"a": [1]}, {"$lastN": {"input": "$a", "n": 0}}, EvaluationError),
    ],
)
def last_n(*, input: Any, n: Any) -> list[Any]:
    """The last ``n`` items of an array, or all when it has fewer.

    Raises for anything that is not an array, null and missing too, and for an ``n`` that is not a whole number of at
    least 1. MongoDB: $lastN (array operator).
    """
    count = _count("$lastN", n)
    return an_array("$lastN", input, "an array as its input")[-count:]


@operator(
    "$maxN",
    returns=kinds.ARRAY,
    examples=[
        ({"a": [3, None, 1, 2]}, {"$maxN": {"input": "$a", "n": 2}}, [3, 2]),
        ({"a": 3}, {"$maxN": {"input": "$a", "n": 2}}, EvaluationError),
    ],
)
def max_n(*, input: Any, n: Any) -> list[Any]:
    """The ``n`` largest items of an array, largest first; nulls are left out.

    Raises for anything that is not an array, null and missing too, and for an ``n`` that is not a whole number of at
    least 1. MongoDB: $maxN (array operator).
    """
    count = _count("$maxN", n)
    items = [item for item in an_array("$maxN", input, "an array as its input") if item is not None]
    return in_order(items, True)[:count]


@operator(
    "$minN",
    returns=kinds.ARRAY,
    examples=[
        ({"a": [3, None, 1, 2]}, {"$minN": {"input": "$a", "n": 2}}, [1, 2]),
        ({"a": 3}, {"$minN": {"input": "$a", "n": 2}}, EvaluationError),
    ],
)
def min_n(*, input: Any, n: Any) -> list[Any]:
    """The ``n`` smallest items of an array, smallest first; nulls are left out.

    Raises for anything that is not an array, null and missing too, and for an ``n`` that is not a whole number of at
    least 1. MongoDB: $minN (array operator).
    """
    count = _count("$minN", n)
    items = [item for item in an_array("$minN", input, "an array as its input") if item is not None]
    return in_order(items, False)[:count]


@form(
    "$sortArray",
    arity="{input, sortBy}",
    examples=[
        ({"a": [3, 1, 2]}, {"$sortArray": {"input": "$a", "sortBy": -1}}, [3, 2, 1]),
        (
            {"team": [{"name": "Bo", "age": 3}, {"name": "Al", "age": 5}]},
            {"$sortArray": {"input": "$team", "sortBy": {"age": -1}}},
            [{"name": "Al", "age": 5}, {"name": "Bo", "age": 3}],
        ),
        ({}, {"$sortArray": {"input": "$a", "sortBy": 1}}, None),
        ({"a": 1}, {"$sortArray": {"input": "$a", "sortBy": 1}}, EvaluationError),
    ],
)
def sort_array(spec: Any, where: Where, parser: Parser) -> Node:
    """An array in order: of its items (``sortBy`` 1 or -1), or of fields of its documents (``{field: 1 or -1, …}``).

    Null if the input is null or missing. Raises for anything else that is not an array. Equal items keep their order.
    MongoDB: $sortArray.
    """
    given = parser.arguments(spec, where, ("input", "sortBy"))
    if given is None:
        return Const(where, None)
    order = _order(given["sortBy"], where / "sortBy", parser)
    array = parser.expression(given["input"], where / "input")
    if order is None:
        return Const(where, None)
    return applied(where, "$sortArray", order, array, returns=kinds.ARRAY | kinds.NULL)


def _order(spec: Any, where: Where, parser: Parser) -> Callable[[Any], Any] | None:
    """The function that sorts as ``sortBy`` says; ``None`` after reporting what is wrong with it."""
    if _is_direction(spec):
        return _by_item(spec < 0)
    if not isinstance(spec, Mapping) or not spec:
        parser.problems.add(where, "takes 1, -1 or an object of fields", 'such as {"age": -1, "name": 1}')
        return None
    keys: list[tuple[tuple[str, ...], bool]] = []
    for name, direction in spec.items():
        if not _is_direction(direction):
            parser.problems.add(where / str(name), f"the direction is 1 or -1, got {direction!r}")
        elif parser.check_path(str(name), where):
            keys.append((tuple(str(name).split(".")), direction < 0))
    return _by_fields(keys) if len(keys) == len(spec) else None


def _is_direction(value: Any) -> bool:
    return value.__class__ in (int, float) and value in (1, -1)


def _by_item(descending: bool) -> Callable[[Any], Any]:
    def sort(array: Any) -> Any:
        if is_nullish(array):
            return None
        return in_order(an_array("$sortArray", array, "an array as its input"), descending)

    return sort


def _by_fields(keys: list[tuple[tuple[str, ...], bool]]) -> Callable[[Any], Any]:
    def sort(array: Any) -> Any:
        if is_nullish(array):
            return None
        items = an_array("$sortArray", array, "an array as its input")
        order = list(range(len(items)))
        for path, descending in reversed(keys):
            values = [path_in(item, path) for item in items]
            ranks = values if in_python_order(values) else [field_sort_key(value, descending) for value in values]
            order.sort(key=ranks.__getitem__, reverse=descending)
        return [items[i] for i in order]

    return sort
