"""A Connect source as a Bytewax input: partitions, cursors, error policy, drain, and the checkpoint's identity."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from ..connect.secrets import redact
from ..connect.spi import Batch, Reject, SourceReader, StreamingSource
from ..core.program import reason
from ..core.streams import ambiguous, partition_of
from ..core.values import EvaluationError
from ..errors import FluxionError
from ..policy.dead_letter import envelope
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .clocks import SourceClock
from .committed import stamped
from .failure import GO_ON, RunFailed
from .items import Completed, Letters
from .manifest import Manifest
from .run import LETTER, RECORDS, Guard, Run, say_origin, source_at

log = logging.getLogger(__name__)

REST = 1.0
"""Seconds to wait after a read that failed and is neither retried nor fatal: nothing was read, so nothing is lost."""

READS = 4
"""Reads in one activation at most, while they give documents."""

ENOUGH = 2000
"""Documents after which an activation reads no more: what waits for the next steps should not grow cold in memory."""

LAG_EVERY = 0.5
"""Seconds between two questions for the lag while documents come; what a reader does for an answer may be slow."""

TRACEPARENT = "traceparent"
"""The header of W3C Trace Context."""

LAST_EPOCH = 2.0
"""Seconds that a source waits at its end, for the epoch to end, so that its reader hears what has been committed."""


class UndecodableRecord(EvaluationError):
    """A record that the source's format cannot make a document of."""


@dataclass(frozen=True)
class Input:
    """A source with its policy. ``stream`` is the name of a further stream, empty for the pipeline's own source."""

    source: StreamingSource
    policy: StreamingErrorPolicy
    stream: str = ""

    @property
    def step(self) -> str:
        """Where it stands in the definition."""
        return f"streams.{self.stream}.source" if self.stream else "source"


class SourceInput(FixedPartitionedSource[Any, Any]):
    """One Bytewax partition for every partition of a :class:`StreamingSource`, and of those of further streams.

    All are one step: their positions and clocks are stored together, and an epoch of one is an epoch of all.
    """

    def __init__(
        self,
        run: Run,
        source: StreamingSource,
        policy: StreamingErrorPolicy,
        manifest: Manifest,
        streams: Sequence[Input] = (),
    ) -> None:
        self._run = run
        self._inputs = (Input(source, policy), *streams)
        self._manifest = manifest
        self._parts: dict[str, tuple[Input, str]] | None = None
        """By name, the input that a partition belongs to, and what it is called there."""

    def list_parts(self) -> list[str]:
        return list(self._known())

    def _known(self) -> dict[str, tuple[Input, str]]:
        if self._parts is None:
            found: dict[str, tuple[Input, str]] = {}
            streams = [each.stream for each in self._inputs[1:]]
            for each in self._inputs:
                names = self._listed(each)
                if not each.stream and (wrong := ambiguous(streams, names)):
                    raise RunFailed(self._run.pipeline, each.step, FluxionError(wrong))
                found |= {partition_of(each.stream, n) if each.stream else n: (each, n) for n in names}
            self._parts = found
        return self._parts

    def _listed(self, given: Input) -> list[str]:
        guard = Guard(self._run, given.step, given.policy, self._run.context(given.step))
        try:
            return list(guard.attempt(lambda attempt: given.source.partitions()))
        except GaveUp as gave_up:
            raise RunFailed(self._run.pipeline, given.step, gave_up) from None

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _Part:
        if resume_state is not None:
            self._manifest.check(resume_state["manifest"])
        known = self._known()
        return _Part(self._run, *known[for_part], self._manifest, for_part, resume_state, len(known))


