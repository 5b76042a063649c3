"""$unset: take fields away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Doc, Emitter
from ..expressions.parse import Parser
from ..expressions.paths import without
from .registry import stage
from .shapes import PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter

Tree = dict[str, Any]
"""Fields by name; a leaf is ``None``, anything else the fields below."""


def exclude(e: Emitter, tree: Tree) -> None:
    """Take the fields of ``tree`` away from the current document."""
    doc = e.doc
    fields, removed = dict(doc.fields), set(doc.removed)
    for name, below in tree.items():
        if below is None:
            fields.pop(name, None)
            if doc.base is not None:
                removed.add(name)
        else:
            with e.careful():
                before = e.field(doc, name)
            if not before.is_only(kinds.ABSENT):
                code = f"{e.bind(without, 'without')}({before.code}, {e.const(below).code})"
                fields[name] = e.assign(code, before.kinds)
    e.set_document(Doc(doc.base, fields, removed))


@dataclass(frozen=True, eq=False)
class Unset(PerDocument):
    tree: Tree

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        exclude(e, self.tree)


def grow(tree: Tree, path: tuple[str, ...]) -> bool:
    """Add a path to a tree; false when it collides with one that is there."""
    for name in path[:-1]:
        below = tree.setdefault(name, {})
        if below is None:
            return False
        tree = below
    if path[-1] in tree:
        return False
    tree[path[-1]] = None
    return True


@stage(
    "$unset",
    shape="per document",
    examples=[
        ([{"a": 1, "b": 2}], "a", [{"b": 2}]),
        ([{"a": 1, "b": {"c": 2, "d": 3}}], ["a", "b.c"], [{"b": {"d": 3}}]),
    ],
)
def unset(spec: Any, where: Where, parser: Parser) -> Unset | None:
    """Remove one field or several, dotted paths too; arrays on the way are mapped over. MongoDB: $unset."""
    names = [spec] if isinstance(spec, str) else spec
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) and n for n in names):
        parser.problems.add(where, f"takes a field name or a list of them, got {spec!r}")
        return None
    tree: Tree = {}
    for i, name in enumerate(names):
        place = where if isinstance(spec, str) else where / i
        if not parser.check_path(name, place):
            return None
        if not grow(tree, tuple(name.split("."))):
            parser.problems.add(place, f"path {name!r} collides with another one of this stage", "keep the outer one")
            return None
    return Unset(where, tree)
