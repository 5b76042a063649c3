"""Forms that bind variables or take text as it is: $let, $map, $filter, $reduce, $literal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...values import EvaluationError, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, FieldPath, Node
from ..parse import MAX_DEPTH, Parser, too_deep
from ..registry import form

_NAME = re.compile(r"[^\x00-\x5e\x60\x7b-\x7f][^\x00-\x2f\x3a-\x40\x5b-\x5e\x60\x7b-\x7f]*")
"""``[a-z_]`` and all beyond ASCII, then ``[A-Za-z0-9_]`` as well; naming what is left out compiles faster."""


def variable_name(name: Any, where: Where, parser: Parser) -> bool:
    """Whether ``name`` can name a user variable (it starts with a lower-case letter); problems are reported."""
    if isinstance(name, str) and (_NAME.fullmatch(name) or name == "CURRENT"):
        return True
    parser.problems.add(
        where, f"{name!r} cannot name a variable", "start with a lower-case letter, then letters, digits, _"
    )
    return False


@form("$literal", arity="value", examples=[({}, {"$literal": "$price"}, "$price")])
def literal(spec: Any, where: Where, parser: Parser) -> Node:
    """The value as it stands, nothing in it is evaluated. MongoDB: $literal."""
    if too_deep(spec):
        parser.problems.add(where, f"nested deeper than {MAX_DEPTH} levels", "documents nest no deeper")
        return Const(where, None)
    return Const(where, spec)


@dataclass(frozen=True, eq=False)
class Let(Node):
    names: tuple[tuple[str, Node], ...]
    body: Node

    def children(self) -> Iterator[Node]:
        yield from (node for _, node in self.names)
        yield self.body

    def emit(self, e: Emitter) -> Atom:
        bound = {name: e.value(node) for name, node in self.names}
        with e.binding(**bound):
            return e.value(self.body)


@form(
    "$let",
    arity="{vars: {name: expression, …}, in}",
    examples=[({"a": 2}, {"$let": {"vars": {"twice": {"$multiply": ["$a", 2]}}, "in": {"$add": ["$$twice", 1]}}}, 5)],
)
def let(spec: Any, where: Where, parser: Parser) -> Node:
    """Bind variables for one expression; they do not see each other. MongoDB: $let."""
    given = parser.arguments(spec, where, ("vars", "in"))
    if given is None:
        return Const(where, None)
    if not isinstance(given["vars"], Mapping):
        parser.problems.add(where / "vars", "takes an object of variables")
        return Const(where, None)
    names = [
        (name, parser.expression(value, where / "vars" / name))
        for name, value in given["vars"].items()
        if variable_name(name, where / "vars" / str(name), parser)
    ]
    body = parser.with_variables(*(name for name, _ in names)).expression(given["in"], where / "in")
    return Let(where, tuple(names), body)


def not_an_array(operator: str, value: Any) -> None:
    """Raise for an input that is neither an array nor null."""
    raise EvaluationError(f"{operator} takes an array as input, got {type_name(value)}")


def _array_or_null(e: Emitter, operator: str, array: Atom, result: str) -> None:
    """Open the block that runs when ``array`` is an array; null otherwise gives null, anything else raises."""
    if array.is_only(kinds.ARRAY):
        e.open("if True:")
        return
    if not array.may_be(kinds.ARRAY):
        array = e.assign(array.code, array.kinds)
    with e.block(f"if {array.code} is None or {array.code} is M:"):
        e.line(f"{result} = None")
    stop = e.bind(not_an_array, "not_an_array")
    with e.block(f"elif {array.code}.__class__ is not list:"):
        e.line(f"{stop}({operator!r}, {array.code})")
    e.open("else:")


INDEX = "IDX"
"""The system variable that holds the index of the item at hand, where ``arrayIndexAs`` gives it no other name."""


def _index_name(given: Mapping[str, Any], where: Where, parser: Parser, *others: str) -> str | None:
    """The variable for an item's index; ``None`` after reporting a name that cannot be one."""
    if "arrayIndexAs" not in given:
        return INDEX
    name = given["arrayIndexAs"]
    if not variable_name(name, where / "arrayIndexAs", parser):
        return None
    if name in others:
        parser.problems.add(where / "arrayIndexAs", f"{name!r} names the item or the value already", "use another name")
        return None
    return str(name)


