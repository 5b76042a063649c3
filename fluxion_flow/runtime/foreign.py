"""Bytewax sources as they are: their items become documents, and the drain and the checkpoint's identity apply to them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bytewax.inputs import (
    DynamicSource,
    FixedPartitionedSource,
    Source,
    StatefulSourcePartition,
    StatelessSourcePartition,
)

from ..connect.encoding import decode_document
from ..connect.spi import Batch, Reject
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .failure import RunFailed
from .items import Completed
from .manifest import Manifest
from .run import DERIVED, Guard, Run
from .source import rejected


def foreign_input(run: Run, source: Source[Any], policy: StreamingErrorPolicy, manifest: Manifest) -> Source[Any]:
    """A Bytewax source that gives batches instead of ``source``'s items."""
    if isinstance(source, FixedPartitionedSource):
        return ForeignPartitions(run, source, policy, manifest)
    if isinstance(source, DynamicSource):
        return ForeignWorkers(run, source, policy)
    raise TypeError(f"{type(source).__name__} is neither a FixedPartitionedSource nor a DynamicSource")


class _Items:
    """Turns what a Bytewax partition gives into batches, under the source's policy."""

    def __init__(self, run: Run, policy: StreamingErrorPolicy, name: str, total: int) -> None:
        self._run = run
        context = run.context("source")
        context.partition = name
        self._guard = Guard(run, "source", policy, context)
        self._name = name
        self._total = total
        self._count = 0
        self._complete = False
        self._fetched_at = time.monotonic()

    def next(self, part: Any) -> list[Any]:
        if self._complete or self._run.drain.requested:
            raise StopIteration
        try:
            items: Iterable[Any] = part.next_batch()
        except StopIteration:
            self._complete = True
            return [Completed("source", self._name, self._total)]
        except Exception as error:
            now = int(time.time() * 1000)
            decision = self._guard.runner.final_decision
            raise RunFailed(
                self._run.pipeline, "source", GaveUp(decision, error, 1, now), partition=self._name
            ) from error
        return self._batches(list(items))

    def _batches(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        size = self._run.batch_size
        for start in range(0, len(items), size):
            batch = Batch([], self._name, self._count, meta={DERIVED: True})
            for item in items[start : start + size]:
                self._take(item, batch)
                self._count += 1
            if batch.rejects:
                rejected(self._run, self._guard, batch, out)
            if batch.documents:
                now = time.monotonic()
                facts = {
                    "documents": len(batch.documents),
                    "rejects": len(batch.rejects),
                    "waited": now - self._fetched_at,
                }
                self._run.listeners.tell("on_fetched", self._guard.context, **facts)
                self._fetched_at = now
                batch.rejects = []
                out.append(batch)
        return out

    def _take(self, item: Any, batch: Batch) -> None:
        if item.__class__ is dict:
            batch.documents.append(item)
            return
        raw = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
        if not isinstance(raw, (bytes, bytearray)):
            reason = f"a {type(item).__name__} is neither a dict nor JSON text"
            batch.rejects.append(Reject(repr(item).encode("utf-8", "replace"), self._count, reason))
            return
        try:
            batch.documents.append(decode_document(bytes(raw)))
        except ValueError as error:
            batch.rejects.append(Reject(bytes(raw), self._count, str(error)))


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
        inner = None
        if resume_state is not None:
            self._manifest.check(resume_state["manifest"])
            inner = resume_state["cursor"]
        items = _Items(self._run, self._policy, for_part, len(self.list_parts()))
        return _ForeignPart(self._source.build_part(step_id, for_part, inner), items, self._manifest)


class _ForeignPart(StatefulSourcePartition[Any, Any]):
    def __init__(self, part: StatefulSourcePartition[Any, Any], items: _Items, manifest: Manifest) -> None:
        self._part = part
        self._items = items
        self._manifest = manifest

    def next_batch(self) -> list[Any]:
        return self._items.next(self._part)

    def next_awake(self) -> datetime | None:
        return self._part.next_awake()

    def snapshot(self) -> Any:
        return {"v": 1, "manifest": self._manifest.plain, "cursor": self._part.snapshot()}

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
        return self._part.next_awake()

    def close(self) -> None:
        self._part.close()
