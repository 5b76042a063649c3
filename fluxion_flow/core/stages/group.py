"""$group: combine documents by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...errors import Where
from ..accumulators import PLAIN, Inline, build_accumulator
from ..expressions import kinds
from ..expressions.emit import Atom, Doc, Emitter
from ..expressions.nodes import Const, Node, ObjectNode
from ..expressions.parse import Parser
from ..keys import stable_hash
from ..ordering import canonical
from ..values import MISSING
from .group_fold import Fold, Folder, Slots
from .group_home import Home
from .group_state import Field, GroupState, Merger, keep_representative, make_merger
from .registry import stage
from .shapes import Keyed

_PLAIN_KINDS = kinds.INT | kinds.FLOAT | kinds.STRING | kinds.BOOL | kinds.DATE | kinds.NULLISH


@dataclass(frozen=True, eq=False)
class Group(Keyed):
    """Partial results are dicts: canonical key -> ``[_id, state, state, …]``, one state a field."""

    key: Node
    key_spec: Any
    fields: tuple[Field, ...]

    def emit_combine(self, e: Emitter) -> None:
        key, code, made = self._key(e)
        values = [e.narrowed(value) for value in [self._value(e, f) for f in self.fields]]
        inlines = [f.accumulator.inline_for(value.kinds) for f, value in zip(self.fields, values, strict=True)]
        firsts = [i.first.format(v=v.code) for i, v in zip(inlines, values, strict=True) if i is not None]
        begun = len(firsts) == len(self.fields)
        if not begun:
            firsts = [f.accumulator.zero_code or f"{e.bind(f.accumulator.zero, 'zero')}()" for f in self.fields]
        e.line(f"g = get({code})")
        with e.block("if g is None:"):
            e.line(f"out[{code}] = g = [{', '.join([made, *firsts])}]")
        with e.block("else:"):
            if key is not None and key.kinds & ~(kinds.STRING | kinds.BOOL | kinds.NULLISH):
                better = e.bind(keep_representative, "keep_representative")
                e.line(f"if {key.code}.__class__ is not str: {better}(g, {key.code})")
            if begun:
                self._add_all(e, inlines, values)
        if not begun:
            self._add_all(e, inlines, values)

    def emit_share(self, e: Emitter) -> None:
        _, code, made = self._key(e)
        values = [self._value(e, field) for field in self.slots.fields]
        for field, slot in zip(self.fields, self.slots.of, strict=True):
            if slot is not None and field.accumulator.checks and not values[slot].is_only(_PLAIN_KINDS):
                plain, check = e.bind(PLAIN, "plain"), e.bind(field.accumulator.check, "check")
                e.line(f"if {values[slot].code}.__class__ not in {plain}: {check}({values[slot].code})")
        e.line(f"append(({', '.join([code, made, *(value.code for value in values)])}))")

    @cached_property
    def slots(self) -> Slots:
        """The values of a document's share."""
        return Slots(self.fields)

    @cached_property
    def folder(self) -> Folder:
        """The generated functions that add shares to groups."""
        return Folder([f.accumulator for f in self.fields], self.slots)

    @property
    def folds(self) -> bool:
        return all(f.accumulator.folds and not f.accumulator.ordered for f in self.fields)

    def fold(self, partitions: int) -> Fold:
        return Fold(self.folder, partitions)

    def _value(self, e: Emitter, field: Field) -> Atom:
        """What is added for the current document, in a name; accumulators without inputs get nothing."""
        atoms = [e.value(node) for node in field.inputs]
        if not atoms:
            return Atom("M", kinds.ABSENT)
        if len(atoms) > 1:
            return e.assign(f"({', '.join(atom.code for atom in atoms)},)", kinds.OTHER, "w")
        atom = e.narrowed(atoms[0])
        return atom if atom.code.isidentifier() else e.assign(atom.code, atom.kinds, "w")

    def _add_all(self, e: Emitter, inlines: list[Inline | None], values: list[Atom]) -> None:
        for i, (field, inline, value) in enumerate(zip(self.fields, inlines, values, strict=True), 1):
            accumulator = field.accumulator
            add = e.bind(accumulator.add, "add")
            source = inline.more if inline is not None else accumulator.fast or "{s} = {add}({s}, {v})"
            for line in source.format(s=f"g[{i}]", v=value.code, add=add).splitlines():
                e.line(line)

    def _key(self, e: Emitter) -> tuple[Atom | None, str, str]:
        """The atom of ``_id`` (``None``: never to be compared), source of its canonical key, and of ``_id`` itself."""
        if isinstance(self.key, Const):
            value = None if self.key.value is MISSING else self.key.value
            return None, e.const(canonical(value)).code, e.const(value).code
        if isinstance(self.key, ObjectNode) and self.key.fields:
            return self._object_key(e, self.key)
        atom = e.narrowed(e.value(self.key))
        if atom.is_only(kinds.STRING):
            return atom, atom.code, atom.code
        code = f"(None if {atom.code} is M else {atom.code})" if atom.may_be(kinds.ABSENT) else atom.code
        fold = e.bind(group_key, "group_key")
        key = e.assign(f"{atom.code} if {atom.code}.__class__ is str else {fold}({atom.code})", hint="k")
        return atom, key.code, code

    def _object_key(self, e: Emitter, node: ObjectNode) -> tuple[Atom | None, str, str]:
        fields = [(name, e.narrowed(e.value(value))) for name, value in node.fields]
        literal = "{" + ", ".join(f"{name!r}: {a.code}" for name, a in fields) + "}"
        if all(a.is_only(kinds.STRING) for _, a in fields):
            return None, e.assign(f"('', {', '.join(a.code for _, a in fields)})", hint="k").code, literal
        strings = " and ".join(f"{a.code}.__class__ is str" for _, a in fields)
        text = ", ".join(a.code for _, a in fields)
        id_, key = e.temp("o"), e.temp("k")
        with e.block(f"if {strings}:"):
            e.line(f"{key} = ('', {text})")
            e.line(f"{id_} = None")
        with e.block("else:"):
            made = e.document(fields)
            e.line(f"{id_} = {made.code}")
            e.line(f"{key} = {e.bind(canonical, 'canonical')}({id_})")
        return Atom(id_), key, f"({literal} if {id_} is None else {id_})"

    def key_of(self, id_: Any) -> Any:
        """The canonical key of a stored ``_id``, as the generated source makes it."""
        if isinstance(self.key, ObjectNode) and id_.__class__ is dict and len(id_) == len(self.key.fields) > 0:
            values = tuple(id_.values())
            if all(v.__class__ is str for v in values):
                return ("", *values)
        return canonical(id_)

    def state(self, ordered: bool = False, home: Home | None = None) -> GroupState:
        return GroupState(self.fields, self.key_of, self.merger, ordered, home)

    @cached_property
    def merger(self) -> Merger:
        """The generated function that merges partial results."""
        return make_merger([f.accumulator for f in self.fields])

    def split(self, partial: dict[Any, Any], partitions: int) -> dict[int, dict[Any, Any]]:
        if partitions == 1:
            return {0: partial} if partial else {}
        parts: dict[int, dict[Any, Any]] = {}
        for key, entry in partial.items():
            number = stable_hash(key) % partitions
            part = parts.get(number)
            if part is None:
                part = parts[number] = {}
            part[key] = entry
        return parts

    @property
    def ordered(self) -> bool:
        return any(f.accumulator.ordered for f in self.fields)

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"stage": "$group", "_id": self.key_spec, "fields": {f.name: f.spec for f in self.fields}}


