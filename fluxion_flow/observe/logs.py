"""``JsonLogListener``: what a run tells, as one JSON object a line in Python's logging."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from ..connect.secrets import redact
from ..core.context import StreamingContext
from .listener import StreamingMetricsListener
from .shown_error import error_class, error_text

LOGGER = "fluxion_flow.events"


class JsonLogListener(StreamingMetricsListener):
    """Logs events as JSON: ``{"time": …, "level": "WARNING", "event": "retry", "pipeline": "orders", …}``.

    The message of each log record is the JSON text alone; with the format ``%(message)s`` the log is JSON Lines. Start
    and drain are logged at INFO; retries, skipped documents, dead letters, other failures and changes of a circuit
    breaker at WARNING; a failure that ends the run at ERROR; what every batch tells at DEBUG.

    Of events that are alike (same kind, pipeline, step, worker and class of error) at most ``burst`` are logged in
    ``interval`` seconds; the next one that is logged says in ``suppressed`` how many were not. What DEBUG shows is not
    limited, nor are errors that end the run. What is in dead letters is not logged. Errors
    are shown as class and text; secrets are taken out of all texts.
    """

    def __init__(
        self,
        logger: logging.Logger | str = LOGGER,
        *,
        burst: int = 5,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._limit = _Limit(burst, interval, clock)

    def on_start(self, context: StreamingContext) -> None:
        self._log(logging.INFO, "start", context)

    def on_opened(self, context: StreamingContext) -> None:
        self._log(logging.DEBUG, "opened", context)

    def on_closed(self, context: StreamingContext) -> None:
        self._log(logging.DEBUG, "closed", context)

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        self._log(logging.DEBUG, "fetched", context, documents=documents, rejects=rejects, waited=waited)

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        self._log(logging.DEBUG, "lag", context, lag=lag)

    def on_watermark(self, context: StreamingContext, *, event_time_ms: int, lag_seconds: float) -> None:
        self._log(logging.DEBUG, "watermark", context, event_time_ms=event_time_ms, lag_seconds=lag_seconds)

    def on_late(self, context: StreamingContext, *, documents: int) -> None:
        self._log(logging.WARNING, "late", context, documents=documents)

    def on_batch(self, context: StreamingContext, *, seconds: float, size_in: int, size_out: int) -> None:
        self._log(logging.DEBUG, "batch", context, seconds=seconds, size_in=size_in, size_out=size_out)

    def on_stage(
        self, context: StreamingContext, *, stage: str, size_in: int, size_out: int, nanoseconds: int | None
    ) -> None:
        facts: dict[str, Any] = {"stage": stage, "size_in": size_in, "size_out": size_out, "nanoseconds": nanoseconds}
        self._log(logging.DEBUG, "stage", context, **facts)

    def on_enrich(self, context: StreamingContext, **facts: Any) -> None:
        self._log(logging.DEBUG, "enrich", context, **facts)

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        self._log(logging.DEBUG, "delivered", context, documents=documents, seconds=seconds)

    def on_queue(self, context: StreamingContext, *, documents: int) -> None:
        self._log(logging.DEBUG, "queue", context, documents=documents)

    def on_retry(self, context: StreamingContext, *, error: BaseException, delay: float) -> None:
        self._log(logging.WARNING, "retry", context, error=error, attempt=context.attempt, delay=delay)

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        if decision != "retry":  # on_retry tells of those
            level = logging.ERROR if decision == "abort" else logging.WARNING
            self._log(level, "failure", context, error=error, attempt=context.attempt, decision=decision)

    def on_skipped(self, context: StreamingContext, *, documents: int) -> None:
        self._log(logging.WARNING, "skipped", context, documents=documents)

    def on_dead_letter(self, context: StreamingContext, *, documents: int) -> None:
        self._log(logging.WARNING, "dead_letter", context, documents=documents)

    def on_state(self, context: StreamingContext, *, keys: int, size: int) -> None:
        self._log(logging.DEBUG, "state", context, keys=keys, size=size)

    def on_checkpoint(self, context: StreamingContext, *, seconds: float) -> None:
        self._log(logging.DEBUG, "checkpoint", context, seconds=seconds)

    def on_breaker(self, context: StreamingContext, *, name: str, before: str, after: str) -> None:
        facts: dict[str, Any] = {"breaker": name, "before": before.lower(), "after": after.lower()}
        self._log(logging.DEBUG if before == after else logging.WARNING, "breaker", context, **facts)

    def on_drain(self, context: StreamingContext) -> None:
        self._log(logging.INFO, "drain", context)

    def on_end(self, context: StreamingContext) -> None:
        self._log(logging.INFO, "end", context)

    def _log(
        self, level: int, event: str, context: StreamingContext, *, error: BaseException | None = None, **facts: Any
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        name = "" if error is None else error_class(error)
        suppressed = 0
        if logging.DEBUG < level < logging.ERROR:
            answer = self._limit.take((event, context.pipeline, context.step, context.worker, name))
            if answer is None:
                return
            suppressed = answer
        record = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "level": logging.getLevelName(level),
            "event": event,
            **_place(context),
            **facts,
        }
        if error is not None:
            record["error"] = {"class": name, "text": error_text(error)}
        if suppressed:
            record["suppressed"] = suppressed
        self._logger.log(level, "%s", json.dumps(_plain(record), ensure_ascii=False))


class _Limit:
    """How many events of a kind may be logged: ``burst`` in each ``interval`` seconds. Safe to share among threads."""

    def __init__(self, burst: int, interval: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Any, tuple[float, int, int]] = {}

    def take(self, kind: Any) -> int | None:
        """``None``: leave this one out. Else log it; the answer is how many were left out since the last."""
        now = self._clock()
        with self._lock:
            since, logged, left_out = self._kinds.get(kind, (now, 0, 0))
            if now - since >= self._interval:
                since, logged = now, 0
            if logged >= self._burst:
                self._kinds[kind] = (since, logged, left_out + 1)
                return None
            self._kinds[kind] = (since, logged + 1, 0)
            return left_out


def _place(context: StreamingContext) -> dict[str, Any]:
    """Where a context speaks from; what it does not know is left out."""
    place: dict[str, Any] = {"pipeline": context.pipeline, "step": context.step, "worker": context.worker}
    optional = {
        "connector": context.connector,
        "environment": context.metadata.get("environment"),
        "labels": context.metadata.get("labels"),
        "partition": context.partition,
    }
    place |= {name: value for name, value in optional.items() if value}
    if context.partition:
        place["position"] = context.position
    return place


def _plain(value: Any) -> Any:
    """``value`` as JSON has it, with secrets taken out of its texts."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return redact(str(value))
