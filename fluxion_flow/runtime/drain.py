"""The clean end: SIGTERM and SIGINT ask every source to stop; what is in flight is delivered, then the run ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from types import FrameType

log = logging.getLogger(__name__)

EXIT_DRAIN_TIMEOUT = 75
"""Exit code of a run that could not drain in time. Nothing is lost: the next run resumes from the last checkpoint."""

_drains: weakref.WeakSet[Drain] = weakref.WeakSet()
_installed = False


class Drain:
    """Whether a run has been asked to end. ``timeout`` seconds after that it is ended by force."""

    def __init__(self, timeout: float) -> None:
        self.requested = False
        self.timeout = timeout
        self._on_request: list[Callable[[], None]] = []
        _drains.add(self)

    def on_request(self, call: Callable[[], None]) -> None:
        """Have ``call`` run, on the thread that asks, when the end is asked for."""
        self._on_request.append(call)

    def request(self) -> None:
        """Ask the run to end. Safe in a signal handler; asking again changes nothing."""
        if self.requested:
            return
        self.requested = True
        for call in self._on_request:
            call()


def install_signal_handlers() -> None:
    """Let SIGTERM and SIGINT drain every run of this process; a second SIGINT interrupts at once.

    Does nothing on another thread than the main one, where Python allows no handlers.
    """
    global _installed
    if _installed or threading.current_thread() is not threading.main_thread():
        return
    _installed = True
    signal.signal(signal.SIGTERM, _drain_all)
    signal.signal(signal.SIGINT, _drain_all)


def _drain_all(number: int, frame: FrameType | None) -> None:
    runs = list(_drains)
    log.info("%s: draining", signal.Signals(number).name)
    for run in runs:
        run.request()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timeout = max((run.timeout for run in runs), default=0.0)
    watch = threading.Timer(timeout, _give_up, (timeout,))
    watch.daemon = True
    watch.start()


def _give_up(timeout: float) -> None:
    log.error(
        "the run did not drain within %.0f s and is ended by force; the next run resumes from the last checkpoint. "
        "Raise drain_timeout if sinks need longer.",
        timeout,
    )
    os._exit(EXIT_DRAIN_TIMEOUT)
