"""$bucketAuto: combine documents into so many ranges of about the same size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ...errors import FluxionError, Where, did_you_mean
from ..environment import Environment
from ..expressions.parse import Parser
from ..ordering import sort_key
from ..values import MISSING
from .bucket import group_by, output_fields
from .evaluate import Columns, failed
from .granularity import GRANULARITIES, round_down, round_up
from .group import group
from .group_state import Field
from .registry import stage
from .shapes import Document, Whole


@dataclass(frozen=True, eq=False)
class BucketAuto(Whole):
    columns: Columns
    fields: tuple[Field, ...]
    buckets: int
    granularity: str | None

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        rows = [(None if row[0] is MISSING else row[0], row) for row in self.columns.rows(documents, env)]
        keys = [sort_key(value) for value, _ in rows]
        order = sorted(range(len(rows)), key=keys.__getitem__)
        ranges = self._even if self.granularity is None else self._rounded
        found = []
        for low, high, members in ranges([rows[i][0] for i in order], [keys[i] for i in order]):
            document = {"_id": {"min": low, "max": high}}
            document.update(self._combine(rows, sorted(order[i] for i in members)))
            found.append(document)
        return found

    def _even(self, values: list[Any], keys: list[Any]) -> list[tuple[Any, Any, range]]:
        """Lower and upper boundary and members of every bucket; equal values stay together."""
        size, count = self._size(len(values)), len(values)
        found: list[tuple[Any, Any, range]] = []
        start = 0
        while start < count:
            end = count if len(found) == self.buckets - 1 else min(start + size, count)
            while end < count and keys[end] == keys[end - 1]:
                end += 1
            found.append((values[start], values[min(end, count - 1)], range(start, end)))
            start = end
        return found

    def _rounded(self, values: list[Any], keys: list[Any]) -> list[tuple[Any, Any, range]]:
        """The same with boundaries of a series of preferred numbers; what lies below the upper one joins."""
        granularity = self.granularity or ""
        size, count = self._size(len(values)), len(values)
        found: list[tuple[Any, Any, range]] = []
        start = 0
        try:
            while start < count:
                end = count if len(found) == self.buckets - 1 else min(start + size, count)
                low = found[-1][1] if found else round_down(values[start], granularity)
                high = round_up(values[end - 1], granularity)
                bound = sort_key(high)
                while end < count and keys[end] < bound:
                    end += 1
                if high == 0 and end < count:
                    high = round_down(values[end], granularity)
                found.append((low, high, range(start, end)))
                start = end
        except FluxionError as error:
            raise failed(self.where / "granularity", start, error) from error
        return found

    def _size(self, count: int) -> int:
        return max(1, math.floor(count / self.buckets + 0.5))

    def _combine(self, rows: list[Any], members: list[int]) -> Document:
        document, column = {}, 1
        for field in self.fields:
            accumulator, width = field.accumulator, len(field.inputs)
            state = accumulator.zero()
            for i in members:
                row = rows[i][1]
                value = row[column] if width == 1 else row[column : column + width] if width else MISSING
                try:
                    state = accumulator.add(state, value)
                except FluxionError as error:
                    raise failed(self.where / "output" / field.name, i, error) from error
            document[field.name] = accumulator.result(state)
            column += width
        return document


@stage(
    "$bucketAuto",
    shape="whole",
    examples=[
        (
            [{"price": 1}, {"price": 4}, {"price": 2}, {"price": 9}],
            {"groupBy": "$price", "buckets": 2},
            [{"_id": {"min": 1, "max": 4}, "count": 2}, {"_id": {"min": 4, "max": 9}, "count": 2}],
        ),
        (
            [{"price": 3}, {"price": 5}, {"price": 12}],
            {"groupBy": "$price", "buckets": 2, "granularity": "POWERSOF2", "output": {"most": {"$max": "$price"}}},
            [{"_id": {"min": 2.0, "max": 8.0}, "most": 5}, {"_id": {"min": 8.0, "max": 16.0}, "most": 12}],
        ),
    ],
)
def bucket_auto(spec: Any, where: Where, parser: Parser) -> BucketAuto | None:
    """One document for every one of at most ``buckets`` ranges that hold about as many documents each.

    ``groupBy`` gives the value (null where it is missing); documents with equal values share a bucket. A range goes
    from ``_id.min`` (included) to ``_id.max`` (excluded, but for the last). ``granularity`` rounds the boundaries to a
    series of preferred numbers; it takes numbers from 0 only. Within a bucket, accumulators see the documents in the
    order in which they came. MongoDB: $bucketAuto.
    """
    given = parser.arguments(spec, where, ("groupBy", "buckets"), ("output", "granularity"))
    if given is None:
        return None
    before = len(parser.problems.found)
    value = group_by(given["groupBy"], where / "groupBy", parser)
    count, granularity = given["buckets"], given.get("granularity")
    whole = (
        not isinstance(count, bool) and isinstance(count, (int, float)) and math.isfinite(count) and count == count // 1
    )
    if not whole or not 1 <= count < 2**31:
        parser.problems.add(where / "buckets", f"takes a whole number of at least 1, got {count!r}")
    if granularity is not None and granularity not in GRANULARITIES:
        hint = did_you_mean(str(granularity), GRANULARITIES) or "known are " + ", ".join(GRANULARITIES)
        parser.problems.add(where / "granularity", f"unknown granularity {granularity!r}", hint)
    output = output_fields(given, where, parser)
    fields = None if output is None else group({"_id": None, **output}, where / "output", parser)
    if fields is None or len(parser.problems.found) > before:
        return None
    nodes = [value, *(node for field in fields.fields for node in field.inputs)]
    return BucketAuto(where, Columns(nodes, where), fields.fields, int(count), granularity)
