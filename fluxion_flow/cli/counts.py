"""What a run has done so far: a listener that counts, and the summary of its counts in words and as data."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.context import StreamingContext
from ..observe.listener import StreamingMetricsListener

NUMBERS = ("read", "dead_lettered", "skipped", "retries")
Counts = dict[str, Any]
"""``read``, ``dead_lettered``, ``skipped``, ``retries``: numbers; ``delivered``: by sink; ``left``: by partition."""


class CountingListener(StreamingMetricsListener):
    """Counts the documents of this process. Called by all of its workers."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.failure: tuple[StreamingContext, BaseException] | None = None
        """What ended the run, as far as a policy was asked, and the step."""
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._delivered: Counter[str] = Counter()
        self._left: dict[str, float] = {}

    def counts(self) -> Counts:
        """The counts of this moment."""
        with self._lock:
            numbers = {name: self._numbers[name] for name in NUMBERS}
            return {**numbers, "delivered": dict(self._delivered), "left": dict(self._left)}

    def on_start(self, context: StreamingContext) -> None:
        self.started = time.monotonic()

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        self._add("read", documents)

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        with self._lock:
            self._left[context.partition] = lag

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        if context.step != "dead_letter sink":
            with self._lock:
                self._delivered[context.step.removeprefix("sinks.")] += documents

    def on_retry(self, context: StreamingContext, *, error: BaseException, delay: float) -> None:
        self._add("retries", 1)

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        if decision == "abort" and self.failure is None:
            self.failure = (replace(context), error)

    def on_skipped(self, context: StreamingContext, *, documents: int) -> None:
        self._left_out("skipped", context, documents)

    def on_dead_letter(self, context: StreamingContext, *, documents: int) -> None:
        self._left_out("dead_lettered", context, documents)

    def _left_out(self, name: str, context: StreamingContext, documents: int) -> None:
        self._add(name, documents)
        if context.step == "source":
            self._add("read", documents)

    def _add(self, name: str, by: int) -> None:
        with self._lock:
            self._numbers[name] += by


def added(parts: Iterable[Counts]) -> Counts:
    """The counts of several processes as one."""
    numbers: Counter[str] = Counter(dict.fromkeys(NUMBERS, 0))
    delivered: Counter[str] = Counter()
    left: dict[str, float] = {}
    for part in parts:
        numbers.update({name: part[name] for name in NUMBERS})
        delivered.update(part["delivered"])
        left.update(part["left"])
    return {**numbers, "delivered": dict(delivered), "left": left}


def in_words(pipeline: str, counts: Counts, seconds: float) -> str:
    """The end of a run in a line: ``orders: read 20,000, delivered 1,734, dead-lettered 65 in 1.2 s``."""
    parts = [f"read {counts['read']:,}", _delivered(counts["delivered"])]
    for name in ("dead_lettered", "skipped", "retries"):
        if counts[name]:
            parts.append(f"{name.replace('_', '-')} {counts[name]:,}")
    return f"{pipeline}: {', '.join(parts)} in {seconds:.1f} s"


def _delivered(by_sink: Mapping[str, int]) -> str:
    if len(by_sink) > 1:
        return "delivered " + " and ".join(f"{number:,} to {sink}" for sink, number in sorted(by_sink.items()))
    return f"delivered {sum(by_sink.values()):,}"


def as_data(pipeline: str, counts: Counts, seconds: float, code: int, error: str | None) -> dict[str, Any]:
    """The end of a run as JSON output has it."""
    numbers = {name: counts[name] for name in ("read", "delivered", "dead_lettered", "skipped", "retries")}
    return {"pipeline": pipeline, "exit_code": code, "seconds": round(seconds, 3), **numbers, "error": error}
