"""What the steps of one compiled dataflow share: names, configuration, listeners, the drain, the workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..connect.secrets import redact
from ..connect.spi import Batch, Document
from ..core.context import StreamingContext
from ..core.outside import Answers, AskFailed, open_outside
from ..core.program import DocumentError, reason
from ..core.resources import Resources
from ..core.rows import Rows
from ..core.streams import is_of
from ..errors import FluxionError
from ..observe.listener import Listeners
from ..policy.budget import BudgetExceeded, BudgetMeter
from ..policy.dead_letter import Code, envelope, fingerprint
from ..policy.engine import Decision, GaveUp, Interrupted, Pause, PolicyRunner
from ..policy.matching import every_error
from ..policy.model import StreamingErrorPolicy
from .drain import Drain
from .failure import GO_ON, DrainTimedOut, RunFailed
from .items import Letters
from .pulse import Pulse
from .workers import Workers

if TYPE_CHECKING:
    from ..enrich.record import Record
    from .clocks import Clocks
    from .committed import Committed

LETTER = "letter"
"""In a batch's ``meta``: the dead letter that its one document was replayed from."""

DERIVED = "derived"
"""In a batch's ``meta``: a keyed step made its documents, so no single record of the source stands behind one."""

RECORDS = "records"
"""In a batch's ``meta``: by position, what is known of a record besides its fields, as a mapping."""

WAIT_SLICE = 0.5
"""Seconds of a wait after which a worker looks after its sources."""

SINK_PLACES = ("type", "connection_ref", "path", "topic", "name", "endpoint", "url", "table", "collection", "index")
"""Options that say where a sink writes."""


@dataclass
class Run:
    """One compiled pipeline. ``version`` is the fingerprint of its definition.

    ``letter_sinks`` numbers the dead-letter sinks: the place of a sink in it is what :class:`Letters` carry.
    """

    pipeline: str
    version: str
    source_type: str
    batch_size: int
    flush_interval: float
    seed: int
    metadata: dict[str, Any]
    listeners: Listeners
    drain: Drain
    workers: Workers = field(default_factory=Workers)
    letter_sinks: list[Any] = field(default_factory=list)
    record_sinks: set[int] = field(default_factory=set)
    """The numbers of dead-letter sinks that want the records as they came."""
    pause: Pause = field(default_factory=Pause)
    pulse: Pulse = field(default_factory=Pulse)
    clocks: Clocks | None = None
    """What a pipeline with windows needs of time."""
    windows_begin: bool = False
    """Whether a step with windows has begun without stored state: none has closed before this run."""
    resources: Resources = field(default_factory=Resources)
    record: Record | None = None
    """Where answers of the outside are kept for a replay, if anywhere."""
    committed: Committed | None = None
    """What the sink of an exactly-once delivery holds already."""
    streams: Mapping[str, str] = field(default_factory=dict)
    """The further streams, with the types of their sources."""
    needs: tuple[str, ...] | None = None
    """The fields of the source's documents that are read, where it is not whole documents."""
    _told_of_drain: bool = False

    def __post_init__(self) -> None:
        self.drain.on_deadline(self.pause.end)
        self.drain.on_deadline(self._end_of_asking)
        self._desks = PerWorker(lambda: open_outside(self.resources, self.listeners.tell, self.record))

    def type_of(self, partition: str) -> str:
        """The type of the source that a partition belongs to."""
        return next((kind for name, kind in self.streams.items() if is_of(name, partition)), self.source_type)

    def answers(self, context: StreamingContext) -> Answers:
        """What the outside will answer to one batch at the step of this context."""
        return Answers(self._desks, context)

    def close_outside(self) -> None:
        """This worker asks the outside no more."""
        desk = self._desks.taken()
        if desk is not None:
            desk.close()

    def _end_of_asking(self) -> None:
        for desk in self._desks.all():
            desk.end()

    def draining(self, context: StreamingContext) -> bool:
        """Whether the run was asked to end; the listeners are told at the first time, with this context."""
        if not self.drain.requested:
            return False
        if not self._told_of_drain:
            self._told_of_drain = True
            self.listeners.tell("on_drain", context)
        return True

    def sleep(self, seconds: float) -> bool:
        """Wait before a step is tried again; true when the end of the run cut it short.

        The worker is alive meanwhile, and its sources look how far they fall behind.
        """
        until = time.monotonic() + seconds
        while True:
            self.pulse.waiting()
            left = until - time.monotonic()
            if self.pause.sleep(min(left, WAIT_SLICE)):
                return True
            if left <= WAIT_SLICE:
                return False

    def context(self, step: str, connector: str = "") -> StreamingContext:
        """A context for a step on this worker."""
        return StreamingContext(
            self.pipeline, step, self.workers.current()[0], connector or self.source_type, metadata=self.metadata
        )

    def letter_sink(self, policy: StreamingErrorPolicy) -> int:
        """The number of a policy's dead-letter sink."""
        for number, sink in enumerate(self.letter_sinks):
            if sink is policy.dead_letter_sink or sink == policy.dead_letter_sink:
                return number
        self.letter_sinks.append(policy.dead_letter_sink)
        return len(self.letter_sinks) - 1

    def letter_step(self, number: int) -> str:
        """The id of the step that delivers to a dead-letter sink.

        Its state is found again by this id, so it depends on where the sink writes, and not on which other policies
        have dead-letter sinks: they may be swapped from run to run.
        """
        ids: list[str] = []
        for sink in self.letter_sinks[: number + 1]:
            place = type(sink).__name__
            if isinstance(sink, Mapping):
                place = fingerprint([str(sink.get(name)) for name in SINK_PLACES])[:8]
            ids.append(f"dead_letters_{place}")
        again = ids.count(ids[-1])
        return ids[-1] if again == 1 else f"{ids[-1]}_{again}"