class _Part(StatefulSourcePartition[Any, Any]):
    def __init__(
        self,
        run: Run,
        given: Input,
        own_name: str,
        manifest: Manifest,
        partition: str,
        stored: Any,
        total: int,
    ) -> None:
        """``own_name`` is what the source calls the partition, ``partition`` what the pipeline does."""
        self._run = run
        self._source = given.source
        self._own_name = own_name
        self._stream = given.stream
        self._manifest = manifest
        self._name = partition
        self._total = total
        context = run.context(given.step, run.type_of(partition))
        context.partition = partition
        self._guard = Guard(run, given.step, given.policy, context)
        self._cursor = None if stored is None else stored["cursor"]
        self._clock: SourceClock | None = None
        if run.clocks is not None:
            self._clock = SourceClock(run, run.clocks, partition, total, stored and stored.get("clock"))
        self._reader: SourceReader | None = None
        self._boundary: int | None = None
        """The last position that a transactional sink held when the run began."""
        self._awake: datetime | None = None
        self._until = 0.0
        self._reads = Reads(run, self._guard, partition)
        self._complete = False
        self._taken: Any = None
        self._uncommitted = False
        """Whether documents were read since the last commit that the reader was told of."""
        self._ends_at = 0.0
        self._fetched_at = time.monotonic()
        self._waited: float | None = None
        self._lag_asked_at = 0.0
        self._lag_is_old = True
        """Whether something was read since the reader was asked for its lag."""
        run.pulse.joined(self._waiting)

    def next_batch(self) -> list[Any]:
        self._run.pulse.beat()
        if self._taken is not None:
            self._epoch_is_durable()
        if self._run.draining(self._guard.context) or self._complete:
            self._end()
            return []
        if time.monotonic() < self._until:
            self._sleep(self._until - time.monotonic())
            return []
        self._awake = None
        out: list[Any] = [] if self._clock is None else list(self._clock.greeting())
        if out:
            return out
        for _ in range(READS):
            if not self._read(out) or sum(len(item.documents) for item in out if item.__class__ is Batch) >= ENOUGH:
                break
        return out

    def _end(self) -> None:
        """Raise :class:`StopIteration`, soon: the epoch at hand may end first, if the reader wants to hear of it."""
        now = time.monotonic()
        self._ends_at = self._ends_at or now + LAST_EPOCH
        listens = self._reader is not None and type(self._reader).committed is not SourceReader.committed
        if not (listens and self._uncommitted and now < self._ends_at):
            raise StopIteration
        self._awake = datetime.now(timezone.utc) + timedelta(seconds=0.01)

    def _read(self, out: list[Any]) -> bool:
        """Add what one read gives to ``out``; whether to read on at once."""
        wait = self._guard.runner.begin()
        if wait > 0:
            self._sleep(wait)
            return False
        started = time.monotonic()
        try:
            if self._reader is None:
                if self._run.committed is not None:
                    self._boundary = self._run.committed.position(self._name)
                self._reader = self._source.open(self._own_name, self._cursor)
                if self._run.needs is not None:
                    self._reader.needs(self._run.needs)
                self._run.listeners.tell("on_opened", self._guard.context)
            batch = self._reader.read(self._run.batch_size)
        except Exception as error:  # noqa: BLE001 - the policy decides
            known = self._uncommitted or self._cursor is not None
            position = self._guard.context.position if known else None
            self._sleep(self._reads.failed(error, time.monotonic() - started, position))
            return False
        self._reads.succeeded(time.monotonic() - started)
        self._uncommitted = self._uncommitted or self._cursor != self._reader.cursor
        self._cursor = self._reader.cursor
        if batch is None:
            self._complete = True
            self._tell_lag()
            out.append(Completed("source", self._name, self._total))
            return False
        self._guard.context.position = batch.position
        if self._stream:
            batch.partition = self._name
        say_origin(self._run, batch)
        if not batch.documents and not batch.rejects:
            if self._lag_is_old or time.monotonic() - self._lag_asked_at > LAG_EVERY:
                self._tell_lag()
            self._sleep(0.0 if out else self._wait())
            if self._clock is not None:
                out += self._clock.silent()
            return False
        self._waited = None
        self._fetched(batch, time.monotonic() - started)
        if batch.rejects:
            rejected(self._run, self._guard, batch, out)
            batch.rejects = []
        if batch.documents:
            if self._clock is not None:
                self._clock.stamp(batch)
            out += [batch] if self._run.committed is None else stamped(batch, self._boundary)
        return True

    def _wait(self) -> float:
        """How long to wait after this empty read, in seconds."""
        first, most = self._source.first_wait, self._source.poll_interval
        self._waited = most if first is None else first if self._waited is None else min(self._waited * 2, most)
        return self._waited

    def _fetched(self, batch: Batch, seconds: float) -> None:
        now = time.monotonic()
        counts = {"documents": len(batch.documents), "rejects": len(batch.rejects)}
        self._run.listeners.tell("on_fetched", self._guard.context, **counts, waited=now - self._fetched_at)
        self._fetched_at = now
        if self._run.listeners.wants("on_traced"):
            self._tell_traces(batch, seconds)
        self._guard.runner.settled(len(batch.documents), 0)
        self._lag_is_old = True
        if now - self._lag_asked_at > LAG_EVERY:
            self._tell_lag()

    def _tell_traces(self, batch: Batch, seconds: float) -> None:
        """Tell which traces the records of a batch belong to, where they have headers."""
        records = batch.meta.get(RECORDS)
        if records is None:
            return
        headers = [records.get(position, {}).get("headers") or () for position in batch.positions]
        parents = [str(one["v"]) for each in headers for one in each if str(one["k"]).lower() == TRACEPARENT]
        if parents:
            started = time.time_ns() - int(seconds * 1e9)
            self._run.listeners.tell("on_traced", self._guard.context, parents=parents, started_ns=started)

    def _tell_lag(self) -> None:
        self._lag_asked_at, self._lag_is_old = time.monotonic(), False
        if self._reader is None or not self._run.listeners.wants("on_lag"):
            return
        lag = self._quietly("asking for the lag", self._reader.lag)
        if lag is not None:
            self._run.listeners.tell("on_lag", self._guard.context, lag=lag)

    def _waiting(self) -> None:
        """The worker waits for something else, such as a sink: what comes in meanwhile is seen in the lag."""
        if time.monotonic() - self._lag_asked_at > LAG_EVERY:
            self._tell_lag()

    def _quietly(self, what: str, call: Callable[[], Any]) -> Any:
        """What ``call`` answers; what it raises is logged, because nothing depends on it."""
        try:
            return call()
        except Exception as error:  # noqa: BLE001
            log.warning("source partition %r: %s failed: %s", self._name, what, redact(reason(error)))
            return None

    def _sleep(self, seconds: float) -> None:
        """Read no more for so long; wake up twice a second at least, to see a drain."""
        self._awake = datetime.now(timezone.utc) + timedelta(seconds=min(seconds, 0.5)) if seconds > 0 else None
        self._until = time.monotonic() + seconds

    def next_awake(self) -> datetime | None:
        return self._awake

    def snapshot(self) -> Any:
        self._taken = {"cursor": self._cursor, "position": self._guard.context.position, "at": time.monotonic()}
        stored = {"v": 1, "manifest": self._manifest.plain, "cursor": self._cursor}
        if self._clock is not None:
            stored["clock"] = self._clock.plain
        return stored

    def _epoch_is_durable(self) -> None:
        """The epoch of the last snapshot is complete everywhere: outputs are durable and the checkpoint is written."""
        cursor, seconds = self._taken["cursor"], time.monotonic() - self._taken["at"]
        if self._run.record is not None:
            self._run.record.forget(self._name, self._taken["position"])
        self._taken = None
        self._run.listeners.tell("on_checkpoint", self._guard.context, seconds=seconds)
        reader = self._reader
        if reader is not None and cursor is not None:
            self._quietly("noting a commit", lambda: reader.committed(cursor))
        self._uncommitted = self._uncommitted and cursor != self._cursor

    def close(self) -> None:
        self._run.pulse.left(self._waiting)
        if self._reader is not None:
            self._quietly("closing", self._reader.close)
            self._run.listeners.tell("on_closed", self._guard.context)