def _used(index: str, body: Node) -> str | None:
    """The variable for the index if an expression reads it."""
    return index if any(isinstance(node, FieldPath) and node.base == index for node in body.walk()) else None


def _items(e: Emitter, array: Atom, name: str, index: str | None) -> tuple[str, str, dict[str, Atom]]:
    """The head of a loop over an array, the name of the item, and the variables bound in the loop."""
    item = e.temp("i")
    bound = {name: Atom(item, kinds.PRESENT)}
    if index is None:
        return f"for {item} in {array.code}:", item, bound
    number = e.temp("n")
    return f"for {number}, {item} in enumerate({array.code}):", item, {**bound, index: Atom(number, kinds.INT)}


@dataclass(frozen=True, eq=False)
class Map(Node):
    input: Node
    name: str
    index: str | None
    body: Node

    def children(self) -> Iterator[Node]:
        yield self.input
        yield self.body

    def emit(self, e: Emitter) -> Atom:
        array = e.value(self.input)
        result = e.temp("a")
        _array_or_null(e, "$map", array, result)
        e.line(f"{result} = []")
        head, _, bound = _items(e, array, self.name, self.index)
        flag = e.patience(self.body)
        with e.loop(head), e.binding(**bound), e.patient(flag):
            atom = e.value(self.body)
            code = f"(None if {atom.code} is M else {atom.code})" if atom.may_be(kinds.ABSENT) else atom.code
            e.line(f"{result}.append({code})")
        e.wait(flag)
        e.close()
        return Atom(result, kinds.ARRAY | (array.kinds & kinds.NULLISH and kinds.NULL))


@form(
    "$map",
    arity="{input, as, arrayIndexAs, in}",
    examples=[
        ({"a": [1, 2]}, {"$map": {"input": "$a", "as": "x", "in": {"$add": ["$$x", 1]}}}, [2, 3]),
        ({"a": [5, 7]}, {"$map": {"input": "$a", "arrayIndexAs": "n", "in": ["$$n", "$$this"]}}, [[0, 5], [1, 7]]),
        ({"a": [5, 7]}, {"$map": {"input": "$a", "in": {"$multiply": ["$$this", "$$IDX"]}}}, [0, 7]),
    ],
)
def map_(spec: Any, where: Where, parser: Parser) -> Node:
    """An array with an expression's value for every item (``$$this`` unless ``as`` names it).

    ``$$IDX`` is the item's index, unless ``arrayIndexAs`` names it. MongoDB: $map.
    """
    given = parser.arguments(spec, where, ("input", "in"), ("as", "arrayIndexAs"))
    if given is None:
        return Const(where, None)
    name = given.get("as", "this")
    if not variable_name(name, where / "as", parser):
        return Const(where, None)
    index = _index_name(given, where, parser, name)
    if index is None:
        return Const(where, None)
    array = parser.expression(given["input"], where / "input")
    body = parser.with_variables(name, index).expression(given["in"], where / "in")
    return Map(where, array, name, _used(index, body), body)


@dataclass(frozen=True, eq=False)
class Filter(Node):
    input: Node
    name: str
    index: str | None
    condition: Node
    limit: Node | None

    def children(self) -> Iterator[Node]:
        yield self.input
        yield self.condition
        if self.limit is not None:
            yield self.limit

    def emit(self, e: Emitter) -> Atom:
        array = e.value(self.input)
        result = e.temp("a")
        limit = None
        if self.limit is not None:
            check = e.bind(filter_limit, "filter_limit")
            limit = e.assign(f"{check}({e.value(self.limit).code})", kinds.INT)
        _array_or_null(e, "$filter", array, result)
        e.line(f"{result} = []")
        head, item, bound = _items(e, array, self.name, self.index)
        flag = e.patience(self.condition) if limit is None else None
        with e.loop(head), e.binding(**bound), e.patient(flag):
            e.open(f"if {e.truth(e.value(self.condition))}:")
            e.line(f"{result}.append({item})")
            if limit is not None:
                e.line(f"if len({result}) == {limit.code}: break")
            e.close()
        e.wait(flag)
        e.close()
        return Atom(result, kinds.ARRAY | (array.kinds & kinds.NULLISH and kinds.NULL))


