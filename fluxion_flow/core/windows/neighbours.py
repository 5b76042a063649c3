"""A value of another document: ``$shift``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..expressions.parse import Parser
from ..values import MISSING
from .frames import Window
from .registry import Partition, WindowFunction, window_function

_DAYS: list[dict[str, Any]] = [{"day": 1, "x": 10}, {"day": 2, "x": 12}, {"day": 3, "x": 9}]


@window_function(
    "$shift",
    window="none",
    sort="any",
    examples=[
        (
            _DAYS,
            {"sortBy": {"day": 1}, "output": {"next": {"$shift": {"output": "$x", "by": 1}}}},
            [{"day": 1, "x": 10, "next": 12}, {"day": 2, "x": 12, "next": 9}, {"day": 3, "x": 9, "next": None}],
        ),
        (
            _DAYS,
            {"sortBy": {"day": 1}, "output": {"last": {"$shift": {"output": "$x", "back": 1, "default": 0}}}},
            [{"day": 1, "x": 10, "last": 0}, {"day": 2, "x": 12, "last": 10}, {"day": 3, "x": 9, "last": 12}],
        ),
    ],
)
@dataclass(frozen=True, eq=False)
class Shift(WindowFunction):
    """The value of ``output`` in the document that stands ``by`` places further on (negative: before).

    ``back`` counts the other way, which is what ``by`` means in Fluxion's own documents: ``back: 1`` is the document
    before. ``default`` (a constant, null when not given) stands for a document that is not there. MongoDB: $shift.
    """

    by: int = 0
    default: Any = None

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        size, by = len(rows), self.by
        if abs(by) >= size:
            return [self.default] * size
        shifted = [None if row is MISSING else row for row in (rows[by:] if by >= 0 else rows[:by])]
        return [*shifted, *[self.default] * by] if by >= 0 else [*[self.default] * -by, *shifted]

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> Shift | None:
        given = parser.arguments(spec, where, ("output",), ("by", "back", "default"))
        if given is None:
            return None
        if ("by" in given) == ("back" in given):
            both = "has both by and back" if "by" in given else "required argument is missing"
            parser.problems.add(where / "by", both, "give by (places further on) or back (places before)")
            return None
        way = "by" if "by" in given else "back"
        by = given[way]
        if isinstance(by, bool) or not isinstance(by, (int, float)) or by != by // 1:
            parser.problems.add(where / way, f"takes a whole number, got {by!r}")
            return None
        default = parser.constant(given.get("default"), where / "default")
        node = parser.expression(given["output"], where / "output")
        shown = None if default is MISSING else default
        return cls(where, (node,), window, int(by) if way == "by" else -int(by), shown)