STRICT = StreamingErrorPolicy()
"""The policy of what a definition can give none, such as a dead-letter sink: what fails ends the run."""


class Guard:
    """A policy at one step of one worker, with its listeners and its dead letters."""

    def __init__(
        self,
        run: Run,
        step: str,
        policy: StreamingErrorPolicy,
        context: StreamingContext,
        meter: BudgetMeter | None = None,
    ) -> None:
        self.run = run
        self.step = step
        self.policy = policy
        self.context = context
        self.runner = PolicyRunner(policy, step=step, sleep=run.sleep, on_event=self._heard, meter=meter, redact=redact)
        if self.runner.breaker is not None:
            state = self.runner.breaker.state.name
            run.listeners.tell("on_breaker", context, name=self.runner.breaker.name, before=state, after=state)

    @property
    def by_document(self) -> bool:
        return self.policy.granularity == "document"

    def _heard(self, event: str, **facts: Any) -> None:
        tell = self.run.listeners.tell
        self.context.attempt = facts.get("attempt", 1)
        if event == "failure":
            tell("on_failure", self.context, error=facts["error"], decision=facts["decision"])
        elif event == "retry":
            tell("on_retry", self.context, error=facts["error"], delay=facts["delay"])
        elif event == "breaker":
            before, after = facts["before"], facts["after"]
            tell("on_breaker", self.context, name=facts["breaker"], before=before.name, after=after.name)

    def attempt(self, work: Callable[[int], Any]) -> Any:
        """``work(attempt)`` under the policy; raises :class:`~fluxion_flow.policy.engine.GaveUp` with its last word.

        Raises :class:`DrainTimedOut` when the run had to end before that.
        """
        try:
            return self.runner.call(work)
        except Interrupted as error:
            raise self.interrupted(error) from None

    def hopeless(self, error: Exception) -> Decision:
        """The policy's last word on a failure that no further attempt can mend; everybody is told of it."""
        decision = self.runner.final_decision
        self.runner._tell(error, 1, decision)
        return decision

    def wait(self, seconds: float, attempts: int, error: Exception) -> None:
        """Wait before the next attempt. Raises :class:`DrainTimedOut`."""
        if self.run.sleep(seconds):
            raise self.interrupted(Interrupted(self.step, attempts, error)) from None

    def interrupted(self, error: Interrupted) -> DrainTimedOut:
        """The end of a run that had no more time for a wait."""
        context = self.context
        position = context.position if context.partition else None
        return DrainTimedOut(self.run.pipeline, self.step, error, partition=context.partition, position=position)

    def failed(
        self, gave_up: GaveUp, batch: Batch, entries: Sequence[tuple[Document, int, int]], *, code: Code
    ) -> Letters | None:
        """Carry out the last word on documents, each with its index in the batch and its number among a record's.

        Answers the dead letters to send, if any. Raises :class:`RunFailed` when the word is to abort, or when the
        failure budget is used up.
        """
        kind = gave_up.decision.kind
        failing = gave_up.error.index if isinstance(gave_up.error, DocumentError) else 0
        place = place_of(batch, entries[failing][1]) if failing < len(entries) else None
        if kind == "abort":
            one = isinstance(gave_up.error, DocumentError) and self.policy is not STRICT
            hint = GO_ON if one else ""
            raise RunFailed(
                self.run.pipeline, self.step, gave_up, partition=batch.partition, position=place, hint=hint
            ) from None
        letters = None
        if kind == "dead_letter":
            documents = [self._letter(gave_up, batch, entry, code) for entry in entries]
            letters = Letters(self.run.letter_sink(self.policy), documents)
            self.run.listeners.tell("on_dead_letter", self.context, documents=len(documents))
            self.run.listeners.tell("on_letters", self.context, letters=documents)
        else:
            self.run.listeners.tell("on_skipped", self.context, documents=len(entries))
        self.given_up(len(entries), gave_up.error, batch.partition, place)
        return letters

    def given_up(self, documents: int, error: BaseException, partition: str, position: int | None) -> None:
        """Count documents that were skipped or dead-lettered because of ``error``.

        Raises :class:`RunFailed` when they use up the failure budget.
        """
        try:
            self.runner.settled(0, documents)
        except BudgetExceeded as exceeded:
            last = FluxionError(f"{str(exceeded).partition(': ')[2]}. The last failure: {reason(error)}")
            raise RunFailed(self.run.pipeline, self.step, last, partition=partition, position=position) from None

    def _letter(self, gave_up: GaveUp, batch: Batch, entry: tuple[Document, int, int], code: Code) -> Document:
        document, index, number = entry
        asked = next((each for each in every_error(gave_up.error) if isinstance(each, AskFailed)), None)
        return envelope(
            pipeline=self.run.pipeline,
            pipeline_version=self.run.version,
            operator=self.step,
            error=gave_up.error,
            code=code if asked is None else "enrich",
            attempts=gave_up.attempts,
            first_failure_ms=gave_up.first_failure_ms,
            now_ms=int(time.time() * 1000),
            source=source_of(self.run, batch, index),
            document=document,
            raw=self._raw(batch, index),
            index=number,
            window=batch.meta.get("window"),
            before=batch.meta.get(LETTER),
            https=None if asked is None else asked.facts or None,
            redact=redact,
        )

    def _raw(self, batch: Batch, index: int) -> bytes | None:
        """The record as it came, for a dead-letter sink that wants it, from a source that kept it."""
        if self.run.letter_sink(self.policy) not in self.run.record_sinks:
            return None
        place = place_of(batch, index)
        value = None if place is None else batch.meta.get(RECORDS, {}).get(place, {}).get("value")
        return value.encode() if isinstance(value, str) else value


