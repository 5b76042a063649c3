"""Documents as values: $mergeObjects, $getField, $setField, $unsetField (MongoDB: object operators)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...values import MISSING, EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, FieldPath, Node
from ..parse import Parser
from ..registry import form, operator
from .applied import applied


@operator(
    "$mergeObjects",
    returns=kinds.OBJECT,
    examples=[
        ({"a": {"x": 1, "y": 1}, "b": {"y": 2}}, {"$mergeObjects": ["$a", "$b", "$c"]}, {"x": 1, "y": 2}),
        ({"a": None}, {"$mergeObjects": ["$a"]}, {}),
        ({"a": 1}, {"$mergeObjects": ["$a", {}]}, EvaluationError),
    ],
)
def merge_objects(*documents: Any) -> dict[str, Any]:
    """One document with the fields of all; of a field that several have, the last value.

    Null and missing are left out. Raises for anything else that is not a document. MongoDB: $mergeObjects.
    """
    result: dict[str, Any] = {}
    for document in documents:
        if document.__class__ is dict:
            result.update(document)
        elif not is_nullish(document):
            raise EvaluationError(f"$mergeObjects takes objects, got {type_name(document)}")
    return result


@merge_objects.inline
def _merge_objects(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if not atoms or not all(a.may_be(kinds.OBJECT) for a in atoms):
        return None
    guards = [f"{a.code}.__class__ is dict" for a in atoms if not a.is_only(kinds.OBJECT)]
    slow = f"{e.bind(merge_objects.function, 'merge_objects')}({', '.join(a.code for a in atoms)})"
    fast = "{" + ", ".join("**" + a.code for a in atoms) + "}"
    return e.guarded(guards, lambda: e.assign(fast, kinds.OBJECT), slow, kinds.OBJECT)


@dataclass(frozen=True, eq=False)
class GetField(Node):
    """The field called ``name`` of the document that ``source`` gives."""

    name: str
    source: Node

    def children(self) -> Iterator[Node]:
        yield self.source

    def emit(self, e: Emitter) -> Atom:
        document = e.value(self.source)
        found = f"{document.code}.get({self.name!r}, M)"
        if document.is_only(kinds.OBJECT):
            return e.assign(found)
        slow = f"{e.bind(field_of, 'field_of')}({self.name!r}, {document.code})"
        return e.assign(
            f"{found} if {document.code}.__class__ is dict else {slow}" if document.may_be(kinds.OBJECT) else slow
        )


@form(
    "$getField",
    arity="name or {field, input}",
    examples=[
        ({"price.usd": 5}, {"$getField": "price.usd"}, 5),
        ({"o": {"$x": 5}}, {"$getField": {"field": {"$literal": "$x"}, "input": "$o"}}, 5),
        ({"o": {}}, {"$getField": {"field": "x", "input": "$o"}}, MISSING),
        ({"o": None}, {"$getField": {"field": "x", "input": "$o"}}, None),
    ],
)
def get_field(spec: Any, where: Where, parser: Parser) -> Node:
    """The field of a document whose name may hold dots and dollars; ``input`` is the current document by default.

    Null if the input is null; nothing if it is missing, not a document, or has no such field. The name may be an
    expression; raises when it gives anything but a string. MongoDB: $getField.
    """
    source: Node = FieldPath(where, "CURRENT", ())
    if isinstance(spec, Mapping) and not any(str(name).startswith("$") for name in spec):
        given = parser.arguments(spec, where, ("field",), ("input",))
        if given is None:
            return Const(where, None)
        name = parser.expression(given["field"], where / "field")
        if "input" in given:
            source = parser.expression(given["input"], where / "input")
        where_name = where / "field"
    else:
        name, where_name = parser.expression(spec, where), where
    if isinstance(name, Const) and not isinstance(name.value, str):
        parser.problems.add(where_name, f"takes the name of a field, got {type_name(name.value)}")
    if isinstance(name, Const) and not isinstance(source, Const):
        return GetField(where, name.value, source)
    return applied(where, "$getField", field_of, name, source)


def field_of(name: Any, document: Any) -> Any:
    """The field called ``name`` of a document."""
    if name.__class__ is not str:
        raise EvaluationError(f"$getField takes a string as its field, got {type_name(name)}")
    if document.__class__ is dict:
        return document.get(name, MISSING)
    return None if document is None else MISSING


def _constant_name(spec: Any, where: Where, parser: Parser) -> str | None:
    node = _name(spec, where, parser)
    if isinstance(node, Const):
        return node.value if isinstance(node.value, str) else None
    hint = f"use {{$literal: {spec!r}}} for the text itself" if isinstance(spec, str) else ""
    parser.problems.add(where, "takes a constant name", hint)
    return None


def _name(spec: Any, where: Where, parser: Parser) -> Node:
    """The node of a field's name; a constant that cannot be one is reported."""
    node = parser.expression(spec, where)
    if isinstance(node, Const):
        if not isinstance(node.value, str):
            parser.problems.add(where, f"takes the name of a field, got {type_name(node.value)}")
        elif "\0" in node.value:
            parser.problems.add(where, "a field name cannot hold a null byte")
    return node


