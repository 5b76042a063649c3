"""How far a source partition has come in event time: a function of its records in order, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

NEVER = -(1 << 60)
"""The newest event time of a partition that has shown none, in milliseconds."""


@dataclass(slots=True)
class Clock:
    """The event times of a batch's documents, and where its source partition stood.

    ``times`` are milliseconds since the epoch, ``None`` for a document without one; ``seen[i]`` is the newest event
    time of the partition before document ``i``, dropped documents included; ``newest`` the one behind the batch.
    ``total`` is how many partitions the source has. ``woken``: the partition was idle once, so that windows may have
    closed without it, and its documents travel as they are.
    """

    times: Sequence[int | None]
    seen: Sequence[int]
    newest: int
    total: int = 1
    woken: bool = False

    def at(self, indexes: Sequence[int]) -> Clock:
        """The clock of the documents that came of those at ``indexes``."""
        times, seen = self.times, self.seen
        chosen = [times[i] for i in indexes], [seen[i] for i in indexes]
        return Clock(*chosen, self.newest, self.total, self.woken)


class PartitionClock:
    """The newest event time of a partition, batch by batch. Late is what is decided by it, before the document."""

    __slots__ = ("newest",)

    def __init__(self, newest: int = NEVER) -> None:
        self.newest = newest

    def over(self, times: Sequence[int | None], total: int = 1, woken: bool = False) -> Clock:
        """The clock of the next documents of the partition."""
        known: Any = [NEVER if t is None else t for t in times] if None in times else times
        seen = list(accumulate(known, max, initial=self.newest))
        self.newest = seen.pop()
        return Clock(times, seen, self.newest, total, woken)
