"""``SeriesListener``: what a run tells, as series of numbers, which Prometheus or OpenTelemetry show."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ..core.context import StreamingContext
from .listener import StreamingMetricsListener
from .series import Age, Distribution, Labels, Number, Parts, Series
from .shown_error import error_class
from .vocabulary import BASE_LABELS, RESERVED_LABELS

BREAKER_STATES = ("closed", "open", "half_open")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SeriesListener(StreamingMetricsListener):
    """Counts what a run tells in ``series``, by ``pipeline``, ``connector``, ``environment`` and ``worker``, and the
    user's labels: those of the pipeline's settings, and ``labels``, which win.

    Raises :class:`ValueError` for a label that Prometheus does not accept.
    """

    def __init__(self, series: Series, labels: Mapping[str, Any] | None = None) -> None:
        for name in labels or {}:
            if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
                raise ValueError(f"{name!r} cannot be a label; use letters, digits and '_'")
        self.labels = dict(labels or {})
        self.series = series
        self._timed: dict[int, list[tuple[Number, int]]] = {}
        """By thread: the stages that were timed of the batch at hand, with their nanoseconds."""

    def _step(self, context: StreamingContext) -> _Step:
        found: _Step | None = context.memory.get(self)
        if found is None:
            found = context.memory[self] = _Step(self.series, labels_of(context, self.labels), context.step)
        return found

    def on_start(self, context: StreamingContext) -> None:
        step = self._step(context)
        step.started.value = time.time()
        step.draining.value = 0.0

    def on_opened(self, context: StreamingContext) -> None:
        step = self._step(context)
        step.opened.value += 1
        step.checkpoint_age.opened()

    def on_closed(self, context: StreamingContext) -> None:
        self._step(context).checkpoint_age.closed()

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        step = self._step(context)
        step.fetched.value += documents
        step.rejected.value += rejects
        step.backpressure.observe(waited)

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        self._step(context).lag(context.partition).value = lag

    def on_watermark(self, context: StreamingContext, *, event_time_ms: int, lag_seconds: float) -> None:
        step = self._step(context)
        step.watermark.by_part[context.partition] = event_time_ms / 1000
        step.watermark_lag.by_part[context.partition] = lag_seconds

    def on_late(self, context: StreamingContext, *, documents: int) -> None:
        self._step(context).late.value += documents

    def on_batch(self, context: StreamingContext, *, seconds: float, size_in: int, size_out: int) -> None:
        step = self._step(context)
        step.batch_duration.observe(seconds)
        step.batch_in.observe(size_in)
        step.batch_out.observe(size_out)
        step.divide(seconds, self._timed.pop(threading.get_ident(), None))

    def on_stage(
        self, context: StreamingContext, *, stage: str, size_in: int, size_out: int, nanoseconds: int | None
    ) -> None:
        step = self._step(context)
        step.stage_in.value += size_in
        step.stage_out.value += size_out
        if nanoseconds is not None:
            self._timed.setdefault(threading.get_ident(), []).append((step.stage_seconds, nanoseconds))

    def on_enrich(
        self,
        context: StreamingContext,
        *,
        operator: str,
        connection: str,
        seconds: float,
        outcome: str,
        cached: bool,
        calls: int = 1,
    ) -> None:
        step = self._step(context)
        step.enriched(operator, connection, outcome, cached).value += calls
        if not cached and calls:
            step.enrich_duration(operator, connection).observe(seconds / calls, calls)

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        step = self._step(context)
        step.delivered.value += documents
        step.delivery_duration.observe(seconds)

    def on_queue(self, context: StreamingContext, *, documents: int) -> None:
        step = self._step(context)
        step.queue.by_part[str(id(step))] = documents  # a worker may have several parts of a sink

    def on_retry(self, context: StreamingContext, *, error: BaseException, delay: float) -> None:
        self._step(context).retries.value += 1

    def on_failure(self, context: StreamingContext, *, error: BaseException, decision: str) -> None:
        self._step(context).failures(error_class(error)).value += 1

    def on_skipped(self, context: StreamingContext, *, documents: int) -> None:
        self._step(context).skipped.value += documents

    def on_dead_letter(self, context: StreamingContext, *, documents: int) -> None:
        self._step(context).dead_letters.value += documents

    def on_state(self, context: StreamingContext, *, keys: int, size: int) -> None:
        step = self._step(context)
        step.state_keys.by_part[context.partition] = keys
        step.state_bytes.by_part[context.partition] = size

    def on_checkpoint(self, context: StreamingContext, *, seconds: float) -> None:
        step = self._step(context)
        step.checkpoint.value = step.checkpoint_age.since = time.time()
        step.checkpoint_duration.observe(seconds)

    def on_breaker(self, context: StreamingContext, *, name: str, before: str, after: str) -> None:
        step = self._step(context)
        for state in BREAKER_STATES:
            step.breaker(name, state).value = float(state == after.lower())

    def on_drain(self, context: StreamingContext) -> None:
        self._step(context).draining.value = 1.0


class _Step:
    """The series of one step on one worker: found when they are first needed, and then only added to."""

    def __init__(self, series: Series, labels: Labels, step: str) -> None:
        self._series = series
        self._labels = labels
        self._by_step = (*labels, ("step", step))
        self._by_stage = (*labels, ("stage", step))
        self._failures: dict[str, Number] = {}
        self._enriched: dict[tuple[str, str, str, bool], Number] = {}
        self._enrich_durations: dict[tuple[str, str], Distribution] = {}
        self._lags: dict[str, Number] = {}
        self._shares: list[tuple[Number, float]] = []
        self._undivided = 0.0

    # -- documents on their way ----------------------------------------------------------------------------------

    @cached_property
    def opened(self) -> Number:
        return self._series.counter("stream_source_opened_total", self._labels)

    @cached_property
    def fetched(self) -> Number:
        self._begin_at_zero()
        return self._series.counter("stream_fetched_total", self._labels)

    @cached_property
    def rejected(self) -> Number:
        return self._series.counter("stream_rejected_total", self._labels)

    @cached_property
    def backpressure(self) -> Distribution:
        return self._series.histogram("stream_backpressure_seconds", self._labels)

    @cached_property
    def batch_duration(self) -> Distribution:
        return self._series.histogram("stream_batch_duration_seconds", self._by_step)

    @cached_property
    def batch_in(self) -> Distribution:
        return self._series.histogram("stream_batch_size", (*self._by_step, ("direction", "in")))

    @cached_property
    def batch_out(self) -> Distribution:
        return self._series.histogram("stream_batch_size", (*self._by_step, ("direction", "out")))

    @cached_property
    def stage_in(self) -> Number:
        self._begin_at_zero()
        return self._series.counter("stream_stage_documents_total", (*self._by_stage, ("direction", "in")))

    @cached_property
    def stage_out(self) -> Number:
        return self._series.counter("stream_stage_documents_total", (*self._by_stage, ("direction", "out")))

    @cached_property
    def stage_seconds(self) -> Number:
        return self._series.counter("stream_stage_seconds_total", self._by_stage)

    def divide(self, seconds: float, timed: list[tuple[Number, int]] | None) -> None:
        """Divide a batch's time among its stages, as the last batch that was timed stage by stage says.

        A batch in which a stage failed was timed as far as that stage only, and says nothing.
        """
        if timed is not None and len(timed) >= len(self._shares):
            total = sum(spent for _, spent in timed) or 1
            self._shares = [(number, spent / total) for number, spent in timed]
            seconds += self._undivided
            self._undivided = 0.0
        if not self._shares:
            self._undivided += seconds
        for number, share in self._shares:
            number.value += seconds * share

    @cached_property
    def delivered(self) -> Number:
        self._begin_at_zero()
        return self._series.counter("stream_delivered_total", self._by_step)

    @cached_property
    def delivery_duration(self) -> Distribution:
        return self._series.histogram("stream_delivery_duration_seconds", self._by_step)

    @cached_property
    def queue(self) -> Parts:
        return self._series.parts("stream_queue_documents", self._by_step)

    def enriched(self, operator: str, connection: str, outcome: str, cached: bool) -> Number:
        found = self._enriched.get((operator, connection, outcome, cached))
        if found is None:
            own = (("outcome", outcome), ("cached", str(cached).lower()))
            labels = (*self._by_step, ("operator", operator), ("connection", connection), *own)
            found = self._series.counter("stream_enrich_total", labels)
            self._enriched[(operator, connection, outcome, cached)] = found
        return found

    def enrich_duration(self, operator: str, connection: str) -> Distribution:
        found = self._enrich_durations.get((operator, connection))
        if found is None:
            labels = (*self._by_step, ("operator", operator), ("connection", connection))
            found = self._series.histogram("stream_enrich_duration_seconds", labels)
            self._enrich_durations[(operator, connection)] = found
        return found

    @cached_property
    def late(self) -> Number:
        return self._series.counter("stream_late_total", self._by_step)

    # -- failures ------------------------------------------------------------------------------------------------

    def _begin_at_zero(self) -> None:
        """Show the step's counters of failures before any failed, so that the first increase is seen as one."""
        _ = self.retries, self.skipped, self.dead_letters

    @cached_property
    def retries(self) -> Number:
        return self._series.counter("stream_retries_total", self._by_step)

    @cached_property
    def skipped(self) -> Number:
        return self._series.counter("stream_skipped_total", self._by_step)

    @cached_property
    def dead_letters(self) -> Number:
        return self._series.counter("stream_dead_letters_total", self._by_step)

    def failures(self, error: str) -> Number:
        found = self._failures.get(error)
        if found is None:
            labels = (*self._by_step, ("class", error))
            found = self._failures[error] = self._series.counter("stream_failures_total", labels)
        return found

    def breaker(self, name: str, state: str) -> Number:
        return self._series.gauge("stream_breaker_state", (*self._by_step, ("breaker", name), ("state", state)))

    # -- where the step stands -----------------------------------------------------------------------------------

    def lag(self, partition: str) -> Number:
        found = self._lags.get(partition)
        if found is None:
            labels = (*self._labels, ("partition", partition))
            found = self._lags[partition] = self._series.gauge("stream_lag", labels)
        return found

    @cached_property
    def watermark(self) -> Parts:
        return self._series.parts("stream_watermark_timestamp_seconds", self._by_step, min)

    @cached_property
    def watermark_lag(self) -> Parts:
        return self._series.parts("stream_watermark_lag_seconds", self._by_step, max)

    @cached_property
    def state_bytes(self) -> Parts:
        return self._series.parts("stream_state_size_bytes", self._by_step)

    @cached_property
    def state_keys(self) -> Parts:
        return self._series.parts("stream_state_size_keys", self._by_step)

    @cached_property
    def checkpoint(self) -> Number:
        return self._series.gauge("stream_checkpoint_timestamp_seconds", self._labels)

    @cached_property
    def checkpoint_age(self) -> Age:
        return self._series.age("stream_checkpoint_age_seconds", self._labels)

    @cached_property
    def checkpoint_duration(self) -> Distribution:
        return self._series.histogram("stream_checkpoint_duration_seconds", self._labels)

    @cached_property
    def started(self) -> Number:
        return self._series.gauge("stream_start_timestamp_seconds", self._labels)

    @cached_property
    def draining(self) -> Number:
        return self._series.gauge("stream_draining", self._labels)


def labels_of(context: StreamingContext, more: Mapping[str, Any]) -> Labels:
    """The labels of all series of a context: those of every run, then the user's own in the order of their names."""
    environment = context.metadata.get("environment") or ""
    given = {**(context.metadata.get("labels") or {}), **more}
    own = {(f"exported_{name}" if name in RESERVED_LABELS else name): value for name, value in given.items()}
    base = zip(BASE_LABELS, (context.pipeline, context.connector, environment, context.worker), strict=True)
    return tuple((name, str(value)) for name, value in (*base, *sorted(own.items())))
