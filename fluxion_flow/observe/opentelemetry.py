"""``OpenTelemetryListener``: what a run tells, as OpenTelemetry metrics; and spans of its batches, if wanted.

It needs the extra ``otel`` (``pip install fluxion-flow[otel]``). Exporters, intervals and resources are OpenTelemetry's
own: set a meter provider up, or set ``OTEL_EXPORTER_OTLP_ENDPOINT`` and call :func:`export_by_otlp`.

Counters and gauges are observed when the reader asks for them, so that a batch costs no more than with Prometheus;
histograms are recorded as they come.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.context import StreamingContext
from ..errors import FluxionError
from .series import Distribution, Labels, Series
from .series_listener import SeriesListener
from .vocabulary import METRICS, Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
    from opentelemetry.trace import TracerProvider

SCOPE = "fluxion_flow"
UNITS = {"seconds": "s", "seconds since the epoch": "s", "bytes": "By", "1 or 0": "1"}
MESSAGING = ("kafka", "eventhubs")
"""Connectors that are messaging systems; these are also their names in the semantic conventions."""

LINKS = 128
"""Links of a span at most, as the SDK keeps by default: so many different traces of a batch."""


class NoOpenTelemetry(FluxionError):
    """The extra ``otel`` is not installed."""


class OpenTelemetryListener(SeriesListener):
    """Every metric of the vocabulary under its dotted name (``stream.batch.duration``), with the labels as attributes.

    ``meter_provider`` is the global one unless given. With ``messaging`` there are also the metrics of OpenTelemetry's
    semantic conventions for messaging (``messaging.client.consumed.messages``, ``messaging.process.duration``,
    ``messaging.client.sent.messages``, ``messaging.client.operation.duration``), for sources and sinks that are a
    messaging system. With ``traces`` each batch that a source reads is a span; records that came with a ``traceparent``
    header (W3C Trace Context) are linked to it. ``labels`` are added to those of the pipeline.

    Raises :class:`NoOpenTelemetry`.
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        *,
        messaging: bool = False,
        traces: bool = False,
        tracer_provider: TracerProvider | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise NoOpenTelemetry(
                "OpenTelemetry is not installed; pip install 'fluxion-flow[otel]' brings it"
            ) from None
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        series = _Observed(meter)
        super().__init__(series, labels)
        self._messaging = _Messaging(meter) if messaging else None
        self._tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider) if traces else None
        if not traces:
            self.on_traced = None  # type: ignore[assignment, method-assign]

    def on_fetched(self, context: StreamingContext, *, documents: int, rejects: int, waited: float) -> None:
        super().on_fetched(context, documents=documents, rejects=rejects, waited=waited)
        if self._messaging is not None and context.connector in MESSAGING:
            self._messaging.consumed.add(documents + rejects, _place(context, "poll"))

    def on_batch(self, context: StreamingContext, *, seconds: float, size_in: int, size_out: int) -> None:
        super().on_batch(context, seconds=seconds, size_in=size_in, size_out=size_out)
        if self._messaging is not None and context.connector in MESSAGING:
            self._messaging.process.record(seconds, _place(context, "process"))

    def on_delivered(self, context: StreamingContext, *, documents: int, seconds: float) -> None:
        super().on_delivered(context, documents=documents, seconds=seconds)
        if self._messaging is not None and context.connector in MESSAGING:
            where = {"messaging.system": context.connector, "messaging.operation.name": "send"}
            self._messaging.sent.add(documents, where)
            self._messaging.operation.record(seconds, {**where, "messaging.operation.type": "send"})

    def on_traced(self, context: StreamingContext, *, parents: Sequence[str], started_ns: int) -> None:
        """A span of a batch, from the read to now, with a link to the span that each record's header names."""
        if self._tracer is None:
            return
        from opentelemetry.trace import Link, SpanKind

        links = [Link(each) for each in map(_span_context, dict.fromkeys(parents)) if each is not None][:LINKS]
        name = f"poll {context.partition.rpartition('/')[0] or context.connector}"
        attributes: dict[str, str | int] = {
            "pipeline": context.pipeline,
            "worker": context.worker,
            "records": len(parents),
        }
        span = self._tracer.start_span(
            name, kind=SpanKind.CONSUMER, links=links, attributes={**_place(context, "poll"), **attributes},
            start_time=started_ns,
        )  # fmt: skip
        span.end()


