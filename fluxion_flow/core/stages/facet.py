"""$facet: several pipelines over the same documents, one field of one document for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from .inner import InnerPipeline, parse_inner
from .registry import stage
from .shapes import Document, Whole


@dataclass(frozen=True, eq=False)
class Facet(Whole):
    facets: tuple[tuple[str, InnerPipeline], ...]

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        return [{name: list(pipeline.run(documents, env)) for name, pipeline in self.facets}]


@stage(
    "$facet",
    shape="whole",
    examples=[
        (
            [{"c": "a", "v": 1}, {"c": "b", "v": 5}],
            {"dear": [{"$match": {"v": {"$gt": 2}}}], "sum": [{"$group": {"_id": None, "v": {"$sum": "$v"}}}]},
            [{"dear": [{"c": "b", "v": 5}], "sum": [{"_id": None, "v": 6}]}],
        ),
        ([], {"all": []}, [{"all": []}]),
    ],
)
def facet(spec: Any, where: Where, parser: Parser) -> Facet | None:
    """One document with a field for every pipeline, holding the documents that come out of it.

    Every pipeline gets all documents. $facet itself and $documents cannot stand inside. MongoDB: $facet.
    """
    if not isinstance(spec, Mapping) or not spec:
        parser.problems.add(where, f"takes an object of pipelines by field name, got {spec!r}")
        return None
    facets = []
    for name, pipeline in spec.items():
        if not isinstance(name, str) or not name or "." in name or name.startswith("$") or "\0" in name:
            parser.problems.add(where / str(name), "a facet is a field name without dots and dollars")
            continue
        facets.append((name, parse_inner(pipeline, where / name, parser, "$facet", ("$facet", "$documents"))))
    return Facet(where, tuple(facets))
