"""$set and $addFields: add fields, or give them new values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Atom, Emitter
from ..expressions.nodes import Node
from ..expressions.parse import Parser
from ..expressions.paths import set_fields, set_path
from .registry import Example, stage
from .shapes import PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


def assign(e: Emitter, changes: list[tuple[tuple[str, ...], Atom]]) -> None:
    """Lay values over the current document at their paths, in order."""
    fields: dict[str, Atom] = {}
    for top, group in groupby(changes, key=lambda change: change[0][0]):
        below = [(path[1:], atom) for path, atom in group]
        if not below[0][0]:
            fields[top] = below[0][1]
        else:
            fields[top] = _laid(e, fields[top] if top in fields else e.field(e.doc, top), below)
    e.set_document(e.doc.replaced(**fields))


def _laid(e: Emitter, before: Atom, changes: list[tuple[tuple[str, ...], Atom]]) -> Atom:
    """A field's new value: changes laid over the one before, at paths below it."""
    if len(changes) > 1 and all(len(path) == 1 and not atom.may_be(kinds.ABSENT) for path, atom in changes):
        laid = ", ".join(f"{path[0]!r}: {atom.code}" for path, atom in changes)
        if before.is_only(kinds.ABSENT):
            return e.assign(f"{{{laid}}}", kinds.OBJECT)
        slow = f"{e.bind(set_fields, 'set_fields')}({before.code}, {{{laid}}})"
        code = f"{{**{before.code}, {laid}}} if {before.code}.__class__ is dict else {slow}"
        return e.assign(code, kinds.OBJECT | kinds.ARRAY)
    for path, atom in changes:
        rest = e.const(path).code
        slow = e.bind(set_path, "set_path")
        if before.is_only(kinds.ABSENT):
            code = f"{slow}(M, {rest}, {atom.code})"
        elif len(path) == 1 and not atom.may_be(kinds.ABSENT):
            code = f"{{**{before.code}, {path[0]!r}: {atom.code}}} if {before.code}.__class__ is dict else "
            code += f"{slow}({before.code}, {rest}, {atom.code})"
        else:
            code = f"{slow}({before.code}, {rest}, {atom.code})"
        before = e.assign(code, kinds.ANY if atom.may_be(kinds.ABSENT) else kinds.OBJECT | kinds.ARRAY)
    return before


@dataclass(frozen=True, eq=False)
class Set(PerDocument):
    fields: tuple[tuple[tuple[str, ...], Node], ...]

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        atoms = e.values([node for _, node in self.fields])
        assign(e, [(path, atom) for (path, _), atom in zip(self.fields, atoms, strict=True)])


def flatten(
    spec: Mapping[str, Any], where: Where, parser: Parser, prefix: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Node]]:
    """Paths and expressions of a $set: nested objects are paths too, ``{a: {b: 1}}`` means ``{"a.b": 1}``."""
    fields: list[tuple[tuple[str, ...], Node]] = []
    for name, value in spec.items():
        if not isinstance(name, str) or not name:
            parser.problems.add(where, f"field names are non-empty strings, got {name!r}")
            continue
        path = (*prefix, *name.split("."))
        if not parser.check_path(".".join(path), where / name, name):
            continue
        nested = isinstance(value, Mapping) and value and not any(str(k).startswith("$") for k in value)
        if nested:
            fields += flatten(value, where / name, parser, path)
        else:
            fields.append((path, parser.expression(value, where / name)))
    return fields


def colliding(paths: list[tuple[str, ...]]) -> tuple[str, str] | None:
    """Two paths of which one lies on or below the other, or ``None``."""
    seen: set[tuple[str, ...]] = set()
    for path in sorted(paths, key=len):
        for length in range(1, len(path) + 1):
            if path[:length] in seen:
                return ".".join(path[:length]), ".".join(path)
        seen.add(path)
    return None


def _build(spec: Any, where: Where, parser: Parser) -> Set | None:
    if not isinstance(spec, Mapping) or not spec:
        parser.problems.add(where, f"takes an object of fields, got {spec!r}")
        return None
    fields = flatten(spec, where, parser)
    clash = colliding([path for path, _ in fields])
    if clash:
        parser.problems.add(
            where, f"paths {clash[0]!r} and {clash[1]!r} collide", "set one of them in a stage of its own"
        )
        return None
    return Set(where, tuple(fields))


_EXAMPLES: list[Example] = [
    ([{"qty": 2, "price": 5}], {"total": {"$multiply": ["$qty", "$price"]}}, [{"qty": 2, "price": 5, "total": 10}]),
    ([{"a": {"x": 1}}], {"a.y": 2}, [{"a": {"x": 1, "y": 2}}]),
]


@stage("$set", shape="per document", examples=_EXAMPLES)
def set_(spec: Any, where: Where, parser: Parser) -> Set | None:
    """Add fields or give them new values; all values are computed from the incoming document.

    An expression that is absent (``$$REMOVE``, a missing path) takes the field away. MongoDB: $set.
    """
    return _build(spec, where, parser)


@stage("$addFields", shape="per document", examples=_EXAMPLES)
def add_fields(spec: Any, where: Where, parser: Parser) -> Set | None:
    """Another name of $set. MongoDB: $addFields."""
    return _build(spec, where, parser)
