"""Bytewax sources as they are: their items become documents, under our policies, drain and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.inputs import (
    AbortExecution,
    DynamicSource,
    FixedPartitionedSource,
    Source,
    StatefulSourcePartition,
    StatelessSourcePartition,
)

from ..connect.encoding import decode_document
from ..connect.spi import Batch, Reject
from ..policy.model import StreamingErrorPolicy
from .clocks import SourceClock
from .items import Completed
from .manifest import Manifest
from .run import DERIVED, Guard, Run, say_origin
from .source import Reads, rejected

MESSAGE = ("topic", "partition", "offset", "value")
"""What an item has that is a message of a broker, such as Bytewax's ``KafkaSourceMessage``: its value is the record."""


def foreign_input(run: Run, source: Source[Any], policy: StreamingErrorPolicy, manifest: Manifest) -> Source[Any]:
    """A Bytewax source that gives batches instead of ``source``'s items."""
    if isinstance(source, FixedPartitionedSource):
        return ForeignPartitions(run, source, policy, manifest)
    if isinstance(source, DynamicSource):
        return ForeignWorkers(run, source, policy)
    raise TypeError(f"{type(source).__name__} is neither a FixedPartitionedSource nor a DynamicSource")


class _Items:
    """Turns what a Bytewax partition gives into batches, under the source's policy.

    An item is a document when it is a mapping, JSON text when it is ``str`` or ``bytes``, and a message of a broker
    when it has the parts of one; anything else cannot be decoded.
    """

    def __init__(self, run: Run, policy: StreamingErrorPolicy, name: str, total: int, stored: Any = None) -> None:
        self._run = run
        context = run.context("source")
        context.partition = name
        self._guard = Guard(run, "source", policy, context)
        self._reads = Reads(run, self._guard, name)
        self._name = name
        self._total = total
        self._count = 0
        self._complete = False
        self._until = 0.0
        self._fetched_at = time.monotonic()
        self._clock = None if run.clocks is None else SourceClock(run, run.clocks, name, total, stored)

    @property
    def stored(self) -> dict[str, Any]:
        """What is kept beside the partition's own snapshot."""
        return {} if self._clock is None else {"clock": self._clock.plain}

    def next(self, part: Any) -> list[Any]:
        if self._run.draining(self._guard.context) or self._complete:
            raise StopIteration
        awake = part.next_awake()
        if time.monotonic() < self._until or (awake is not None and datetime.now(timezone.utc) < awake):
            return []
        wait = self._guard.runner.begin()
        if wait > 0:
            self._until = time.monotonic() + wait
            return []
        if self._clock is not None and (greeting := self._clock.greeting()):
            return list(greeting)
        started = time.monotonic()
        try:
            items: Iterable[Any] = list(part.next_batch())
        except StopIteration:
            self._guard.runner.released()
            self._complete = True
            return [Completed("source", self._name, self._total)]
        except AbortExecution:
            raise
        except Exception as error:  # noqa: BLE001 - the policy decides
            self._until = time.monotonic() + self._reads.failed(error, time.monotonic() - started)
            return []
        self._reads.succeeded(time.monotonic() - started)
        if not items and self._clock is not None:
            return list(self._clock.silent())
        return self._batches(list(items))

    def next_awake(self, part: Any) -> datetime | None:
        """When to be asked again: the partition's own time, or the end of a wait, looking out for a drain."""
        awake: datetime | None = part.next_awake()
        wait = self._until - time.monotonic()
        if awake is None and wait <= 0:
            return None
        now = datetime.now(timezone.utc)
        wait = wait if awake is None else max(wait, (awake - now).total_seconds())
        return now + timedelta(seconds=min(wait, 0.5))

    def _batches(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        size = self._run.batch_size
        for start in range(0, len(items), size):
            batch = self._batch(items[start : start + size])
            now = time.monotonic()
            counts = {"documents": len(batch.documents), "rejects": len(batch.rejects)}
            self._run.listeners.tell("on_fetched", self._guard.context, **counts, waited=now - self._fetched_at)
            self._fetched_at = now
            self._guard.runner.settled(len(batch.documents), 0)
            if batch.rejects:
                rejected(self._run, self._guard, batch, out)
                batch.rejects = []
            if batch.documents:
                if self._clock is not None:
                    self._clock.stamp(batch)
                out.append(batch)
        return out

    def _batch(self, items: list[Any]) -> Batch:
        batch = Batch([], self._name, self._count, meta={DERIVED: True})
        places: list[int] = []
        origins = {(item.topic, item.partition) for item in items if _is_message(item)}
        placed = len(origins) == 1 and all(_is_message(item) and isinstance(item.offset, int) for item in items)
        for item in items:
            place = item.offset if placed else self._count
            self._count += 1
            taken = _document(item)
            if isinstance(taken, dict):
                batch.documents.append(taken)
                places.append(place)
            else:
                taken.position = place
                batch.rejects.append(taken)
        if placed:
            ((topic, partition),) = origins
            batch.position, batch.positions = items[0].offset, places
            batch.timestamp = _milliseconds(items[0])
            batch.meta = {"source": {"topic": topic, "partition": partition}}
            say_origin(self._run, batch)
        return batch


def _is_message(item: Any) -> bool:
    return all(hasattr(item, name) for name in MESSAGE)


def _milliseconds(message: Any) -> int:
    """A message's time: Bytewax has it as (kind, milliseconds)."""
    given = getattr(message, "timestamp", None)
    time_of = given[1] if isinstance(given, tuple) and len(given) == 2 else given
    return time_of if isinstance(time_of, int) and time_of > 0 else 0


def _document(item: Any) -> dict[str, Any] | Reject:
    """The document that an item is, or why it is none."""
    if item.__class__ is dict:
        return item
    if isinstance(item, Mapping):
        return dict(item)
    if hasattr(item, "err") and hasattr(item, "msg"):
        return Reject(_raw(getattr(item.msg, "value", None)), 0, f"the source reports an error: {item.err}")
    record = item.value if _is_message(item) else item
    if not isinstance(record, (str, bytes, bytearray)):
        if record is None:
            return Reject(b"", 0, "a message without a value")
        return Reject(_raw(record), 0, f"a {type(record).__name__} is neither a document nor JSON text")
    try:
        return decode_document(_raw(record))
    except ValueError as error:
        return Reject(_raw(record), 0, str(error))


def _raw(record: Any) -> bytes:
    if isinstance(record, (bytes, bytearray)):
        return bytes(record)
    if record is None:
        return b""
    text = record if isinstance(record, str) else repr(record)
    return text.encode("utf-8", "surrogatepass")


class ForeignPartitions(FixedPartitionedSource[Any, Any]):
    """A partitioned Bytewax source; its own snapshots are kept inside ours."""

    def __init__(
        self, run: Run, source: FixedPartitionedSource[Any, Any], policy: StreamingErrorPolicy, manifest: Manifest
    ) -> None:
        self._run = run
        self._source = source
        self._policy = policy
        self._manifest = manifest

    def list_parts(self) -> list[str]:
        return self._source.list_parts()

    def build_part(self, step_id: str, for_part: str, resume_state: Any) -> _ForeignPart:
        inner, clock = None, None
        if resume_state is not None:
            self._manifest.check(resume_state["manifest"])
            inner, clock = resume_state["cursor"], resume_state.get("clock")
        items = _Items(self._run, self._policy, for_part, len(self.list_parts()), clock)
        return _ForeignPart(self._source.build_part(step_id, for_part, inner), items, self._manifest)


class _ForeignPart(StatefulSourcePartition[Any, Any]):
    def __init__(self, part: StatefulSourcePartition[Any, Any], items: _Items, manifest: Manifest) -> None:
        self._part = part
        self._items = items
        self._manifest = manifest

    def next_batch(self) -> list[Any]:
        return self._items.next(self._part)

    def next_awake(self) -> datetime | None:
        return self._items.next_awake(self._part)

    def snapshot(self) -> Any:
        return {"v": 1, "manifest": self._manifest.plain, "cursor": self._part.snapshot(), **self._items.stored}

    def close(self) -> None:
        self._part.close()


class ForeignWorkers(DynamicSource[Any]):
    """A Bytewax source that gives something on every worker and remembers nothing."""

    def __init__(self, run: Run, source: DynamicSource[Any], policy: StreamingErrorPolicy) -> None:
        self._run = run
        self._source = source
        self._policy = policy

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _ForeignWorker:
        items = _Items(self._run, self._policy, f"{worker_index:05d}", worker_count)
        return _ForeignWorker(self._source.build(step_id, worker_index, worker_count), items)


class _ForeignWorker(StatelessSourcePartition[Any]):
    def __init__(self, part: StatelessSourcePartition[Any], items: _Items) -> None:
        self._part = part
        self._items = items

    def next_batch(self) -> list[Any]:
        return self._items.next(self._part)

    def next_awake(self) -> datetime | None:
        return self._items.next_awake(self._part)

    def close(self) -> None:
        self._part.close()
