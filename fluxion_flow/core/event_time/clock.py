"""How far a source partition has come in event time: a function of its records in order, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

NEVER = -(1 << 60)
"""The newest event time of a partition that has shown none, in milliseconds."""


class Clock:
    """The event times of a batch's documents, and where its source partition stood.

    ``times`` are milliseconds since the epoch, ``None`` for a document without one; ``newest`` is the newest event time
    of the partition behind the batch. ``total`` is how many partitions the source has. ``woken``: the partition was
    silent once, or is new in a run that was resumed, so that windows may have closed without it, and its documents
    travel as they are.
    """

    __slots__ = ("_before", "_seen", "newest", "times", "total", "woken")

    def __init__(
        self,
        times: Sequence[int | None],
        newest: int,
        *,
        before: int = NEVER,
        seen: list[int] | None = None,
        total: int = 1,
        woken: bool = False,
    ) -> None:
        """``before`` is the newest event time before the batch, from which ``seen`` is made when it is asked for."""
        self.times = times
        self.newest = newest
        self.total = total
        self.woken = woken
        self._before = before
        self._seen = seen

    @property
    def seen(self) -> list[int]:
        """For every document the newest event time of the partition before it, documents that were dropped included."""
        if self._seen is None:
            known: Any = [NEVER if t is None else t for t in self.times] if None in self.times else self.times
            self._seen = list(accumulate(known, max, initial=self._before))
            self._seen.pop()
        return self._seen

    def at(self, indexes: Sequence[int]) -> Clock:
        """The clock of the documents that came of those at ``indexes``."""
        times, seen = self.times, self.seen
        chosen = [seen[i] for i in indexes]
        return Clock([times[i] for i in indexes], self.newest, seen=chosen, total=self.total, woken=self.woken)

    @classmethod
    def joined(cls, clocks: Sequence[Clock]) -> Clock:
        """The clock of batches of one partition that follow each other."""
        times = [moment for clock in clocks for moment in clock.times]
        last = clocks[-1]
        if all(clock._seen is None for clock in clocks):
            return cls(times, last.newest, before=clocks[0]._before, total=last.total, woken=last.woken)
        seen = [newest for clock in clocks for newest in clock.seen]
        return cls(times, last.newest, seen=seen, total=last.total, woken=last.woken)


class PartitionClock:
    """The newest event time of a partition, batch by batch. Late is what is decided by it, before the document."""

    __slots__ = ("newest",)

    def __init__(self, newest: int = NEVER) -> None:
        self.newest = newest

    def over(self, times: Sequence[int | None], total: int = 1, woken: bool = False) -> Clock:
        """The clock of the next documents of the partition."""
        before = self.newest
        try:
            known: Any = times
            self.newest = max(before, max(known, default=before))
        except TypeError:  # some have no event time
            self.newest = max([before, *(moment for moment in times if moment is not None)])
        return Clock(times, self.newest, before=before, total=total, woken=woken)