def place_of(batch: Batch, index: int) -> int | None:
    """The source position of a document of a batch; ``None`` for what no record of the source stands behind."""
    return None if batch.meta.get(DERIVED) else position_in(batch, index)


def position_in(batch: Batch, index: int) -> int:
    """The position of a document of a batch: the source's, or for what a keyed step made a count of its own."""
    return batch.positions[index] if batch.positions else batch.position + index


def part_of(batch: Batch, indexes: Sequence[int]) -> Batch:
    """The documents of a batch at these indexes: what is left of it, so its cursor is that of the batch."""
    if len(indexes) == len(batch.documents):
        return batch
    positions = [batch.positions[i] for i in indexes] if batch.positions else ()
    whole: Any = batch.documents
    documents: Any = whole.taken(indexes) if whole.__class__ is Rows else [whole[i] for i in indexes]
    return replace(batch, documents=documents, positions=positions)


def say_origin(run: Run, batch: Batch) -> None:
    """Have a batch that was just read say where it came from: source type, partition, and what the source adds."""
    source = {"type": run.type_of(batch.partition), "partition": batch.partition, **batch.meta.get("source", {})}
    batch.meta = {**batch.meta, "source": source}


def source_of(run: Run, batch: Batch, index: int) -> dict[str, Any]:
    """What is known of a document's origin, for its dead letter."""
    place = place_of(batch, index)
    if place is None:
        source = {"type": run.type_of(batch.partition), "partition": batch.partition}
        return {**source, "ts": batch.timestamp} if batch.timestamp else source
    return source_at(run, batch, place)


def source_at(run: Run, batch: Batch, position: int) -> dict[str, Any]:
    """What is known of the record at a position of a batch, for a dead letter."""
    source = {"type": run.type_of(batch.partition), "partition": batch.partition, **batch.meta.get("source", {})}
    source["position"] = position
    if batch.timestamp:
        source["ts"] = batch.timestamp
    return {**source, **batch.meta.get(RECORDS, {}).get(position, {})}


class PerWorker:
    """One thing for each worker thread, made when it is first asked for.

    Bytewax calls one and the same callable from all workers of a process.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: dict[int, Any] = {}

    def __call__(self) -> Any:
        ident = threading.get_ident()
        found = self._made.get(ident)
        if found is None:
            found = self._made[ident] = self._make()
        return found

    def taken(self) -> Any:
        """This thread's thing, which it has no more; ``None`` when it has had none."""
        return self._made.pop(threading.get_ident(), None)

    def all(self) -> list[Any]:
        """The things of all threads."""
        return list(self._made.values())
