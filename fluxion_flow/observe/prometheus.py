"""``PrometheusListener``: what a run tells, as Prometheus series.

Bytewax's own page (``BYTEWAX_DATAFLOW_API_ENABLED=1``, port 3030, ``/metrics``) shows ``prometheus_client.REGISTRY``, so
the series appear there without a server of ours. Which metrics there are is said in :mod:`.vocabulary`.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry

from ..connect.secrets import redact
from ..errors import FluxionError
from .context import StreamingContext
from .listener import StreamingMetricsListener
from .series import Distribution, Labels, Number, Parts, Series, series_of
from .vocabulary import RESERVED_LABELS

log = logging.getLogger(__name__)

BREAKER_STATES = ("closed", "open", "half_open")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class WantsMetrics(Protocol):
    """The settings of a run, as far as they matter here."""

    @property
    def metrics(self) -> bool: ...


def default_listeners(config: WantsMetrics, given: Sequence[Any] = ()) -> tuple[StreamingMetricsListener, ...]:
    """The listeners that every run has: a :class:`PrometheusListener`, unless ``config.metrics`` is false.

    ``given`` are the listeners that the run has already: with a Prometheus listener for the same registry among them
    none is added, because everything would be counted twice. Never raises: a run must not fail for its metrics.
    """
    if not config.metrics or any(isinstance(one, PrometheusListener) and one.registry is REGISTRY for one in given):
        return ()
    try:
        return (PrometheusListener(),)
    except ValueError as error:
        log.warning("the run has no metrics: %s", error)
        return ()


class PrometheusListener(StreamingMetricsListener):
    """Counts what a run tells, under the labels ``pipeline``, ``connector``, ``environment``, ``worker`` and the user's.

    The user's labels are those of the pipeline's settings (``labels``), and ``labels`` given here, which win. Several
    listeners of one registry, for the same pipeline or others, share its series. Every label's value passes through
    :func:`~fluxion_flow.connect.secrets.redact`.

    Raises :class:`ValueError` for a label that Prometheus does not accept, and when the registry has metrics of these
    names from elsewhere.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, labels: Mapping[str, Any] | None = None) -> None:
        for name in labels or {}:
            if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
                raise ValueError(f"{name!r} cannot be a label; use letters, digits and '_'")
        self.registry = registry
        self.labels = dict(labels or {})
        self._series = series_of(registry)
        self._timed: dict[int, list[tuple[Number, int]]] = {}
        """By thread: the stages of the batch at hand that were timed, with their nanoseconds."""

    def _step(self, context: StreamingContext) -> _Step:
        found: _Step | None = context.memory.get(self)
        if found is None:
            found = context.memory[self] = _Step(self._series, labels_of(context, self.labels), context.step)
        return found

    def on_start(self, context: StreamingContext) -> None:
        step = self._step(context)
        step.gauge("stream_start_timestamp_seconds").value = time.time()
        step.gauge("stream_draining").value = 0.0

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        step = self._step(context)
        step.fetched.value += documents
        step.backpressure.observe(waited)

    def on_lag(self, context: StreamingContext, *, lag: float) -> None:
        self._step(context).lag(context.partition).value = lag

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

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        step = self._step(context)
        step.delivered.value += documents
        step.delivery_duration.observe(seconds)

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
        step.state_bytes.by_part[context.partition] = size
        step.state_keys.by_part[context.partition] = keys

    def on_checkpoint(self, context: StreamingContext) -> None:
        self._step(context).checkpoint.value = time.time()

    def on_breaker(self, context: StreamingContext, *, name: str, before: str, after: str) -> None:
        step = self._step(context)
        for state in BREAKER_STATES:
            step.breaker(name, state).value = float(state == after.lower())

    def on_drain(self, context: StreamingContext) -> None:
        self._step(context).gauge("stream_draining").value = 1.0


