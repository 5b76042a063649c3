"""What a sink's writer has accepted since its last flush, for as long as it is not known to be durable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..connect.spi import Batch
from ..policy.model import StreamingErrorPolicy

MOST = 50_000
"""Documents that are kept for a flush that fails; with so many the flush comes before its time."""


@dataclass(slots=True)
class Pending:
    """A batch whose documents at ``indexes`` were accepted, in ``seconds``; without its documents where not kept."""

    batch: Batch
    indexes: list[int]
    seconds: float

    @property
    def documents(self) -> int:
        return len(self.indexes)


class Unflushed:
    """Batches that were accepted, in order. Their documents are kept only where the policy would need them again."""

    def __init__(self, policy: StreamingErrorPolicy) -> None:
        self.kept = policy.action != "fail" or policy.retries is not None
        self.since = 0.0
        """When the oldest was accepted, by the monotonic clock."""
        self._pending: list[Pending] = []
        self._count = 0

    def add(self, batch: Batch, indexes: list[int], seconds: float) -> None:
        if not self._pending:
            self.since = time.monotonic()
        if not self.kept:
            batch = Batch([], batch.partition, batch.position, timestamp=batch.timestamp, meta=batch.meta)
        self._pending.append(Pending(batch, indexes, seconds))
        self._count += len(indexes)

    @property
    def full(self) -> bool:
        """Whether so many documents are kept that it is time for a flush."""
        return self.kept and self._count >= MOST

    @property
    def documents(self) -> int:
        """How many documents were accepted and are not yet known to be durable."""
        return self._count

    @property
    def first(self) -> Batch:
        """The oldest batch."""
        return self._pending[0].batch

    def __iter__(self) -> Iterator[Pending]:
        return iter(self._pending)

    def __len__(self) -> int:
        return len(self._pending)
