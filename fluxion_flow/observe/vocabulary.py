"""The metrics of a run: one table from which the Prometheus series, ``docs/metrics.md`` and their tests are made.

The dotted names (``stream.batch.duration``) are those of Fluxion's vocabulary; the Prometheus names are the same with
the unit at the end, as Prometheus wants it. ``python -m fluxion_flow.observe.vocabulary docs/metrics.md`` writes the
table into the page anew.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

BASE_LABELS = ("pipeline", "connector", "environment", "worker")
"""Labels of every series, in front of the user's own and of the metric's."""

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DOCUMENTS = (1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)


@dataclass(frozen=True)
class Metric:
    """One metric: its dotted name and its name in Prometheus, its kind and unit, its own labels, and who tells it.

    ``hook`` is the hook of :class:`~fluxion_flow.observe.listener.StreamingMetricsListener` that it comes from.
    ``buckets`` are the upper bounds of a histogram.
    """

    dotted: str
    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    hook: str
    meaning: str
    buckets: tuple[float, ...] = ()


METRICS = (
    Metric(
        "stream.source.opened",
        "stream_source_opened_total",
        "counter",
        "partitions",
        (),
        "on_opened",
        "Source partitions that were opened, again after a failure included.",
    ),
    Metric(
        "stream.fetched",
        "stream_fetched_total",
        "counter",
        "documents",
        (),
        "on_fetched",
        "Documents that the source gave.",
    ),
    Metric(
        "stream.rejected",
        "stream_rejected_total",
        "counter",
        "records",
        (),
        "on_fetched",
        "Records of the source that could not be decoded. They are not among the fetched documents.",
    ),
    Metric(
        "stream.backpressure",
        "stream_backpressure_seconds",
        "histogram",
        "seconds",
        (),
        "on_fetched",
        "Time between two batches of a source partition: how long the source was held back, or had nothing to give.",
        SECONDS,
    ),
    Metric(
        "stream.lag",
        "stream_lag",
        "gauge",
        "the connector's (bytes of a file, records of a topic)",
        ("partition",),
        "on_lag",
        "What a source partition still holds behind the last batch.",
    ),
    Metric(
        "stream.watermark",
        "stream_watermark_timestamp_seconds",
        "gauge",
        "seconds since the epoch",
        ("step",),
        "on_watermark",
        "Event time up to which a step has seen everything that it waits for: the lowest of its parts.",
    ),
    Metric(
        "stream.watermark.lag",
        "stream_watermark_lag_seconds",
        "gauge",
        "seconds",
        ("step",),
        "on_watermark",
        "How far the watermark was behind the clock when it moved last: the highest of the step's parts.",
    ),
    Metric(
        "stream.late",
        "stream_late_total",
        "counter",
        "documents",
        ("step",),
        "on_late",
        "Documents that came behind the watermark.",
    ),
    Metric(
        "stream.batch.duration",
        "stream_batch_duration_seconds",
        "histogram",
        "seconds",
        ("step",),
        "on_batch",
        "Time that a batch took in a run of stages; the step is the run's first stage.",
        SECONDS,
    ),
    Metric(
        "stream.batch.size",
        "stream_batch_size",
        "histogram",
        "documents",
        ("step", "direction"),
        "on_batch",
        "Documents of a batch, into (`in`) and out of (`out`) a run of stages. "
        "In front of a keyed stage, `out` counts groups, and batches that were read together are one.",
        DOCUMENTS,
    ),
    Metric(
        "stream.stage.documents",
        "stream_stage_documents_total",
        "counter",
        "documents",
        ("stage", "direction"),
        "on_stage",
        "Documents into (`in`) and out of (`out`) a stage. Nothing leaves a keyed stage here: its state sends later.",
    ),
    Metric(
        "stream.stage.seconds",
        "stream_stage_seconds_total",
        "counter",
        "seconds",
        ("stage",),
        "on_stage",
        "The stage's part of the batches' duration. Stages run fused, so the parts come from batches that are timed "
        "stage by stage now and then; nothing is shown before the first of them.",
    ),
    Metric(
        "stream.enrich",
        "stream_enrich_total",
        "counter",
        "calls",
        ("step", "operator", "connection", "outcome", "cached"),
        "on_enrich",
        "Answers that operators asked the outside for, by outcome (`ok`, `error`, `timeout`, `refused`, `fallback`); "
        "`cached` is `true` for those from the cache.",
    ),
    Metric(
        "stream.enrich.duration",
        "stream_enrich_duration_seconds",
        "histogram",
        "seconds",
        ("step", "operator", "connection"),
        "on_enrich",
        "Time that a call of the outside took; answers from the cache are not in it.",
        SECONDS,
    ),
    Metric(
        "stream.delivered",
        "stream_delivered_total",
        "counter",
        "documents",
        ("step",),
        "on_delivered",
        "Documents that a sink has made durable. The dead-letter sink's step is `dead_letter sink`.",
    ),
    Metric(
        "stream.delivery.duration",
        "stream_delivery_duration_seconds",
        "histogram",
        "seconds",
        ("step",),
        "on_delivered",
        "Time that a sink took to accept a batch, retries included; its flush is not in it.",
        SECONDS,
    ),
    Metric(
        "stream.queue",
        "stream_queue_documents",
        "gauge",
        "documents",
        ("step",),
        "on_queue",
        "Documents that stand in front of a step: a sink has accepted them, and they are not yet durable.",
    ),
    Metric(
        "stream.retries",
        "stream_retries_total",
        "counter",
        "attempts",
        ("step",),
        "on_retry",
        "Attempts that were made again.",
    ),
    Metric(
        "stream.failures",
        "stream_failures_total",
        "counter",
        "attempts",
        ("step", "class"),
        "on_failure",
        "Attempts that failed, by the class of the error; a record that cannot be decoded is an `UndecodableRecord`.",
    ),
    Metric(
        "stream.skipped",
        "stream_skipped_total",
        "counter",
        "documents",
        ("step",),
        "on_skipped",
        "Documents and undecodable records that a skipping policy dropped.",
    ),
    Metric(
        "stream.dead_letters",
        "stream_dead_letters_total",
        "counter",
        "documents",
        ("step",),
        "on_dead_letter",
        "Documents and undecodable records that were sent to a dead-letter sink.",
    ),
    Metric(
        "stream.state.size",
        "stream_state_size_bytes",
        "gauge",
        "bytes",
        ("step",),
        "on_state",
        "State of a keyed step, as the last checkpoint holds it.",
    ),
    Metric(
        "stream.state.size",
        "stream_state_size_keys",
        "gauge",
        "keys",
        ("step",),
        "on_state",
        "Keys in the state of a keyed step, as the last checkpoint holds it.",
    ),
    Metric(
        "stream.checkpoint",
        "stream_checkpoint_timestamp_seconds",
        "gauge",
        "seconds since the epoch",
        (),
        "on_checkpoint",
        "When the source last knew that an epoch was complete everywhere: delivered, and in the checkpoint store if "
        "there is one.",
    ),
    Metric(
        "stream.checkpoint.age",
        "stream_checkpoint_age_seconds",
        "gauge",
        "seconds",
        (),
        "on_checkpoint",
        "Time since then, or since a source partition was opened; the moment of the scrape counts.",
    ),
    Metric(
        "stream.checkpoint.duration",
        "stream_checkpoint_duration_seconds",
        "histogram",
        "seconds",
        (),
        "on_checkpoint",
        "Time from the moment that a source partition's position was taken until the epoch was complete everywhere, as "
        "far as the source could know: it hears of it when it is read next.",
        SECONDS,
    ),
    Metric(
        "stream.breaker",
        "stream_breaker_state",
        "gauge",
        "1 for the present state, 0 for the others",
        ("step", "breaker", "state"),
        "on_breaker",
        "State of a circuit breaker: `closed`, `open` or `half_open`.",
    ),
    Metric(
        "stream.start",
        "stream_start_timestamp_seconds",
        "gauge",
        "seconds since the epoch",
        (),
        "on_start",
        "When the worker started.",
    ),
    Metric(
        "stream.draining",
        "stream_draining",
        "gauge",
        "1 or 0",
        (),
        "on_drain",
        "Whether the run has been asked to end; one worker says so.",
    ),
)
"""Every metric, in the order in which a document meets them."""

BY_NAME = {metric.name: metric for metric in METRICS}

RESERVED_LABELS = frozenset({*BASE_LABELS, "le", "quantile", *(label for metric in METRICS for label in metric.labels)})
"""Label names that have a meaning of their own; a user's label of this name is shown as ``exported_`` and the name."""

BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"


def table() -> str:
    """The metrics as a Markdown table."""
    lines = [
        "| name | Prometheus | kind | unit | labels of its own | meaning |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for m in METRICS:
        labels = ", ".join(f"`{label}`" for label in m.labels) or "–"
        lines.append(f"| `{m.dotted}` | `{m.name}` | {m.kind} | {m.unit} | {labels} | {m.meaning} |")
    return "\n".join(lines)


def with_table(page: str) -> str:
    """``page`` with the table between its two markers made anew. Raises :class:`ValueError` when it has no markers."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the table; write {BEGIN} and {END} where it belongs")
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_table(path.read_text(encoding="utf-8")), encoding="utf-8")
