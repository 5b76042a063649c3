"""The progress of a run on a terminal, while it lasts: documents in and out, their rate, and what is left to read."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from .counts import Counts

if TYPE_CHECKING:
    from rich.text import Text

PATIENCE = 1.0
"""Seconds before anything is shown: a short run ends with its summary alone."""

REFRESH = 0.25


class Progress:
    """A line at the foot of the terminal, redrawn by a thread until :meth:`stop`. Shows nothing elsewhere."""

    def __init__(self, counts: Callable[[], Counts], title: str) -> None:
        self._counts = counts
        self._title = title
        self._started = time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if sys.stderr.isatty():
            self._thread = threading.Thread(target=self._draw, name="fluxion-progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Take the line away."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def _draw(self) -> None:
        if self._ended.wait(PATIENCE):
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), refresh_per_second=8, transient=True) as live:
            before, moment = self._counts()["read"], time.monotonic()
            while not self._ended.wait(REFRESH):
                counts, now = self._counts(), time.monotonic()
                rate = (counts["read"] - before) / (now - moment)
                before, moment = counts["read"], now
                live.update(self._line(counts, rate))

    def _line(self, counts: Counts, rate: float) -> Text:
        from rich.text import Text

        return Text(
            line(self._title, counts, rate, time.monotonic() - self._started), overflow="ellipsis", no_wrap=True
        )


def line(title: str, counts: Counts, rate: float, seconds: float) -> str:
    """``orders  read 120,000  delivered 4,000  61,000/s  left 12,000,000  2 s``; the source's unit for what is left."""
    parts = [title, f"read {counts['read']:,}", f"delivered {sum(counts['delivered'].values()):,}"]
    if counts["dead_lettered"]:
        parts.append(f"dead-lettered {counts['dead_lettered']:,}")
    if counts["skipped"]:
        parts.append(f"skipped {counts['skipped']:,}")
    parts.append(f"{rate:,.0f}/s")
    if counts["left"]:
        parts.append(f"left {sum(counts['left'].values()):,.0f}")
    return "  ".join([*parts, f"{seconds:.0f} s"])
