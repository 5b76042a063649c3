"""The parsed form of an expression: nodes that know where they stand and how to write themselves as Python source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Problems, Where
from ..outside import Asker, AskFailed
from ..values import MISSING, EvaluationError
from . import kinds
from .registry import Operator

if TYPE_CHECKING:
    from .emit import Atom, Emitter


@dataclass(frozen=True, eq=False)
class Node(ABC):
    """A parsed expression. ``where`` is its place in the definition."""

    where: Where

    @abstractmethod
    def emit(self, e: Emitter) -> Atom:
        """Write source that computes the value; answer the atom that holds it."""

    def children(self) -> Iterator[Node]:
        """The nodes directly below, for analyses."""
        return iter(())

    def walk(self) -> Iterator[Node]:
        """This node and every node below it."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True, eq=False)
class Const(Node):
    """A value known while compiling."""

    value: Any

    def emit(self, e: Emitter) -> Atom:
        return e.const(self.value)


@dataclass(frozen=True, eq=False)
class FieldPath(Node):
    """``$a.b`` (``base`` is ``CURRENT``) or ``$$name.a.b``; arrays on the way are mapped over."""

    base: str
    parts: tuple[str, ...]

    def emit(self, e: Emitter) -> Atom:
        return e.read(self.base, self.parts)


@dataclass(frozen=True, eq=False)
class Call(Node):
    """An operator whose arguments are all evaluated, then passed to its function."""

    operator: Operator
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...] = ()

    def children(self) -> Iterator[Node]:
        yield from self.arguments
        for _, node in self.keywords:
            yield node

    def emit(self, e: Emitter) -> Atom:
        if self.operator.symbol and len(self.arguments) >= 2:
            from . import infix

            return infix.write(e, infix.steps_of(e, self))
        values = e.values(list(self.children()))
        atoms = values[: len(self.arguments)]
        keywords = [(name, atom) for (name, _), atom in zip(self.keywords, values[len(atoms) :], strict=True)]
        if self.operator.fast is not None and not keywords:
            atom = self.operator.fast(e, atoms)
            if atom is not None:
                return atom
        codes = [a.code for a in atoms] + [f"{name}={a.code}" for name, a in keywords]
        if self.operator.uses_env:
            codes.append("env=env")
        name = e.bind(self.operator.function, self.operator.name.lstrip("$"))
        return e.assign(f"{name}({', '.join(codes)})", self.operator.returns)

    def folded(self, problems: Problems) -> Node:
        """The constant this call amounts to when all its arguments are constants, else the call itself.

        A call of constants that raises has no value for any document; that is a problem, as it is in MongoDB.
        """
        if not self.operator.pure or not all(isinstance(n, Const) for n in self.children()):
            return self
        values = [n.value for n in self.arguments if isinstance(n, Const)]
        keywords = {name: n.value for name, n in self.keywords if isinstance(n, Const)}
        try:
            return Const(self.where, self.operator.function(*values, **keywords))
        except EvaluationError as error:
            problems.add(self.where, f"always fails: {error}", "its arguments are constants")
            return Const(self.where, None)


@dataclass(frozen=True, eq=False)
class ObjectNode(Node):
    """``{a: <expression>, …}``: a document; fields whose value is absent are left out."""

    fields: tuple[tuple[str, Node], ...]

    def children(self) -> Iterator[Node]:
        return (node for _, node in self.fields)

    def emit(self, e: Emitter) -> Atom:
        names = [name for name, _ in self.fields]
        return e.document(list(zip(names, e.values([node for _, node in self.fields]), strict=True)))


@dataclass(frozen=True, eq=False)
class ArrayNode(Node):
    """``[<expression>, …]``: an array; absent values become null, as in MongoDB."""

    items: tuple[Node, ...]

    def children(self) -> Iterator[Node]:
        return iter(self.items)

    def emit(self, e: Emitter) -> Atom:
        codes = []
        for atom in e.values(self.items):
            codes.append(f"(None if {atom.code} is M else {atom.code})" if atom.kinds & kinds.ABSENT else atom.code)
        return e.assign(f"[{', '.join(codes)}]", kinds.ARRAY)


@dataclass(frozen=True, eq=False)
class Ask(Node):
    """A question to the outside: ``asker`` makes it of the values of the arguments, ``env`` gives the answer.

    ``fallback`` is the value where the question has no answer; ``None``: the document fails.
    """

    asker: Asker
    arguments: tuple[Node, ...]
    fallback: Node | None = None

    def children(self) -> Iterator[Node]:
        yield from self.arguments
        if self.fallback is not None:
            yield self.fallback

    def emit(self, e: Emitter) -> Atom:
        codes = [atom.code for atom in e.values(self.arguments)]
        ask = f"env.ask({e.bind(self.asker, 'asker')}, ({''.join(f'{code}, ' for code in codes)}))"
        if self.fallback is None:
            return e.assign(ask)
        answer = e.assign("None")
        with e.block("try:"):
            e.line(f"{answer.code} = {ask}")
        with e.block(f"except {e.bind(AskFailed, 'AskFailed')}:"):
            e.line(f"{answer.code} = {e.value(self.fallback).code}")
        return answer


def asks(node: Node) -> bool:
    """Whether an expression asks the outside anything."""
    return any(isinstance(below, Ask) for below in node.walk())


def constant_of(node: Node) -> Any:
    """The value of a constant node (also of arrays and documents of constants), or ``MISSING`` for anything else."""
    if isinstance(node, Const):
        return node.value
    if isinstance(node, ArrayNode):
        items = [constant_of(n) for n in node.items]
        return MISSING if any(i is MISSING for i in items) else items
    if isinstance(node, ObjectNode):
        fields = {name: constant_of(n) for name, n in node.fields}
        return MISSING if any(v is MISSING for v in fields.values()) else fields
    return MISSING
