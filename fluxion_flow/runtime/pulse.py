"""Whether the workers of a process get on: when each was last active, and who is looked after while it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pulse:
    """When each worker thread of this process was last active, by the monotonic clock.

    A worker with source partitions is active all the time, because they are asked again and again. Another one has
    nothing to do between two activations; its pulse is only looked at while it is at work.
    """

    def __init__(self) -> None:
        self._last: dict[int, float] = {}
        self._sources: dict[int, list[Callable[[], None]]] = {}

    def joined(self, look: Callable[[], None]) -> None:
        """This thread has a source partition; ``look`` is called now and then while the worker waits."""
        self._sources.setdefault(threading.get_ident(), []).append(look)
        self.beat()

    def left(self, look: Callable[[], None]) -> None:
        """That source partition is closed."""
        sources = self._sources.get(threading.get_ident(), [])
        if look in sources:
            sources.remove(look)
        if not sources:
            self._sources.pop(threading.get_ident(), None)
            self._last.pop(threading.get_ident(), None)

    def parts(self) -> int:
        """The source partitions that the workers of this process have."""
        return sum(len(looks) for looks in tuple(self._sources.values()))

    def beat(self) -> None:
        """This thread is at work."""
        self._last[threading.get_ident()] = time.monotonic()

    def rest(self) -> None:
        """This thread has done what it was called for."""
        ident = threading.get_ident()
        if ident not in self._sources:
            self._last.pop(ident, None)

    def waiting(self) -> None:
        """This thread waits before it tries something again."""
        self.beat()
        for look in tuple(self._sources.get(threading.get_ident(), ())):
            look()

    def silence(self) -> float:
        """Seconds since the worker that has been silent for longest was active; 0 when none has anything to do."""
        now = time.monotonic()
        return max((now - last for last in tuple(self._last.values())), default=0.0)