class Reads:
    """The attempts to read a partition, under the source's policy. Nothing waits here: it says how long to wait."""

    def __init__(self, run: Run, guard: Guard, partition: str) -> None:
        self._run = run
        self._guard = guard
        self._partition = partition
        self._attempt = 0
        self._first_failure = 0

    def succeeded(self, seconds: float) -> None:
        self._guard.runner.succeeded(seconds)
        self._attempt = 0

    def failed(self, error: Exception, seconds: float, position: int | None = None) -> float:
        """Seconds to wait before the next read. Raises :class:`RunFailed` when there is to be none."""
        if self._attempt == 0:
            self._first_failure = int(time.time() * 1000)
        self._attempt += 1
        decision = self._guard.runner.failed(error, self._attempt, seconds)
        if decision.kind == "abort":
            gave_up = GaveUp(decision, error, self._attempt, self._first_failure)
            raise RunFailed(
                self._run.pipeline, self._guard.step, gave_up, partition=self._partition, position=position
            ) from None
        if decision.kind == "retry":
            return decision.delay
        self._guard.given_up(1, error, self._partition, position)
        return REST


def rejected(run: Run, guard: Guard, batch: Batch, out: list[Any]) -> None:
    """Carry out the policy for records that could not be decoded; dead letters are added to ``out``.

    There is nothing to retry, so the policy's last word holds at once. Raises :class:`RunFailed` when it is to abort.
    """
    listeners, context = run.listeners, guard.context
    for reject in batch.rejects:
        error = UndecodableRecord(reject.error)
        decision = guard.hopeless(error)
        if decision.kind == "abort":
            raise RunFailed(
                run.pipeline, guard.step, error, partition=batch.partition, position=reject.position, hint=GO_ON
            )
    if decision.kind == "dead_letter":
        letters = [_letter(run, guard.step, batch, reject) for reject in batch.rejects]
        out.append(Letters(run.letter_sink(guard.policy), letters))
        listeners.tell("on_dead_letter", context, documents=len(letters))
        listeners.tell("on_letters", context, letters=letters)
    else:
        listeners.tell("on_skipped", context, documents=len(batch.rejects))
    first = batch.rejects[0]
    guard.given_up(len(batch.rejects), UndecodableRecord(first.error), batch.partition, first.position)


def _letter(run: Run, step: str, batch: Batch, reject: Reject) -> dict[str, Any]:
    return envelope(
        pipeline=run.pipeline,
        pipeline_version=run.version,
        operator=step,
        error=UndecodableRecord(reject.error),
        code="decode",
        attempts=1,
        first_failure_ms=None,
        now_ms=int(time.time() * 1000),
        source=source_at(run, batch, reject.position),
        raw=reject.raw,
        before=batch.meta.get(LETTER),
        redact=redact,
    )