class _Messaging:
    """The instruments of the semantic conventions for messaging."""

    def __init__(self, meter: Meter) -> None:
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            "{message}",
            "Messages that were delivered to the application.",
        )
        self.process = meter.create_histogram(
            "messaging.process.duration", "s", "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )  # fmt: skip
        self.sent = meter.create_counter(
            "messaging.client.sent.messages",
            "{message}",
            "Messages that the producer sent to the broker.",
        )
        self.operation = meter.create_histogram(
            "messaging.client.operation.duration", "s", "Duration of messaging operation initiated by a producer or "
            "consumer client.", explicit_bucket_boundaries_advisory=_BOUNDARIES,
        )  # fmt: skip


_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bucket boundaries that the semantic conventions advise for durations."""


def _place(context: StreamingContext, operation: str) -> dict[str, str | int]:
    """Where a batch came from, as the semantic conventions have it."""
    topic, _, partition = context.partition.rpartition("/")
    place: dict[str, str | int] = {"messaging.system": context.connector, "messaging.operation.name": operation}
    if topic:
        place |= {"messaging.destination.name": topic, "messaging.destination.partition.id": str(int(partition))}
    return place


class _Recorded(Distribution):
    """A histogram that OpenTelemetry keeps."""

    __slots__ = ("_attributes", "_record")

    def __init__(self, record: Callable[..., None], labels: Labels) -> None:
        super().__init__(())
        self._record = record
        self._attributes = dict(labels)

    def observe(self, value: float, times: int = 1) -> None:
        for _ in range(times):
            self._record(value, self._attributes)


class _Observed(Series):
    """Numbers of counters and gauges, which the meter asks for; histograms go to it at once."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._histograms: dict[str, Any] = {}
        names: set[str] = set()
        for metric in METRICS:
            name = metric.dotted if metric.dotted not in names else f"{metric.dotted}.{metric.name.rpartition('_')[2]}"
            names.add(name)
            unit = UNITS.get(metric.unit, f"{{{metric.unit.partition(' ')[0].rstrip('s')}}}")
            if metric.kind == "histogram":
                self._histograms[metric.name] = meter.create_histogram(
                    name, unit, metric.meaning, explicit_bucket_boundaries_advisory=metric.buckets
                )
            elif metric.kind == "counter":
                meter.create_observable_counter(name, [self._teller(metric)], unit, metric.meaning)
            else:
                meter.create_observable_gauge(name, [self._teller(metric)], unit, metric.meaning)

    def histogram(self, name: str, labels: Labels) -> Distribution:
        record = self._histograms[name].record
        return self._cell(name, labels, threading.get_ident(), lambda: _Recorded(record, labels))

    def _teller(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        from opentelemetry.metrics import Observation

        return lambda _: [Observation(value, labels) for labels, value in self.values(metric.name)]


def _span_context(parent: str) -> Any:
    """The span that a ``traceparent`` names; ``None`` when it is not one (W3C Trace Context, version 00)."""
    from opentelemetry.trace import SpanContext, TraceFlags

    parts = parent.strip().split("-")
    if len(parts) < 4 or len(parts[0]) != 2 or len(parts[1]) != 32 or len(parts[2]) != 16 or parts[0] == "ff":
        return None
    try:
        found = SpanContext(int(parts[1], 16), int(parts[2], 16), True, TraceFlags(int(parts[3][:2], 16)))
    except ValueError:
        return None
    return found if found.is_valid else None


def export_by_otlp(interval: float = 15.0) -> None:
    """Have the global meter provider send metrics by OTLP over HTTP every ``interval`` seconds.

    Where to is told by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``,
    ``OTEL_SERVICE_NAME``). Raises :class:`NoOpenTelemetry`.
    """
    try:
        from opentelemetry import metrics
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ImportError:
        raise NoOpenTelemetry("OpenTelemetry is not installed; pip install 'fluxion-flow[otel]' brings it") from None
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=interval * 1000)
    metrics.set_meter_provider(MeterProvider([reader]))
