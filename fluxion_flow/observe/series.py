"""The numbers behind the Prometheus series, and the collector that shows them in a registry.

They are kept here, and not in ``prometheus_client``'s own instruments, for two reasons: pipelines of one process may have
different labels, which an instrument cannot; and a number that only one thread adds to needs no lock, so that a batch
is counted in a few microseconds. A number belongs to the thread that asked for it first; what the threads have counted
under the same labels is added up when somebody looks.
"""

from __future__ import annotations

import threading
import weakref
from bisect import bisect_left
from collections.abc import Iterator
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from .vocabulary import BY_NAME, METRICS, Metric

Labels = tuple[tuple[str, str], ...]


class Number:
    """A counter, or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Distribution:
    """A histogram: ``counts[i]`` values are at most ``bounds[i]`` and above the bound before; the last has no bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Parts:
    """A gauge that is the sum of what each part said last."""

    __slots__ = ("by_part",)

    def __init__(self) -> None:
        self.by_part: dict[str, float] = {}


Cell = TypeVar("Cell", Number, Distribution, Parts)


class _Cells(Generic[Cell]):
    """The cells of one kind, by metric, labels and thread."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Labels, dict[int, Cell]]] = {}

    def get(self, name: str, labels: Labels, thread: int) -> Cell | None:
        return self._found.get(name, {}).get(labels, {}).get(thread)

    def add(self, name: str, labels: Labels, thread: int, cell: Cell) -> Cell:
        return self._found.setdefault(name, {}).setdefault(labels, {}).setdefault(thread, cell)

    def of(self, name: str) -> list[tuple[Labels, list[Cell]]]:
        return [(labels, list(cells.values())) for labels, cells in self._found.get(name, {}).items()]


class Series(Collector):
    """All series of one registry. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: _Cells[Number] = _Cells()
        self._distributions: _Cells[Distribution] = _Cells()
        self._parts: _Cells[Parts] = _Cells()

    def counter(self, name: str, labels: Labels) -> Number:
        """What this thread counts under these labels."""
        return self._number(name, labels, threading.get_ident())

    def gauge(self, name: str, labels: Labels) -> Number:
        """The value under these labels; the last thread to set it is right."""
        return self._number(name, labels, 0)

    def _number(self, name: str, labels: Labels, thread: int) -> Number:
        with self._lock:
            return self._numbers.get(name, labels, thread) or self._numbers.add(name, labels, thread, Number())

    def histogram(self, name: str, labels: Labels) -> Distribution:
        """What this thread observes under these labels."""
        thread = threading.get_ident()
        with self._lock:
            found = self._distributions.get(name, labels, thread)
            return found or self._distributions.add(name, labels, thread, Distribution(BY_NAME[name].buckets))

    def parts(self, name: str, labels: Labels) -> Parts:
        """The parts whose sum is the value under these labels."""
        with self._lock:
            return self._parts.get(name, labels, 0) or self._parts.add(name, labels, 0, Parts())

    def describe(self) -> list[Family]:
        """The families without their samples: what a registry refuses to have twice."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Family]:
        """Every family with its samples of this moment."""
        for metric in METRICS:
            with self._lock:
                numbers, distributions = self._numbers.of(metric.name), self._distributions.of(metric.name)
                parts = self._parts.of(metric.name)
            family = _family(metric)
            for labels, cells in numbers:
                family.add_sample(metric.name, dict(labels), sum(cell.value for cell in cells))
            for labels, gauges in parts:
                value = sum(sum(list(gauge.by_part.values())) for gauge in gauges)
                family.add_sample(metric.name, dict(labels), value)
            for labels, histograms in distributions:
                _add_histogram(family, metric, labels, histograms)
            yield family


def _family(metric: Metric) -> Family:
    name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
    return Family(name, metric.meaning, metric.kind)


def _add_histogram(family: Family, metric: Metric, labels: Labels, cells: list[Distribution]) -> None:
    counts = [sum(column) for column in zip(*(list(cell.counts) for cell in cells), strict=True)]
    below = 0
    for bound, count in zip((*metric.buckets, float("inf")), counts, strict=True):
        below += count
        family.add_sample(f"{metric.name}_bucket", {**dict(labels), "le": floatToGoString(bound)}, below)
    family.add_sample(f"{metric.name}_count", dict(labels), below)
    family.add_sample(f"{metric.name}_sum", dict(labels), sum(cell.total for cell in cells))


_known: weakref.WeakKeyDictionary[CollectorRegistry, Series] = weakref.WeakKeyDictionary()
_known_lock = threading.Lock()


def series_of(registry: CollectorRegistry) -> Series:
    """The series in ``registry``, registered when they are first asked for.

    Raises :class:`ValueError` when the registry has metrics of these names from somebody else.
    """
    with _known_lock:
        found = _known.get(registry)
        if found is None:
            found = Series()
            registry.register(found)
            _known[registry] = found
        return found