class _Step:
    """The series of one step on one worker, found once and then only added to."""

    def __init__(self, series: Series, labels: Labels, step: str) -> None:
        self._series = series
        self._labels = labels
        self._own = (*labels, ("step", step))
        self._stage = (*labels, ("stage", step))
        self._cache: dict[Any, Number] = {}
        self._shares: list[tuple[Number, float]] = []
        self._undivided = 0.0

    def counter(self, name: str, *labels: tuple[str, str]) -> Number:
        return self._series.counter(name, (*self._labels, *labels))

    def gauge(self, name: str, *labels: tuple[str, str]) -> Number:
        return self._series.gauge(name, (*self._labels, *labels))

    # -- what steps tell about their documents -------------------------------------------------------------------

    @cached_property
    def fetched(self) -> Number:
        self.begin_policed()
        return self._series.counter("stream_fetched_total", self._labels)

    @cached_property
    def backpressure(self) -> Distribution:
        return self._series.histogram("stream_backpressure_seconds", self._labels)

    @cached_property
    def batch_duration(self) -> Distribution:
        return self._series.histogram("stream_batch_duration_seconds", self._own)

    @cached_property
    def batch_in(self) -> Distribution:
        return self._series.histogram("stream_batch_size", (*self._own, ("direction", "in")))

    @cached_property
    def batch_out(self) -> Distribution:
        return self._series.histogram("stream_batch_size", (*self._own, ("direction", "out")))

    @cached_property
    def stage_in(self) -> Number:
        self.begin_policed()
        return self._series.counter("stream_stage_documents_total", (*self._stage, ("direction", "in")))

    @cached_property
    def stage_out(self) -> Number:
        return self._series.counter("stream_stage_documents_total", (*self._stage, ("direction", "out")))

    @cached_property
    def stage_seconds(self) -> Number:
        return self._series.counter("stream_stage_seconds_total", self._stage)

    @cached_property
    def delivered(self) -> Number:
        self.begin_policed()
        return self._series.counter("stream_delivered_total", self._own)

    @cached_property
    def delivery_duration(self) -> Distribution:
        return self._series.histogram("stream_delivery_duration_seconds", self._own)

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

    # -- what policies tell --------------------------------------------------------------------------------------

    def begin_policed(self) -> None:
        """Show the step's counters of failures at zero, so that their first increase can be seen as one."""
        _ = self.retries, self.skipped, self.dead_letters

    @cached_property
    def retries(self) -> Number:
        return self._series.counter("stream_retries_total", self._own)

    @cached_property
    def skipped(self) -> Number:
        return self._series.counter("stream_skipped_total", self._own)

    @cached_property
    def dead_letters(self) -> Number:
        return self._series.counter("stream_dead_letters_total", self._own)

    def failures(self, error: str) -> Number:
        found = self._cache.get(error)
        if found is None:
            labels = (*self._own, ("class", redact(error)))
            found = self._cache[error] = self._series.counter("stream_failures_total", labels)
        return found

    def breaker(self, name: str, state: str) -> Number:
        labels = (*self._own, ("breaker", redact(name)), ("state", state))
        return self._series.gauge("stream_breaker_state", labels)

    # -- where the step stands -----------------------------------------------------------------------------------

    def lag(self, partition: str) -> Number:
        found = self._cache.get((partition,))
        if found is None:
            labels = (*self._labels, ("partition", redact(partition)))
            found = self._cache[(partition,)] = self._series.gauge("stream_lag", labels)
        return found

    @cached_property
    def checkpoint(self) -> Number:
        return self._series.gauge("stream_checkpoint_timestamp_seconds", self._labels)

    @cached_property
    def state_bytes(self) -> Parts:
        return self._series.parts("stream_state_size_bytes", self._own)

    @cached_property
    def state_keys(self) -> Parts:
        return self._series.parts("stream_state_size_keys", self._own)


def labels_of(context: StreamingContext, more: Mapping[str, Any]) -> Labels:
    """The labels of all series of a context: those of every run, then the user's own in the order of their names."""
    environment = str(context.metadata.get("environment") or "")
    given = {**(context.metadata.get("labels") or {}), **more}
    own = {(f"exported_{name}" if name in RESERVED_LABELS else name): value for name, value in given.items()}
    base = (context.pipeline, context.connector, environment, str(context.worker))
    names = ("pipeline", "connector", "environment", "worker")
    return tuple((name, redact(str(value))) for name, value in (*zip(names, base, strict=True), *sorted(own.items())))


def error_class(error: BaseException) -> str:
    """The class of what went wrong, underneath our own wrappers that only say where; as dead letters have it."""
    seen: set[int] = set()
    while isinstance(error, FluxionError) and error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return type(error).__qualname__