def group_key(value: Any) -> Any:
    """The canonical key of an ``_id``; absent groups with null, as in MongoDB."""
    return None if value is MISSING else canonical(value)


@dataclass(frozen=True, eq=False)
class OverKey(Node):
    """An expression over the group's ``_id`` instead of the document (MongoDB: ``n`` of $firstN)."""

    key: Node
    body: Node

    def children(self) -> Iterator[Node]:
        yield self.key
        yield self.body

    def emit(self, e: Emitter) -> Atom:
        key = e.value(self.key)
        before = e.doc
        e.set_document(Doc(e.assign(key.code, hint="d").code))
        atom = e.value(self.body)
        e.set_document(before)
        return atom


class _GroupParser(Parser):
    """A parser that knows expressions over the group's key."""

    def __init__(self, outer: Parser, key: Node) -> None:
        super().__init__(outer.problems, outer.resources, outer.variables, outer.depth)
        self.key = key

    def key_expression(self, spec: Any, where: Where) -> Node:
        return OverKey(where, self.key, self.expression(spec, where))


@stage(
    "$group",
    shape="keyed",
    examples=[
        (
            [{"c": "a", "v": 1}, {"c": "b", "v": 2}, {"c": "a", "v": 3}],
            {"_id": "$c", "total": {"$sum": "$v"}},
            [{"_id": "a", "total": 4}, {"_id": "b", "total": 2}],
        ),
        ([{"v": 1}, {"v": 3}], {"_id": None, "mean": {"$avg": "$v"}}, [{"_id": None, "mean": 2.0}]),
    ],
)
def group(spec: Any, where: Where, parser: Parser) -> Group | None:
    """One document for every value of ``_id``, with accumulators over the documents that have it.

    Keys that compare equal are one group (1 and 1.0); absent counts as null. Sums are exact and $push, $first, $last
    go by source order, so that no division of the work changes a result. Groups come in the order in which they were
    first seen. MongoDB: $group.
    """
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes an object with _id and fields, got {spec!r}")
        return None
    if "_id" not in spec:
        parser.problems.add(where / "_id", "required argument is missing", "use _id: null for one group of everything")
    key = parser.expression(spec.get("_id"), where / "_id")
    inner = _GroupParser(parser, key)
    fields = []
    for name, value in spec.items():
        if name == "_id":
            continue
        if not isinstance(name, str) or not name or "." in name or name.startswith("$"):
            parser.problems.add(where / str(name), "a field of a group is named without dots and dollars")
            continue
        built = build_accumulator(value, where / name, inner, parser.problems)
        if built is not None:
            fields.append(Field(name, built[0], tuple(built[1]), value))
    return Group(where, key, spec.get("_id"), tuple(fields))
