"""Traces go through a pipeline: a `traceparent` is linked to the span of its batch, and goes on to the sink."""

from __future__ import annotations

import json
from typing import Any

from bytewax.testing import run_main
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from servers.kafka import Kafka, new_topic, produce, records

from fluxion_flow import pipeline
from fluxion_flow.observe.opentelemetry import OpenTelemetryListener

PARENTS = [f"00-0af7651916cd43dd8448eb211c8031{n:02x}-b7ad6b71692033{n:02x}-01" for n in range(1, 6)]
OWN = {"$filter": {"input": {"$meta": "stream.source.headers"}, "cond": {"$eq": ["$$this.k", "traceparent"]}}}
ONWARDS = {"traceparent": {"$first": {"$map": {"input": OWN, "in": "$$this.v"}}}}


def test_a_trace_is_linked_and_goes_on(cluster: Kafka) -> None:
    source, sink = new_topic(cluster), new_topic(cluster)
    for n, parent in enumerate(PARENTS):
        headers: Any = [("other", "x"), ("traceparent", parent)]
        produce(cluster, source, [json.dumps({"n": n, "paid": n != 2}).encode()], headers=headers)
    produce(cluster, source, [b'{"n": 5, "paid": true}'])
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    listener = OpenTelemetryListener(MeterProvider(), traces=True, tracer_provider=provider)
    made = (
        pipeline("traced")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .match({"paid": True})
        .set({"twice": {"$multiply": ["$n", 2]}})
        .sink("kafka", topic=sink, bootstrap_servers=cluster.bootstrap, headers=ONWARDS)
        .listen(listener)
    )
    run_main(made.compile())
    spans = exporter.get_finished_spans()
    links = {f"{link.context.trace_id:032x}-{link.context.span_id:016x}" for span in spans for link in span.links}
    assert links == {parent[3:-3] for parent in PARENTS}
    assert {(span.name, span.attributes["messaging.system"]) for span in spans} == {(f"poll {source}", "kafka")}
    written = {json.loads(message.value())["n"]: dict(message.headers() or ()) for message in records(cluster, sink)}
    assert sorted(written) == [0, 1, 3, 4, 5]
    passed = {n: headers["traceparent"].decode() for n, headers in written.items() if headers.get("traceparent")}
    assert passed == {n: PARENTS[n] for n in (0, 1, 3, 4)}, "a record without a header has none to pass on"
