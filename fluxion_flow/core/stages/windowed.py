"""A window stage: which windows documents belong to, what a batch gives each, and what comes of one that closes.

The offline run and the stream use the same two halves: :meth:`WindowStage.divide` and :meth:`WindowStage.piece` on the
side of the source, and :class:`~fluxion_flow.core.stages.window_memory.OpenWindows` on the side of the state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..batch import run_segments
from ..environment import Environment
from ..event_time.clock import Clock
from ..event_time.spans import SessionSpans, Span, Spans
from ..expressions.nodes import Node
from ..ordering import canonical, representation
from ..plan import Segment
from ..program import Program
from ..values import MISSING, from_millis
from .evaluate import Columns
from .inner import InnerPipeline
from .shapes import Document, Keyed, KeyedState, PerDocument, Windowed

DEFAULT_LATENESS = 3000
"""Milliseconds. Atlas Stream Processing: allowedLateness."""

WindowKey = tuple[int, int, Any]
"""Start, end and the canonical key of ``partitionBy``."""


@dataclass(frozen=True)
class Early:
    """When a window sends results before it closes: after so many documents, or milliseconds by the clock."""

    count: int | None = None
    interval: int | None = None


@dataclass(slots=True)
class Divided:
    """The documents of a batch by window: ``windows`` holds their indexes, ``values`` the value of each window's key.

    ``missed`` holds, by index, the spans that a document came too late for; ``undated`` the indexes of documents
    without an event time.
    """

    windows: dict[WindowKey, list[int]]
    values: dict[WindowKey, Any]
    missed: dict[int, list[Span]]
    undated: list[int]


@dataclass(slots=True)
class Piece:
    """What one batch gives one window: a partial result of the inner ``$group``, or the documents as they are.

    ``indexes`` are, for a partial result in order, the places of its keys; for documents, their indexes in the batch.
    """

    start: int
    end: int
    value: Any
    origin: str
    position: int
    timestamp: int
    count: int
    groups: dict[Any, list[Any]] | None
    documents: list[Document] | None = None
    indexes: list[int] | None = None
    times: list[int] | None = None


@dataclass(frozen=True, eq=False)
class WindowStage(Windowed):
    """``$tumblingWindow``, ``$hoppingWindow`` and ``$sessionWindow``. Times are milliseconds.

    ``corrects`` is how long after its close a window takes late documents and sends corrected results; ``on_late``
    says what happens to those that come later still. ``idle_timeout`` closes windows when the whole source is silent.
    """

    spans: Spans
    inner: InnerPipeline
    partition_by: Node | None
    lateness: int
    spec: Any
    on_late: str = "dead_letter"
    corrects: int = 0
    idle_timeout: int | None = None
    processing_time: bool = False
    early: Early | None = None
    stream_meta: bool = False
    by_value: Columns | None = field(default=None, compare=False)

    # -- the inner pipeline: what runs in the batch, what runs when a window closes

    @cached_property
    def combined(self) -> Segment | None:
        """The inner pipeline's beginning, where it can be combined batch by batch; ``None``: documents are kept.

        Sessions grow together, so what depends on the order of documents, or on the bounds of the session, waits; and
        of equal keys of ``partitionBy`` (1 and 1.0) only the whole window knows which one stands for it.
        """
        first = self.inner.plan[0] if self.inner.stages else None
        if first is None or not isinstance(first.end, Keyed):
            return None
        if isinstance(self.spans, SessionSpans) and (first.end.ordered or "stream.window" in repr(self.spec)):
            return None
        whole = ("stream.window.partition", "'stream.window'", "'stream'")
        return None if any(path in repr(self.spec) for path in whole) else first

    @cached_property
    def program(self) -> Program | None:
        """What combines the documents of a batch and a window."""
        return None if self.combined is None else self.combined.program

    @cached_property
    def keyed(self) -> Keyed:
        """The stage whose partial results the windows hold."""
        assert self.combined is not None
        assert isinstance(self.combined.end, Keyed)
        return self.combined.end

    @cached_property
    def rest(self) -> list[Segment]:
        """What runs when a window closes."""
        return self.inner.plan[1:] if self.combined is not None else self.inner.plan

    @property
    def spreads(self) -> bool:
        """Whether the groups of one window may lie apart: nothing needs them together, or counts their documents."""
        if self.combined is None or self.early is not None or isinstance(self.spans, SessionSpans):
            return False
        behind = self.inner.stages[len(self.combined.program) + 1 :]
        return all(isinstance(stage, PerDocument) for stage in behind)

    @property
    def accepts(self) -> int:
        """How far behind the newest event time of its partition a window is still taken."""
        return self.lateness + self.corrects

    @property
    def fingerprint(self) -> dict[str, Any]:
        shown: Mapping[str, Any] = self.spec
        kept = ("interval", "hopSize", "gap", "offset", "partitionBy", "boundary", "pipeline")
        return {"stage": self.name, **{name: shown[name] for name in kept if name in shown}}

    # -- on the side of the source

    def divide(self, documents: Sequence[Document], clock: Clock, env: Environment) -> Divided:
        """Which windows the documents of a batch belong to, by their event times.

        Raises :class:`~fluxion_flow.core.program.DocumentError` where ``partitionBy`` cannot be computed.
        """
        times: Any = clock.times
        undated: list[int] = []
        chosen: list[int] | None = None
        if None in times:
            undated = [i for i, time in enumerate(times) if time is None]
            chosen = [i for i, time in enumerate(times) if time is not None]
        windows: dict[WindowKey, list[int]] = {}
        values: dict[WindowKey, Any] = {}
        missed: dict[int, list[Span]] = {}
        seen: Any = clock.seen
        if self.by_value is None and chosen is None:
            groups, missed = self.spans.group(times, seen, self.accepts)
            windows = {(start, end, None): indexes for (start, end), indexes in groups.items()}
            return Divided(windows, values, missed, undated)
        rows = None if self.by_value is None else self.by_value.rows(documents, env)
        for key, members in by_key(rows, range(len(documents)) if chosen is None else chosen).items():
            own = [times[i] for i in members], [seen[i] for i in members]
            groups, late = self.spans.group(*own, self.accepts)
            missed.update((members[i], spans) for i, spans in late.items())
            for (start, end), indexes in groups.items():
                chosen_here = windows[(start, end, key)] = [members[i] for i in indexes]
                if rows is not None:
                    values[(start, end, key)] = representative([rows[i][0] for i in chosen_here])
        return Divided(windows, values, missed, undated)

    def piece(
        self,
        window: WindowKey,
        value: Any,
        documents: Sequence[Document],
        indexes: list[int],
        env: Environment,
        times: Sequence[Any] = (),
    ) -> Piece:
        """What the documents at ``indexes`` of a batch give a window. ``env`` is that of these documents.

        Raises :class:`~fluxion_flow.core.program.DocumentError`; its index is one of the indexes.
        """
        start, end, _ = window
        chosen = documents if len(indexes) == len(documents) else [documents[i] for i in indexes]
        made = Piece(start, end, value, env.partition, env.position, 0, len(indexes), None)
        if self.program is None:
            made.documents, made.indexes = list(chosen), indexes
        else:
            made.groups = self.program.run(chosen, env)
        return made

    def meta(self, window: WindowKey, value: Any) -> dict[str, Any]:
        """What ``{$meta: "stream.window"}`` gives in a window."""
        return window_meta(window[0], window[1], value, partitioned=self.partition_by is not None)

    def passed(self, watermark: int) -> int:
        """A number that grows where a watermark closes windows."""
        spans = self.spans
        if isinstance(spans, SessionSpans):
            return watermark // max(spans.gap // 8, 1)
        return (watermark - spans.offset - spans.size) // spans.hop

    def route(self, piece: Piece) -> Any:
        """What decides to which logical partition a piece goes: all of a session's key, all of another window."""
        key = canonical(piece.value)
        return key if isinstance(self.spans, SessionSpans) else (piece.start, key)

    # -- on the side of the state

    def results(self, documents: list[Document], env: Environment) -> list[Document]:
        """What comes of a window: of its groups, or of its documents in source order."""
        return run_segments(documents, self.rest, env) if self.rest else documents

    def group_state(self, ordered: bool) -> KeyedState:
        """An empty memory for the groups of one window."""
        return self.keyed.state(ordered=ordered)


