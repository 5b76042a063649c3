"""Conditions about arrays: $all $elemMatch $size (MongoDB: Array Query Operators)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ....errors import Where
from ...expressions.emit import Emitter
from ...expressions.parse import Parser
from ..compile import compile_query
from ..condition import Condition, Every, Never
from ..parse import conditions_of, is_operators, literal, parse_query, shown
from ..paths import Reading
from ..registry import field_operator
from .comparison import Equal
from .logical import Expression
from .numbers import SampleRate, whole_number
from .regex import regex


@dataclass(frozen=True, eq=False)
class Size(Condition):
    """An array of so many elements."""

    into_arrays: ClassVar[bool] = False
    size: int

    def holds(self, value: Any) -> bool:
        return value.__class__ is list and len(value) == self.size

    def source(self, e: Emitter, value: Reading) -> str:
        if value.several:
            return self.slow(e, value)
        return f"({value.code}.__class__ is list and len({value.code}) == {self.size})"


@field_operator("$size", examples=[({"a": [1, 2]}, {"a": {"$size": 2}}, True), ({"a": 2}, {"a": {"$size": 1}}, False)])
def size(spec: Any, where: Where, parser: Parser) -> Condition:
    """An array with exactly so many elements. MongoDB: $size."""
    count = whole_number(spec)
    if count is None or count < 0:
        parser.problems.add(
            where, f"takes a whole number from 0 on, got {shown(spec)}", "compare sizes with $expr and $size"
        )
        return Never(where)
    return Size(where, count)


@dataclass(frozen=True, eq=False)
class ElementFits(Condition):
    """An array with an element for which all of the conditions hold."""

    into_arrays: ClassVar[bool] = False
    conditions: tuple[Condition, ...]

    def holds(self, value: Any) -> bool:
        return value.__class__ is list and any(all(c.holds(item) for c in self.conditions) for item in value)

    def children(self) -> Iterator[Condition]:
        return iter(self.conditions)


@dataclass(frozen=True, eq=False)
class ElementMatches(Condition):
    """An array with an element, a document, that a query matches; an array in it is a document by index."""

    into_arrays: ClassVar[bool] = False
    matches: Callable[[dict[str, Any], Any], bool]

    def holds(self, value: Any) -> bool:
        if value.__class__ is not list:
            return False
        matches = self.matches
        for item in value:
            if item.__class__ is dict:
                if matches(item, None):
                    return True
            elif item.__class__ is list and matches({str(i): x for i, x in enumerate(item)}, None):
                return True
        return False


_OF_DOCUMENTS = frozenset(
    {"$and", "$or", "$nor", "$expr", "$jsonSchema", "$comment", "$alwaysTrue", "$alwaysFalse", "$sampleRate"}
)


@field_operator(
    "$elemMatch",
    examples=[
        ({"a": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, {"a": {"$elemMatch": {"x": 1, "y": 2}}}, True),
        ({"a": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, {"a": {"$elemMatch": {"x": 1, "y": 4}}}, False),
        ({"a": [3, 12]}, {"a": {"$elemMatch": {"$gt": 4, "$lt": 11}}}, False),
    ],
)
def elem_match(spec: Any, where: Where, parser: Parser) -> Condition:
    """An array with one element that fits the whole query, or all of the operators. MongoDB: $elemMatch."""
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes a query or an object of operators, got {shown(spec)}")
        return Never(where)
    if is_operators(spec) and next(iter(spec)) not in _OF_DOCUMENTS:
        return ElementFits(where, conditions_of(spec, where, parser))
    predicate = parse_query(spec, where, parser)
    for part in predicate.walk():
        if isinstance(part, (Expression, SampleRate)):
            parser.problems.add(part.where, "cannot stand in an array's element", "put it at the top of the query")
    return ElementMatches(where, compile_query(predicate))


@field_operator(
    "$all",
    examples=[
        ({"tags": ["a", "b", "c"]}, {"tags": {"$all": ["a", "c"]}}, True),
        ({"tags": "a"}, {"tags": {"$all": ["a"]}}, True),
        ({"tags": ["a"]}, {"tags": {"$all": []}}, False),
        (
            {"a": [{"x": 1}, {"x": 9}]},
            {"a": {"$all": [{"$elemMatch": {"x": 1}}, {"$elemMatch": {"x": {"$gt": 5}}}]}},
            True,
        ),
    ],
)
def all_(spec: Any, where: Where, parser: Parser) -> Condition:
    """An array that holds all of several values, or an element for each ``$elemMatch``. MongoDB: $all."""
    if not isinstance(spec, (list, tuple)):
        parser.problems.add(where, f"takes an array, got {shown(spec)}")
        return Never(where)
    parts: list[Condition] = []
    elements = [is_operators(item) and next(iter(item)) == "$elemMatch" for item in spec]
    for i, item in enumerate(spec):
        if elements[i]:
            parts += conditions_of(item, where / i, parser)
        elif is_operators(item):
            parser.problems.add(
                where / i, "takes values or $elemMatch, got other operators", "join conditions with $and"
            )
        elif isinstance(item, re.Pattern):
            parts.append(regex({"$regex": item}, where / i, parser))
        else:
            parts.append(Equal(where / i, literal(item, where / i, parser)))
    if any(elements) and not all(elements):
        parser.problems.add(where, "mixes $elemMatch and values", "give $elemMatch to all or to none")
    return Every(where, tuple(parts)) if parts else Never(where)
