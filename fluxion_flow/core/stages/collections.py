"""Collections that stages look documents up in: found by name, indexed once by field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import Where, did_you_mean
from ..expressions.parse import Parser
from ..expressions.paths import path_in
from ..ordering import canonical
from ..query.paths import Several, reach
from ..values import MISSING
from .shapes import Document


def find_collection(name: Any, where: Where, parser: Parser) -> Sequence[Document] | None:
    """The documents of a collection; ``None`` after reporting that there is none of that name."""
    known = parser.resources.collections
    if not isinstance(name, str) or not name:
        parser.problems.add(where, f"takes the name of a collection, got {name!r}")
        return None
    if name not in known:
        hint = did_you_mean(name, known) or (
            "known are " + ", ".join(map(repr, known)) if known else "pass it in collections"
        )
        parser.problems.add(where, f"unknown collection {name!r}", hint)
        return None
    if isinstance(known[name], Mapping):
        parser.problems.add(where, f"collection {name!r} stands outside, where only $lookup finds it", "use $lookup")
        return None
    return known[name]


def field_path(value: Any, where: Where, parser: Parser) -> tuple[str, ...]:
    """A field name, dotted perhaps; ``()`` after reporting problems."""
    if not isinstance(value, str) or not value or value.startswith("$"):
        parser.problems.add(where, f"takes a field name without '$', got {value!r}")
        return ()
    return tuple(value.split(".")) if parser.check_path(value, where) else ()


def joined_values(document: Document, path: tuple[str, ...]) -> list[Any]:
    """What a document holds at a path, as a query sees it: an array's elements one by one, null for a missing field."""
    found = reach(document, path)
    if found.__class__ is not Several:
        return found if found.__class__ is list else [None if found is MISSING else found]
    values: list[Any] = []
    for end in found.ends:
        values += end if end.__class__ is list else [None if end is MISSING else end]
    return values + found.items if values or found.items else [None]


class FieldIndex:
    """The positions of a collection's documents by what they hold at a path; made at the first use.

    With ``whole`` a value counts as it stands, as in an expression: arrays are one value, missing is not null. Without,
    as in a query: an array counts itself and its elements, and missing counts as null.
    """

    def __init__(self, documents: Sequence[Document], path: tuple[str, ...], whole: bool = False) -> None:
        self._documents = documents
        self.path = path
        self._whole = whole
        self._positions: dict[Any, list[int]] | None = None

    def find(self, values: Iterable[Any]) -> list[int]:
        """The positions of the documents that hold one of the values, in order."""
        if self._positions is None:
            self._positions = self._built()
        lists = [found for value in values if (found := self._positions.get(canonical(value)))]
        if len(lists) == 1:
            return lists[0]
        return sorted({position for found in lists for position in found})

    def _built(self) -> dict[Any, list[int]]:
        positions: dict[Any, list[int]] = {}
        for i, document in enumerate(self._documents):
            for key in self._keys(document):
                positions.setdefault(key, []).append(i)
        return positions

    def _keys(self, document: Document) -> set[Any]:
        if self._whole:
            return {canonical(path_in(document, self.path))}
        found = reach(document, self.path)
        values = [*found.ends, *found.items] if found.__class__ is Several else [found]
        elements = [] if found.__class__ is Several else values
        ends = found.ends if found.__class__ is Several else elements
        values += [item for end in ends if end.__class__ is list for item in end]
        return {None if value is MISSING else canonical(value) for value in values}