def by_key(rows: Sequence[Any] | None, indexes: Sequence[int]) -> dict[Any, list[int]]:
    """Indexes of documents by the canonical key of the first value of their rows; all under ``None`` without rows."""
    if rows is None:
        return {None: list(indexes)}
    found: dict[Any, list[int]] = {}
    for i in indexes:
        value = rows[i][0]
        key = value if value.__class__ is str else None if value is MISSING else canonical(value)
        members = found.get(key)
        if members is None:
            found[key] = [i]
        else:
            members.append(i)
    return found


def representative(values: Sequence[Any]) -> Any:
    """Of equal values that look different (1 and 1.0) the same one in whatever order they come."""
    first = None if values[0] is MISSING else values[0]
    if first is None or first.__class__ is str or first.__class__ is bool:
        return first
    return min(values, key=representation)


def window_meta(start: int, end: int, value: Any = None, *, partitioned: bool = False) -> dict[str, Any]:
    """What ``{$meta: "stream.window"}`` gives."""
    found: dict[str, Any] = {"start": from_millis(start), "end": from_millis(end)}
    if partitioned:
        found["partition"] = value
    return found


def with_stream_meta(documents: Sequence[Document], meta: Mapping[str, Any]) -> list[Document]:
    """The documents, each with ``meta`` in its ``_stream_meta.window``."""
    found = []
    for document in documents:
        own = document.get("_stream_meta")
        found.append({**document, "_stream_meta": {**(own if own.__class__ is dict else {}), "window": dict(meta)}})
    return found
