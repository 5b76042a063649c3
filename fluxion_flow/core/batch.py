"""The offline run of a pipeline's stages: the same code as a stream's, over all documents at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import Problems, Where
from .environment import Environment
from .plan import Segment, segments
from .program import DocumentError
from .resources import Resources
from .stages import Keyed, Stage, Whole, parse_stages
from .stages.shapes import Document
from .values import to_millis


def run_batch(
    documents: Iterable[Document],
    stages: Sequence[Mapping[str, Any]],
    *,
    collections: Mapping[str, Sequence[Document]] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    variables: Mapping[str, Any] | None = None,
    now: datetime.datetime | None = None,
    seed: int = 0,
) -> list[Document]:
    """Run aggregation stages over documents and return the documents that come out.

    A stream that runs the same stages ends with the same result. The documents are not changed, but the result may
    share parts with them.

    ``stages``: MongoDB-style stages as data; ``collections``: documents by name for ``$lookup`` and ``$unionWith``;
    ``functions``: Python callables by name for ``$function``; ``pipelines``: stages by name for ``$subPipeline``;
    ``variables``: values of ``$$name``; ``now``: the value of ``$$NOW`` (default: the time of the call); ``seed``:
    for ``$rand`` and ``$sampleRate``.

    Raises :class:`~fluxion_flow.errors.PipelineError` with every problem of the stages before anything runs, and
    :class:`~fluxion_flow.core.program.DocumentError` when a stage fails on a document.

    >>> run_batch([{"a": 1}, {"a": 5}], [{"$match": {"a": {"$gt": 2}}}, {"$set": {"b": {"$add": ["$a", 1]}}}])
    [{'a': 5, 'b': 6}]
    """
    resources = Resources(collections or {}, functions or {}, pipelines or {}, variables or {}, now, seed)
    problems = Problems()
    built = parse_stages(stages, Where.at("stages"), problems, resources)
    problems.raise_if_any()
    return run_stages(list(documents), built, environment(resources))


def environment(resources: Resources) -> Environment:
    """The surroundings of an offline run: one partition, positions from 0, one ``$$NOW``."""
    now = resources.now or datetime.datetime.now(datetime.timezone.utc)
    return Environment(partition="0", timestamp=to_millis(now), seed=resources.seed, variables=resources.variables)


def run_stages(documents: list[Document], stages: Sequence[Stage], env: Environment) -> list[Document]:
    """Run checked stages over a list of documents."""
    return run_segments(documents, segments(stages), env)


def run_segments(documents: list[Document], plan: Sequence[Segment], env: Environment) -> list[Document]:
    """Run planned segments over a list of documents."""
    for segment in plan:
        if isinstance(segment.end, Keyed):
            state = segment.end.state()
            state.merge(segment.program.run(documents, env), "")
            documents = state.documents()
        elif len(segment.program):
            documents = segment.program.run(documents, env)
        if isinstance(segment.end, Whole):
            documents = run_whole(segment.end, documents, env)
    return documents


def run_whole(stage: Whole, documents: list[Document], env: Environment) -> list[Document]:
    """Run a stage that needs all documents.

    Raises :class:`~fluxion_flow.core.program.DocumentError` also where a document is nested too deep for it.
    """
    try:
        return stage.run(documents, env)
    except RecursionError as error:
        raise DocumentError(0, stage.where, 0, error) from error
