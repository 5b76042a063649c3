"""The offline run of a pipeline's stages: the same code as a stream's, over all documents at once."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import Problems, Where
from .context import StreamingContext
from .environment import Environment
from .event_time.time_field import EventTime, parse_event_time
from .outside import Answers, Outside, open_outside
from .plan import Segment, segments
from .program import DocumentError
from .resources import Resources, Stream
from .stages import Keyed, PerDocument, Stage, Whole, Windowed, parse_stages
from .stages.shapes import Document, check_windows
from .streams import PreparedStream, StreamInput, check_streams, prepare_stream
from .tracing import placed
from .values import to_millis


def run_batch(
    documents: Iterable[Document] | Mapping[str, Sequence[Document]],
    stages: Sequence[Mapping[str, Any]],
    *,
    collections: Mapping[str, Sequence[Document]] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    variables: Mapping[str, Any] | None = None,
    connections: Mapping[str, Mapping[str, Any]] | None = None,
    manifests: Mapping[str, Mapping[str, Any]] | None = None,
    now: datetime.datetime | None = None,
    seed: int = 0,
    time_field: Any = None,
    late: list[dict[str, Any]] | None = None,
    streams: Mapping[str, Iterable[Document] | Mapping[str, Sequence[Document]] | StreamInput] | None = None,
) -> list[Document]:
    """Run aggregation stages over documents and return the documents that come out.

    A stream that runs the same stages ends with the same result. The documents are not changed, but the result may
    share parts with them.

    ``documents``: those of one source partition, named ``"0"``, or a mapping of partitions to theirs, which tells
    window stages what is late; ``stages``: MongoDB-style stages as data; ``collections``: documents by name for
    ``$lookup`` and ``$unionWith``; ``functions``: Python callables by name for ``$function``; ``pipelines``: stages by
    name for ``$subPipeline``; ``variables``: values of ``$$name``; ``connections``: options by name, and ``manifests``
    by id, for stages that ask the outside (``$httpCall``, ``$sqlQuery``, ``$enrich``); ``now``: the value of ``$$NOW``
    (default: the time of the call); ``seed``: for ``$rand`` and ``$sampleRate``; ``time_field``: the event time of
    documents, as at a source (default: ``_ts``); ``late``: a list that documents are added to which came too late for a
    window, as ``{doc, partition, position, window}``; ``streams``: for ``$streamJoin`` and ``$lookup``, the documents
    of further streams by name, as ``documents`` has them, or a :class:`~fluxion_flow.core.streams.StreamInput` where
    they have stages or a time field of their own.

    Raises :class:`~fluxion_flow.errors.PipelineError` with every problem of the stages before anything runs, and
    :class:`~fluxion_flow.core.program.DocumentError` when a stage fails on a document.

    >>> run_batch([{"a": 1}, {"a": 5}], [{"$match": {"a": {"$gt": 2}}}, {"$set": {"b": {"$add": ["$a", 1]}}}])
    [{'a': 5, 'b': 6}]
    """
    named = (collections or {}, functions or {}, pipelines or {}, variables or {})
    inputs = {
        name: given if isinstance(given, StreamInput) else StreamInput(given, time_field)
        for name, given in (streams or {}).items()
    }
    known = {name: Stream(given.time_field, given.stages) for name, given in inputs.items()}
    resources = Resources(*named, now, seed, time_field, connections or {}, manifests or {}, known)
    problems = Problems()
    prepared = prepare_streams(resources, problems)
    built = parse_stages(stages, Where.at("stages"), problems, resources)
    check_windows(built, problems)
    check_streams(built, known, Where.at("streams"), problems)
    event_time = event_time_of(built, resources, Where.at("time_field"), problems)
    for stage in (*built, *(stage for stream in prepared.values() for stage in stream.stages)):
        for asker in stage.asks:
            asker.check(problems)
    problems.raise_if_any()
    with outside_of(resources) as answers:
        if event_time is None and not isinstance(documents, Mapping):
            return run_stages(_as_list(documents, built), built, environment(resources, answers))
        further = {name: given.partitions for name, given in inputs.items()}
        return run_partitions(documents, built, resources, event_time, late, answers, further, prepared)


def prepare_streams(resources: Resources, problems: Problems, *inside: str) -> dict[str, PreparedStream]:
    """The further streams of a run, checked; what is wrong with them goes to ``problems``.

    ``inside``: where a stream's description says its time field, if not at its top.
    """
    found = {}
    for name, stream in resources.streams.items():
        where = Where.at("streams", name)
        time_where = Where((*where.parts, *inside, "time_field"))
        found[name] = prepare_stream(stream, where, problems, resources, time_where)
    return found


def _as_list(documents: Iterable[Document], stages: Sequence[Stage]) -> list[Document]:
    """The documents in a list that ``stages`` may have: the caller's own one where they only read it.

    Copying a long list touches every document twice, in memory that the processor does not have at hand.
    """
    read_only = bool(stages) and isinstance(stages[0], (PerDocument, Keyed))
    return documents if read_only and isinstance(documents, list) else list(documents)


@contextmanager
def outside_of(resources: Resources) -> Iterator[Answers]:
    """What the outside will answer in an offline run. It is opened by the first question, and closed at the end."""
    opened: list[Outside] = []

    def outside() -> Outside:
        if not opened:
            opened.append(open_outside(resources))
        return opened[0]

    try:
        yield Answers(outside, StreamingContext("offline", "stages"))
    finally:
        for found in opened:
            found.close()


def event_time_of(stages: Sequence[Stage], resources: Resources, where: Where, problems: Problems) -> EventTime | None:
    """The event time that stages need; ``None`` where none does, or ``problems`` say what is wrong with it."""
    needed = any(isinstance(stage, Windowed) for stage in stages) or resources.time_field is not None
    return parse_event_time(resources.time_field, where, problems, resources) if needed else None


def run_partitions(
    documents: Iterable[Document] | Mapping[str, Sequence[Document]],
    stages: Sequence[Stage],
    resources: Resources,
    event_time: EventTime | None,
    late: list[dict[str, Any]] | None = None,
    answers: Answers | None = None,
    streams: Mapping[str, Mapping[str, Sequence[Document]]] | None = None,
    prepared: Mapping[str, PreparedStream] | None = None,
) -> list[Document]:
    """Run checked stages over the documents of source partitions, or of the one partition ``"0"``.

    ``streams`` are the documents of the further streams by partition, ``prepared`` what they go through.
    """
    from .offline import OfflineRun

    partitions = documents if isinstance(documents, Mapping) else {"0": list(documents)}
    now = to_millis(resources.now or datetime.datetime.now(datetime.timezone.utc))
    if prepared is None:
        prepared = prepare_streams(resources, Problems())
    further = {name: (stream, (streams or {}).get(name, {})) for name, stream in prepared.items()}
    return OfflineRun(resources, now, event_time, late, answers, further).run(partitions, segments(stages))


def environment(resources: Resources, answers: Answers | None = None) -> Environment:
    """The surroundings of an offline run: one partition, positions from 0, one ``$$NOW``."""
    now = resources.now or datetime.datetime.now(datetime.timezone.utc)
    return Environment(
        partition="0",
        timestamp=to_millis(now),
        seed=resources.seed,
        variables=resources.variables,
        answers=answers,
    )


def run_stages(documents: list[Document], stages: Sequence[Stage], env: Environment) -> list[Document]:
    """Run checked stages over a list of documents."""
    return run_segments(documents, segments(stages), env)


def run_segments(documents: list[Document], plan: Sequence[Segment], env: Environment) -> list[Document]:
    """Run planned segments over a list of documents."""
    start = env.position, env.positions
    for segment in plan:
        if segment.cut and not env.nested:
            documents, _ = placed(segment.program, documents, env)
            continue
        if isinstance(segment.end, Keyed):
            state = segment.end.state()
            state.merge(segment.program.run(documents, env), "")
            documents = state.documents()
        elif len(segment.program):
            documents = segment.program.run(documents, env)
        if segment.end is not None:
            env.position, env.positions = start
        if isinstance(segment.end, Windowed):
            raise TypeError(f"{segment.end.where}: event time is known to run_partitions only")
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
