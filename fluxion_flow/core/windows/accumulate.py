"""Accumulators over windows: each value is added once and, where it can be, taken out again once.

Results are to the bit those of the accumulator over the window's documents. A window that only grows adds; one that
slides removes (sums, deviations, extremes, medians, sets) or keeps two stacks of partial states (``$topN``, ``$minN``);
only accumulators whose result is as large as the window go through it anew.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Sequence
from typing import Any

from ...errors import FluxionError
from ..accumulators import Accumulator
from ..accumulators.collect import AddToSet, Push
from ..accumulators.extremes import Max, MaxN, Min, MinN
from ..accumulators.moments import add_moment, moments, standard_deviation
from ..accumulators.picking import First, FirstN, Last, LastN
from ..accumulators.ranking import Bottom, BottomN, Top, TopN
from ..accumulators.statistics import Median, Percentile, StdDevPop, StdDevSamp, as_double, percentile
from ..accumulators.sums import Avg, Count, Sum
from ..exact import SlidingSum
from ..ordering import representation, sort_key
from ..values import MISSING


class RowError(Exception):
    """The document at ``row`` of a partition cannot be taken; ``cause`` says why."""

    def __init__(self, row: int, cause: FluxionError) -> None:
        self.row = row
        self.cause = cause
        super().__init__(str(cause))


def over_frames(
    accumulator: Accumulator, values: Sequence[Any], starts: Sequence[int], ends: Sequence[int]
) -> list[Any]:
    """The accumulator's result over ``values[start:end]`` for every frame; frames move forwards only.

    Raises :class:`RowError` for a value that the accumulator cannot take.
    """
    if not starts:
        return []
    if starts[-1] == 0 and ends[0] == len(values):
        return [accumulator.result(_added(accumulator, accumulator.zero(), values, 0, len(values)))] * len(starts)
    picked = _PICKED.get(type(accumulator))
    if picked is not None:
        return [picked(accumulator, values, start, end) for start, end in zip(starts, ends, strict=True)]
    sliding = _SLIDING.get(type(accumulator))
    if sliding is not None:
        return _slide(sliding(accumulator), values, starts, ends)
    if starts[0] == starts[-1]:
        return _growing(accumulator, values, starts, ends)
    if ends[0] == ends[-1]:
        return _shrinking(accumulator, values, starts, ends)
    if type(accumulator) in _SMALL:
        return _slide(_TwoStacks(accumulator), values, starts, ends)
    return [
        accumulator.result(_added(accumulator, accumulator.zero(), values, start, end))
        for start, end in zip(starts, ends, strict=True)
    ]


def _added(accumulator: Accumulator, state: Any, values: Sequence[Any], start: int, end: int) -> Any:
    add, row = accumulator.add, start
    try:
        for row in range(start, end):
            state = add(state, values[row])
    except FluxionError as error:
        raise RowError(row, error) from error
    return state


def _growing(accumulator: Accumulator, values: Sequence[Any], starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
    found, state, done, last = [], accumulator.zero(), starts[0], MISSING
    for end in ends:
        if end > done or last is MISSING:
            state = _added(accumulator, state, values, done, end)
            done = max(done, end)
            last = accumulator.result(state)
        found.append(last)
    return found


def _shrinking(
    accumulator: Accumulator, values: Sequence[Any], starts: Sequence[int], ends: Sequence[int]
) -> list[Any]:
    found, state, done, last = [], accumulator.zero(), ends[-1], MISSING
    for start in reversed(starts):
        if start < done or last is MISSING:
            while done > start:
                done -= 1
                if accumulator.ordered:
                    one = _added(accumulator, accumulator.zero(), values, done, done + 1)
                    state = accumulator.merge(one, state)
                else:
                    state = _added(accumulator, state, values, done, done + 1)
            last = accumulator.result(state)
        found.append(last)
    found.reverse()
    return found


def _slide(window: Any, values: Sequence[Any], starts: Sequence[int], ends: Sequence[int]) -> list[Any]:
    found, low, high = [], 0, 0
    for start, end in zip(starts, ends, strict=True):
        if high < start:  # nothing of the old window stays
            while low < high:
                window.remove(values[low])
                low += 1
            low = high = start
        while high < end:
            window.add(values[high])
            high += 1
        while low < start:
            window.remove(values[low])
            low += 1
        found.append(window.result())
    return found


class _Sums:
    """$sum and $avg."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._sum = SlidingSum()
        self.add, self.remove = self._sum.add, self._sum.remove
        self.result = self._sum.mean if isinstance(accumulator, Avg) else self._sum.total


class _Deviations:
    """$stdDevPop and $stdDevSamp."""

    def __init__(self, accumulator: Any) -> None:
        self._sample: bool = accumulator.sample
        self._state = moments()

    def add(self, value: Any) -> None:
        self._state = add_moment(self._state, value)

    def remove(self, value: Any) -> None:
        self._state = add_moment(self._state, value, -1)

    def result(self) -> float | None:
        return standard_deviation(self._state, self._sample)


