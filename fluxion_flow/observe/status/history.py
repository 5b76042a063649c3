"""The numbers of the last minutes, taken once a second: what rates and the curves of the page are made of."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EVERY = 1.0
"""Seconds between two samples."""

KEPT = 300
"""Samples of the totals that are kept: five minutes."""

SPAN = 10.0
"""Seconds that a rate is taken over."""

TOTALS = ("fetched", "delivered", "dead_letters", "retries", "failures", "lag")


@dataclass(frozen=True)
class Sample:
    """Counters at a moment (by the monotonic clock), under names that say where each belongs."""

    at: float
    wall: float
    values: Mapping[str, float]


class History:
    """Keeps samples of ``read()``: the last :data:`SPAN` seconds whole, and five minutes of the totals."""

    def __init__(self, read: Callable[[], Mapping[str, float]], *, every: float = EVERY) -> None:
        self._read = read
        self._every = every
        self._whole: deque[Sample] = deque()
        self._totals: deque[tuple[float, tuple[float, ...]]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Take samples on a thread, until :meth:`stop` or until nobody has this object any more."""
        self.sample()
        work = threading.Thread(target=_sample, args=(weakref.ref(self), self._stopped, self._every), daemon=True)
        work.name = "fluxion-status-history"
        work.start()

    def stop(self) -> None:
        self._stopped.set()

    def sample(self) -> Sample:
        """Take a sample now."""
        values = self._read()
        sample = Sample(time.monotonic(), time.time(), values)
        with self._lock:
            self._whole.append(sample)
            while len(self._whole) > 2 and self._whole[1].at <= sample.at - SPAN:
                self._whole.popleft()
            self._totals.append((sample.wall, tuple(values.get(name, 0.0) for name in TOTALS)))
        return sample

    def rates(self, now: Sample) -> Callable[[str], float]:
        """How fast a counter of ``now`` has grown over the last seconds, per second."""
        with self._lock:
            before = self._whole[0] if self._whole else now
        span = now.at - before.at

        def rate(name: str) -> float:
            if span < self._every / 2:
                return 0.0
            return max(now.values.get(name, 0.0) - before.values.get(name, 0.0), 0.0) / span

        return rate

    def series(self) -> dict[str, list[float]]:
        """Five minutes of the totals: ``time``, and for counters the rate per second between two samples."""
        with self._lock:
            rows = list(self._totals)
        found: dict[str, list[float]] = {"time": [round(at, 1) for at, _ in rows[1:]]}
        for i, name in enumerate(TOTALS):
            if name == "lag":
                found[name] = [values[i] for _, values in rows[1:]]
                continue
            pairs = zip(rows[1:], rows, strict=False)
            found[name] = [
                round(max(now[i] - old[i], 0.0) / max(at - before, 0.05), 2) for (at, now), (before, old) in pairs
            ]
        return found


def _sample(reference: weakref.ref[History], stopped: threading.Event, every: float) -> None:
    while not stopped.wait(every):
        history = reference()
        if history is None:
            return
        history.sample()
        del history
