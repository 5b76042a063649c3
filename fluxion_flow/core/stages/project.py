"""$project: say which fields there are, as inclusions with computed fields, or as exclusions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Atom, Doc, Emitter
from ..expressions.nodes import Node
from ..expressions.parse import Parser
from ..expressions.paths import only
from .registry import stage
from .set import colliding
from .shapes import PerDocument
from .unset import Tree, exclude, grow

if TYPE_CHECKING:
    from ..program import RunEmitter


@dataclass(frozen=True, eq=False)
class Exclusion(PerDocument):
    tree: Tree

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        exclude(e, self.tree)


@dataclass(frozen=True, eq=False)
class Inclusion(PerDocument):
    """``tree``: fields by name; a leaf is ``None`` (keep it) or the node of a computed field."""

    tree: Tree

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        doc = e.doc
        fields = {}
        nodes = {name: below for name, below in self.tree.items() if isinstance(below, Node)}
        atoms = dict(zip(nodes, e.values(list(nodes.values())), strict=True)) if e.asking else {}
        for name, below in self.tree.items():
            if isinstance(below, Node):
                fields[name] = atoms[name] if e.asking else e.value(below)
            elif below is None:
                fields[name] = e.field(doc, name)
            elif _has_nodes(below):
                fields[name] = _computed(e, e.field(doc, name), below)
            else:
                atom = e.field(doc, name)
                fields[name] = e.assign(f"{e.bind(only, 'only')}({atom.code}, {e.const(below).code})")
        e.set_document(Doc(None, {n: a for n, a in fields.items() if not a.is_only(kinds.ABSENT)}))


def _has_nodes(tree: Tree) -> bool:
    return any(isinstance(v, Node) or (isinstance(v, dict) and _has_nodes(v)) for v in tree.values())


def _flat(tree: Tree, prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Node]]:
    found: list[tuple[tuple[str, ...], Node]] = []
    for name, below in tree.items():
        if isinstance(below, Node):
            found.append(((*prefix, name), below))
        elif isinstance(below, dict):
            found += _flat(below, (*prefix, name))
    return found


def _computed(e: Emitter, before: Atom, tree: Tree) -> Atom:
    """A subdocument with kept and computed fields: both are looked up by path at run time."""
    nodes = _flat(tree)
    values = [e.value(node).code for _, node in nodes]
    shape = _numbered(tree, iter(range(len(nodes))))
    name = e.bind(computed, "computed")
    return e.assign(f"{name}({before.code}, {e.const(shape).code}, [{', '.join(values)}])", kinds.ANY)


def _numbered(tree: Tree, numbers: Any) -> Tree:
    return {
        name: next(numbers) if isinstance(below, Node) else below if below is None else _numbered(below, numbers)
        for name, below in tree.items()
    }


def computed(value: Any, tree: Tree, values: list[Any]) -> Any:
    """``value`` by a tree of kept fields (``None``) and computed ones (the index of their value)."""
    from ..values import MISSING

    if value.__class__ is list:
        return [item for item in (computed(v, tree, values) for v in value) if item is not MISSING]
    source = value if value.__class__ is dict else {}
    result = {}
    for name, below in tree.items():
        if below is None:
            item = source.get(name, MISSING)
        elif below.__class__ is int:
            item = values[below]
        else:
            item = source.get(name, MISSING)
            item = computed(item, below, values) if _counts(below) else only(item, below)
        if item is not MISSING:
            result[name] = item
    return result


def _counts(tree: Tree) -> bool:
    return any(v.__class__ is int or (v.__class__ is dict and _counts(v)) for v in tree.values())


def _flag(value: Any) -> bool | None:
    """Whether a field is included (true) or excluded (false); ``None`` for an expression."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) or value.__class__.__name__ == "Decimal":
        return bool(value != 0)
    return None


class _Reader:
    """Reads the specification into a tree, and finds out whether it includes or excludes."""

    def __init__(self, where: Where, parser: Parser) -> None:
        self.where = where
        self.parser = parser
        self.tree: Tree = {}
        self.paths: list[tuple[str, ...]] = []
        self.includes: list[str] = []
        self.excludes: list[str] = []
        self.id: bool | None = None

    def read(self, spec: Mapping[str, Any], where: Where, prefix: tuple[str, ...] = ()) -> None:
        for name, value in spec.items():
            place = where / str(name)
            if not isinstance(name, str):
                self.parser.problems.add(place, f"field names are strings, got {name!r}", "put it in quotes")
                continue
            path = (*prefix, *name.split("."))
            if not self.parser.check_path(".".join(path), place, name):
                continue
            flag = _flag(value)
            if path == ("_id",) and flag is not None:
                self.id = flag
                if flag:
                    self._add(path, None, place)
            elif flag is None:
                self._expression(path, value, place)
            else:
                (self.includes if flag else self.excludes).append(".".join(path))
                self._add(path, None, place)

    def _expression(self, path: tuple[str, ...], value: Any, place: Where) -> None:
        if isinstance(value, Mapping) and not any(str(k).startswith("$") for k in value):
            if not value:
                self.parser.problems.add(place, "an empty object says nothing", "give 1, 0 or an expression")
                return
            self.read(value, place, path)
            return
        self.includes.append(".".join(path))
        self._add(path, self.parser.expression(value, place), place)

    def _add(self, path: tuple[str, ...], node: Node | None, place: Where) -> None:
        self.paths.append(path)
        if not grow(self.tree, path):
            return
        tree = self.tree
        for name in path[:-1]:
            tree = tree[name]
        tree[path[-1]] = node


@stage(
    "$project",
    shape="per document",
    examples=[
        ([{"_id": 1, "a": 2, "b": 3}], {"a": 1, "_id": 0}, [{"a": 2}]),
        ([{"_id": 1, "a": 2, "b": 3}], {"b": 0}, [{"_id": 1, "a": 2}]),
        ([{"a": 2}], {"twice": {"$multiply": ["$a", 2]}}, [{"twice": 4}]),
    ],
)
def project(spec: Any, where: Where, parser: Parser) -> PerDocument | None:
    """Keep the fields that are named (``1``) and computed, or drop the fields that are named (``0``).

    ``_id`` is kept unless it is excluded. The two ways do not mix but for ``_id``. Kept fields come in the order of
    the specification. MongoDB: $project.
    """
    if not isinstance(spec, Mapping) or not spec:
        parser.problems.add(where, f"takes an object of at least one field, got {spec!r}")
        return None
    reader = _Reader(where, parser)
    reader.read(spec, where)
    clash = colliding(reader.paths)
    if clash:
        parser.problems.add(where, f"paths {clash[0]!r} and {clash[1]!r} collide", "name one of them")
        return None
    if reader.includes and reader.excludes:
        what = f"includes {reader.includes[0]!r} and excludes {reader.excludes[0]!r}"
        parser.problems.add(where, what, "do one of them, or exclude in a $unset of its own")
        return None
    if reader.excludes or (reader.id is False and not reader.includes):
        if reader.id is True:
            reader.tree.pop("_id", None)
        elif reader.id is False:
            reader.tree["_id"] = None
        return Exclusion(where, reader.tree)
    tree = reader.tree
    if reader.id is not False:
        tree = {"_id": tree.get("_id"), **{k: v for k, v in tree.items() if k != "_id"}}
    return Inclusion(where, tree)
