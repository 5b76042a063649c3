"""$unionWith: go on with the documents of a collection behind those that came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from .inner import InnerPipeline, parse_inner
from .lookup import collection_of
from .registry import stage
from .shapes import Document, Whole


@dataclass(frozen=True, eq=False)
class UnionWith(Whole):
    collection: Sequence[Document]
    pipeline: InnerPipeline

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        return [*documents, *self.pipeline.run(list(self.collection), env.within())]


@stage(
    "$unionWith",
    shape="whole",
    examples=[([{"a": 1}], {"pipeline": [{"$documents": [{"a": 2}]}]}, [{"a": 1}, {"a": 2}])],
)
def union_with(spec: Any, where: Where, parser: Parser) -> UnionWith | None:
    """All documents that came, then those of a collection, through a ``pipeline`` of their own if there is one.

    Takes the collection's name, or ``coll`` and ``pipeline``; a pipeline that begins with $documents needs no
    collection. The collection is complete, so that the stage waits for the end of its input. MongoDB: $unionWith.
    """
    if isinstance(spec, str):
        spec = {"coll": spec}
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes the name of a collection, or coll and pipeline, got {spec!r}")
        return None
    given = parser.arguments(spec, where, (), ("coll", "pipeline"))
    if given is None:
        return None
    documents = collection_of(given, "coll", where, parser)
    pipeline = parse_inner(given.get("pipeline", []), where / "pipeline", parser)
    return None if documents is None else UnionWith(where, documents, pipeline)
