"""``Alerts``: a listener that watches a run and tells people when something stays wrong, and when it is over."""

from __future__ import annotations

import atexit
import logging
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.context import StreamingContext
from ..listener import StreamingMetricsListener
from .rules import COUNTS, AlertRule, RuleState, Status
from .sending import Sender
from .targets import Notice, Target

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks at the rules."""

LAST_WORD = 2.0
"""Seconds that the end of a process waits for notices that are being sent."""


class Alerts(StreamingMetricsListener):
    """Looks at ``rules`` once a second, and tells ``notify`` when one begins to fire and when it is over.

    What is measured is this process's part of the run. Hooks only note numbers; the rules are looked at on a thread of
    this listener, and notices are posted on another, so that neither a rule nor a slow address slows the run.
    """

    def __init__(
        self,
        rules: Sequence[AlertRule],
        notify: Sequence[Target],
        *,
        every: float = EVERY,
        sender: Sender | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self._states = [RuleState(rule) for rule in self.rules]
        self._sender = sender or Sender(notify)
        self._every = every
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._gauges: dict[str, dict[Any, float]] = {"lag": {}, "watermark_lag": {}, "queue": {}, "open_breakers": {}}
        self._open: set[tuple[int, str]] = set()
        self._checkpoint: float | None = None
        self._workers: set[int] = set()
        self._place: dict[str, Any] = {}
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None

    # -- what the run tells --------------------------------------------------------------------------------------

    def on_start(self, context: StreamingContext) -> None:
        with self._lock:
            self._workers.add(context.worker)
            self._ended = False
            labels = {name: str(value) for name, value in (context.metadata.get("labels") or {}).items()}
            self._place = {
                "pipeline": context.pipeline,
                "environment": context.metadata.get("environment") or "",
                "labels": labels,
                "source": f"{socket.gethostname()} process {context.metadata.get('process', 0)}",
            }
            if self._thread is None:
                self._thread = threading.Thread(target=_watch, args=(weakref.ref(self), self._wake), daemon=True)
                self._thread.name = "fluxion-alerts"
                self._thread.start()
                _say_last_word(self)

    def on_opened(self, context: StreamingContext) -> None:
        with self._lock:
            self._open.add((context.worker, context.partition))
            self._checkpoint = self._checkpoint or time.monotonic()

    def on_closed(self, context: StreamingContext) -> None:
        with self._lock:
            self._open.discard((context.worker, context.partition))
            self._gauges["lag"].pop(context.partition, None)

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        self._gauges["lag"][context.partition] = lag

    def on_watermark(self, context: StreamingContext, *, event_time_ms: int, lag_seconds: float) -> None:
        self._gauges["watermark_lag"][(context.step, context.partition)] = lag_seconds

    def on_queue(self, context: StreamingContext, *, documents: int) -> None:
        self._gauges["queue"][id(context)] = documents

    def on_breaker(self, context: StreamingContext, *, name: str, before: str, after: str) -> None:
        self._gauges["open_breakers"][(context.step, context.worker, name)] = float(after.lower() == "open")

    def on_checkpoint(self, context: StreamingContext, *, seconds: float) -> None:
        self._checkpoint = time.monotonic()

    def on_late(self, context: StreamingContext, *, documents: int) -> None:
        self._count("late", documents)

    def on_retry(self, context: StreamingContext, *, error: BaseException, delay: float) -> None:
        self._count("retries", 1)

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        self._count("failures", 1)
        if decision == "abort":
            self._wake.set()  # the run ends: there may be no further look

    def on_skipped(self, context: StreamingContext, *, documents: int) -> None:
        self._count("skipped", documents)

    def on_dead_letter(self, context: StreamingContext, *, documents: int) -> None:
        self._count("dead_letters", documents)

    def on_end(self, context: StreamingContext) -> None:
        with self._lock:
            self._workers.discard(context.worker)
            if self._workers:
                return
            self._ended = True
        self.look()

    def _count(self, name: str, by: int) -> None:
        with self._lock:
            self._counts[name] += by

    # -- what is made of it --------------------------------------------------------------------------------------

    def firing(self) -> list[Mapping[str, Any]]:
        """The alerts that fire now: name, severity, measure, value, threshold, and the seconds since they began."""
        now = time.monotonic()
        return [
            {
                "alert": state.rule.name,
                "severity": state.rule.severity,
                "measure": state.rule.when,
                "value": state.value,
                "above": state.rule.above,
                "seconds": now - (state.since or now),
            }
            for state in self._states
            if state.firing
        ]

    def look(self) -> None:
        """Look at every rule now. The end of a worker looks as well as the thread that watches, one at a time."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        with self._lock:
            counts, ended, place = dict(self._counts), self._ended, dict(self._place)
            age = now - self._checkpoint if self._open and self._checkpoint is not None else 0.0
        if not place:
            return
        for state in self._states:
            counted = state.rule.when in COUNTS
            since = state.since
            status = state.look(counts.get(state.rule.when, 0) if counted else self._gauge(state, age), now)
            since = now if since is None else since
            if status is not None:
                self._tell(status, state, now - since, place)
            if ended and state.end():
                self._tell("resolved", state, now - since, place, "the run has ended")

    def _tell(self, status: Status, state: RuleState, lasted: float, place: Mapping[str, Any], why: str = "") -> None:
        wall = time.time()
        self._sender.send(Notice(status, state.rule, state.value, wall, wall - lasted, why=why, **place))

    def _gauge(self, state: RuleState, age: float) -> float:
        when = state.rule.when
        if when == "checkpoint_age":
            return age
        values = list(self._gauges[when].values())
        return max(values, default=0.0) if when == "watermark_lag" else sum(values)

    def flush(self, seconds: float) -> bool:
        """Wait until every notice is sent or given up, but not longer than ``seconds``; whether it is."""
        return self._sender.flush(seconds)


def _watch(listener: weakref.ref[Alerts], wake: threading.Event) -> None:
    """Look at the rules as long as the listener is in use."""
    every = EVERY
    while True:
        wake.wait(every)
        wake.clear()
        found = listener()
        if found is None:
            return
        every = found._every
        try:
            found.look()
        except Exception:
            log.exception("looking at the alert rules failed")
        del found


def _say_last_word(listener: Alerts) -> None:
    reference = weakref.ref(listener)

    def last_word() -> None:
        found = reference()
        if found is not None:
            found.look()
            found.flush(LAST_WORD)

    atexit.register(last_word)
