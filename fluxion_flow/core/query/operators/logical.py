"""Joining queries: $and $or $nor $not, $expr, $alwaysTrue, $alwaysFalse, $comment (MongoDB: Logical Operators)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...expressions import kinds
from ...expressions.emit import Atom, Emitter
from ...expressions.nodes import Node
from ...expressions.parse import Parser
from ..condition import Condition, Every, Never, Not
from ..parse import conditions_of, is_operators, parse_query, shown
from ..predicate import Always, Drop, Nor, Or, Predicate, both
from ..registry import field_operator, query_operator


def _queries(spec: Any, where: Where, parser: Parser) -> list[Predicate]:
    """The queries of an array; none, with a problem reported, when it is no array of at least one."""
    if not isinstance(spec, (list, tuple)) or not spec:
        parser.problems.add(where, f"takes an array of at least one query, got {shown(spec)}")
        return []
    return [parse_query(item, where / i, parser) for i, item in enumerate(spec)]


@query_operator("$and", examples=[({"a": 1, "b": 2}, {"$and": [{"a": 1}, {"b": 3}]}, False)])
def and_(spec: Any, where: Where, parser: Parser) -> Predicate:
    """All of several queries match. MongoDB: $and."""
    return both(where, _queries(spec, where, parser))


@query_operator("$or", examples=[({"a": 1, "b": 2}, {"$or": [{"a": 1}, {"b": 3}]}, True)])
def or_(spec: Any, where: Where, parser: Parser) -> Predicate:
    """At least one of several queries matches. MongoDB: $or."""
    parts = _queries(spec, where, parser)
    if len(parts) == 1:
        return parts[0]
    return Or(where, tuple(parts)) if parts else Always(where, True)


@query_operator("$nor", examples=[({"a": 1, "b": 2}, {"$nor": [{"a": 2}, {"b": 3}]}, True)])
def nor(spec: Any, where: Where, parser: Parser) -> Predicate:
    """None of several queries matches. MongoDB: $nor."""
    parts = _queries(spec, where, parser)
    return Nor(where, tuple(parts)) if parts else Always(where, True)


@field_operator(
    "$not",
    examples=[
        ({"n": 3}, {"n": {"$not": {"$gt": 5}}}, True),
        ({}, {"n": {"$not": {"$gt": 5}}}, True),
        ({"n": [1, 9]}, {"n": {"$not": {"$gt": 5}}}, False),
    ],
)
def not_(spec: Any, where: Where, parser: Parser) -> Condition:
    """The opposite of a condition; also true of an absent field that the condition does not find. MongoDB: $not."""
    if not is_operators(spec) and not isinstance(spec, re.Pattern):
        hint = "use $ne to compare with a value"
        parser.problems.add(where, f"takes operators or a regular expression, got {shown(spec)}", hint)
        return Never(where)
    return Not(where, Every(where, conditions_of(spec, where, parser)))


@dataclass(frozen=True, eq=False)
class Expression(Predicate):
    """The truth of an expression."""

    node: Node

    def test(self, e: Emitter) -> Atom:
        return e.assign(e.truth(e.value(self.node)), kinds.BOOL, "t")

    def require(self, e: Emitter, drop: Drop) -> None:
        with e.block(f"if not {e.truth(e.value(self.node))}:"):
            drop()


@query_operator(
    "$expr",
    examples=[
        ({"spent": 7, "budget": 5}, {"$expr": {"$gt": ["$spent", "$budget"]}}, True),
        ({}, {"$expr": "$a"}, False),
    ],
)
def expr(spec: Any, where: Where, parser: Parser) -> Predicate:
    """An expression that is true: neither false, null, absent nor zero. MongoDB: $expr."""
    return Expression(where, parser.expression(spec, where))


def _constant(answer: bool, spec: Any, where: Where, parser: Parser) -> Predicate:
    if isinstance(spec, bool) or spec != 1:
        parser.problems.add(where, f"takes 1, got {shown(spec)}")
    return Always(where, answer)


@query_operator("$alwaysTrue", examples=[({}, {"$alwaysTrue": 1}, True)])
def always_true(spec: Any, where: Where, parser: Parser) -> Predicate:
    """Matches every document. MongoDB: $alwaysTrue."""
    return _constant(True, spec, where, parser)


@query_operator("$alwaysFalse", examples=[({}, {"$alwaysFalse": 1}, False)])
def always_false(spec: Any, where: Where, parser: Parser) -> Predicate:
    """Matches no document. MongoDB: $alwaysFalse."""
    return _constant(False, spec, where, parser)


@query_operator("$comment", examples=[({"a": 1}, {"a": 1, "$comment": "for the nightly report"}, True)])
def comment(spec: Any, where: Where, parser: Parser) -> Predicate:
    """A remark; it asks nothing. MongoDB: $comment."""
    return Always(where, True)
