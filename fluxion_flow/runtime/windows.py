"""Window stages on the side of the source: documents are divided by their event times, combined, and sent on.

What is late is decided here, by the watermark of the document's own source partition, before anything is mixed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..connect.expressions import environment
from ..connect.secrets import redact
from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.event_time import Clock, SessionSpans
from ..core.event_time.spans import Span
from ..core.keys import stable_hash
from ..core.offline import missed_meta
from ..core.program import DocumentError
from ..core.stages.in_order import InOrder
from ..core.stages.windowed import Divided, Piece, WindowKey, WindowStage
from ..core.streams import is_of
from ..core.tracing import Origins, numbers_among
from ..core.values import EvaluationError
from ..policy.dead_letter import envelope
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .careful import tell_stage
from .items import Completed, Letters, Progress, to_part
from .run import Guard, PerWorker, Run, position_in, source_of

log = logging.getLogger(__name__)


LATE_WINDOW = "the document came after its window had closed"
LATE_ORDER = "the document is older than the watermark of its source partition"


class LateDocument(EvaluationError):
    """A document came when nothing waited for it any more."""


@dataclass(frozen=True)
class WindowPlace:
    """A stage that goes by event time in a pipeline: its step, its policy, the number of its logical partitions.

    ``spread``: groups of one window may lie in several of them; ``ordered``: they leave in the order of first sight.
    ``partition_idle`` is the silence in milliseconds after which a source partition holds no window back;
    ``streams_idle`` the same for the partitions of further streams, by their names.
    """

    step: str
    stage: WindowStage | InOrder
    policy: StreamingErrorPolicy
    partitions: int
    spread: bool
    ordered: bool
    partition_idle: int | None = None
    streams_idle: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.stage.where)

    def silence(self, partition: str) -> int | None:
        """The silence in milliseconds after which a source partition holds nothing back; ``None``: it always does."""
        for stream, idle in self.streams_idle.items():
            if is_of(stream, partition):
                return idle
        return self.partition_idle


class DivideStep:
    """Sends what batches give to windows to the partitions of the window step, and how far the source has come."""

    def __init__(self, run: Run, place: WindowPlace) -> None:
        self._worker = PerWorker(lambda: _DivideWorker(run, place))

    def __call__(self, items: list[Any]) -> list[Any]:
        worker: _DivideWorker = self._worker()
        out: list[Any] = []
        together: list[Batch] = []
        for item in items:
            if item.__class__ is tuple:
                item = item[1]
            if item.__class__ is Batch:
                if together and not worker.may_join(together[-1], item):
                    worker.batches(together, out)
                    together = []
                together.append(item)
                continue
            worker.batches(together, out)
            together = []
            if item.__class__ is Progress or item.__class__ is Completed:
                worker.broadcast(item, out)
            else:
                out.append(item)
        worker.batches(together, out)
        return out


class _DivideWorker:
    def __init__(self, run: Run, place: WindowPlace) -> None:
        self._run = run
        self._place = place
        self._stage = place.stage
        self._context = run.context(place.name)
        self._guard = Guard(run, place.name, place.policy, self._context)
        self._parts = [str(number) for number in range(place.partitions)]
        self._passed: dict[str, int] = {}
        """By source partition, the last boundary of windows that its watermark was told to have passed."""
        text = repr(place.stage.spec)
        self._joins = not any(name in text for name in ("$$NOW", "stream.source", "'stream'", "$function"))

    def broadcast(self, item: Any, out: list[Any]) -> None:
        """Tell every logical partition."""
        out += [to_part(part, item) for part in self._parts]

    def may_join(self, batch: Batch, other: Batch) -> bool:
        """Whether two batches may go through the stage as one: nothing in it asks which of them a document is from."""
        return self._joins and batch.partition == other.partition and not (batch.clock.woken or other.clock.woken)

    def batches(self, batches: list[Batch], out: list[Any]) -> None:
        """Divide batches of one source partition; what comes of them is added to ``out``."""
        if not batches:
            return
        started = time.perf_counter()
        full = [batch for batch in batches if batch.documents]
        size = sum(len(batch.documents) for batch in full)
        if size:
            first = full[0]
            self._context.partition, self._context.position = first.partition, first.position
            try:
                if len(full) > 1:
                    self._taken(*self._divided(_joined(full)), full, out)
                    full = []
            except DocumentError:
                pass  # each batch by itself then
            for batch in full:
                try:
                    divided, pieces = self._divided(batch)
                except DocumentError:
                    divided, pieces = self._carefully(batch, out)
                self._taken(divided, pieces, [batch], out)
            self._guard.runner.settled(size, 0)
            tell_stage(self._guard, size, 0, None)
            seconds = time.perf_counter() - started
            self._run.listeners.tell("on_batch", self._context, seconds=seconds, size_in=size, size_out=0)
        self._progress(batches[-1].partition, batches[-1].clock, out)

    def _taken(self, divided: Divided, pieces: list[Piece], batches: list[Batch], out: list[Any]) -> None:
        """Send on what comes of batches that were divided together."""
        start = 0
        for batch in batches if divided.missed else ():
            end = start + len(batch.documents)
            self._late(batch, {i - start: spans for i, spans in divided.missed.items() if start <= i < end}, out)
            start = end
        self._send(pieces, out)

    # -- what a batch gives to windows

    def _divided(self, batch: Batch) -> tuple[Divided, list[Piece]]:
        """Raises :class:`DocumentError`."""
        clock: Clock = batch.clock
        stage, documents = self._stage, batch.documents
        env = self._environment(batch, None)
        divided = stage.divide(documents, clock, env)
        if divided.undated:
            what = "the document has no event time: what the source's time_field names is missing, or no date"
            raise DocumentError(divided.undated[0], stage.where, 0, EvaluationError(what))
        pieces: list[Piece] = []
        for window, members in divided.windows.items():
            value = divided.values.get(window)
            if isinstance(stage, InOrder) and not clock.woken:  # nothing is computed: one environment serves all keys
                made = stage.piece(window, value, documents, members, env, clock.times)
                made.timestamp = batch.timestamp
                pieces.append(made)
            elif clock.woken:
                for index in members:
                    self._judged(batch, clock, window, value, index, pieces)
            else:
                pieces.append(self._piece(batch, window, value, members))
        return divided, pieces

    def _piece(self, batch: Batch, window: WindowKey, value: Any, members: list[int]) -> Piece:
        env = self._environment(batch, members if len(members) < len(batch.documents) else None)
        env.meta["stream"]["window"] = self._stage.meta(window, value)
        try:
            made = self._stage.piece(window, value, batch.documents, members, env, batch.clock.times)
        except DocumentError as error:
            error.index = members[error.index]
            raise
        made.timestamp = batch.timestamp
        return made

    def _judged(
        self, batch: Batch, clock: Clock, window: WindowKey, value: Any, index: int, pieces: list[Piece]
    ) -> None:
        """A piece of one document that carries it: whether its window is closed is seen where the window is."""
        stage = self._stage
        if isinstance(stage, WindowStage) and isinstance(stage.spans, SessionSpans):
            moment: Any = clock.times[index]
            window = (moment, moment + stage.spans.gap, window[2])
        made = self._piece(batch, window, value, [index])
        made.position = position_in(batch, index)
        made.documents = [batch.documents[index]]
        made.indexes = [0] if made.groups is None else None
        pieces.append(made)

    def _environment(self, batch: Batch, members: Sequence[int] | None) -> Environment:
        positions = batch.positions
        if members is not None:
            chosen: Sequence[int] = members
            positions = Origins(len(chosen), lambda: [position_in(batch, index) for index in chosen])
        return environment(batch, positions=positions, seed=self._run.seed, context=self._context)

    # -- failures

    def _carefully(self, batch: Batch, out: list[Any]) -> tuple[Divided, list[Piece]]:
        """The batch as its policy says: again, or given up, as a whole or document by document."""
        guard = self._guard
        if not guard.by_document:
            try:
                found: tuple[Divided, list[Piece]] = guard.attempt(lambda attempt: self._divided(batch))
            except GaveUp as gave_up:
                self._give_up(gave_up, batch, range(len(batch.documents)), out)
                return Divided({}, {}, {}, []), []
            return found
        good: list[int] = []
        for index in range(len(batch.documents)):
            alone = self._only(batch, [index])

            def attempt(number: int, alone: Batch = alone) -> Any:
                return self._divided(alone)

            try:
                guard.attempt(attempt)
            except GaveUp as gave_up:
                if isinstance(gave_up.error, DocumentError):
                    gave_up.error.index = 0
                self._give_up(gave_up, batch, [index], out)
            else:
                good.append(index)
        divided, pieces = self._divided(self._only(batch, good))
        divided.missed = {good[index]: spans for index, spans in divided.missed.items()}
        for piece in pieces:
            if piece.groups is None and piece.indexes is not None and not batch.clock.woken:
                piece.indexes = [good[index] for index in piece.indexes]
        return divided, pieces

    def _only(self, batch: Batch, indexes: list[int]) -> Batch:
        positions = [position_in(batch, index) for index in indexes]
        documents = [batch.documents[index] for index in indexes]
        return replace(batch, documents=documents, positions=positions, clock=batch.clock.at(indexes))

    def _give_up(self, gave_up: GaveUp, batch: Batch, indexes: Sequence[int], out: list[Any]) -> None:
        letters = self._guard.failed(gave_up, batch, self._entries(batch, indexes), code="stage")
        if letters is not None:
            out.append(letters)

    def _entries(self, batch: Batch, indexes: Sequence[int]) -> list[tuple[Document, int, int]]:
        numbers = numbers_among([position_in(batch, index) for index in range(len(batch.documents))])
        return [(batch.documents[index], index, numbers[index]) for index in indexes]

    # -- late documents

    def _late(self, batch: Batch, missed: dict[int, list[Span]], out: list[Any]) -> None:
        if not missed:
            return
        indexes = sorted(missed)
        metas = [missed_meta(missed[index]) for index in indexes]
        late(self._run, self._guard, self._place, batch, self._entries(batch, indexes), metas, out)

    # -- on their way

    def _send(self, pieces: list[Piece], out: list[Any]) -> None:
        place = self._place
        for piece in pieces:
            if piece.groups is None or not place.spread:
                if piece.groups is not None and place.ordered:
                    piece.indexes = list(range(len(piece.groups)))
                number = stable_hash(place.stage.route(piece)) % place.partitions
                out.append(to_part(self._parts[number], piece))
                continue
            assert isinstance(place.stage, WindowStage)
            parts = place.stage.keyed.split(piece.groups, place.partitions)
            if not parts and piece.documents is not None:
                parts = {0: piece.groups}  # late or not is seen where the window is, also of what its pipeline drops
            for number, groups in parts.items():
                p = piece
                part = Piece(p.start, p.end, p.value, p.origin, p.position, p.timestamp, p.count, groups, p.documents)
                out.append(to_part(self._parts[number], part))

    def _progress(self, partition: str, clock: Clock, out: list[Any]) -> None:
        """Tell how far the partition has come, when windows may close by it."""
        passed = self._stage.passed(clock.newest - self._stage.lateness)
        if self._passed.get(partition) != passed or clock.woken:
            self._passed[partition] = passed
            self.broadcast(Progress(partition, clock.total, clock.newest), out)


def _joined(batches: list[Batch]) -> Batch:
    """Batches of one source partition as one."""
    documents = [document for batch in batches for document in batch.documents]

    def places() -> list[int]:
        return [position_in(batch, index) for batch in batches for index in range(len(batch.documents))]

    timestamp = max(batch.timestamp for batch in batches)
    positions = Origins(len(documents), places)
    clock = Clock.joined([batch.clock for batch in batches])
    return replace(batches[0], documents=documents, positions=positions, timestamp=timestamp, clock=clock)


def late(
    run: Run,
    guard: Guard,
    place: WindowPlace,
    batch: Batch,
    entries: Sequence[tuple[Document, int, int]],
    metas: Sequence[dict[str, Any]],
    out: list[Any],
) -> None:
    """Carry out what a window stage says of documents that came too late for the windows in ``metas``."""
    context, listeners = guard.context, run.listeners
    listeners.tell("on_late", context, documents=len(entries))
    if place.stage.on_late == "drop" or place.policy.action != "dead_letter":
        if place.stage.on_late != "drop":
            log.debug("%s: %d late documents are left out: there are no dead letters", place.name, len(entries))
        listeners.tell("on_skipped", context, documents=len(entries))
        return
    now = int(time.time() * 1000)
    letters = [
        envelope(
            pipeline=run.pipeline,
            pipeline_version=run.version,
            operator=place.name,
            error=LateDocument(LATE_WINDOW if meta else LATE_ORDER),
            code="late",
            attempts=1,
            first_failure_ms=None,
            now_ms=now,
            source=source_of(run, batch, index),
            document=document,
            index=number,
            window=meta or None,
            redact=redact,
        )
        for (document, index, number), meta in zip(entries, metas, strict=True)
    ]
    out.append(Letters(run.letter_sink(place.policy), letters))
    listeners.tell("on_dead_letter", context, documents=len(letters))
