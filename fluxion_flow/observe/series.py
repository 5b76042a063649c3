"""The numbers behind the Prometheus series, and the collector that shows them in a registry.

They are kept here, and not in ``prometheus_client``'s own instruments, for two reasons: pipelines of one process may
have different labels, which an instrument cannot; and a number that only one thread adds to needs no lock, so that a
batch is counted in a few microseconds. A number belongs to the thread that asked for it; what threads have counted
under the same labels is added up when somebody looks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..connect.secrets import redact
from .vocabulary import BY_NAME, METRICS, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric as Family

Labels = tuple[tuple[str, str], ...]
C = TypeVar("C")


class Number:
    """A counter, or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Parts:
    """A gauge made of what each of its parts said last: their sum, or what else ``joined`` makes of them."""

    __slots__ = ("by_part", "joined")

    def __init__(self, joined: Callable[[list[float]], float] = sum) -> None:
        self.by_part: dict[str, float] = {}
        self.joined = joined

    @property
    def value(self) -> float:
        values = list(self.by_part.values())
        return self.joined(values) if values else 0.0


class Age:
    """A gauge: the seconds that have passed since ``since``, a time by :func:`time.time`, while anything is open."""

    __slots__ = ("_open", "since")

    def __init__(self) -> None:
        self.since = time.time()
        self._open = 0

    def opened(self) -> None:
        if self._open == 0:
            self.since = time.time()
        self._open += 1

    def closed(self) -> None:
        self._open = max(self._open - 1, 0)

    @property
    def value(self) -> float:
        """0 when nothing is open: what has ended does not grow old."""
        return max(time.time() - self.since, 0.0) if self._open else 0.0


class Distribution:
    """A histogram: ``counts[i]`` values are at most ``bounds[i]`` and above the bound before; the last has no bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times


class Series:
    """All series of one registry, whose collector they are. Safe to use from many threads.

    Labels pass through :func:`~fluxion_flow.connect.secrets.redact` each time they are shown, so that a secret does not
    appear that became known late.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[str, dict[tuple[Labels, int], Any]] = {}

    def counter(self, name: str, labels: Labels) -> Number:
        """What this thread counts under these labels."""
        return self._cell(name, labels, threading.get_ident(), Number)

    def histogram(self, name: str, labels: Labels) -> Distribution:
        """What this thread observes under these labels."""
        return self._cell(name, labels, threading.get_ident(), lambda: Distribution(BY_NAME[name].buckets))

    def gauge(self, name: str, labels: Labels) -> Number:
        """The value under these labels. All threads share it: the last one to set it is right."""
        return self._cell(name, labels, 0, Number)

    def parts(self, name: str, labels: Labels, joined: Callable[[list[float]], float] = sum) -> Parts:
        """The parts whose sum, or what ``joined`` makes of them, is the value here. All threads share them."""
        return self._cell(name, labels, 0, lambda: Parts(joined))

    def age(self, name: str, labels: Labels) -> Age:
        """The age under these labels; it begins when it is first asked for. All threads share it."""
        return self._cell(name, labels, 0, Age)

    def _cell(self, name: str, labels: Labels, thread: int, make: Callable[[], C]) -> C:
        with self._lock:
            cells = self._cells.setdefault(name, {})
            found: C | None = cells.get((labels, thread))
            if found is None:
                found = cells[(labels, thread)] = make()
            return found

    def describe(self) -> list[Family]:
        """The families without their samples: what a registry refuses to have twice."""
        return [_family(metric) for metric in METRICS]

    def collect(self) -> Iterator[Family]:
        """Every family with its samples of this moment."""
        for metric in METRICS:
            family = _family(metric)
            for labels, cells in self._by_labels(metric.name).items():
                if metric.kind == "histogram":
                    _add_histogram(family, metric, labels, cells)
                else:
                    family.add_sample(metric.name, dict(labels), float(sum(cell.value for cell in cells)))
            yield family

    def values(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every series of a counter or a gauge."""
        return [
            (dict(labels), float(sum(cell.value for cell in cells))) for labels, cells in self._by_labels(name).items()
        ]

    def sums(self, name: str) -> list[tuple[dict[str, str], float, float]]:
        """Labels, number and sum of what was observed, of every series of a histogram."""
        return [
            (dict(labels), float(sum(sum(cell.counts) for cell in cells)), float(sum(cell.total for cell in cells)))
            for labels, cells in self._by_labels(name).items()
        ]

    def _by_labels(self, name: str) -> dict[Labels, list[Any]]:
        with self._lock:
            cells = list(self._cells.get(name, {}).items())
        found: dict[Labels, list[Any]] = {}
        for (labels, _), cell in cells:
            found.setdefault(tuple((key, redact(value)) for key, value in labels), []).append(cell)
        return found


def _family(metric: Metric) -> Family:
    from prometheus_client.core import Metric as Family

    name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
    return Family(name, metric.meaning, metric.kind)


def _add_histogram(family: Family, metric: Metric, labels: Labels, cells: Sequence[Distribution]) -> None:
    counts = [sum(column) for column in zip(*(list(cell.counts) for cell in cells), strict=True)]
    below = 0
    for bound, count in zip((*metric.buckets, float("inf")), counts, strict=True):
        below += count
        family.add_sample(
            f"{metric.name}_bucket",
            {**dict(labels), "le": "+Inf" if bound == float("inf") else str(bound)},
            float(below),
        )
    family.add_sample(f"{metric.name}_count", dict(labels), float(below))
    family.add_sample(f"{metric.name}_sum", dict(labels), float(sum(cell.total for cell in cells)))


_known: weakref.WeakKeyDictionary[CollectorRegistry, Series] = weakref.WeakKeyDictionary()
_known_lock = threading.Lock()
_default = Series()


def series_of(registry: CollectorRegistry) -> Series:
    """The series in ``registry``, registered when they are first asked for.

    Raises :class:`ValueError` when the registry has metrics of these names from somebody else.
    """
    from prometheus_client import REGISTRY

    with _known_lock:
        found = _known.get(registry)
        if found is None:
            found = _default if registry is REGISTRY else Series()
            registry.register(found)
            _known[registry] = found
        return found


def default_series() -> Series:
    """The series of ``prometheus_client.REGISTRY``, in it as soon as :func:`show_default` finds that somebody can look.

    Raises :class:`ValueError` as :func:`series_of`.
    """
    show_default()
    return _default


def show_default() -> bool:
    """Register the default series, if ``prometheus_client`` has been imported: before that nobody can look.

    Loading it takes as long as many a whole pipeline. Bytewax's own page loads it at the first look, too late for that
    look, so where the page is on it is loaded here. Raises :class:`ValueError` as :func:`series_of`.
    """
    if "prometheus_client" not in sys.modules and not os.environ.get("BYTEWAX_DATAFLOW_API_ENABLED"):
        return False
    from prometheus_client import REGISTRY

    series_of(REGISTRY)
    return True
