"""Every hook of PrometheusListener leads to its series, under the right labels."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from fluxion_flow import StreamingContext
from fluxion_flow.connect.secrets import register_secret
from fluxion_flow.connect.spi import DeliveryError
from fluxion_flow.core.program import DocumentError
from fluxion_flow.errors import Where
from fluxion_flow.observe.listener import HOOKS
from fluxion_flow.observe.prometheus import PrometheusListener, default_listeners
from fluxion_flow.observe.vocabulary import METRICS

BASE = {"pipeline": "orders", "connector": "kafka", "environment": "test", "worker": "0", "team": "a"}
METADATA = {"environment": "test", "labels": {"team": "a"}}


def context(step="stages[0].$set", **changes):
    return StreamingContext(
        **{"pipeline": "orders", "step": step, "worker": 0, "connector": "kafka", "metadata": METADATA, **changes}
    )


CALLS = [
    (
        "on_fetched",
        "source",
        {"documents": 500, "rejects": 2, "waited": 0.2},
        {
            ("stream_fetched_total", ()): 500,
            ("stream_rejected_total", ()): 2,
            ("stream_backpressure_seconds_sum", ()): 0.2,
            ("stream_backpressure_seconds_count", ()): 1,
        },
    ),
    ("on_lag", "source", {"lag": 1234.0}, {("stream_lag", (("partition", "p1"),)): 1234}),
    (
        "on_batch",
        "stages[0].$set",
        {"seconds": 0.004, "size_in": 500, "size_out": 30},
        {
            ("stream_batch_duration_seconds_sum", (("step", "stages[0].$set"),)): 0.004,
            ("stream_batch_duration_seconds_count", (("step", "stages[0].$set"),)): 1,
            ("stream_batch_size_sum", (("step", "stages[0].$set"), ("direction", "in"))): 500,
            ("stream_batch_size_sum", (("step", "stages[0].$set"), ("direction", "out"))): 30,
            ("stream_batch_size_count", (("step", "stages[0].$set"), ("direction", "out"))): 1,
        },
    ),
    (
        "on_stage",
        "stages[0].$set",
        {"stage": "stages[0].$set", "size_in": 500, "size_out": 30, "nanoseconds": None},
        {
            ("stream_stage_documents_total", (("stage", "stages[0].$set"), ("direction", "in"))): 500,
            ("stream_stage_documents_total", (("stage", "stages[0].$set"), ("direction", "out"))): 30,
        },
    ),
    (
        "on_delivered",
        "sink",
        {"documents": 30, "seconds": 0.7},
        {
            ("stream_delivered_total", (("step", "sink"),)): 30,
            ("stream_delivery_duration_seconds_sum", (("step", "sink"),)): 0.7,
            ("stream_delivery_duration_seconds_count", (("step", "sink"),)): 1,
        },
    ),
    (
        "on_retry",
        "sink",
        {"error": ConnectionError("no"), "delay": 0.1},
        {("stream_retries_total", (("step", "sink"),)): 1},
    ),
    (
        "on_failure",
        "sink",
        {"error": ConnectionError("no"), "decision": "abort"},
        {("stream_failures_total", (("step", "sink"), ("class", "ConnectionError"))): 1},
    ),
    ("on_skipped", "sink", {"documents": 7}, {("stream_skipped_total", (("step", "sink"),)): 7}),
    ("on_dead_letter", "sink", {"documents": 8}, {("stream_dead_letters_total", (("step", "sink"),)): 8}),
    (
        "on_state",
        "group",
        {"keys": 12, "size": 4096},
        {
            ("stream_state_size_keys", (("step", "group"),)): 12,
            ("stream_state_size_bytes", (("step", "group"),)): 4096,
        },
    ),
    (
        "on_checkpoint",
        "source",
        {"seconds": 0.25},
        {
            ("stream_checkpoint_timestamp_seconds", ()): 1700000000.5,
            ("stream_checkpoint_age_seconds", ()): 0,
            ("stream_checkpoint_duration_seconds_sum", ()): 0.25,
        },
    ),
    (
        "on_opened",
        "source",
        {},
        {("stream_source_opened_total", ()): 1, ("stream_checkpoint_age_seconds", ()): 0},
    ),
    (
        "on_watermark",
        "tumblingWindow",
        {"event_time_ms": 1700000000500, "lag_seconds": 2.5},
        {
            ("stream_watermark_timestamp_seconds", (("step", "tumblingWindow"),)): 1700000000.5,
            ("stream_watermark_lag_seconds", (("step", "tumblingWindow"),)): 2.5,
        },
    ),
    ("on_late", "tumblingWindow", {"documents": 3}, {("stream_late_total", (("step", "tumblingWindow"),)): 3}),
    (
        "on_enrich",
        "stages[0].$set",
        {"operator": "$httpCall", "connection": "crm", "seconds": 0.8, "outcome": "ok", "cached": False, "calls": 4},
        {
            (
                "stream_enrich_total",
                (
                    ("step", "stages[0].$set"),
                    ("operator", "$httpCall"),
                    ("connection", "crm"),
                    ("outcome", "ok"),
                    ("cached", "false"),
                ),
            ): 4,
            (
                "stream_enrich_duration_seconds_count",
                (("step", "stages[0].$set"), ("operator", "$httpCall"), ("connection", "crm")),
            ): 4,
            (
                "stream_enrich_duration_seconds_sum",
                (("step", "stages[0].$set"), ("operator", "$httpCall"), ("connection", "crm")),
            ): 0.8,
        },
    ),
    ("on_queue", "sink", {"documents": 70}, {("stream_queue_documents", (("step", "sink"),)): 70}),
    (
        "on_breaker",
        "sink",
        {"name": "warehouse", "before": "CLOSED", "after": "OPEN"},
        {
            ("stream_breaker_state", (("step", "sink"), ("breaker", "warehouse"), ("state", "closed"))): 0,
            ("stream_breaker_state", (("step", "sink"), ("breaker", "warehouse"), ("state", "open"))): 1,
            ("stream_breaker_state", (("step", "sink"), ("breaker", "warehouse"), ("state", "half_open"))): 0,
        },
    ),
    (
        "on_start",
        "start",
        {},
        {("stream_start_timestamp_seconds", ()): 1700000000.5, ("stream_draining", ()): 0},
    ),
    ("on_drain", "source", {}, {("stream_draining", ()): 1}),
]

NO_SERIES = {"on_closed", "on_traced", "on_letters", "on_end"}


@pytest.mark.parametrize(("hook", "step", "facts", "expected"), CALLS, ids=[call[0] for call in CALLS])
def test_a_hook_leads_to_its_series(hook, step, facts, expected, registry, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1700000000.5)
    listener = PrometheusListener(registry)
    getattr(listener, hook)(context(step, partition="p1"), **facts)
    for (name, labels), value in expected.items():
        assert registry.get_sample_value(name, {**BASE, **dict(labels)}) == value, name


def test_every_hook_and_every_metric_is_tried():
    assert {call[0] for call in CALLS} == set(HOOKS) - NO_SERIES
    tried = {name for call in CALLS for name, _ in call[3]}
    divided = "stream_stage_seconds_total"  # takes several calls, further down
    assert {f"{m.name}_sum" if m.kind == "histogram" else m.name for m in METRICS} - {divided} <= tried


def test_histograms_count_each_value_in_every_bucket_above_it(registry, shown):
    listener = PrometheusListener(registry)
    for seconds in (0.0005, 0.004, 100.0):
        listener.on_batch(context(), seconds=seconds, size_in=1, size_out=0)
    buckets = {
        sample.labels["le"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "stream_batch_duration_seconds_bucket"
    }
    assert list(buckets) == [
        *("0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5"),
        *("1.0", "2.5", "5.0", "10.0", "30.0", "60.0", "+Inf"),
    ]
    assert (buckets["0.0005"], buckets["0.0025"], buckets["0.005"], buckets["60.0"], buckets["+Inf"]) == (1, 1, 2, 2, 3)
    assert shown("stream_batch_duration_seconds_count") == 3


def test_counters_of_failures_are_shown_at_zero_before_any_failed(registry, shown):
    listener = PrometheusListener(registry)
    listener.on_delivered(context("sink"), documents=1, seconds=0.1)
    for name in ("stream_retries_total", "stream_skipped_total", "stream_dead_letters_total"):
        assert shown(name, step="sink") == 0


def test_failures_have_the_class_of_what_is_behind_our_own_errors(registry, shown):
    listener = PrometheusListener(registry)
    try:
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError as cause:
            raise DocumentError(3, Where.at("stages", 0, "$set"), 0, cause) from cause
    except DocumentError as error:
        listener.on_failure(context(), error=error, decision="retry")
    listener.on_failure(context(), error=DeliveryError({0: ValueError("x")}), decision="retry")
    assert shown("stream_failures_total", **{"class": "ZeroDivisionError"}) == 1
    assert shown("stream_failures_total", **{"class": "DeliveryError"}) == 1


def test_the_lag_of_a_partition_is_the_last_one_and_partitions_add_up(registry, shown):
    listener = PrometheusListener(registry)
    for partition, lag in (("p1", 10.0), ("p2", 5.0), ("p1", 3.0)):
        listener.on_lag(context("source", partition=partition), lag=lag)
    assert shown("stream_lag", partition="p1") == 3
    assert shown("stream_lag") == 8


def test_the_state_is_the_sum_over_its_parts(registry, shown):
    listener = PrometheusListener(registry)
    for part, keys in (("0", 10), ("1", 20), ("0", 11)):
        listener.on_state(context("group", partition=part), keys=keys, size=keys * 100)
    assert shown("stream_state_size_keys", step="group") == 31
    assert shown("stream_state_size_bytes", step="group") == 3100


def test_a_breaker_is_in_one_state(registry, shown):
    listener = PrometheusListener(registry)
    for before, after in (("CLOSED", "OPEN"), ("OPEN", "HALF_OPEN"), ("HALF_OPEN", "CLOSED")):
        listener.on_breaker(context("sink"), name="b", before=before, after=after)
        states = {state: shown("stream_breaker_state", state=state) for state in ("closed", "open", "half_open")}
        assert states == {**dict.fromkeys(states, 0), after.lower(): 1}


def test_the_time_of_a_batch_is_divided_among_its_stages_as_the_last_timed_one_says(registry, shown):
    listener = PrometheusListener(registry)
    first, second = context("stages[0].$match"), context("stages[1].$set")
    run = context("stages[0].$match")

    def batch(seconds, times=(None, None)):
        for stage, nanoseconds in zip((first, second), times, strict=True):
            listener.on_stage(stage, stage=stage.step, size_in=1, size_out=1, nanoseconds=nanoseconds)
        listener.on_batch(run, seconds=seconds, size_in=1, size_out=1)

    batch(2.0)
    assert shown("stream_stage_seconds_total") is None
    batch(2.0, (300, 100))
    assert shown("stream_stage_seconds_total", stage="stages[0].$match") == 3.0
    assert shown("stream_stage_seconds_total", stage="stages[1].$set") == 1.0
    batch(4.0)
    assert shown("stream_stage_seconds_total", stage="stages[0].$match") == 6.0
    batch(8.0, (100, 300))
    assert shown("stream_stage_seconds_total", stage="stages[0].$match") == 8.0
    assert shown("stream_stage_seconds_total") == shown("stream_batch_duration_seconds_sum") == 16.0


def test_a_batch_that_was_timed_only_as_far_as_a_failing_stage_says_nothing(registry, shown):
    listener = PrometheusListener(registry)
    stages = [context("stages[0].$match"), context("stages[1].$set")]
    run = context("stages[0].$match")
    for timed in (stages, stages[:1]):
        for stage in timed:
            listener.on_stage(stage, stage=stage.step, size_in=1, size_out=1, nanoseconds=100)
        listener.on_batch(run, seconds=1.0, size_in=1, size_out=1)
    assert shown("stream_stage_seconds_total", stage="stages[1].$set") == 1.0


def test_pipelines_with_different_labels_share_a_registry(registry, shown):
    plain = {"environment": "", "labels": {}}
    for metadata in (METADATA, plain, {"labels": {"tier": "1", "team": "b"}}):
        listener = PrometheusListener(registry)
        listener.on_fetched(context("source", metadata=metadata), documents=10, rejects=0, waited=0.1)
    assert shown("stream_fetched_total") == 30
    assert shown("stream_fetched_total", team="a", environment="test") == 10
    assert shown("stream_fetched_total", tier="1", team="b", environment="") == 10


def test_two_listeners_for_the_same_pipeline_add_to_the_same_series(registry):
    for _ in range(2):
        PrometheusListener(registry).on_fetched(context("source"), documents=10, rejects=0, waited=0.1)
    assert registry.get_sample_value("stream_fetched_total", BASE) == 20


def test_threads_add_up_and_lose_nothing(registry):
    listener = PrometheusListener(registry)

    def work():
        own = context("source")
        for _ in range(2000):
            listener.on_fetched(own, documents=1, rejects=0, waited=0.1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        registry.get_sample_value("stream_fetched_total", BASE)
    assert registry.get_sample_value("stream_fetched_total", BASE) == 8000
    assert registry.get_sample_value("stream_backpressure_seconds_count", BASE) == 8000


def test_a_listeners_own_labels_win_over_those_of_the_pipeline(registry, shown):
    listener = PrometheusListener(registry, labels={"team": "b", "zone": 3})
    listener.on_fetched(context("source"), documents=1, rejects=0, waited=0.1)
    assert shown("stream_fetched_total", team="b", zone="3") == 1


def test_a_users_label_with_the_name_of_ours_is_shown_as_exported(registry, shown):
    listener = PrometheusListener(registry, labels={"stage": "beta", "le": "x", "class": "y", "worker": "z"})
    listener.on_batch(context(), seconds=1.0, size_in=1, size_out=1)
    exported = {"exported_stage": "beta", "exported_le": "x", "exported_class": "y", "exported_worker": "z"}
    assert shown("stream_batch_duration_seconds_count", worker="0", **exported) == 1


@pytest.mark.parametrize("name", ["a-b", "1a", "", "__x", "a b"])
def test_what_cannot_be_a_label_is_refused(name, registry):
    with pytest.raises(ValueError) as caught:
        PrometheusListener(registry, labels={name: "x"})
    assert str(caught.value) == f"{name!r} cannot be a label; use letters, digits and '_'"


def test_what_is_shown_is_valid_and_no_series_stands_twice(registry):
    listener = PrometheusListener(registry)
    for hook, step, facts, _ in CALLS:
        for worker in (0, 1):
            getattr(listener, hook)(context(step, worker=worker, partition='a "quoted"\nname\\'), **facts)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert [family.name for family in families] == [metric.name.removesuffix("_total") for metric in METRICS]
    assert [family.type for family in families] == [metric.kind for metric in METRICS]
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for f in families for sample in f.samples]
    assert len(series) == len(set(series)) > 50


def test_no_label_shows_a_secret_even_one_that_becomes_known_late(registry):
    listener = PrometheusListener(registry, labels={"owner": "late-s3cret"})
    named = context("source", pipeline="https://ada:s3cret@host/", partition="file-late-s3cret")
    listener.on_lag(named, lag=1.0)
    listener.on_lag(context("source", pipeline="https://ada:other@host/", partition="file-late-s3cret"), lag=2.0)
    listener.on_breaker(named, name="late-s3cret", before="CLOSED", after="OPEN")
    register_secret("late-s3cret")
    page = generate_latest(registry).decode()
    assert "s3cret" not in page
    assert 'stream_lag{connector="kafka",environment="test",owner="***",partition="file-***",' in page
    # two series that differ in nothing but a secret are one
    assert page.count("stream_lag{") == 1
    assert page.count("} 3.0") == 1


def test_metrics_of_these_names_from_elsewhere_are_an_error(registry):
    Counter("stream_retries", "somebody's own", registry=registry)
    with pytest.raises(ValueError, match="stream_retries"):
        PrometheusListener(registry)


class TestDefaultListeners:
    def test_there_is_one_unless_the_settings_say_otherwise(self):
        (listener,) = default_listeners(SimpleNamespace(metrics=True))
        assert isinstance(listener, PrometheusListener)
        assert listener.registry is REGISTRY
        assert default_listeners(SimpleNamespace(metrics=False)) == ()

    def test_there_is_none_beside_one_that_was_given_for_the_same_registry(self, registry):
        wanted = SimpleNamespace(metrics=True)
        assert default_listeners(wanted, [PrometheusListener()]) == ()
        assert len(default_listeners(wanted, [PrometheusListener(registry)])) == 1

    def test_a_registry_that_refuses_costs_the_metrics_and_not_the_run(self, monkeypatch, caplog):
        taken = CollectorRegistry()
        Counter("stream_fetched", "somebody's own", registry=taken)
        monkeypatch.setattr("fluxion_flow.observe.prometheus.PrometheusListener.__init__.__defaults__", (taken, None))
        with caplog.at_level(logging.WARNING):
            assert default_listeners(SimpleNamespace(metrics=True)) == ()
        (message,) = caplog.messages
        assert message.startswith("this run has no metrics: ")
        assert message.endswith("; give the others another name, or set metrics: false")
