"""Posting notices: a thread of its own and a short queue, so that whoever is told can be as slow as he likes."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...connect.secrets import redact
from .targets import Message, Notice, Target

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

QUEUE = 100
"""Notices that wait at most. When more come, the oldest are dropped: the newest say how things stand."""

ATTEMPTS = 4
FIRST_WAIT = 0.5
TIMEOUT = 10.0
IDLE = 30.0
"""Seconds without a notice after which the thread ends."""


class Sender:
    """Posts notices to targets, one after the other, on a thread that begins with the first notice.

    What cannot be posted is tried ``ATTEMPTS`` times where that may help (no answer, 429, 5xx), then logged without its
    address and dropped.
    """

    def __init__(self, targets: Sequence[Target], *, timeout: float = TIMEOUT, first_wait: float = FIRST_WAIT) -> None:
        self._targets = tuple(targets)
        self._timeout = timeout
        self._first_wait = first_wait
        self._waiting: queue.Queue[tuple[Target, Notice]] = queue.Queue(QUEUE)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.dropped = 0

    def send(self, notice: Notice) -> None:
        """Have ``notice`` posted to every target, soon. Never waits."""
        with self._lock:
            for target in self._targets:
                while True:
                    try:
                        self._waiting.put_nowait((target, notice))
                        break
                    except queue.Full:
                        self._drop_oldest()
            if self._targets and self._thread is None:
                self._thread = threading.Thread(target=self._post_all, name="fluxion-alerts-send", daemon=True)
                self._thread.start()

    def _drop_oldest(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return
        self._waiting.task_done()
        self.dropped += 1
        log.warning("an alert was dropped, because %d others wait to be sent", QUEUE)

    def flush(self, seconds: float) -> bool:
        """Wait until everything is posted or given up, but not longer than ``seconds``; whether it is."""
        until = time.monotonic() + seconds
        while self._waiting.unfinished_tasks:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        return True

    def _post_all(self) -> None:
        import httpx  # late: most runs have nothing to send

        with httpx.Client(timeout=self._timeout) as client:
            while True:
                try:
                    target, notice = self._waiting.get(timeout=IDLE)
                except queue.Empty:
                    with self._lock:
                        if self._waiting.empty():
                            self._thread = None
                            return
                    continue
                try:
                    self._post(client, target, notice)
                except Exception as error:  # noqa: BLE001 - the next notice must be sent all the same
                    log.warning("an alert could not be sent to %s: %s", type(target).__name__, redact(str(error)))
                finally:
                    self._waiting.task_done()

    def _post(self, client: httpx.Client, target: Target, notice: Notice) -> None:
        message = target.message(notice)
        wait = self._first_wait
        for attempt in range(1, ATTEMPTS + 1):
            failure, again = _posted(client, message)
            if failure is None:
                return
            if not again or attempt == ATTEMPTS:
                what, times = type(target).__name__, "time" if attempt == 1 else "times"
                log.warning("an alert could not be sent to %s, tried %d %s: %s", what, attempt, times, failure)
                return
            time.sleep(wait)
            wait *= 2


def _posted(client: httpx.Client, message: Message) -> tuple[str | None, bool]:
    """What went wrong, if anything, and whether another attempt may help."""
    import httpx

    try:
        answer = client.post(message.url, json=message.body, headers=dict(message.headers))
    except httpx.TransportError as error:
        return redact(f"{type(error).__name__}: {error}"), True
    if answer.is_success:
        return None, False
    return f"HTTP {answer.status_code}", answer.status_code == 429 or answer.status_code >= 500
