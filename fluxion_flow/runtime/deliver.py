"""Delivery: a Connect sink as a keyed Bytewax step that owns a writer.

A part's writer is flushed when its epoch ends, in ``snapshot()``, which also records the writer's position: an epoch
cannot complete before what was written in it is durable, and a crash reopens the writer where the epoch ended. A failure
that the policy answers with dead letters leaves the step on its output, the dead-letter branch. Letters of a flush at
the epoch's very end are kept in the snapshot and leave with the next activation, so that they cannot be lost either.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.encoding import to_extended
from ..connect.spi import Batch, DeliveryError, SinkWriter, StreamingSink
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .failure import RunFailed
from .items import Letters, to_part
from .run import Guard, Run
from .snapshots import pack, unpack
from .steps import StageStep

STATE_VERSION = 1

Pending = tuple[Batch, list[int]]
"""A batch whose documents at these indexes are written but not known to be durable."""


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
        self._when = when
        self._letters = letters

    def __call__(self, items: list[Any]) -> list[Any]:
        part = "0" if self._single else self._run.workers.part()
        out: list[Any] = []
        for item in self._when(items) if self._when is not None else items:
            if item.__class__ is tuple:
                item = item[1]
            if item.__class__ is Batch:
                out.append(to_part(part, item))
            elif item.__class__ is Letters:
                if self._letters is None:
                    out.append(item)
                elif item.sink == self._letters:
                    out.append(to_part(part, Batch([to_extended(letter) for letter in item.documents])))
        return out


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
        self._writer: SinkWriter | None = None
        self._unflushed: list[Pending] = []
        self._letters: list[Letters] = []
        if resume is not None:
            self._part, self._cursor = resume["part"], resume["cursor"]
            self._letters = [Letters(number, documents) for number, documents in unpack(resume["letters"])]
            # What was written after the checkpoint is undone now, even if nothing is ever written to this part again.
            self._open()

    def _open(self) -> SinkWriter:
        if self._writer is None:
            assert self._part is not None
            part, cursor = self._part, self._cursor
            self._writer = self._must(lambda attempt: self._step.sink.open(part, cursor))
        return self._writer

    def _must(self, work: Callable[[int], Any]) -> Any:
        """Work that cannot be skipped or dead-lettered: it is retried as the policy says, or it ends the run."""
        try:
            return self._guard.attempt(work)
        except GaveUp as gave_up:
            raise RunFailed(self._run.pipeline, self._step.name, gave_up) from gave_up.error

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        for part, batch in values:
            self._part = part
            self._deliver(batch)
        return self._leaving(), StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        self._flush()
        return self._leaving(), StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[list[Any], bool]:
        self._flush()
        if self._writer is not None:
            self._cursor = self._writer.cursor
            self._writer.close()
            self._writer = None
        return self._leaving(), StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        if self._letters:
            return datetime.now(timezone.utc)
        if self._unflushed:
            return datetime.now(timezone.utc) + timedelta(seconds=self._run.flush_interval)
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

    def _deliver(self, batch: Batch) -> None:
        started = time.perf_counter()
        self._context.partition, self._context.position = batch.partition, batch.position
        self._open()
        indexes = list(range(len(batch.documents)))
        written = self._work(batch, indexes, self._write)
        if written:
            self._unflushed.append((batch, written))
        seconds = time.perf_counter() - started
        self._run.listeners.tell("on_delivered", self._context, documents=len(written), seconds=seconds)
        self._guard.runner.settled(len(written), 0)

    def _write(self, batch: Batch) -> None:
        assert self._writer is not None
        self._writer.write(batch)

    def _work(self, batch: Batch, indexes: list[int], work: Callable[[Batch], None]) -> list[int]:
        """Do ``work`` with the documents at ``indexes`` under the policy; answers the indexes that were accepted.

        Where the sink says which documents failed, only those are tried again; with document granularity, or where it
        says so, only those are given up.
        """
        todo = list(indexes)
        accepted: list[int] = []

        def attempt(number: int) -> None:
            nonlocal todo
            part = batch if len(todo) == len(batch.documents) else _part_of(batch, todo)
            try:
                work(part)
            except DeliveryError as error:
                failed = [todo[i] for i in sorted(error.errors)]
                accepted.extend(i for i in todo if i not in set(failed))
                todo = failed
                raise
            accepted.extend(todo)
            todo = []

        try:
            self._guard.attempt(attempt)
        except GaveUp as gave_up:
            if self._guard.by_document and len(todo) > 1 and not isinstance(gave_up.error, DeliveryError):
                for index in todo:
                    accepted += self._work(batch, [index], work)
            else:
                self._give_up(gave_up, batch, todo)
        return sorted(accepted)

    def _give_up(self, gave_up: GaveUp, batch: Batch, indexes: Sequence[int]) -> None:
        errors = gave_up.error.errors if isinstance(gave_up.error, DeliveryError) else {}
        reasons = [errors[i] for i in sorted(errors)]
        if len(reasons) == len(indexes) and gave_up.decision.kind == "dead_letter":
            for index, reason in zip(indexes, reasons, strict=True):
                own = GaveUp(gave_up.decision, reason, gave_up.attempts, gave_up.first_failure_ms, step=gave_up.step)
                self._send(own, batch, [index])
            return
        self._send(gave_up, batch, indexes)

    def _send(self, gave_up: GaveUp, batch: Batch, indexes: Sequence[int]) -> None:
        entries = [(batch.documents[i], i, 0) for i in indexes]
        letters = self._guard.failed(gave_up, batch, entries, code="sink")
        if letters is not None:
            self._letters.append(letters)

    def _flush(self) -> None:
        """Make everything durable. What cannot be is written again, each batch under the policy."""
        if self._writer is None or not self._unflushed:
            return
        pending, self._unflushed = self._unflushed, []
        try:
            self._writer.flush()
            return
        except Exception as error:  # noqa: BLE001 - the policy decides
            first = error

        def flush_again(number: int) -> None:
            nonlocal first
            if number == 1:
                raise first
            assert self._writer is not None
            self._writer.flush()

        try:
            self._guard.attempt(flush_again)
        except GaveUp as gave_up:
            failed = set(gave_up.error.errors) if isinstance(gave_up.error, DeliveryError) else None
            start = 0
            for batch, indexes in pending:
                lost = [i for n, i in enumerate(indexes, start) if failed is None or n in failed]
                start += len(indexes)
                if lost:
                    self._send(gave_up, batch, lost)


def _part_of(batch: Batch, indexes: Sequence[int]) -> Batch:
    positions = [batch.positions[i] for i in indexes] if batch.positions else ()
    documents = [batch.documents[i] for i in indexes]
    return Batch(documents, batch.partition, batch.position, positions, batch.timestamp, [], batch.meta)
