"""Predicates about a document: one about a field, and those that join, turn around or are always the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Atom, Emitter
from ..expressions.nodes import Node
from .condition import Condition
from .paths import read

Drop = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Predicate(ABC):
    """A question about the current document (``e.doc``) that is answered by yes or no.

    ``where`` is its place in the definition. Frozen; it may be compiled any number of times.
    """

    where: Where

    @abstractmethod
    def test(self, e: Emitter) -> Atom:
        """Write source that answers it; the atom is a bool."""

    def require(self, e: Emitter, drop: Drop) -> None:
        """Write source that does what ``drop`` writes (``continue``, say) when the answer is no."""
        with e.block(f"if not {self.test(e).code}:"):
            drop()

    def children(self) -> Iterator[Predicate]:
        """The predicates directly below about the same document, for analyses."""
        return iter(())

    def walk(self) -> Iterator[Predicate]:
        """This predicate and every one below it."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True, eq=False)
class FieldTest(Predicate):
    """All conditions hold for what stands at a path; each may find a value of its own."""

    parts: tuple[str, ...]
    conditions: tuple[Condition, ...]

    def test(self, e: Emitter) -> Atom:
        return e.assign(" and ".join(self._sources(e)), kinds.BOOL, "t")

    def require(self, e: Emitter, drop: Drop) -> None:
        for source in self._sources(e):
            with e.block(f"if not {source}:"):
                drop()

    def _sources(self, e: Emitter) -> list[str]:
        value = read(e, self.parts, any(c.careful for c in self.conditions))
        return [c.source(e, value) for c in self.conditions]


@dataclass(frozen=True, eq=False)
class And(Predicate):
    """All parts hold; asking stops at the first that does not. MongoDB: $and."""

    parts: tuple[Predicate, ...]

    def test(self, e: Emitter) -> Atom:
        return _junction(e, self.parts, "if {}:")

    def require(self, e: Emitter, drop: Drop) -> None:
        for part in self.parts:
            with e.at(part.where):
                part.require(e, drop)

    def children(self) -> Iterator[Predicate]:
        return iter(self.parts)


@dataclass(frozen=True, eq=False)
class Or(Predicate):
    """Any part holds; asking stops at the first that does. MongoDB: $or."""

    parts: tuple[Predicate, ...]

    def test(self, e: Emitter) -> Atom:
        return _junction(e, self.parts, "if not {}:")

    def children(self) -> Iterator[Predicate]:
        return iter(self.parts)


@dataclass(frozen=True, eq=False)
class Nor(Predicate):
    """No part holds. MongoDB: $nor."""

    parts: tuple[Predicate, ...]

    def test(self, e: Emitter) -> Atom:
        return e.assign(f"not {_junction(e, self.parts, 'if not {}:').code}", kinds.BOOL, "t")

    def require(self, e: Emitter, drop: Drop) -> None:
        for part in self.parts:
            with e.block(f"if {nested(e, part).code}:"):
                drop()

    def children(self) -> Iterator[Predicate]:
        return iter(self.parts)


@dataclass(frozen=True, eq=False)
class Always(Predicate):
    """The same for every document. MongoDB: $alwaysTrue, $alwaysFalse."""

    answer: bool

    def test(self, e: Emitter) -> Atom:
        return Atom(repr(self.answer), kinds.BOOL)

    def require(self, e: Emitter, drop: Drop) -> None:
        if not self.answer:
            super().require(e, drop)


def both(where: Where, parts: list[Predicate]) -> Predicate:
    """All of the parts, without needless conjunctions around one or within another."""
    flat: list[Predicate] = []
    for part in parts:
        if isinstance(part, And):
            flat += part.parts
        elif not (isinstance(part, Always) and part.answer):
            flat.append(part)
    if not flat:
        return Always(where, True)
    return flat[0] if len(flat) == 1 else And(where, tuple(flat))


@dataclass(frozen=True, eq=False)
class _Nested(Node):
    """A predicate as an expression, for the emitter to write inline or, where it stands too deep, as a function."""

    predicate: Predicate

    def emit(self, e: Emitter) -> Atom:
        return self.predicate.test(e)


def nested(e: Emitter, predicate: Predicate) -> Atom:
    """Write the test of a predicate that stands within another one."""
    return e.value(_Nested(predicate.where, predicate))


def _junction(e: Emitter, parts: tuple[Predicate, ...], go_on: str) -> Atom:
    """Write parts one after the other, not one in the other, so that their number has no limit."""
    answer = e.temp("t")
    e.line(f"{answer} = {nested(e, parts[0]).code}")
    for part in parts[1:]:
        with e.block(go_on.format(answer)):
            e.line(f"{answer} = {nested(e, part).code}")
    return Atom(answer, kinds.BOOL)
