"""$fill: give values to fields that are null or missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Where, did_you_mean
from ..environment import Environment
from ..expressions.nodes import Node, ObjectNode
from ..expressions.parse import Parser
from ..expressions.paths import path_in, set_path
from ..values import MISSING
from .evaluate import Columns
from .registry import stage
from .set import colliding
from .set_window_fields import SetWindowFields, build_outputs, columns_of
from .shapes import Document, Stage, Whole
from .sort import Sort, SortFields, parse_sort

METHODS = {"linear": "$linearFill", "locf": "$locf"}
"""The methods, and the window functions that they stand for."""


@dataclass(frozen=True, eq=False)
class FillValues(Whole):
    """Fields that get the value of an expression where they are null or missing."""

    paths: tuple[tuple[str, ...], ...]
    columns: Columns

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        found = []
        for document, row in zip(documents, self.columns.rows(documents, env), strict=True):
            new = document
            for path, value in zip(self.paths, row, strict=True):
                if value is not MISSING and path_in(document, path) in (None, MISSING):
                    new = {**new, path[0]: value} if len(path) == 1 else set_path(new, path, value)
            found.append(new)
        return found


def _partition(given: Mapping[str, Any], where: Where, parser: Parser) -> Node:
    """The key of a document's partition."""
    if "partitionByFields" not in given:
        spec = given.get("partitionBy")
        if spec is not None and not isinstance(spec, Mapping) and not (isinstance(spec, str) and spec.startswith("$")):
            parser.problems.add(where / "partitionBy", f"takes a field path or an expression object, got {spec!r}")
        return parser.expression(spec, where / "partitionBy")
    place, names = where / "partitionByFields", given["partitionByFields"]
    if "partitionBy" in given:
        parser.problems.add(place, "has both partitionBy and partitionByFields", "keep one of them")
    if not isinstance(names, (list, tuple)):
        parser.problems.add(place, f"takes a list of field names, got {names!r}")
        names = ()
    fields = []
    for i, name in enumerate(names):
        if not isinstance(name, str) or not name or name.startswith("$"):
            parser.problems.add(place / i, f"takes a field name without '$', got {name!r}")
        elif parser.check_path(name, place / i):
            fields.append((name, parser.expression("$" + name, place / i)))
    return ObjectNode(place, tuple(fields))


@stage(
    "$fill",
    shape="whole",
    examples=[
        (
            [{"t": 1, "p": 10}, {"t": 2}, {"t": 4, "p": 16}],
            {"sortBy": {"t": 1}, "output": {"p": {"method": "linear"}}},
            [{"t": 1, "p": 10}, {"t": 2, "p": 12.0}, {"t": 4, "p": 16}],
        ),
        (
            [{"t": 1, "s": "on"}, {"t": 2, "s": None}],
            {"sortBy": {"t": 1}, "output": {"s": {"method": "locf"}, "n": {"value": 0}}},
            [{"t": 1, "s": "on", "n": 0}, {"t": 2, "s": "on", "n": 0}],
        ),
    ],
)
def fill(spec: Any, where: Where, parser: Parser) -> list[Stage] | None:
    """Fill fields that are null or missing, each by a ``value`` (an expression) or a ``method``.

    ``method: "locf"`` carries the last value forward, ``"linear"`` draws a line between the values around the gap; both
    go by ``sortBy`` within each partition (``partitionBy``, an expression, or ``partitionByFields``). Documents come
    out in that order. What cannot be filled is null. Values are computed after the methods.
    MongoDB: $fill.
    """
    given = parser.arguments(spec, where, ("output",), ("partitionBy", "partitionByFields", "sortBy"))
    if given is None:
        return None
    before = len(parser.problems.found)
    partition_by = _partition(given, where, parser)
    sort: SortFields | None = parse_sort(given["sortBy"], where / "sortBy", parser) if "sortBy" in given else ()
    output, place = given["output"], where / "output"
    if not isinstance(output, Mapping) or not output:
        parser.problems.add(
            place, f"takes an object of fields, got {output!r}", 'such as {"price": {"method": "locf"}}'
        )
        return None
    functions: dict[str, Any] = {}
    paths: list[tuple[str, ...]] = []
    values: list[tuple[tuple[str, ...], Node]] = []
    for name, how in output.items():
        at = where / "output" / str(name)
        if not isinstance(name, str) or not parser.check_path(name, at):
            continue
        paths.append(tuple(name.split(".")))
        if not isinstance(how, Mapping) or len(how) != 1 or next(iter(how)) not in ("method", "value"):
            parser.problems.add(
                at, "takes an object with method or value", 'such as {"method": "linear"} or {"value": 0}'
            )
        elif "value" in how:
            values.append((paths[-1], parser.expression(how["value"], at / "value")))
        elif how["method"] not in METHODS:
            hint = did_you_mean(str(how["method"]), METHODS) or "known are linear, locf"
            parser.problems.add(at / "method", f"unknown method {how['method']!r}", hint)
        elif not sort and "sortBy" not in given:
            parser.problems.add(at / "method", "needs an order of the documents", "give the stage a sortBy")
        else:
            functions[name] = {METHODS[how["method"]]: "$" + name}
    clash = colliding(paths)
    if clash:
        parser.problems.add(place, f"paths {clash[0]!r} and {clash[1]!r} collide", "name one of them")
    outputs = build_outputs(functions, place, parser, sort or ()) if sort is not None else None
    if outputs is None or sort is None or len(parser.problems.found) > before:
        return None
    stages: list[Stage] = []
    if outputs:
        stages.append(SetWindowFields(where, columns_of(partition_by, outputs, where), sort, outputs))
    elif sort:
        stages.append(Sort(where, sort))
    if values:
        columns = Columns([node for _, node in values], where)
        stages.append(FillValues(where, tuple(path for path, _ in values), columns))
    return stages
