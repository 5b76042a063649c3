"""$count and $sortByCount: groups of a kind that is often wanted."""

from __future__ import annotations

from typing import Any

from ...errors import Where
from ..expressions.parse import Parser
from .group import group
from .project import project
from .registry import stage
from .shapes import Stage
from .sort import Sort


@stage("$count", shape="keyed", examples=[([{"a": 1}, {"a": 2}], "n", [{"n": 2}])])
def count(spec: Any, where: Where, parser: Parser) -> list[Stage] | None:
    """How many documents there are, in a field of one document; nothing when there are none. MongoDB: $count."""
    if not isinstance(spec, str) or not spec or spec.startswith("$") or "." in spec or "\0" in spec:
        parser.problems.add(where, f"takes the name of a field, without dots and dollars, got {spec!r}")
        return None
    counted = group({"_id": None, spec: {"$count": {}}}, where, parser)
    shown = project({"_id": 0, spec: 1}, where, parser)
    return [s for s in (counted, shown) if s is not None]


@stage(
    "$sortByCount",
    shape="keyed, then whole",
    streaming="a bounded source, at its completion; on an unbounded one inside a window",
    examples=[([{"t": "a"}, {"t": "b"}, {"t": "b"}], "$t", [{"_id": "b", "count": 2}, {"_id": "a", "count": 1}])],
)
def sort_by_count(spec: Any, where: Where, parser: Parser) -> list[Stage] | None:
    """Count the documents for every value of an expression, most frequent first. MongoDB: $sortByCount."""
    if not (isinstance(spec, str) and spec.startswith("$")) and not isinstance(spec, dict):
        parser.problems.add(where, f"takes an expression such as '$field', got {spec!r}")
        return None
    counted = group({"_id": spec, "count": {"$sum": 1}}, where, parser)
    return None if counted is None else [counted, Sort(where, ((("count",), -1),))]
