"""$bucket: combine documents by ranges of a value."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..expressions import kinds
from ..expressions.emit import Atom, Emitter
from ..expressions.nodes import Node
from ..expressions.parse import Parser
from ..ordering import canonical, sort_key
from ..values import MISSING, EvaluationError, is_number, type_name
from .group import Group, group
from .group_home import Home
from .group_state import GroupState
from .registry import stage
from .shapes import Stage


class Buckets:
    """Boundaries in order: a bucket goes from one (included) to the next (excluded); the rest is ``default``."""

    def __init__(self, boundaries: list[Any], default: Any) -> None:
        self.boundaries = boundaries
        self.default = default
        self._keys = [sort_key(value) for value in boundaries]

    def find(self, value: Any) -> Any:
        """The lower boundary of the bucket that ``value`` falls in, else the default.

        Raises :class:`EvaluationError` where there is no default.
        """
        place = bisect.bisect_right(self._keys, sort_key(value)) - 1
        if 0 <= place < len(self._keys) - 1:
            return self.boundaries[place]
        if self.default is MISSING:
            raise EvaluationError(
                f"a value of type {type_name(value)} lies in no bucket; widen the boundaries or give a default"
            )
        return self.default

    def order(self) -> dict[Any, int]:
        """The place of every possible ``_id`` among the results, by its canonical key."""
        ids = self.boundaries[:-1] if self.default is MISSING else [*self.boundaries[:-1], self.default]
        return {canonical(id_): place for place, id_ in enumerate(sorted(ids, key=sort_key))}


@dataclass(frozen=True, eq=False)
class BucketOf(Node):
    """The ``_id`` of a document's bucket."""

    value: Node
    buckets: Buckets

    def children(self) -> Iterator[Node]:
        yield self.value

    def emit(self, e: Emitter) -> Atom:
        atom = e.value(self.value)
        return e.assign(f"{e.bind(self.buckets.find, 'bucket_of')}({atom.code})", kinds.PRESENT)


@dataclass(frozen=True, eq=False)
class Bucket(Group):
    """A group whose documents come in the order of the boundaries."""

    def state(self, ordered: bool = False, home: Home | None = None) -> BucketState:
        return BucketState(self, home)


class BucketState(GroupState):
    """A group's memory whose order is that of the buckets, however they were seen."""

    def __init__(self, bucket: Bucket, home: Home | None) -> None:
        super().__init__(bucket.fields, bucket.key_of, bucket.merger, home=home)
        assert isinstance(bucket.key, BucketOf)
        self._places = bucket.key.buckets.order()

    def _in_order(self) -> list[Any]:
        return sorted(self.keys(), key=self._place)

    def _place(self, key: Any) -> int:
        return self._places[canonical(self._entries[key][0])]

    def order(self) -> list[tuple[str, int, int]]:
        return [("", place, 0) for place in sorted(map(self._place, self.keys()))]


def _kind(value: Any) -> str:
    return "number" if is_number(value) else type_name(value)


def _boundaries(spec: Any, where: Where, parser: Parser) -> list[Any] | None:
    before = len(parser.problems.found)
    if not isinstance(spec, (list, tuple)):
        parser.problems.add(where, f"takes an array of boundaries, got {type_name(spec)}")
        return None
    values = [parser.constant(item, where / i) for i, item in enumerate(spec)]
    if len(parser.problems.found) > before:
        return None
    if len(values) < 2:
        parser.problems.add(where, f"takes at least 2 boundaries, got {len(values)}")
        return None
    for i, (low, high) in enumerate(itertools.pairwise(values), 1):
        if _kind(low) != _kind(high):
            parser.problems.add(where / i, f"boundaries are of one type, got {type_name(low)} and {type_name(high)}")
            return None
        if sort_key(low) >= sort_key(high):
            parser.problems.add(where / i, f"boundaries ascend, but {high!r} does not follow {low!r}", "sort them")
            return None
    return values


def group_by(spec: Any, where: Where, parser: Parser) -> Node:
    """The ``groupBy`` of $bucket and $bucketAuto: a field path or an expression object."""
    if not isinstance(spec, Mapping) and not (isinstance(spec, str) and spec.startswith("$")):
        parser.problems.add(where, f"takes a field path such as '$price' or an expression object, got {spec!r}")
    return parser.expression(spec, where)


def output_fields(given: Mapping[str, Any], where: Where, parser: Parser) -> Mapping[str, Any] | None:
    """The ``output`` of $bucket and $bucketAuto; a count when there is none."""
    output = given.get("output", {"count": {"$sum": 1}})
    if not isinstance(output, Mapping) or "_id" in output:
        parser.problems.add(where / "output", f"takes an object of accumulators by field name, got {output!r}")
        return None
    return output


@stage(
    "$bucket",
    shape="keyed",
    examples=[
        (
            [{"total": 45}, {"total": 20}, {"total": 700}],
            {"groupBy": "$total", "boundaries": [0, 100, 500], "default": "other"},
            [{"_id": 0, "count": 2}, {"_id": "other", "count": 1}],
        ),
        (
            [{"total": 200}, {"total": 45}, {"total": 100}],
            {"groupBy": "$total", "boundaries": [0, 100, 500], "output": {"mean": {"$avg": "$total"}}},
            [{"_id": 0, "mean": 45.0}, {"_id": 100, "mean": 150.0}],
        ),
    ],
)
def bucket(spec: Any, where: Where, parser: Parser) -> Stage | None:
    """One document for every range between two boundaries that holds documents, in the order of the boundaries.

    ``groupBy`` gives the value, ``output`` the accumulators (default: a count). A lower boundary is included, an
    upper one is not. What lies outside, null and missing too, goes to ``default``; without one it is an error of the
    document. MongoDB: $bucket.
    """
    given = parser.arguments(spec, where, ("groupBy", "boundaries"), ("default", "output"))
    if given is None:
        return None
    before = len(parser.problems.found)
    value = group_by(given["groupBy"], where / "groupBy", parser)
    boundaries = _boundaries(given["boundaries"], where / "boundaries", parser)
    default = parser.constant(given["default"], where / "default") if "default" in given else MISSING
    output = output_fields(given, where, parser)
    if boundaries is not None and default is not MISSING and _kind(default) == _kind(boundaries[0]):
        key = sort_key(default)
        if sort_key(boundaries[0]) <= key < sort_key(boundaries[-1]):
            what = f"lies between the boundaries, got {default!r}"
            parser.problems.add(where / "default", what, "give a value below the first, or from the last boundary on")
    fields = None if output is None else group({"_id": None, **output}, where / "output", parser)
    if boundaries is None or fields is None or len(parser.problems.found) > before:
        return None
    node = BucketOf(where / "groupBy", value, Buckets(boundaries, default))
    key_spec = {"groupBy": given["groupBy"], "boundaries": boundaries}
    if default is not MISSING:
        key_spec["default"] = default
    return Bucket(where, node, key_spec, fields.fields)