class _Extremes:
    """$min and $max: only values that are better than all that came after them can still become the extreme."""

    def __init__(self, accumulator: Any) -> None:
        self._largest = accumulator.sign > 0
        self._candidates: deque[tuple[int, Any, Any, Any]] = deque()
        self._added = self._removed = 0

    def add(self, value: Any) -> None:
        place, self._added = self._added, self._added + 1
        if value is None or value is MISSING:
            return
        key, shape, candidates = sort_key(value), representation(value), self._candidates
        while candidates:
            last = candidates[-1]
            better = key > last[1] if self._largest else key < last[1]
            if not better and not (key == last[1] and shape <= last[2]):
                break
            candidates.pop()
        candidates.append((place, key, shape, value))

    def remove(self, value: Any) -> None:
        place, self._removed = self._removed, self._removed + 1
        if self._candidates and self._candidates[0][0] == place:
            self._candidates.popleft()

    def result(self) -> Any:
        return self._candidates[0][3] if self._candidates else None


class _Ranks:
    """$median and $percentile: the window's numbers, in order."""

    def __init__(self, accumulator: Any) -> None:
        self._accumulator = accumulator
        self._ordered: list[float] = []

    def add(self, value: Any) -> None:
        double = as_double(value)
        if double is not None:
            bisect.insort(self._ordered, double)

    def remove(self, value: Any) -> None:
        double = as_double(value)
        if double is not None:
            del self._ordered[bisect.bisect_left(self._ordered, double)]

    def result(self) -> Any:
        found = [percentile(self._ordered, p, self._accumulator.method) for p in self._accumulator.p]
        return found[0] if isinstance(self._accumulator, Median) else found


class _Sets:
    """$addToSet: how often each value is in the window, by how it is written."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._accumulator = accumulator
        self._shapes: dict[Any, dict[Any, list[Any]]] = {}
        self._state: dict[Any, Any] = {}

    def add(self, value: Any) -> None:
        for key, kept in self._accumulator.add(self._accumulator.zero(), value).items():
            shapes = self._shapes.setdefault(key, {})
            shapes.setdefault(representation(kept), [0, kept])[0] += 1
            self._state[key] = shapes[min(shapes)][1]

    def remove(self, value: Any) -> None:
        for key, kept in self._accumulator.add(self._accumulator.zero(), value).items():
            shapes, shape = self._shapes[key], representation(kept)
            shapes[shape][0] -= 1
            if shapes[shape][0] == 0:
                del shapes[shape]
            if shapes:
                self._state[key] = shapes[min(shapes)][1]
            else:
                del self._shapes[key], self._state[key]

    def result(self) -> Any:
        return self._accumulator.result(self._state)


class _TwoStacks:
    """A queue of states: what came last is one state, what leaves first is a stack of states of all behind it."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._accumulator = accumulator
        self._leaving: list[Any] = []
        self._coming = accumulator.zero()
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        self._coming = self._accumulator.add(self._coming, value)
        self._values.append(value)

    def remove(self, value: Any) -> None:
        if not self._leaving:
            accumulator = self._accumulator
            for one in reversed(self._values):
                state = accumulator.add(accumulator.zero(), one)
                if self._leaving:
                    state = accumulator.merge(state, _copied(self._leaving[-1]))
                self._leaving.append(state)
            self._coming, self._values = accumulator.zero(), []
        self._leaving.pop()

    def result(self) -> Any:
        if not self._leaving:
            return self._accumulator.result(self._coming)
        merged = self._accumulator.merge(_copied(self._leaving[-1]), _copied(self._coming))
        return self._accumulator.result(merged)


def _copied(state: Any) -> Any:
    """The state's own lists anew; the rows in them are never changed."""
    return state.copy() if state.__class__ is list or state.__class__ is dict else state


def _nullish(value: Any) -> Any:
    return None if value is MISSING else value


def _first_n(accumulator: Any, values: Sequence[Any], start: int, end: int) -> list[Any]:
    return [_nullish(value) for value in values[start : min(end, start + accumulator.n)]]


def _last_n(accumulator: Any, values: Sequence[Any], start: int, end: int) -> list[Any]:
    return [_nullish(value) for value in values[max(start, end - accumulator.n) : end]]


_PICKED: dict[type, Any] = {
    First: lambda a, values, start, end: _nullish(values[start]) if start < end else None,
    Last: lambda a, values, start, end: _nullish(values[end - 1]) if start < end else None,
    FirstN: _first_n,
    LastN: _last_n,
    Push: lambda a, values, start, end: [value for value in values[start:end] if value is not MISSING],
    Count: lambda a, values, start, end: a.result(end - start),
}
"""Accumulators whose result can be read off the window."""

_SLIDING: dict[type, Any] = {
    Sum: _Sums,
    Avg: _Sums,
    StdDevPop: _Deviations,
    StdDevSamp: _Deviations,
    Min: _Extremes,
    Max: _Extremes,
    AddToSet: _Sets,
    Median: _Ranks,
    Percentile: _Ranks,
}
"""Accumulators from which a value can be taken out again."""

_SMALL = {MinN, MaxN, Top, TopN, Bottom, BottomN}
"""Accumulators whose state stays small however many values are added."""
