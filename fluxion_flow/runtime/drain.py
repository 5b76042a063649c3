"""The clean end: SIGTERM and SIGINT ask every source to stop; what is in flight is delivered, then the run ends.

A run has ``timeout`` seconds for that. When they have passed, the waits of error policies end, so that a step that
would try again fails the run instead. A process that was asked by a signal and is still there :data:`GRACE` seconds
later is ended by force. Either way its exit code is :data:`EXIT_DRAIN_TIMEOUT`, and nothing is lost.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from types import FrameType

from .quiet import release

log = logging.getLogger(__name__)

EXIT_DRAIN_TIMEOUT = 75
"""Exit code of a run that could not drain in time. Nothing is lost: the next run resumes from the last checkpoint."""

GRACE = 2.0
"""Seconds between the end of all waits and the end by force."""

_drains: weakref.WeakSet[Drain] = weakref.WeakSet()
_installed = False


class Drain:
    """Whether a run has been asked to end, and whether its time for that has passed (``timeout`` in seconds)."""

    def __init__(self, timeout: float) -> None:
        self.requested = False
        self.timed_out = False
        self.timeout = timeout
        self._at_deadline: list[Callable[[], None]] = []
        _drains.add(self)

    def on_deadline(self, call: Callable[[], None]) -> None:
        """Have ``call`` run, on a thread of its own, when the run was asked to end and has not in time."""
        self._at_deadline.append(call)

    def request(self) -> None:
        """Ask the run to end. Safe in a signal handler; asking again changes nothing."""
        if self.requested:
            return
        self.requested = True
        _later(self.timeout, self._deadline)

    def _deadline(self) -> None:
        self.timed_out = True
        for call in self._at_deadline:
            call()


def _later(seconds: float, call: Callable[..., None], *arguments: object) -> None:
    timer = threading.Timer(seconds, call, arguments)
    timer.daemon = True
    timer.start()


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


def timed_out() -> bool:
    """Whether a run of this process was asked to end and has not in time."""
    return any(run.timed_out for run in _drains)


def _drain_all(number: int, frame: FrameType | None) -> None:
    runs = list(_drains)
    log.info("%s: draining", signal.Signals(number).name)
    for run in runs:
        run.request()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timeout = max((run.timeout for run in runs), default=0.0)
    _later(timeout + GRACE, _give_up, timeout)


def _give_up(timeout: float) -> None:
    log.error(
        "the run did not drain within %g s and is ended by force; nothing is lost: the next run resumes from the last "
        "checkpoint. Raise drain_timeout if sinks need longer.",
        timeout,
    )
    exit_at_once()


def exit_at_once() -> None:
    """End the process with :data:`EXIT_DRAIN_TIMEOUT`, whatever its threads are doing."""
    release()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_DRAIN_TIMEOUT)
