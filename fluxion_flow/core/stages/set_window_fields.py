"""$setWindowFields: fields computed from the documents around each document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import FluxionError, Where
from ..environment import Environment
from ..expressions.nodes import Const, Node
from ..expressions.parse import Parser
from ..expressions.paths import set_path
from ..ordering import canonical, sort_key
from ..program import DocumentError
from ..values import MISSING, EvaluationError
from ..windows import Partition, RowError, WindowFunction, build_window_function
from .evaluate import Columns, failed
from .registry import stage
from .set import colliding
from .shapes import Document, Whole
from .sort import SortFields, order_of, parse_sort
from .window_stages import parse_span
from .windowed import DEFAULT_LATENESS

Output = tuple[tuple[str, ...], WindowFunction]
"""The path of a field and what it is to hold."""


def partitions(documents: Sequence[Document], keys: Sequence[Any], sort: SortFields, where: Where) -> list[list[int]]:
    """The positions of the documents by partition, in order; partitions come in the order of their keys.

    Raises :class:`DocumentError` for a key that is an array.
    """
    members: dict[Any, list[int]] = {}
    firsts: dict[Any, Any] = {}
    for i, value in enumerate(keys):
        value = None if value is MISSING else value
        if value.__class__ is list:
            raise failed(where / "partitionBy", i, EvaluationError("a partition cannot be named by an array"))
        key = canonical(value)
        found = members.get(key)
        if found is None:
            members[key], firsts[key] = [i], sort_key(value)
        else:
            found.append(i)
    ordered = sorted(members, key=firsts.__getitem__)
    return [order_of(documents, members[key], sort) for key in ordered]


@dataclass(frozen=True, eq=False)
class SetWindowFields(Whole):
    columns: Columns
    sort: SortFields
    outputs: tuple[Output, ...]
    spec: Any = None
    lateness: int = DEFAULT_LATENESS

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        rows = self.columns.rows(documents, env)
        found: list[Document] = []
        for members in partitions(documents, [row[0] for row in rows], self.sort, self.where):
            found += self.with_fields([documents[i] for i in members], [rows[i] for i in members], members)
        return found

    def with_fields(
        self, documents: list[Document], rows: list[Any], members: list[int], start: int = 0
    ) -> list[Document]:
        """The documents of a partition, in order, with their fields; only those from ``start`` on.

        ``rows`` are their columns, ``members`` their indexes for errors. Raises :class:`DocumentError`.
        """
        partition = Partition(documents, self.sort)
        new = documents[start:]
        column = 1
        for path, function in self.outputs:
            values = self._values(function, rows, column, partition, members)
            column += len(function.inputs)
            for n, value in enumerate(values[start:]):
                new[n] = {**new[n], path[0]: value} if len(path) == 1 else set_path(new[n], path, value)
        return new

    def _values(
        self, function: WindowFunction, rows: list[Any], column: int, partition: Partition, members: list[int]
    ) -> list[Any]:
        width = len(function.inputs)
        if width == 1:
            inputs: list[Any] = [row[column] for row in rows]
        else:
            inputs = [row[column : column + width] for row in rows] if width else [MISSING] * len(rows)
        try:
            return function.values(inputs, partition)
        except RowError as error:
            raise failed(function.where, members[error.row], error.cause) from error
        except DocumentError:
            raise
        except FluxionError as error:
            raise failed(function.where, members[0], error) from error


def build_outputs(spec: Mapping[str, Any], where: Where, parser: Parser, sort: SortFields) -> tuple[Output, ...] | None:
    """The fields of ``output``; ``None`` after reporting problems."""
    outputs: list[Output] = []
    before = len(parser.problems.found)
    for name, value in spec.items():
        place = where / str(name)
        if not isinstance(name, str) or not parser.check_path(name, place):
            continue
        function = build_window_function(value, place, parser, sort)
        if function is not None:
            outputs.append((tuple(name.split(".")), function))
    clash = colliding([path for path, _ in outputs])
    if clash:
        parser.problems.add(where, f"paths {clash[0]!r} and {clash[1]!r} collide", "name one of them")
    return tuple(outputs) if len(parser.problems.found) == before else None


def columns_of(partition_by: Node, outputs: Sequence[Output], where: Where) -> Columns:
    """What is evaluated for every document: the partition's key, then the inputs of every function."""
    return Columns([partition_by, *(node for _, function in outputs for node in function.inputs)], where)


@stage(
    "$setWindowFields",
    shape="whole",
    streaming="any source; on an unbounded one sorted by the event time, with windows that look back only",
    examples=[
        (
            [{"c": "a", "t": 2, "x": 5}, {"c": "b", "t": 1, "x": 1}, {"c": "a", "t": 1, "x": 2}],
            {
                "partitionBy": "$c",
                "sortBy": {"t": 1},
                "output": {"total": {"$sum": "$x", "window": {"documents": ["unbounded", "current"]}}},
            },
            [
                {"c": "a", "t": 1, "x": 2, "total": 2},
                {"c": "a", "t": 2, "x": 5, "total": 7},
                {"c": "b", "t": 1, "x": 1, "total": 1},
            ],
        ),
        (
            [{"t": 1, "x": 4}, {"t": 2, "x": 9}],
            {"sortBy": {"t": 1}, "output": {"before": {"$shift": {"output": "$x", "by": -1}}, "place": {"$rank": {}}}},
            [{"t": 1, "x": 4, "before": None, "place": 1}, {"t": 2, "x": 9, "before": 4, "place": 2}],
        ),
    ],
)
def set_window_fields(spec: Any, where: Where, parser: Parser) -> SetWindowFields | None:
    """Add fields to every document that are computed from a window of documents around it.

    ``partitionBy`` (an expression) divides the documents, ``sortBy`` orders each partition; the documents come out in
    that order, partitions by their key. ``output`` names the fields: an accumulator or a window function, and its
    ``window``: ``documents: [lower, upper]`` by position or ``range: [lower, upper]`` with ``unit`` by the value of the
    field sorted by; bounds are ``"unbounded"``, ``"current"`` or numbers, both included. Without a window it is the
    whole partition. On an unbounded source, documents wait until the watermark has passed them and come out in the
    order of event time, by which they must be sorted; windows look back and are bounded, and ``allowedLateness``
    (``{size, unit}``) is how long older documents are waited for. MongoDB: $setWindowFields.
    """
    given = parser.arguments(spec, where, ("output",), ("partitionBy", "sortBy", "allowedLateness"))
    if given is None:
        return None
    before = len(parser.problems.found)
    partition_by = parser.expression(given.get("partitionBy"), where / "partitionBy")
    if isinstance(partition_by, Const) and isinstance(partition_by.value, list):
        parser.problems.add(where / "partitionBy", "a partition cannot be named by an array")
    sort: SortFields | None = ()
    if "sortBy" in given:
        sort = parse_sort(given["sortBy"], where / "sortBy", parser)
    output = given["output"]
    if not isinstance(output, Mapping):
        parser.problems.add(where / "output", f"takes an object of window functions by field name, got {output!r}")
        return None
    outputs = build_outputs(output, where / "output", parser, sort or ())
    lateness: int | None = DEFAULT_LATENESS
    if "allowedLateness" in given:
        lateness = parse_span(given["allowedLateness"], where / "allowedLateness", parser, zero=True)
    if outputs is None or sort is None or lateness is None or len(parser.problems.found) > before:
        return None
    return SetWindowFields(where, columns_of(partition_by, outputs, where), sort, outputs, given, lateness)
