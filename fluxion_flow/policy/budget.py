"""A failure budget: how much may be skipped or dead-lettered before the run stops.

A pipeline that throws everything away must not look healthy. The budget counts documents that were settled well and
documents that were given up, over the last ``within`` seconds or the whole run, and ends the run once the failures
reach ``failures`` or, with at least ``minimum`` documents settled, ``percent`` of all.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from fluxion_flow.errors import FluxionError
from fluxion_flow.policy.model import FailureBudget

SLICES = 64
"""A window is kept in this many slices; what it counts reaches back ``within`` seconds, and up to one slice more."""


class BudgetExceeded(FluxionError):
    """Too many documents failed: the run must stop. ``failed`` of ``settled`` documents, at ``step``."""

    def __init__(self, step: str, failed: int, settled: int, budget: FailureBudget) -> None:
        self.step = step
        self.failed = failed
        self.settled = settled
        self.budget = budget
        reach = f" in the last {_span(budget.within)}" if budget.within is not None else ""
        share = f" ({failed * 100 / settled:.1f} %)" if settled else ""
        super().__init__(
            f"{step}: {failed} of {settled} documents failed{reach}{share}; "
            f"the failure budget is {budget}, so the run stops: find the cause in the dead letters or the log, "
            f"or raise the budget"
        )


class BudgetMeter:
    """Counts settled documents against a budget. Safe to share between threads. ``clock`` gives seconds."""

    def __init__(self, budget: FailureBudget, *, step: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.step = step
        self._clock = clock
        self._lock = threading.Lock()
        self._slices: deque[list[int]] = deque()
        self._ok = 0
        self._failed = 0

    def settled(self, documents_ok: int, documents_failed: int) -> None:
        """Count documents that were settled well, and documents that were skipped or dead-lettered.

        Raises :class:`BudgetExceeded` when these failures use up the budget.
        """
        with self._lock:
            self._count(documents_ok, documents_failed)
            ok, failed = self._ok, self._failed
        if documents_failed and self._used_up(ok, failed):
            raise BudgetExceeded(self.step, failed, ok + failed, self.budget)

    def _used_up(self, ok: int, failed: int) -> bool:
        budget = self.budget
        if budget.failures is not None and failed >= budget.failures:
            return True
        settled = ok + failed
        return budget.percent is not None and settled >= budget.minimum and failed * 100 >= budget.percent * settled

    def _count(self, ok: int, failed: int) -> None:
        self._ok += ok
        self._failed += failed
        if self.budget.within is None:
            return
        now = int(self._clock() * SLICES // self.budget.within)
        if not self._slices or self._slices[-1][0] != now:
            self._slices.append([now, 0, 0])
        self._slices[-1][1] += ok
        self._slices[-1][2] += failed
        while self._slices[0][0] < now - SLICES:
            _, old_ok, old_failed = self._slices.popleft()
            self._ok -= old_ok
            self._failed -= old_failed


def _span(seconds: float | None) -> str:
    return f"{seconds:g} s"
