"""A rate limiter, with the meaning of Resilience4j's: so many permits in each period, those not used are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fluxion_flow.enrich.settings import RateLimit


class Limiter:
    """Gives out permits. Safe to share between threads. ``clock`` gives seconds, and never goes back."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._start = clock()
        self._cycle = 0
        self._used = 0

    def reserve(self) -> float | None:
        """A permit: the seconds after which it is good. ``None``: it would take longer than a call may wait."""
        with self._lock:
            now = self._clock()
            cycle = int((now - self._start) / self._limit.period)
            if cycle > self._cycle:
                passed = (cycle - self._cycle) * self._limit.limit
                self._cycle, self._used = cycle, max(0, self._used - passed)
            ahead = self._used // self._limit.limit
            wait = 0.0 if ahead == 0 else self._start + (self._cycle + ahead) * self._limit.period - now
            if self._limit.patience is not None and wait > self._limit.patience:
                return None
            self._used += 1
            return max(0.0, wait)


_named: dict[tuple[str, RateLimit], Limiter] = {}
_lock = threading.Lock()


def limiter_of(name: str, limit: RateLimit) -> Limiter:
    """The limiter of a connection in this process, which all workers share."""
    with _lock:
        return _named.setdefault((name, limit), Limiter(limit))
