"""$lookup: join documents of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..environment import Environment
from ..expressions import kinds
from ..expressions.nodes import Node
from ..expressions.operators.binding import variable_name
from ..expressions.parse import SYSTEM_VARIABLES, Parser
from ..expressions.paths import path_in
from .collections import FieldIndex, field_path, find_collection, joined_values
from .documents import constant_documents
from .external import ExternalCollection, JoinByValue, JoinLoaded, open_collection
from .inner import InnerPipeline, parse_inner
from .registry import stage
from .set import assign
from .shapes import Document, PerDocument
from .stream_join import StreamJoin, lookup_in_stream

if TYPE_CHECKING:
    from ..program import RunEmitter

Probe = tuple[FieldIndex, str, tuple[str, ...]]
"""An index, and the variable and path whose value a document must hold there."""


class Join:
    """Finds the documents of a collection that belong to a document."""

    def __init__(
        self,
        documents: Sequence[Document],
        index: FieldIndex | None,
        local: tuple[str, ...],
        pipeline: InnerPipeline | None,
        probe: Probe | None,
        constant: bool,
    ) -> None:
        self._documents = documents
        self._index = index
        self._local = local
        self._pipeline = pipeline
        self._probe = probe
        self._constant = constant
        self._kept: tuple[Any, list[Document]] | None = None

    def find(self, document: Document, env: Environment, variables: dict[str, Any]) -> list[Document]:
        """The joined documents, in the order of the collection (or of the pipeline)."""
        if self._pipeline is None:
            return [self._documents[i] for i in self._positions(document)]
        if self._constant:
            kept = self._kept
            if kept is None or kept[0] != env.now:
                found = self._pipeline.run_for(list(self._documents), env.within())
                kept = self._kept = (env.now, found)
            return list(kept[1])
        if self._index is not None:
            documents = [self._documents[i] for i in self._positions(document)]
        elif self._probe is not None:
            index, name, path = self._probe
            value = variables[name] if name in variables else env.variables[name]
            documents = [self._documents[i] for i in index.find([path_in(value, path)])]
        else:
            documents = list(self._documents)
        return self._pipeline.run_for(documents, env.within(variables))

    def _positions(self, document: Document) -> list[int]:
        assert self._index is not None
        return self._index.find(joined_values(document, self._local))


@dataclass(frozen=True, eq=False)
class Lookup(PerDocument):
    join: Join | JoinByValue | JoinLoaded
    variables: tuple[tuple[str, Node], ...]
    into: tuple[str, ...]

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        values = [(name, e.value(node)) for name, node in self.variables]
        document = e.materialize()
        given = "{" + ", ".join(f"{name!r}: {atom.code}" for name, atom in values) + "}"
        find = e.bind(self.join.find, "lookup")
        found = e.assign(f"{find}({document.code}, env, {given})", kinds.ARRAY, "a")
        assign(e, [(self.into, found)])


def equality_probe(pipeline: Any, documents: Sequence[Document], variables: frozenset[str]) -> Probe | None:
    """The index that a pipeline may start from, if it begins with ``{$match: {$expr: {$eq: ["$field", "$$name"]}}}``.

    The comparison may stand in an ``$and``. The pipeline still runs as it is, over fewer documents.
    """
    first = pipeline[0] if isinstance(pipeline, (list, tuple)) and pipeline else None
    query = first.get("$match") if isinstance(first, Mapping) else None
    test = query.get("$expr") if isinstance(query, Mapping) else None
    tests = [test]
    if isinstance(test, Mapping) and set(test) == {"$and"} and isinstance(test["$and"], (list, tuple)):
        tests = list(test["$and"])
    for one in tests:
        sides = one.get("$eq") if isinstance(one, Mapping) and set(one) == {"$eq"} else None
        if not isinstance(sides, (list, tuple)) or len(sides) != 2 or not all(isinstance(s, str) for s in sides):
            continue
        for field, outer in (sides, sides[::-1]):
            name, _, rest = outer[2:].partition(".")
            if field.startswith("$") and not field.startswith("$$") and outer.startswith("$$") and name in variables:
                path = tuple(rest.split(".")) if rest else ()
                return FieldIndex(documents, tuple(field[1:].split(".")), whole=True), name, path
    return None


def let_variables(given: Mapping[str, Any], where: Where, parser: Parser) -> list[tuple[str, Node]]:
    """The variables of ``let``, evaluated on the document outside; problems are reported."""
    spec = given.get("let", {})
    if not isinstance(spec, Mapping):
        parser.problems.add(where / "let", f"takes an object of variables, got {spec!r}")
        return []
    return [
        (name, parser.expression(value, where / "let" / name))
        for name, value in spec.items()
        if variable_name(name, where / "let" / str(name), parser)
    ]


def collection_of(given: Mapping[str, Any], name: str, where: Where, parser: Parser) -> Sequence[Document] | None:
    """The collection under ``name``, or no documents at all where the pipeline brings its own with $documents."""
    pipeline = given.get("pipeline")
    own = (
        isinstance(pipeline, (list, tuple))
        and pipeline
        and isinstance(pipeline[0], Mapping)
        and "$documents" in pipeline[0]
    )
    if name not in given and own:
        return ()
    if name not in given:
        hint = "name a collection, or begin the pipeline with $documents"
        parser.problems.add(where / name, "required argument is missing", hint)
        return None
    return find_collection(given[name], where / name, parser)


@stage(
    "$lookup",
    shape="per document; in order of event time where it looks into a stream",
    streaming="any source; into a stream, documents leave when the watermark of both has passed them",
    examples=[],
)
def lookup(spec: Any, where: Where, parser: Parser) -> Lookup | StreamJoin | None:
    """Add an array of the documents of a collection that belong to the document, under ``as``.

    Either by equality of ``localField`` and ``foreignField`` (an array stands for its elements, missing for null), or
    by a ``pipeline`` over the collection, which sees the values of ``let`` as ``$$name``; or both, the pipeline then
    runs over the documents that are equal. The collection is indexed once by the field; a pipeline that begins with a
    ``$match`` on ``{$expr: {$eq: ["$field", "$$name"]}}`` is served by an index too.

    ``from`` may describe a collection that stands outside: ``{connection: db, table: customers}``, ``{connection: api,
    collection: products}`` or ``{file: countries.csv}``. What a batch needs of a table or a server is asked for
    together.

    ``from`` may also name a stream of the pipeline: the array then holds the last of its documents, at or before the
    document's own event time, that is equal (MongoDB's $lookup knows no time). ``within: {before}`` says how old it may
    be; ``allowedLateness`` and ``onLate`` are those of $streamJoin. MongoDB: $lookup.
    """
    if isinstance(spec, Mapping) and isinstance(spec.get("from"), str) and spec["from"] in parser.resources.streams:
        return lookup_in_stream(spec, where, parser)
    optional = ("from", "localField", "foreignField", "let", "pipeline")
    given = parser.arguments(spec, where, ("as",), optional)
    if given is None:
        return None
    before = len(parser.problems.found)
    described = outside_of(given, parser)
    external = None if described is None else open_collection(described, where / "from", parser)
    documents = () if described is not None else collection_of(given, "from", where, parser)
    into = field_path(given["as"], where / "as", parser)
    local: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    if "localField" in given or "foreignField" in given:
        for name in ("localField", "foreignField"):
            if name not in given:
                parser.problems.add(where / name, "required argument is missing", "give localField and foreignField")
        local = field_path(given["localField"], where / "localField", parser) if "localField" in given else ()
        foreign = field_path(given["foreignField"], where / "foreignField", parser) if "foreignField" in given else ()
    elif "pipeline" not in given:
        parser.problems.add(where, "needs a condition of the join", "give localField and foreignField, or a pipeline")
    if "let" in given and "pipeline" not in given:
        parser.problems.add(where / "let", "there is no pipeline that could use the variables", "remove it")
    variables = let_variables(given, where, parser)
    pipeline, probe = None, None
    scope = parser.with_variables(*(name for name, _ in variables))
    if "pipeline" in given:
        pipeline = parse_inner(given["pipeline"], where / "pipeline", scope, "$lookup")
    if documents is None or len(parser.problems.found) > before:
        return None
    if foreign and "from" not in given and pipeline is not None:
        documents = constant_documents(pipeline.stages[0])
        if documents is None:
            what = "its documents must be constants where they are joined by a field"
            parser.problems.add(pipeline.stages[0].where, what, "leave localField and foreignField out")
            return None
        pipeline = InnerPipeline(pipeline.stages[1:])
    free = scope.variables - SYSTEM_VARIABLES - set(parser.resources.variables)
    if pipeline is not None and not foreign:
        probe = equality_probe(given["pipeline"], documents, free)
    constant = pipeline is not None and not foreign and not free

    def join(documents: Sequence[Document], probe: Probe | None = probe) -> Join:
        index = FieldIndex(documents, foreign) if foreign else None
        return Join(documents, index, local, pipeline, probe, constant)

    if external is None:
        return Lookup(where, join(documents), tuple(variables), into)
    found: JoinByValue | JoinLoaded | None
    if external.whole:

        def over(documents: Sequence[Document]) -> Join:
            return join(documents, None if probe is None else equality_probe(given["pipeline"], documents, free))

        found = JoinLoaded(external, over)
    else:
        found = join_by_value(external, foreign, local, probe, pipeline, where, parser)
        if found is None:
            return None
    parser.asks.append(found.asker)
    return Lookup(where, found, tuple(variables), into)


def outside_of(given: Mapping[str, Any], parser: Parser) -> Mapping[str, Any] | None:
    """The description of a collection that stands outside, under ``from`` or under the name there; else ``None``."""
    spec = given.get("from")
    if isinstance(spec, str):
        spec = parser.resources.collections.get(spec)
    return spec if isinstance(spec, Mapping) else None


def join_by_value(
    external: ExternalCollection,
    foreign: tuple[str, ...],
    local: tuple[str, ...],
    probe: Probe | None,
    pipeline: InnerPipeline | None,
    where: Where,
    parser: Parser,
) -> JoinByValue | None:
    """The join with a collection that is asked by value; ``None`` after reporting that there is no value to ask by."""
    if foreign:
        return JoinByValue(external, foreign, local, "", (), pipeline)
    if probe is None:
        hint = (
            "give localField and foreignField, or begin the pipeline with a $match on {$expr: {$eq: [field, $$name]}}"
        )
        parser.problems.add(where, "would read the whole collection for every document", hint)
        return None
    index, name, path = probe
    return JoinByValue(external, index.path, (), name, path, pipeline)
