"""Delivery: a Connect sink as a keyed Bytewax step that owns a writer.

A part's writer is flushed when its epoch ends, in ``snapshot()``, which also records the writer's position: an epoch
cannot complete before what was written in it is durable, and a crash reopens the writer where the epoch ended.

A failure that the policy answers with dead letters leaves the step on its output, the dead-letter branch. Letters of a
flush at the epoch's very end are kept in the snapshot and leave with the next activation, so that they cannot be lost.

A flush that fails is repeated as the policy says. When it has failed for good, a new writer begins at the last durable
position, and what was accepted since is written once more, batch by batch: what fails then is given up.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.encoding import to_extended
from ..connect.secrets import redact
from ..connect.spi import Batch, DeliveryError, Document, SinkWriter, StreamingSink
from ..core.program import reason
from ..core.tracing import numbers_among
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .failure import RunFailed
from .items import Letters, to_part
from .manifest import IncompatibleCheckpoint
from .run import DERIVED, Guard, Run, part_of
from .snapshots import pack, unpack
from .steps import StageStep
from .unflushed import Unflushed

log = logging.getLogger(__name__)

STATE_VERSION = 1


class RouteStep:
    """Sends batches to the part of a sink that this worker writes: its own, or the only one of a single writer.

    ``when`` is the program of a sink's query; without it every document is delivered. With ``letters``, the number of
    a dead-letter sink, the dead letters for it are delivered, as Extended JSON so that every connector can hold them.
    """

    def __init__(
        self, run: Run, sink: StreamingSink, when: StageStep | None = None, letters: int | None = None
    ) -> None:
        self._run = run
        self._single = sink.single_writer
        self._split: Callable[[Batch], list[tuple[str, Batch]]] | None = getattr(sink, "split", None)
        self._when = when
        self._letters = letters
        self._takes_records = sink.takes_records

    def __call__(self, items: list[Any]) -> list[Any]:
        part = "0" if self._single else self._run.workers.part()
        out: list[Any] = []
        for item in self._when(items) if self._when is not None else items:
            if item.__class__ is tuple:
                item = item[1]
            if item.__class__ is Letters and self._letters is not None:
                if item.sink != self._letters:
                    continue
                item = _batch_of_letters(item.documents)
            if item.__class__ is Batch:
                if not self._takes_records and item.documents.__class__ is not list:
                    item = replace(item, documents=list(item.documents))
                if self._split is None:
                    out.append(to_part(part, item))
                else:
                    out += [to_part(name, own) for name, own in self._split(item)]
            elif item.__class__ is Letters:
                out.append(item)
        return out


def _batch_of_letters(letters: list[Document]) -> Batch:
    """Dead letters as a batch that stands where the records stood."""
    sources = [letter["_stream_meta"]["source"] for letter in letters]
    places = [source.get("position") for source in sources]
    partition = str(sources[0].get("partition", ""))
    letters = [to_extended(letter) for letter in letters]
    if all(isinstance(place, int) for place in places):
        return Batch(letters, partition, places[0], places)
    return Batch(letters, partition, meta={DERIVED: True})


class DeliverStep:
    """Builds the delivery of one sink's parts. ``name`` is the step's name in messages, such as ``sink``."""

    def __init__(self, run: Run, name: str, connector: str, sink: StreamingSink, policy: StreamingErrorPolicy) -> None:
        self.run = run
        self.name = name
        self.connector = connector
        self.sink = sink
        self.policy = policy

    def __call__(self, resume: Any) -> DeliverLogic:
        return DeliverLogic(self, resume)


class DeliverLogic(StatefulBatchLogic[Any, Any, Any]):
    """One part of a sink."""

    def __init__(self, step: DeliverStep, resume: Any) -> None:
        self._step = step
        self._run = step.run
        self._context = step.run.context(step.name, step.connector)
        self._guard = Guard(step.run, step.name, step.policy, self._context)
        self._part: str | None = None
        self._cursor: Any = None
        """The writer's last durable position."""
        self._writer: SinkWriter | None = None
        self._unflushed = Unflushed(step.policy)
        self._letters: list[Letters] = []
        if resume is not None:
            self._part, self._cursor = resume["part"], resume["cursor"]
            self._letters = self._resumed(unpack(resume["letters"]))
            if step.sink.replays:
                # What was written after the checkpoint is undone now, even if nothing is ever written here again.
                self._open()

    def _resumed(self, letters: list[tuple[int, list[Document]]]) -> list[Letters]:
        """The letters of a checkpoint, for the sink that the policy has now."""
        if letters and self._step.policy.action != "dead_letter":
            count = sum(len(documents) for _, documents in letters)
            raise IncompatibleCheckpoint(
                f"pipeline {self._run.pipeline!r}, step {self._step.name}: the checkpoint holds {count} dead letters "
                "that are not written yet, and the error policy has no dead-letter sink any more; "
                "run once with the policy that the checkpoint was written under"
            )
        return [Letters(self._run.letter_sink(self._step.policy), documents) for _, documents in letters]

    def _open(self) -> SinkWriter:
        if self._writer is None:
            assert self._part is not None
            part, cursor = self._part, self._cursor
            self._writer = self._must(lambda attempt: self._step.sink.open(part, cursor))
        return self._writer

    def _reopen(self) -> None:
        """Forget what the writer accepted and did not make durable: a new one starts at the last durable position."""
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close()
            self._writer = None
        self._open()

    def _must(self, work: Callable[[int], Any]) -> Any:
        """Work that cannot be skipped or dead-lettered: it is retried as the policy says, or it ends the run."""
        try:
            return self._guard.attempt(work)
        except GaveUp as gave_up:
            raise RunFailed(self._run.pipeline, self._step.name, gave_up) from None

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        self._run.pulse.beat()
        for part, batch in values:
            self._part = part
            self._deliver(batch)
            if self._unflushed.full:
                self._flush()
        self._tell_queue()
        self._run.pulse.rest()
        return self._leaving(), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        self._flush()
        return self._leaving(), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        self._flush()
        if self._writer is not None:
            self._cursor = self._writer.cursor
            try:
                self._writer.close()
            except Exception as error:  # noqa: BLE001 - everything is durable already
                log.warning("%s: closing the sink failed: %s", self._step.name, redact(reason(error)))
            self._writer = None
        return self._leaving(), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        if self._letters:
            return datetime.now(timezone.utc)
        if self._unflushed:
            left = self._unflushed.since + self._run.flush_interval - time.monotonic()
            return datetime.now(timezone.utc) + timedelta(seconds=max(left, 0.0))
        return None

    def snapshot(self) -> Any:
        self._flush()
        if self._writer is not None:
            self._cursor = self._writer.cursor
        letters = [(letters.sink, letters.documents) for letters in self._letters]
        return {"v": STATE_VERSION, "part": self._part, "cursor": self._cursor, "letters": pack(letters)}

    def _leaving(self) -> list[Any]:
        letters, self._letters = self._letters, []
        return letters

    # -- writing -------------------------------------------------------------------------------------------------

    def _deliver(self, batch: Batch) -> None:
        started = time.perf_counter()
        self._context.partition, self._context.position = batch.partition, batch.position
        if self._run.committed is not None and self._run.committed.holds(batch):
            return
        self._open()
        written = self._work(batch, list(range(len(batch.documents))), self._write)
        if written:
            self._guard.runner.settled(len(written), 0)
            self._unflushed.add(batch, written, time.perf_counter() - started)

    def _write(self, batch: Batch) -> None:
        assert self._writer is not None
        self._writer.write(batch)

    def _work(
        self, batch: Batch, indexes: list[int], work: Callable[[Batch], None], first: DeliveryError | None = None
    ) -> list[int]:
        """Do ``work`` with the documents at ``indexes`` under the policy; answers the indexes that were accepted.

        ``first`` is how the first attempt has ended already.
        Where the sink says which documents failed, only those are tried again, and only those are given up. Where it
        does not, and the granularity is the document, each gets one more try by itself.
        """
        todo = list(indexes)
        accepted: list[int] = []

        def attempt(number: int) -> None:
            nonlocal todo
            try:
                if first is not None and number == 1:
                    raise first
                work(part_of(batch, todo))
            except DeliveryError as error:
                failed = {todo[i] for i in error.errors}
                accepted.extend(i for i in todo if i not in failed)
                todo = sorted(failed)
                raise
            accepted.extend(todo)
            todo = []

        try:
            self._guard.attempt(attempt)
        except GaveUp as gave_up:
            alone = self._guard.by_document and len(todo) > 1 and not isinstance(gave_up.error, DeliveryError)
            if alone and gave_up.decision.kind != "abort":
                accepted += self._one_by_one(gave_up, batch, todo, work)
            else:
                self._give_up(gave_up, batch, todo)
        return sorted(accepted)

    def _one_by_one(
        self, gave_up: GaveUp, batch: Batch, indexes: list[int], work: Callable[[Batch], None]
    ) -> list[int]:
        """One more try for each document by itself; answers the indexes that were accepted."""
        accepted: list[int] = []
        for index in indexes:
            try:
                work(part_of(batch, [index]))
            except Exception as error:  # noqa: BLE001 - the policy has had its last word
                self._give_up(_once_more(gave_up, error), batch, [index])
            else:
                accepted.append(index)
        return accepted

    def _give_up(self, gave_up: GaveUp, batch: Batch, indexes: Sequence[int]) -> None:
        """The policy's last word on documents. Where the sink gave each its own reason, each is given up for that."""
        errors = gave_up.error.errors if isinstance(gave_up.error, DeliveryError) else {}
        reasons = [errors[i] for i in sorted(errors)]
        numbers = numbers_among(batch.positions) if batch.positions else [0] * len(batch.documents)
        entries = [(batch.documents[index], index, numbers[index]) for index in indexes]
        if len(reasons) == len(entries) and gave_up.decision.kind == "dead_letter":
            for entry, own in zip(entries, reasons, strict=True):
                self._send(_blaming(gave_up, own), batch, [entry])
        else:
            self._send(gave_up, batch, entries)

    def _send(self, gave_up: GaveUp, batch: Batch, entries: list[tuple[Document, int, int]]) -> None:
        letters = self._guard.failed(gave_up, batch, entries, code="sink")
        if letters is None:
            return
        if self._letters and self._letters[-1].sink == letters.sink:
            self._letters[-1].documents.extend(letters.documents)
        else:
            self._letters.append(letters)

    # -- making it durable ---------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Make everything durable, or carry out the policy for what cannot be."""
        if self._writer is None or not self._unflushed:
            return
        unflushed, self._unflushed = self._unflushed, Unflushed(self._step.policy)
        try:
            refused = self._flushed()
        except Exception as error:  # noqa: BLE001 - the policy decides
            first = error
            self._context.partition, self._context.position = unflushed.first.partition, unflushed.first.position
            try:
                refused = self._guard.attempt(lambda number: self._flushed(first if number == 1 else None))
            except GaveUp as gave_up:
                self._doubtful(gave_up, unflushed)
                self._tell_queue()
                return
        self._durable(unflushed, {} if refused is None else refused.errors)
        self._tell_queue()

    def _flushed(self, error: Exception | None = None) -> DeliveryError | None:
        """Flush, or fail with ``error``; the answer says which documents were refused while all others are durable."""
        assert self._writer is not None
        if error is not None:
            raise error
        try:
            self._writer.flush()
        except DeliveryError as refused:
            return refused
        return None

    def _durable(self, unflushed: Unflushed, refused: Mapping[int, Exception]) -> None:
        """All is durable but the documents with these numbers, counted over all that was unflushed."""
        assert self._writer is not None
        self._cursor = self._writer.cursor
        start = 0
        for pending in unflushed:
            own = {i: refused[n] for n, i in enumerate(pending.indexes, start) if n in refused} if refused else {}
            start += pending.documents
            done = pending.documents - len(own)
            if own:
                self._must_be_kept(unflushed, DeliveryError(own))
                first = DeliveryError(dict(enumerate(own.values())))
                done += len(self._work(pending.batch, list(own), self._anew, first))
            self._delivered(done, pending.seconds)

    def _doubtful(self, gave_up: GaveUp, unflushed: Unflushed) -> None:
        """The policy's last word on a flush: with a new writer each batch gets one more try, or each document."""
        if gave_up.decision.kind == "abort":
            self._abort(gave_up, unflushed)
        self._reopen()
        for pending in unflushed:
            todo, last = pending.indexes, gave_up
            if len(unflushed) > 1:
                try:
                    self._anew(part_of(pending.batch, todo))
                    todo = []
                except DeliveryError as error:
                    refused = {todo[i]: reason for i, reason in sorted(error.errors.items())}
                    self._give_up(_once_more(gave_up, error), pending.batch, list(refused))
                    self._delivered(len(todo) - len(refused), pending.seconds)
                    continue
                except Exception as error:  # noqa: BLE001 - the policy has had its last word
                    last = _once_more(gave_up, error)
            lost: list[int] = []
            if todo and self._guard.by_document and len(todo) > 1:
                saved = set(self._one_by_one(last, pending.batch, todo, self._anew))
                lost = [i for i in todo if i not in saved]
            elif todo:
                lost = todo
                self._give_up(last, pending.batch, todo)
            self._delivered(pending.documents - len(lost), pending.seconds)

    def _anew(self, batch: Batch) -> None:
        """Write a batch and make it durable; a failure leaves nothing of it behind but what it says was accepted."""
        assert self._writer is not None
        try:
            try:
                self._writer.write(batch)
            except DeliveryError:
                self._writer.flush()
                raise
            self._writer.flush()
        except DeliveryError:
            self._cursor = self._writer.cursor
            raise
        except Exception:
            self._reopen()
            raise
        self._cursor = self._writer.cursor

    def _must_be_kept(self, unflushed: Unflushed, error: DeliveryError) -> None:
        """Without documents to try again with, a refusal ends the run."""
        if not unflushed.kept:
            now = int(time.time() * 1000)
            decision = self._guard.runner.failed(error, 1)
            self._abort(GaveUp(decision, error, 1, now, step=self._step.name), unflushed)

    def _abort(self, gave_up: GaveUp, unflushed: Unflushed) -> None:
        batch = unflushed.first
        place = None if batch.meta.get(DERIVED) else batch.position
        raise RunFailed(
            self._run.pipeline, self._step.name, gave_up, partition=batch.partition, position=place
        ) from None

    def _tell_queue(self) -> None:
        self._run.listeners.tell("on_queue", self._context, documents=self._unflushed.documents)

    def _delivered(self, documents: int, seconds: float) -> None:
        if documents:
            self._run.listeners.tell("on_delivered", self._context, documents=documents, seconds=seconds)


def _once_more(gave_up: GaveUp, error: Exception) -> GaveUp:
    """The same word after one more try, which ended with ``error``."""
    return GaveUp(gave_up.decision, error, gave_up.attempts + 1, gave_up.first_failure_ms, step=gave_up.step)


def _blaming(gave_up: GaveUp, error: Exception) -> GaveUp:
    """The same word for one document's own reason."""
    return GaveUp(gave_up.decision, error, gave_up.attempts, gave_up.first_failure_ms, step=gave_up.step)
