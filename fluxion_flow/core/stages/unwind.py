"""$unwind: one document for every item of an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Atom
from ..expressions.parse import Parser
from ..values import MISSING
from .registry import stage
from .set import assign
from .shapes import PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


def items_of(value: Any, keep_empty: bool) -> list[Any]:
    """What a field's value unwinds to; ``MISSING`` stands for a document kept without the field."""
    if value.__class__ is list:
        return value if value or not keep_empty else [MISSING]
    if value is None or value is MISSING:
        return [value] if keep_empty else []
    return [value]


@dataclass(frozen=True, eq=False)
class Unwind(PerDocument):
    path: tuple[str, ...]
    index: tuple[str, ...] | None
    keep_empty: bool

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        value = e.narrowed(e.read("CURRENT", self.path))
        read = e.bind(items_of, "items_of")
        if value.is_only(kinds.ARRAY) and not self.keep_empty:
            items = value
        else:
            slow = f"{read}({value.code}, {self.keep_empty})"
            array = f"{value.code} if {value.code}.__class__ is list and {value.code} else {slow}"
            items = e.assign(array, kinds.ARRAY, "a")
        item = e.temp("i")
        e.item_of(value, item)
        present = kinds.ANY if self.keep_empty else kinds.PRESENT
        if self.index is None:
            e.each(items.code, item)
            assign(e, [(self.path, Atom(item, present))])
            return
        number = e.temp("n")
        e.each(items.code, item, number)
        position = e.assign(
            f"{number} if {value.code}.__class__ is list and {value.code} else None", kinds.INT | kinds.NULL
        )
        assign(e, [(self.path, Atom(item, present)), (self.index, position)])


@stage(
    "$unwind",
    shape="per document",
    examples=[
        ([{"o": 1, "items": ["a", "b"]}], "$items", [{"o": 1, "items": "a"}, {"o": 1, "items": "b"}]),
        ([{"o": 1, "items": []}], {"path": "$items", "preserveNullAndEmptyArrays": True}, [{"o": 1}]),
        ([{"items": ["a"]}], {"path": "$items", "includeArrayIndex": "n"}, [{"items": "a", "n": 0}]),
    ],
)
def unwind(spec: Any, where: Where, parser: Parser) -> Unwind | None:
    """One document for every item of the array at ``path``; a value that is no array counts as one item.

    Documents whose field is missing, null or an empty array go away, unless ``preserveNullAndEmptyArrays``;
    ``includeArrayIndex`` names a field for the item's place (null where there was no array). MongoDB: $unwind.
    """
    if isinstance(spec, str):
        spec = {"path": spec}
        path_where = where
    else:
        path_where = where / "path"
    given = parser.arguments(spec, where, ("path",), ("includeArrayIndex", "preserveNullAndEmptyArrays"))
    if given is None:
        return None
    path, index, keep = given["path"], given.get("includeArrayIndex"), given.get("preserveNullAndEmptyArrays", False)
    before = len(parser.problems.found)
    if not isinstance(path, str) or not path.startswith("$") or path.startswith("$$"):
        parser.problems.add(path_where, f"takes a field path such as '$items', got {path!r}")
    else:
        parser.check_path(path[1:], path_where, path)
    if index is not None and (not isinstance(index, str) or not index or index.startswith("$")):
        parser.problems.add(where / "includeArrayIndex", f"takes a field name without '$', got {index!r}")
    elif index is not None:
        parser.check_path(index, where / "includeArrayIndex")
    if not isinstance(keep, bool):
        parser.problems.add(where / "preserveNullAndEmptyArrays", f"takes true or false, got {keep!r}")
    if len(parser.problems.found) > before:
        return None
    return Unwind(where, tuple(path[1:].split(".")), tuple(index.split(".")) if index else None, keep)
