"""The same numbers by OpenTelemetry: through its SDK, over OTLP to a local server, and the spans of batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from bytewax.testing import run_main
from fluxion_connectors.memory import MemorySink, MemorySource
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from fluxion_flow import StreamingContext, pipeline
from fluxion_flow.observe.listener import overrides
from fluxion_flow.observe.opentelemetry import OpenTelemetryListener
from fluxion_flow.observe.prometheus import PrometheusListener
from fluxion_flow.observe.vocabulary import METRICS

sys.path.insert(0, str(Path(__file__).parents[1] / "servers"))
from http_server import server

__all__ = ["server"]

DOCUMENTS = [{"_id": n, "price": "poison" if n % 10 == 7 else 2} for n in range(100)]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def reader():
    return InMemoryMetricReader()


def told(reader):
    """Name of each metric: its unit, and its points by their attributes."""
    data = reader.get_metrics_data()
    return {
        metric.name: (metric.unit, {tuple(sorted(p.attributes.items())): p for p in metric.data.data_points})
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def total(metrics, name, **labels):
    _, points = metrics[name]
    return sum(point.value for key, point in points.items() if labels.items() <= dict(key).items())


def test_a_run_tells_opentelemetry_what_it_tells_prometheus(reader):
    registry = CollectorRegistry()
    made = pipeline("otel").source(MemorySource(DOCUMENTS)).set({"double": {"$multiply": ["$price", 2]}})
    made = made.sink(MemorySink("otel")).on_error({"dead_letter": MemorySink("otel-dead"), "granularity": "document"})
    made = made.listen(OpenTelemetryListener(MeterProvider([reader]), labels={"zone": "a"}))
    made = made.listen(PrometheusListener(registry)).config(metrics=False, batch_size=10, environment="test")
    run_main(made.compile())
    metrics = told(reader)
    assert total(metrics, "stream.fetched") == 100
    assert total(metrics, "stream.delivered", step="sink") == 90
    assert total(metrics, "stream.dead_letters", step="stages[0].$set", environment="test", zone="a") == 10
    assert metrics["stream.fetched"][0] == "{document}"
    unit, points = metrics["stream.batch.duration"]
    (point,) = points.values()
    base = {"pipeline": "otel", "connector": "MemorySource", "environment": "test", "worker": "0"}
    seconds = registry.get_sample_value("stream_batch_duration_seconds_sum", {**base, "step": "stages[0].$set"})
    assert (unit, point.count, point.sum) == ("s", 10, pytest.approx(seconds))
    assert list(point.explicit_bounds) == list(next(m for m in METRICS if m.dotted == "stream.batch.duration").buckets)


def test_every_metric_of_the_vocabulary_has_an_instrument_with_a_name_of_its_own():
    made = []

    class Meter:
        def create_histogram(self, name, *args, **kwargs):
            made.append(name)

        create_observable_counter = create_observable_gauge = create_histogram

    from fluxion_flow.observe.opentelemetry import _Observed

    _Observed(Meter())
    assert len(made) == len(set(made)) == len(METRICS)
    assert {metric.dotted for metric in METRICS} <= set(made)
    assert "stream.state.size.keys" in made


def test_the_conventions_for_messaging_are_an_option(reader):
    listener = OpenTelemetryListener(MeterProvider([reader]), messaging=True)
    source = StreamingContext("orders", "source", connector="kafka", partition="orders.v1/00003")
    listener.on_fetched(source, documents=7, rejects=1, waited=0.1)
    listener.on_batch(source, seconds=0.2, size_in=7, size_out=7)
    listener.on_delivered(StreamingContext("orders", "sink", connector="kafka"), documents=7, seconds=0.3)
    files = StreamingContext("orders", "source", connector="files")
    listener.on_fetched(files, documents=5, rejects=0, waited=0.1)
    metrics = told(reader)
    place = {
        "messaging.system": "kafka",
        "messaging.destination.name": "orders.v1",
        "messaging.destination.partition.id": "3",
    }
    assert total(metrics, "messaging.client.consumed.messages") == 8
    (consumed,) = metrics["messaging.client.consumed.messages"][1]
    assert dict(consumed) == {**place, "messaging.operation.name": "poll"}
    (processed,) = metrics["messaging.process.duration"][1]
    assert dict(processed) == {**place, "messaging.operation.name": "process"}
    assert total(metrics, "messaging.client.sent.messages") == 7
    assert metrics["messaging.client.operation.duration"][0] == "s"
    OpenTelemetryListener(MeterProvider([other := InMemoryMetricReader()])).on_fetched(
        source, documents=1, rejects=0, waited=0.1
    )
    assert not [name for name in told(other) if name.startswith("messaging.")]


def test_a_batch_is_a_span_that_is_linked_to_the_traces_of_its_records():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = OpenTelemetryListener(MeterProvider(), traces=True, tracer_provider=provider)
    assert overrides(listener, "on_traced")
    context = StreamingContext("orders", "source", connector="kafka", partition="orders.v1/00003")
    broken = ["", "00-zz-b7ad6b7169203331-01", f"00-{'0' * 32}-b7ad6b7169203331-01", "ff" + PARENT[2:]]
    listener.on_traced(context, parents=[PARENT, PARENT, *broken], started_ns=1_000)
    (span,) = exporter.get_finished_spans()
    assert (span.name, span.kind.name, span.start_time) == ("poll orders.v1", "CONSUMER", 1_000)
    (link,) = span.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == PARENT[3:-3]
    assert span.attributes["messaging.destination.partition.id"] == "3"
    assert not overrides(OpenTelemetryListener(MeterProvider()), "on_traced")


def test_it_goes_out_by_otlp(server):
    code = """
from fluxion_flow import StreamingContext
from fluxion_flow.observe.opentelemetry import OpenTelemetryListener, export_by_otlp
from opentelemetry import metrics
export_by_otlp(60)
listener = OpenTelemetryListener()
listener.on_fetched(StreamingContext("orders", "source"), documents=7, rejects=0, waited=0.1)
metrics.get_meter_provider().shutdown()
"""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_SERVICE_NAME": "orders", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    (request,) = [each for each in server.requests if each.path == "/v1/metrics"]
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        import gzip

        body = gzip.decompress(body)
    sent = ExportMetricsServiceRequest.FromString(body)
    names = {m.name for r in sent.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"stream.fetched", "stream.backpressure"} <= names


def test_without_the_extra_it_is_said_what_to_install():
    code = """
import sys
sys.modules["opentelemetry"] = None
from fluxion_flow.observe.opentelemetry import NoOpenTelemetry, OpenTelemetryListener, export_by_otlp
for make in (OpenTelemetryListener, export_by_otlp):
    try:
        make()
    except NoOpenTelemetry as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "OpenTelemetry is not installed; pip install 'fluxion-flow[otel]' brings it\n" * 2
