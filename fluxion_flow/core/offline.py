"""The offline run over source partitions: what a stream does with event time, over all documents at once.

A run is a list of flows. At first there is one for each source partition, behind a window stage one for each window;
stages that bring documents together leave one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .environment import Environment
from .event_time import Clock, EventTime, PartitionClock
from .outside import Answers
from .plan import Segment, segments
from .program import DocumentError, Program
from .resources import Resources
from .stages.in_order import InOrder
from .stages.shapes import Document, Keyed, Whole
from .stages.stream_join import StreamJoin
from .stages.window_memory import FOREVER, OpenWindows
from .stages.windowed import Piece, WindowStage
from .streams import PreparedStream, ambiguous, is_of, partition_of
from .tracing import placed, traced
from .values import from_millis


@dataclass
class Flow:
    """Documents that travel together. ``label`` sorts flows in the order of their documents."""

    label: str
    documents: list[Document]
    env: Environment
    source: list[Document] | None = None
    """Before the documents had to be taken through some stages by themselves: what they were made of."""
    places: list[int] | None = None
    """And the index there of what each document was made of."""


class OfflineRun:
    """Runs planned stages over documents by source partition.

    ``event_time`` says when a document happened. Late documents go to ``late``, each as
    ``{doc, partition, position, window}``. ``streams`` are the further streams with their documents by partition.
    """

    def __init__(
        self,
        resources: Resources,
        now: int,
        event_time: EventTime | None,
        late: list[dict[str, Any]] | None = None,
        answers: Answers | None = None,
        streams: Mapping[str, tuple[PreparedStream, Mapping[str, Sequence[Document]]]] | None = None,
    ) -> None:
        self._resources = resources
        self._now = now
        self._event_time = event_time
        self._late = late
        self._answers = answers
        self._streams = streams or {}

    def run(self, partitions: Mapping[str, Sequence[Document]], plan: Sequence[Segment]) -> list[Document]:
        """The documents that come out.

        Raises :class:`~fluxion_flow.core.program.DocumentError`, and :class:`ValueError` for partitions that cannot be
        told from those of a further stream.
        """
        if wrong := ambiguous(self._streams, partitions):
            raise ValueError(wrong)
        flows = [Flow(name, list(partitions[name]), self._environment(name)) for name in sorted(partitions)]
        for segment in plan:
            if segment.cut:
                for flow in flows:
                    _cut(segment.program, flow)
            elif isinstance(segment.end, Keyed):
                flows = self._keyed(segment.program, segment.end, flows)
            elif isinstance(segment.end, WindowStage):
                flows = self._windowed(segment.program, segment.end, flows)
            elif isinstance(segment.end, InOrder):
                flows = self._in_order(segment.program, segment.end, flows)
            elif len(segment.program):
                for flow in flows:
                    flow.documents = segment.program.run(flow.documents, flow.env)
            if isinstance(segment.end, Whole):
                documents = [document for flow in flows for document in flow.documents]
                env = self._environment("0")
                flows = [Flow("0", _run_whole(segment.end, documents, env), env)]
        return [document for flow in flows for document in flow.documents]

    def _environment(self, partition: str, meta: Mapping[str, Any] | None = None) -> Environment:
        resources = self._resources
        return Environment(
            partition=partition,
            timestamp=self._now,
            seed=resources.seed,
            variables=resources.variables,
            meta=meta,
            answers=self._answers,
        )

    def _keyed(self, program: Program, stage: Keyed, flows: Sequence[Flow]) -> list[Flow]:
        state = stage.state()
        for flow in flows:
            state.merge(program.run(flow.documents, flow.env), flow.label)
        return [Flow("0", state.documents(), self._environment("0"))]

    def _windowed(self, program: Program, stage: WindowStage, flows: Sequence[Flow]) -> list[Flow]:
        windows = OpenWindows(stage)
        for flow in flows:
            self._divide(program, stage, flow, windows.add)
        found = []
        for window in windows.due(FOREVER):
            env = self._environment(window.label, {"stream": {"window": windows.meta(window)}})
            result = "final" if stage.early or stage.corrects else ""
            found.append(Flow(window.label, windows.results(window, env, result), env))
        return found

    def _in_order(self, program: Program, stage: InOrder, flows: Sequence[Flow]) -> list[Flow]:
        waiting = stage.memory()
        for flow in flows:
            self._divide(program, stage, flow, waiting.add)
        if isinstance(stage, StreamJoin):
            self._divide_stream(stage, waiting.add)
        env = self._environment("0")
        return [Flow("0", waiting.release(FOREVER, env), env)]

    def _divide_stream(self, stage: StreamJoin, add: Callable[[Piece], Any]) -> None:
        """Take the documents of a further stream through its own stages to the join."""
        prepared, partitions = self._streams[stage.stream]
        *before, last = segments(prepared.stages)
        for name in sorted(partitions):
            label = partition_of(stage.stream, name)
            flow = Flow(label, list(partitions[name]), self._environment(label))
            for segment in before:
                _cut(segment.program, flow)
            self._divide(last.program, stage, flow, add)

    def _divide(self, program: Program, stage: WindowStage | InOrder, flow: Flow, add: Callable[[Piece], Any]) -> None:
        source = flow.documents if flow.source is None else flow.source
        clock = self._clock(stage, flow.label, source)
        documents = flow.documents
        indexes = list(range(len(documents))) if flow.places is None else flow.places
        if len(program):
            documents, found, errors = traced(program, flow.documents, flow.env, first=True)
            if errors:
                raise errors[0]
            indexes = [indexes[i] for i in found]
        if len(program) or flow.places is not None:
            clock = clock.at(indexes)
        env = self._placed(flow, indexes)
        divided = stage.divide(documents, clock, env)
        if divided.undated:
            at = divided.undated[0]
            error = self._time(flow.label).missing(source[indexes[at]], self._environment(flow.label))
            raise DocumentError(indexes[at], stage.where, 0, error)
        for window, members in divided.windows.items():
            value = divided.values.get(window)
            meta = {"stream": {"window": stage.meta(window, value)}}
            own = self._placed(flow, [indexes[i] for i in members], meta)
            add(stage.piece(window, value, documents, members, own, clock.times))
        if self._late is not None:
            for at, spans in sorted(divided.missed.items()):
                self._late.append(
                    {
                        "doc": documents[at],
                        "partition": flow.label,
                        "position": indexes[at],
                        "window": missed_meta(spans),
                    }
                )

    def _placed(self, flow: Flow, positions: list[int], meta: Mapping[str, Any] | None = None) -> Environment:
        env = self._environment(flow.label, meta)
        env.positions = positions
        return env

    def _time(self, label: str) -> EventTime:
        own = next((known.event_time for name, (known, _) in self._streams.items() if is_of(name, label)), None)
        found = own or self._event_time
        assert found is not None
        return found

    def _clock(self, stage: WindowStage | InOrder, label: str, documents: list[Document]) -> Clock:
        if stage.processing_time:
            times: list[int | None] = [self._now] * len(documents)
        else:
            times = self._time(label).times(documents, self._environment(label))
        return PartitionClock().over(times)


def _cut(program: Program, flow: Flow) -> None:
    """Take a flow's documents through a program, and keep in mind where they come from."""
    source = flow.documents if flow.source is None else flow.source
    places = range(len(flow.documents)) if flow.places is None else flow.places
    flow.documents, indexes = placed(program, flow.documents, flow.env)
    flow.source, flow.places = source, [places[i] for i in indexes]


def missed_meta(spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """What is told of the windows that a late document missed: the first one's bounds, and the starts of all."""
    if not spans:
        return {}
    first = spans[0]
    found: dict[str, Any] = {"start": from_millis(first[0]), "end": from_millis(first[1])}
    if len(spans) > 1:
        found["missed"] = [from_millis(start) for start, _ in spans]
    return found


def _run_whole(stage: Whole, documents: list[Document], env: Environment) -> list[Document]:
    try:
        return stage.run(documents, env)
    except RecursionError as error:
        raise DocumentError(0, stage.where, 0, error) from error
