"""The watermark of a step that goes by event time: how far every source partition has come, as the step has heard."""

from __future__ import annotations

import time
from typing import Any

from ..core.event_time import NEVER
from .items import Completed, Completion, Progress
from .run import Run
from .windows import WindowPlace


class Watermark:
    """The event time that all source partitions have passed. It never goes back."""

    def __init__(self, place: WindowPlace, stored: Any = None) -> None:
        self._place = place
        self._parts: dict[str, tuple[int, int]] = {}
        """By source partition, its newest event time and how long it has been silent."""
        self._total = 0
        self._completion = Completion()
        self._complete: set[str] = set()
        self.value = NEVER
        if stored is not None:
            self._total, self.value = stored["total"], stored["value"]
            self._parts = {name: (newest, idle) for name, newest, idle in stored["parts"]}

    @property
    def plain(self) -> dict[str, Any]:
        """What is stored. Which partitions are complete is not: they say so again when a run is resumed."""
        parts = [[name, newest, idle] for name, (newest, idle) in self._parts.items()]
        return {"total": self._total, "value": self.value, "parts": parts}

    def heard(self, item: Progress | Completed) -> bool:
        """Take note of a partition's progress; true when the whole source has just completed."""
        self._total = item.total
        complete = False
        if isinstance(item, Completed):
            self._complete.add(item.part)
            complete = self._completion.heard(item)
        else:
            self._parts[item.part] = (item.newest, item.idle)
        self.value = max(self.value, self._passed())
        return complete

    def _passed(self) -> int:
        waiting = [state for name, state in self._parts.items() if name not in self._complete]
        if len(waiting) + len(self._complete) < self._total:
            return NEVER
        timeout = self._place.stage.idle_timeout
        active = [
            newest
            for name, (newest, idle) in self._parts.items()
            if name not in self._complete and ((silent := self._place.silence(name)) is None or idle < silent)
        ]
        if waiting and not active:  # all are silent: the one that has come furthest counts
            active = [max(newest for newest, _ in waiting)]
        found = min(active) - self._place.stage.lateness if active else NEVER
        if timeout is not None and waiting and all(idle >= timeout for _, idle in waiting):
            newest = max(newest for newest, _ in self._parts.values())
            found = max(found, newest + min(idle for _, idle in waiting))
        return found


def tell_watermark(run: Run, place: WindowPlace, part: str, watermark: int) -> None:
    """Tell the listeners of a new watermark; all logical partitions hear the same, so one of them speaks."""
    if part != "0" or watermark <= NEVER // 2 or not run.listeners.wants("on_watermark"):
        return
    context = run.context(place.step)
    context.partition = part
    lag = time.time() - watermark / 1000
    run.listeners.tell("on_watermark", context, event_time_ms=watermark, lag_seconds=lag)
