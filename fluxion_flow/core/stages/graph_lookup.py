"""$graphLookup: follow references from document to document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..environment import Environment
from ..expressions import kinds
from ..expressions.nodes import Node
from ..expressions.parse import Parser
from ..expressions.paths import set_path
from ..ordering import canonical
from ..query import Predicate, compile_query, parse_query
from ..values import MISSING
from .collections import FieldIndex, field_path, find_collection, joined_values
from .registry import stage
from .set import assign
from .shapes import Document, PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


class Graph:
    """A collection whose documents refer to each other."""

    def __init__(
        self,
        documents: Sequence[Document],
        connect_from: tuple[str, ...],
        connect_to: tuple[str, ...],
        most_depth: int | None,
        depth_field: tuple[str, ...],
        restriction: Predicate | None,
    ) -> None:
        self._documents = documents
        self._index = FieldIndex(documents, connect_to)
        self._from = connect_from
        self._most_depth = most_depth
        self._depth_field = depth_field
        self._wanted = None if restriction is None else compile_query(restriction)

    def reach(self, start: Any, env: Environment) -> list[Document]:
        """The documents that can be reached from a value (an array: from each of its elements), in their collection's
        order."""
        if start is MISSING:
            return []
        frontier = start if start.__class__ is list else [start]
        seen = {canonical(value) for value in frontier}
        depths: dict[int, int] = {}
        refused: set[int] = set()
        depth = 0
        while frontier and (self._most_depth is None or depth <= self._most_depth):
            found = []
            for position in self._index.find(frontier):
                if position in depths or position in refused:
                    continue
                document = self._documents[position]
                if self._wanted is not None and not self._wanted(document, env):
                    refused.add(position)
                    continue
                depths[position] = depth
                found.append(document)
            frontier = []
            for document in found:
                for value in joined_values(document, self._from):
                    if value is not None and (key := canonical(value)) not in seen:
                        seen.add(key)
                        frontier.append(value)
            depth += 1
        if not self._depth_field:
            return [self._documents[position] for position in sorted(depths)]
        return [set_path(self._documents[p], self._depth_field, depths[p]) for p in sorted(depths)]


@dataclass(frozen=True, eq=False)
class GraphLookup(PerDocument):
    graph: Graph
    start: Node
    into: tuple[str, ...]

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        start = e.value(self.start)
        found = e.assign(f"{e.bind(self.graph.reach, 'graph_lookup')}({start.code}, env)", kinds.ARRAY, "a")
        assign(e, [(self.into, found)])


@stage("$graphLookup", shape="per document", examples=[])
def graph_lookup(spec: Any, where: Where, parser: Parser) -> GraphLookup | None:
    """Add an array of the documents of a collection that can be reached from the document, under ``as``.

    The search starts with the documents whose ``connectToField`` holds the value of ``startWith`` (an array: any of its
    elements) and goes on with the values of their ``connectFromField``. ``maxDepth`` limits the steps (0: none after
    the first), ``depthField`` names a field for the number of steps, ``restrictSearchWithMatch`` is a query that
    documents on the way must match. Found documents come once, in the order of the collection. MongoDB: $graphLookup.
    """
    required = ("from", "startWith", "connectFromField", "connectToField", "as")
    given = parser.arguments(spec, where, required, ("maxDepth", "depthField", "restrictSearchWithMatch"))
    if given is None:
        return None
    before = len(parser.problems.found)
    documents = find_collection(given["from"], where / "from", parser)
    start = parser.expression(given["startWith"], where / "startWith")
    names = {
        name: field_path(given[name], where / name, parser)
        for name in ("connectFromField", "connectToField", "as", "depthField")
        if name in given
    }
    depth = given.get("maxDepth")
    if depth is not None:
        whole = not isinstance(depth, bool) and isinstance(depth, (int, float)) and depth == depth // 1 and depth >= 0
        if not whole:
            parser.problems.add(where / "maxDepth", f"takes a whole number of at least 0, got {depth!r}")
    restriction = None
    if "restrictSearchWithMatch" in given:
        place = where / "restrictSearchWithMatch"
        restriction = parse_query(given["restrictSearchWithMatch"], place, parser)
    if documents is None or len(parser.problems.found) > before:
        return None
    graph = Graph(
        documents,
        names["connectFromField"],
        names["connectToField"],
        None if depth is None else int(depth),
        names.get("depthField", ()),
        restriction,
    )
    return GraphLookup(where, graph, start, names["as"])