def filter_limit(value: Any) -> int:
    """The limit of $filter: a whole number of at least 1, or null for none (then 0, which is never reached)."""
    if value is None:
        return 0
    if is_number(value) and 1 <= value < 2**63 and value == int(value):
        return int(value)
    raise EvaluationError(f"$filter takes a whole number of at least 1 as its limit, got {value!r}")


@form(
    "$filter",
    arity="{input, as, arrayIndexAs, cond, limit}",
    examples=[
        ({"a": [1, 5, 9]}, {"$filter": {"input": "$a", "cond": {"$gt": ["$$this", 3]}}}, [5, 9]),
        ({"a": [1, 5, 9]}, {"$filter": {"input": "$a", "cond": {"$eq": [{"$mod": ["$$IDX", 2]}, 0]}}}, [1, 9]),
    ],
)
def filter_(spec: Any, where: Where, parser: Parser) -> Node:
    """The items of an array for which a condition is true, at most ``limit`` of them.

    ``$$IDX`` is the item's index, unless ``arrayIndexAs`` names it. MongoDB: $filter.
    """
    given = parser.arguments(spec, where, ("input", "cond"), ("as", "arrayIndexAs", "limit"))
    if given is None:
        return Const(where, None)
    name = given.get("as", "this")
    if not variable_name(name, where / "as", parser):
        return Const(where, None)
    index = _index_name(given, where, parser, name)
    if index is None:
        return Const(where, None)
    array = parser.expression(given["input"], where / "input")
    condition = parser.with_variables(name, index).expression(given["cond"], where / "cond")
    limit = parser.expression(given["limit"], where / "limit") if "limit" in given else None
    return Filter(where, array, name, _used(index, condition), condition, limit)


@dataclass(frozen=True, eq=False)
class Reduce(Node):
    input: Node
    initial: Node
    index: str | None
    body: Node

    def children(self) -> Iterator[Node]:
        yield self.input
        yield self.initial
        yield self.body

    def emit(self, e: Emitter) -> Atom:
        array = e.value(self.input)
        initial = e.value(self.initial)
        result = e.temp("r")
        _array_or_null(e, "$reduce", array, result)
        e.line(f"{result} = {initial.code}")
        head, _, bound = _items(e, array, "this", self.index)
        with e.loop(head), e.binding(**bound, value=Atom(result, kinds.ANY)):
            e.line(f"{result} = {e.value(self.body).code}")
        e.close()
        return Atom(result, kinds.ANY)


@form(
    "$reduce",
    arity="{input, initialValue, arrayIndexAs, in}",
    examples=[
        ({"a": [1, 2, 3]}, {"$reduce": {"input": "$a", "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}, 6),
        (
            {"a": [4, 5]},
            {
                "$reduce": {
                    "input": "$a",
                    "initialValue": 0,
                    "in": {"$add": ["$$value", {"$multiply": ["$$this", "$$IDX"]}]},
                }
            },
            5,
        ),
    ],
)
def reduce(spec: Any, where: Where, parser: Parser) -> Node:
    """Fold an array into one value: ``$$value`` is what came so far, ``$$this`` the item.

    ``$$IDX`` is the item's index, unless ``arrayIndexAs`` names it. MongoDB: $reduce.
    """
    given = parser.arguments(spec, where, ("input", "initialValue", "in"), ("arrayIndexAs",))
    if given is None:
        return Const(where, None)
    index = _index_name(given, where, parser, "this", "value")
    if index is None:
        return Const(where, None)
    array = parser.expression(given["input"], where / "input")
    initial = parser.expression(given["initialValue"], where / "initialValue")
    body = parser.with_variables("this", "value", index).expression(given["in"], where / "in")
    return Reduce(where, array, initial, _used(index, body), body)
