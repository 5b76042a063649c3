"""Paths in queries: which values one reaches, and the source that reads them.

Other than a field path in an expression, a path in a query asks of *every* value that it reaches: it goes into the
documents of an array on the way, a number in it is a field name and also an array index, and an array at its end stands
for its elements as well as for itself. MongoDB: Query an Array, Query an Array of Embedded Documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..expressions import kinds
from ..expressions.emit import Atom, Emitter
from ..values import MISSING

_MAX_NESTING = 8
"""Parts of a path that are read inline; a longer path is walked by :func:`reach`."""


class Several:
    """What a path reaches through arrays on its way.

    ``ends`` are values at the path's end, ``MISSING`` where a document of an array lacks the field; an array among
    them stands for its elements too. ``items`` were named by an index (``a.0``) and stand for themselves only.
    """

    __slots__ = ("ends", "items")

    def __init__(self) -> None:
        self.ends: list[Any] = []
        self.items: list[Any] = []


MANY = frozenset({list, Several})
"""The classes of what may stand for more than one value."""


def reach(value: Any, parts: tuple[str, ...]) -> Any:
    """What ``parts`` reaches below ``value``: one value, ``MISSING``, or :class:`Several` past an array on the way."""
    for i, part in enumerate(parts):
        kind = value.__class__
        if kind is dict:
            value = value.get(part, MISSING)
        elif kind is list:
            found = Several()
            _enter(value, parts, i, found)
            return found
        else:
            return MISSING
    return value


def _enter(array: list[Any], parts: tuple[str, ...], i: int, found: Several) -> None:
    for item in array:
        if item.__class__ is dict:
            _follow(item, parts, i, found)
    part = parts[i]
    if not (part.isascii() and part.isdigit()) or (part[0] == "0" and part != "0") or int(part) >= len(array):
        return
    item = array[int(part)]
    if i + 1 == len(parts):
        found.items.append(item)
    elif item.__class__ is dict:
        _follow(item, parts, i + 1, found)
    elif item.__class__ is list:
        _enter(item, parts, i + 1, found)


def _follow(value: Any, parts: tuple[str, ...], i: int, found: Several) -> None:
    while i < len(parts):
        if value.__class__ is dict:
            value = value.get(parts[i], MISSING)
            i += 1
        elif value.__class__ is list:
            _enter(value, parts, i, found)
            return
        else:
            value = MISSING
            break
    found.ends.append(value)


@dataclass(frozen=True)
class Reading:
    """The value at a path in generated source: the local that holds it, and what is known of it.

    ``several`` says that the local may hold :class:`Several`.
    """

    code: str
    kinds: int
    several: bool = False

    def may_be(self, kind: int) -> bool:
        return bool(self.kinds & kind)

    def many(self, e: Emitter, slow: str) -> str:
        """Source of "stands for more than one value, and ``slow``"; ``""`` when it cannot."""
        if self.several:
            return f"({self.code}.__class__ in {e.bind(MANY, 'many')} and {slow})"
        if self.may_be(kinds.ARRAY):
            return f"({self.code}.__class__ is list and {slow})"
        return ""


def read(e: Emitter, parts: tuple[str, ...], careful: bool) -> Reading:
    """Write source that reads a path of the current document.

    In the speculative tier, unless ``careful``, a path is plain indexing: what it gives was reached through documents
    alone, whatever else raises.
    """
    if e.speculative and not careful:
        atom = e.read("CURRENT", parts)
        if len(parts) == 1 or not atom.may_be(kinds.ABSENT):
            return _named(e, atom)
    with e.careful():
        top = _named(e, e.field(e.doc, parts[0]))
    rest = parts[1:]
    if not rest:
        return top
    if not top.may_be(kinds.OBJECT | kinds.ARRAY):
        return Reading("M", kinds.ABSENT)
    walk = e.bind(reach, "reach")
    name, source, depth = e.temp(), top.code, 0
    for i, part in enumerate(rest):
        remaining = e.const(rest[i:]).code
        if i == len(rest) - 1:
            e.line(
                f"{name} = {source}.get({part!r}, M) if {source}.__class__ is dict else {walk}({source}, {remaining})"
            )
        elif depth == _MAX_NESTING:
            e.line(f"{name} = {walk}({source}, {remaining})")
            break
        else:
            e.line(f"if {source}.__class__ is not dict: {name} = {walk}({source}, {remaining})")
            e.line("else:")
            e.indent += 1
            depth += 1
            e.line(f"{name} = {source}.get({part!r}, M)")
            source = name
    e.indent -= depth
    return Reading(name, kinds.ANY, several=True)


def _named(e: Emitter, atom: Atom) -> Reading:
    """The atom in a local: a number's literal has no attributes that source could ask for."""
    if not atom.code.isidentifier():
        atom = e.assign(atom.code, atom.kinds)
    return Reading(atom.code, atom.kinds)
