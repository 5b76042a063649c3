"""Forms that choose what to evaluate: $cond, $ifNull, $switch, $and, $or, and $not (MongoDB: conditional, boolean)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...values import EvaluationError, truthy
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form, operator

NESTED = 8
"""How many choices stand one in the other before the rest follows at the outer level: their number has no limit."""


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """The first branch whose condition is true; ``default`` ``None`` raises when none is."""

    branches: tuple[tuple[Node, Node], ...]
    default: Node | None

    def children(self) -> Iterator[Node]:
        for condition, result in self.branches:
            yield condition
            yield result
        if self.default is not None:
            yield self.default

    def emit(self, e: Emitter) -> Atom:
        if len(self.branches) == 1 and all(isinstance(n, Const) for n in (self.branches[0][1], self.default)):
            condition, result = self.branches[0]
            test = e.truth(e.value(condition))
            a, b = e.value(result), e.value(self.default or result)
            return e.assign(f"{a.code} if {test} else {b.code}", a.kinds | b.kinds)
        name = e.temp()
        found = 0
        for start in range(0, len(self.branches), NESTED):
            branches = self.branches[start : start + NESTED]
            rest = start + NESTED < len(self.branches)
            if start:
                e.open(f"if {name} is {e.bind(_OPEN, 'open')}:")
            for condition, result in branches:
                test = e.truth(e.value(condition))
                with e.block(f"if {test}:"):
                    atom = e.value(result)
                    found |= atom.kinds
                    e.line(f"{name} = {atom.code}")
                e.open("else:")
            if rest:
                e.line(f"{name} = {e.bind(_OPEN, 'open')}")
            elif self.default is None:
                e.line(f"{e.bind(_no_branch, 'no_branch')}()")
            else:
                atom = e.value(self.default)
                found |= atom.kinds
                e.line(f"{name} = {atom.code}")
            for _ in range(len(branches) + bool(start)):
                e.close()
        return Atom(name, found)


_OPEN = object()
"""Stands for a choice that no branch has made so far."""


def _no_branch() -> None:
    raise EvaluationError("$switch found no branch that is true, and has no default")


@form(
    "$cond",
    arity="[if, then, else] or {if, then, else}",
    examples=[
        ({"n": 5}, {"$cond": [{"$gt": ["$n", 3]}, "big", "small"]}, "big"),
        ({"n": 0}, {"$cond": {"if": "$n", "then": 1, "else": 2}}, 2),
    ],
)
def cond(spec: Any, where: Where, parser: Parser) -> Node:
    """One of two expressions, by the truth of a third; only the chosen one is evaluated. MongoDB: $cond."""
    if isinstance(spec, Mapping):
        given = parser.arguments(spec, where, ("if", "then", "else"))
        if given is None:
            return Const(where, None)
        parts = [parser.expression(given[name], where / name) for name in ("if", "then", "else")]
    else:
        items = spec if isinstance(spec, (list, tuple)) else [spec]
        if not parser.check_count(len(items), 3, 3, where):
            return Const(where, None)
        parts = [parser.expression(item, where / i) for i, item in enumerate(items)]
    return Choice(where, ((parts[0], parts[1]),), parts[2])


@form(
    "$switch",
    arity="{branches: [{case, then}, …], default}",
    examples=[
        (
            {"n": 5},
            {"$switch": {"branches": [{"case": {"$lt": ["$n", 3]}, "then": "low"}], "default": "high"}},
            "high",
        )
    ],
)
def switch(spec: Any, where: Where, parser: Parser) -> Node:
    """The first branch whose case is true, else the default; raises when there is neither. MongoDB: $switch."""
    given = parser.arguments(spec, where, ("branches",), ("default",))
    if given is None:
        return Const(where, None)
    branches = given["branches"]
    if not isinstance(branches, (list, tuple)) or not branches:
        parser.problems.add(where / "branches", "takes an array of at least one {case, then}")
        return Const(where, None)
    parsed = []
    for i, branch in enumerate(branches):
        pair = parser.arguments(branch, where / "branches" / i, ("case", "then"))
        if pair is not None:
            place = where / "branches" / i
            case = parser.expression(pair["case"], place / "case")
            parsed.append((case, parser.expression(pair["then"], place / "then")))
    default = parser.expression(given["default"], where / "default") if "default" in given else None
    return Choice(where, tuple(parsed), default)


@dataclass(frozen=True, eq=False)
class Coalesce(Node):
    """The first value that is neither null nor absent, else the last one."""

    choices: tuple[Node, ...]

    def children(self) -> Iterator[Node]:
        return iter(self.choices)

    def emit(self, e: Emitter) -> Atom:
        name = e.temp()
        found = 0
        opened = 0
        for i, node in enumerate(self.choices):
            last = i == len(self.choices) - 1
            with ExitStack() as stack:
                if not last:
                    stack.enter_context(e.careful())
                atom = e.value(node)
            e.line(f"{name} = {atom.code}")
            found |= atom.kinds if last else atom.kinds & ~kinds.NULLISH
            if last or not atom.may_be(kinds.NULLISH):
                break
            if opened == NESTED:
                for _ in range(opened):
                    e.close()
                opened = 0
            e.open(f"if {name} is None or {name} is M:")
            opened += 1
        for _ in range(opened):
            e.close()
        return Atom(name, found)


@form(
    "$ifNull",
    arity="[expression, …, replacement]",
    examples=[({"a": None}, {"$ifNull": ["$a", "$b", 0]}, 0), ({"a": 1}, {"$ifNull": ["$a", 0]}, 1)],
)
def if_null(spec: Any, where: Where, parser: Parser) -> Node:
    """The first value that is neither null nor missing; the last argument otherwise. MongoDB: $ifNull."""
    items = spec if isinstance(spec, (list, tuple)) else [spec]
    if not parser.check_count(len(items), 2, None, where):
        return Const(where, None)
    return Coalesce(where, tuple(parser.expression(item, where / i) for i, item in enumerate(items)))


@dataclass(frozen=True, eq=False)
class Junction(Node):
    """``$and`` (``stop_at`` false) or ``$or`` (true): stops at the first value that decides."""

    operands: tuple[Node, ...]
    stop_at: bool

    def children(self) -> Iterator[Node]:
        return iter(self.operands)

    def emit(self, e: Emitter) -> Atom:
        name = e.temp()
        for start in range(0, len(self.operands), NESTED):
            if start:
                e.open(f"if not {name}:" if self.stop_at else f"if {name}:")
            e.line(f"{name} = {self.stop_at}")
            operands = self.operands[start : start + NESTED]
            for node in operands:
                test = e.truth(e.value(node))
                e.open(f"if not {test}:" if self.stop_at else f"if {test}:")
            e.line(f"{name} = {not self.stop_at}")
            for _ in range(len(operands) + bool(start)):
                e.close()
        return Atom(name, kinds.BOOL)


def _junction(spec: Any, where: Where, parser: Parser, stop_at: bool) -> Node:
    items = spec if isinstance(spec, (list, tuple)) else [spec]
    nodes: list[Node] = []
    for i, item in enumerate(items):
        node = parser.expression(item, where / i)
        if isinstance(node, Const):
            if truthy(node.value) is stop_at and not nodes:
                for j, rest in enumerate(items[i + 1 :], i + 1):
                    parser.expression(rest, where / j)
                return Const(where, stop_at)
            if truthy(node.value) is not stop_at:
                continue
        nodes.append(node)
    return Junction(where, tuple(nodes), stop_at) if nodes else Const(where, not stop_at)


@form(
    "$and",
    arity="[expression, …]",
    examples=[({"a": 1, "b": 0}, {"$and": ["$a", "$b"]}, False), ({}, {"$and": []}, True)],
)
def and_(spec: Any, where: Where, parser: Parser) -> Node:
    """Whether all are true; evaluation stops at the first that is not. MongoDB: $and."""
    return _junction(spec, where, parser, stop_at=False)


@form(
    "$or", arity="[expression, …]", examples=[({"a": 0, "b": 2}, {"$or": ["$a", "$b"]}, True), ({}, {"$or": []}, False)]
)
def or_(spec: Any, where: Where, parser: Parser) -> Node:
    """Whether any is true; evaluation stops at the first that is. MongoDB: $or."""
    return _junction(spec, where, parser, stop_at=True)


@operator("$not", returns=kinds.BOOL, examples=[({"a": 0}, {"$not": ["$a"]}, True)])
def not_(value: Any) -> bool:
    """The opposite of a value's truth. MongoDB: $not."""
    return not truthy(value)


@not_.inline
def _not(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return e.assign(f"not {e.truth(atoms[0])}", kinds.BOOL)
