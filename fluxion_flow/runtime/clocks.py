"""Event time at the source: every batch is stamped with the times of its documents, and silence is told of.

How far a partition has come is part of its position: it is stored with the source's cursor, and depends on nothing but
the partition's records in order, so that a replay decides alike what is late.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..connect.expressions import environment
from ..connect.spi import Batch
from ..core.event_time import NEVER, EventTime, PartitionClock
from ..core.streams import is_of
from .items import Progress
from .run import Run

TELL_EVERY = 250
"""Milliseconds between two notes that a partition is silent, or that the clock goes on."""


@dataclass(frozen=True)
class Clocks:
    """What a pipeline needs of time. ``event_time`` is ``None`` where its windows go by the time of the fetch.

    ``idle`` is the shortest silence that somebody wants to hear of, in milliseconds; ``None``: none. ``streams`` are
    the event times of further streams, by their names.
    """

    event_time: EventTime | None
    idle: int | None = None
    streams: Mapping[str, EventTime] = field(default_factory=dict)

    def event_time_of(self, partition: str) -> EventTime | None:
        """The event time of a source partition's documents."""
        return next((time for name, time in self.streams.items() if is_of(name, partition)), self.event_time)


class SourceClock:
    """The clock of one source partition."""

    def __init__(self, run: Run, clocks: Clocks, partition: str, total: int, stored: Any = None) -> None:
        self._run = run
        self._clocks = clocks
        self._event_time = clocks.event_time_of(partition)
        self._partition = partition
        self._total = total
        self._clock = PartitionClock(NEVER if stored is None else stored["newest"])
        self._woken = stored is not None and stored["woken"]
        self._new = stored is None or stored.get("new", False)
        """Whether windows may have closed before the partition was there."""
        self._greeted = self._event_time is None
        self._active = time.monotonic()
        self._told = 0.0

    def greeting(self) -> list[Progress]:
        """What is to be told before the first read of a new partition, so that steps with windows begin before it."""
        if self._greeted or not self._behind:
            return []
        self._greeted = True
        return [Progress(self._partition, self._total, self._clock.newest)]

    @property
    def plain(self) -> dict[str, Any]:
        """What is stored with the source's cursor."""
        return {"v": 1, "newest": self._clock.newest, "woken": self._woken, "new": self._behind}

    @property
    def _behind(self) -> bool:
        """Whether it is a new one of a resumed run; it is taken for one until a step with windows has begun."""
        return self._new and not self._run.windows_begin

    def stamp(self, batch: Batch) -> None:
        """Give a batch, the partition's next, its clock."""
        self._active = time.monotonic()
        self._told = 0.0
        event_time = self._event_time
        if event_time is None:
            now = max(int(time.time() * 1000), self._clock.newest)
            batch.clock = self._clock.over([now] * len(batch.documents), self._total)
            return
        env = environment(batch, seed=self._run.seed)
        batch.clock = self._clock.over(event_time.times(batch.documents, env), self._total, self._woken or self._behind)

    def silent(self) -> list[Progress]:
        """What is to be told when the partition gave nothing: how long it is silent, or what time it is."""
        now = time.monotonic()
        if (now - self._told) * 1000 < TELL_EVERY:
            return []
        if self._event_time is None:
            self._told = now
            self._clock.newest = max(int(time.time() * 1000), self._clock.newest)
            return [Progress(self._partition, self._total, self._clock.newest)]
        idle = int((now - self._active) * 1000)
        if self._clocks.idle is None or idle < self._clocks.idle:
            return []
        self._told = now
        self._woken = True
        return [Progress(self._partition, self._total, self._clock.newest, idle)]
