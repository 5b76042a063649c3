"""Spans of event time: which windows an event belongs to, and when it comes too late for them.

All times are milliseconds since the epoch. A span holds its start and ends before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import sub
from typing import Any

Span = tuple[int, int]
"""Start (in it) and end (no more in it)."""

Indexes = list[int]

FEW = 4
"""Spans in a batch up to which it is faster to look through it once for each."""


@dataclass(frozen=True)
class HoppingSpans:
    """Spans of ``size`` that begin every ``hop``; where both are equal, each time is in exactly one (tumbling).

    They begin at multiples of ``hop`` since the epoch, moved by ``offset``.
    """

    size: int
    hop: int
    offset: int = 0

    def spans(self, time: int) -> list[Span]:
        """The spans that hold a time, the oldest first; none where the hops leave gaps."""
        start = time - (time - self.offset) % self.hop
        found = []
        while start > time - self.size:
            found.append((start, start + self.size))
            start -= self.hop
        found.reverse()
        return found

    def group(
        self, times: Sequence[int], seen: Sequence[int], lateness: int
    ) -> tuple[dict[Span, Indexes], dict[int, list[Span]]]:
        """The indexes of documents by span, and by index the spans that a document is too late for.

        A span is missed when it ends at or before the newest time that the partition had ``seen``, minus ``lateness``.
        """
        size, hop, offset = self.size, self.hop, self.offset
        if not times:
            return {}, {}
        first, last = min(times), max(times)
        start = first - (first - offset) % hop
        punctual = size == hop and (start + size > max(seen) - lateness or max(map(sub, seen, times)) <= lateness)
        if punctual and last < start + size:
            return {(start, start + size): list(range(len(times)))}, {}
        if punctual and last < start + FEW * size:
            spans = ((begin, begin + size) for begin in range(start, last + 1, size))
            few = {(low, high): [i for i, time in enumerate(times) if low <= time < high] for low, high in spans}
            return {span: indexes for span, indexes in few.items() if indexes}, {}
        if size == hop:
            return self._tumble(times, seen, lateness, punctual)
        groups: dict[int, Indexes] = {}
        missed: dict[int, list[Span]] = {}
        for i, time in enumerate(times):
            start, closed = time - (time - offset) % hop, seen[i] - lateness - size
            while start > time - size:
                if start <= closed:
                    missed.setdefault(i, []).insert(0, (start, start + size))
                else:
                    groups.setdefault(start, []).append(i)
                start -= hop
        return {(start, start + size): groups[start] for start in sorted(groups)}, missed

    def _tumble(
        self, times: Sequence[int], seen: Sequence[int], lateness: int, punctual: bool
    ) -> tuple[dict[Span, Indexes], dict[int, list[Span]]]:
        """The same where spans do not overlap; ``punctual``: nothing is late."""
        size, offset = self.size, self.offset
        starts = [time - (time - offset) % size for time in times]
        missed: dict[int, list[Span]] = {}
        if not punctual:
            behind = lateness + size
            late = [i for i, (start, newest) in enumerate(zip(starts, seen, strict=True)) if start + behind <= newest]
            missed = {i: [(starts[i], starts[i] + size)] for i in late}
        groups: dict[int, Indexes] = {start: [] for start in sorted(set(starts))}
        for i, start in enumerate(starts):
            if i not in missed:
                groups[start].append(i)
        return {(start, start + size): indexes for start, indexes in groups.items() if indexes}, missed

    @property
    def plain(self) -> Any:
        """Plain data that says which spans these are."""
        return {"size": self.size, "hop": self.hop, "offset": self.offset}


@dataclass(frozen=True)
class SessionSpans:
    """Spans of activity: a document that follows within less than ``gap`` belongs to the same one.

    A session begins with its first document and ends ``gap`` after its last.
    """

    gap: int

    def group(
        self, times: Sequence[int], seen: Sequence[int], lateness: int
    ) -> tuple[dict[Span, Indexes], dict[int, list[Span]]]:
        """The indexes of documents by the session that they would be on their own, and those that are too late.

        A document is too late when its own time is before the newest time that the partition had ``seen``, minus
        ``lateness``: then whether a session that it would have belonged to is closed depends on nothing else.
        """
        missed = {i: [(t, t + self.gap)] for i, t in enumerate(times) if t < seen[i] - lateness}
        groups: dict[Span, Indexes] = {}
        gap = self.gap
        run: Indexes = []
        for i in sorted((i for i in range(len(times)) if i not in missed), key=times.__getitem__):
            if run and times[i] - times[run[-1]] >= gap:
                groups[(times[run[0]], times[run[-1]] + gap)] = run
                run = []
            run.append(i)
        if run:
            groups[(times[run[0]], times[run[-1]] + gap)] = run
        for indexes in groups.values():
            indexes.sort()
        return groups, missed

    @property
    def plain(self) -> Any:
        """Plain data that says which spans these are."""
        return {"gap": self.gap}


Spans = HoppingSpans | SessionSpans