@form(
    "$setField",
    arity="{field, input, value}",
    examples=[
        ({"o": {"a": 1}}, {"$setField": {"field": "b.c", "input": "$o", "value": 2}}, {"a": 1, "b.c": 2}),
        ({"o": {"a": 1}}, {"$setField": {"field": "a", "input": "$o", "value": "$$REMOVE"}}, {}),
        ({}, {"$setField": {"field": "a", "input": "$o", "value": 1}}, None),
        ({"o": 1}, {"$setField": {"field": "a", "input": "$o", "value": 1}}, EvaluationError),
    ],
)
def set_field(spec: Any, where: Where, parser: Parser) -> Node:
    """A document with one field set, whose name may hold dots and dollars; a value that is missing removes it.

    Null if the input is null or missing. Raises for anything else that is not a document. MongoDB: $setField.
    """
    given = parser.arguments(spec, where, ("field", "input", "value"))
    if given is None:
        return Const(where, None)
    name = _constant_name(given["field"], where / "field", parser)
    source = parser.expression(given["input"], where / "input")
    value = parser.expression(given["value"], where / "value")
    return applied(where, "$setField", with_field, Const(where, name), source, value, returns=kinds.OBJECT | kinds.NULL)


def with_field(name: str, document: Any, value: Any) -> Any:
    """A copy of a document with one field set or, for ``MISSING``, taken away."""
    if is_nullish(document):
        return None
    if document.__class__ is not dict:
        raise EvaluationError(f"$setField takes an object as its input, got {type_name(document)}")
    if value is not MISSING:
        return {**document, name: value}
    return {key: item for key, item in document.items() if key != name}


@form(
    "$unsetField",
    arity="{field, input}",
    examples=[
        ({"o": {"a": 1, "b.c": 2}}, {"$unsetField": {"field": "b.c", "input": "$o"}}, {"a": 1}),
        ({"o": {"a": 1, "b": 2}, "gone": "b"}, {"$unsetField": {"field": "$gone", "input": "$o"}}, {"a": 1}),
        ({}, {"$unsetField": {"field": "a", "input": "$o"}}, None),
        ({"o": 1}, {"$unsetField": {"field": "a", "input": "$o"}}, EvaluationError),
    ],
)
def unset_field(spec: Any, where: Where, parser: Parser) -> Node:
    """A document without one field, whose name may hold dots and dollars.

    Null if the input is null or missing. Raises for anything else that is not a document. The name may be an
    expression; raises when it gives anything but a string. MongoDB: $unsetField.
    """
    given = parser.arguments(spec, where, ("field", "input"))
    if given is None:
        return Const(where, None)
    name = _name(given["field"], where / "field", parser)
    source = parser.expression(given["input"], where / "input")
    return applied(where, "$unsetField", without_field, name, source, returns=kinds.OBJECT | kinds.NULL)


def without_field(name: Any, document: Any) -> Any:
    """A copy of a document without one field."""
    if name.__class__ is not str:
        raise EvaluationError(f"$unsetField takes a string as its field, got {type_name(name)}")
    if is_nullish(document):
        return None
    if document.__class__ is not dict:
        raise EvaluationError(f"$unsetField takes an object as its input, got {type_name(document)}")
    return {key: item for key, item in document.items() if key != name}
