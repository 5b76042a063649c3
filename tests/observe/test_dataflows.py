"""Metrics of real dataflows: they add up to what went in and what came out."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import timedelta

import pytest
from bytewax.testing import cluster_main, run_main
from fluxion_connectors.memory import MemorySink, MemorySource
from prometheus_client import REGISTRY, generate_latest

from fluxion_flow import StreamingErrorPolicy, StreamingMetricsListener, pipeline
from fluxion_flow.observe.listener import HOOKS
from fluxion_flow.observe.logs import LOGGER, JsonLogListener
from fluxion_flow.observe.prometheus import PrometheusListener
from fluxion_flow.observe.recording import RecordingListener

DOCUMENTS = [{"_id": n, "key": n % 10, "price": "poison" if n % 50 == 7 else 2} for n in range(1000)]
"""Twenty documents of these cannot be multiplied."""

DOUBLE = {"price": {"$multiply": ["$price", 2]}}
FAST = {"backoff": "1ms", "jitter": "none"}


@pytest.fixture
def dead():
    return MemorySink("dead-letters-of-metrics")


@pytest.fixture
def out():
    return MemorySink("out-of-metrics")


@pytest.fixture(autouse=True)
def fresh_memory():
    from fluxion_connectors.memory import clear

    clear()
    yield
    clear()


def flow(registry, source, sink, name="orders", **config):
    """A pipeline without its stages and policy, counted in ``registry`` alone."""
    return (
        pipeline(name)
        .source(source)
        .sink(sink)
        .listen(PrometheusListener(registry))
        .config(**{"batch_size": 50, "metrics": False, **config})
    )


def test_what_went_in_came_out_or_is_a_dead_letter(registry, shown, out, dead):
    made = flow(registry, MemorySource(DOCUMENTS), out).set(DOUBLE)
    run_main(made.on_error(StreamingErrorPolicy.dead_letter(dead).per_document()).compile())
    assert shown("stream_fetched_total") == 1000
    assert shown("stream_batch_size_sum", direction="in", step="stages[0].$set") == 1000
    assert shown("stream_batch_size_sum", direction="out", step="stages[0].$set") == 980
    assert shown("stream_batch_duration_seconds_count") == 20
    assert shown("stream_backpressure_seconds_count") == 20
    assert shown("stream_delivered_total", step="sink") == len(out.collected()) == 980
    assert shown("stream_dead_letters_total", step="stages[0].$set") == len(dead.collected()) == 20
    assert shown("stream_delivered_total", step="dead_letter sink") == 20
    assert shown("stream_failures_total", step="stages[0].$set", **{"class": "EvaluationError"}) == 20
    assert shown("stream_failures_total") == 20
    assert shown("stream_skipped_total") == 0
    assert shown("stream_lag", partition="00000") == 0


def test_stages_are_counted_one_by_one_although_they_run_fused(registry, shown, out):
    good = [d for d in DOCUMENTS if d["price"] != "poison"]
    made = flow(registry, MemorySource(good), out).match({"key": {"$lt": 5}}).set(DOUBLE).project({"price": 1})
    run_main(made.compile())
    passed = sum(d["key"] < 5 for d in good)
    counted = [
        (shown("stream_stage_documents_total", stage=stage, direction="in"),
         shown("stream_stage_documents_total", stage=stage, direction="out"))
        for stage in ("stages[0].$match", "stages[1].$set", "stages[2].$project")
    ]  # fmt: skip
    assert counted == [(980, passed), (passed, passed), (passed, passed)]


def test_the_time_of_the_stages_is_the_time_of_the_batches(registry, shown, out):
    made = flow(registry, MemorySource([{"n": n} for n in range(3000)]), out, batch_size=10)
    run_main(made.match({"n": {"$gte": 0}}).set({"m": {"$add": ["$n", 1]}}).compile())
    assert shown("stream_batch_duration_seconds_count") == 300
    whole = shown("stream_batch_duration_seconds_sum")
    assert shown("stream_stage_seconds_total") == pytest.approx(whole)
    assert 0 < shown("stream_stage_seconds_total", stage="stages[0].$match") < whole


def test_stages_in_front_of_a_keyed_stage_are_timed_too(registry, shown, out):
    made = flow(registry, MemorySource([{"n": n} for n in range(3000)]), out, batch_size=10)
    run_main(made.set({"m": {"$add": ["$n", 1]}}).group({"_id": "$m", "c": {"$count": {}}}).compile())
    assert shown("stream_stage_documents_total", stage="stages[0].$set", direction="in") == 3000
    assert shown("stream_stage_seconds_total", stage="stages[0].$set") > 0


def test_workers_are_told_apart_and_add_up(registry, shown, out, dead):
    parts = [DOCUMENTS[:200], DOCUMENTS[200:500], DOCUMENTS[500:]]
    made = flow(registry, MemorySource(parts), out).set(DOUBLE).group({"_id": "$key", "total": {"$sum": "$price"}})
    made = made.on_error(StreamingErrorPolicy.dead_letter(dead).per_document())
    cluster_main(made.compile(), [], 0, worker_count_per_proc=3)
    fetched = [shown("stream_fetched_total", worker=str(worker)) for worker in range(3)]
    assert sorted(filter(None, fetched)) == [200, 300, 500] or sum(filter(None, fetched)) == 1000
    assert len([n for n in fetched if n]) > 1
    assert shown("stream_fetched_total") == 1000
    assert shown("stream_dead_letters_total", step="stages[0].$set") == len(dead.collected()) == 20
    assert shown("stream_delivered_total", step="sink") == len(out.collected()) == 10
    assert shown("stream_state_size_keys", step="group") == 10
    assert shown("stream_start_timestamp_seconds", worker="2") > 0


@pytest.mark.parametrize("action", ["skip", "dead_letter"])
def test_a_batch_that_is_given_up_counts_all_its_documents(action, registry, shown, out, dead):
    policy = StreamingErrorPolicy(action=action, dead_letter_sink=dead, granularity="batch")
    run_main(flow(registry, MemorySource(DOCUMENTS[:100]), out).set(DOUBLE).on_error(policy).compile())
    assert shown("stream_fetched_total") == 100
    given_up = "stream_skipped_total" if action == "skip" else "stream_dead_letters_total"
    assert shown(given_up, step="stages[0].$set") == 100
    assert shown("stream_failures_total", step="stages[0].$set") == 2
    assert len(out.collected()) == 0


def test_retries_of_source_and_sink_are_counted(registry, shown):
    source = MemorySource(DOCUMENTS[10:40], fail_reads=[1, 2])
    sink = MemorySink("out-of-metrics", fail_writes={1: TimeoutError("slow")})
    made = flow(registry, source, sink).set({"a": 1}).on_error(StreamingErrorPolicy.retry(5, **FAST))
    run_main(made.compile())
    assert shown("stream_retries_total", step="source") == 2
    assert shown("stream_retries_total", step="sink") == 1
    assert shown("stream_retries_total") == 3
    assert shown("stream_failures_total", step="source", **{"class": "ConnectionError"}) == 2
    assert shown("stream_failures_total", step="sink", **{"class": "TimeoutError"}) == 1
    assert shown("stream_delivered_total", step="sink") == shown("stream_fetched_total") == 30


def test_a_failure_that_ends_the_run_is_counted(registry, shown, out):
    with pytest.raises(Exception):  # noqa: B017 - what Bytewax raises is not the matter here
        run_main(flow(registry, MemorySource(DOCUMENTS[:100]), out).set(DOUBLE).compile())
    assert shown("stream_failures_total", step="stages[0].$set", **{"class": "EvaluationError"}) == 1
    assert shown("stream_fetched_total") >= 50


def test_a_circuit_breaker_is_seen_to_open_and_to_close(registry, shown, out):
    recorded = RecordingListener()
    policy = (
        StreamingErrorPolicy.builder()
        .retry(20, **FAST)
        .circuit_breaker(
            name="metrics-warehouse",
            minimum_number_of_calls=2,
            sliding_window_size=2,
            sliding_window_type="COUNT_BASED",
            wait_duration_in_open_state="20ms",
            permitted_calls_in_half_open_state=1,
        )
        .build()
    )
    sink = MemorySink("out-of-metrics", fail_writes=[1])
    made = pipeline("breaking").source(MemorySource(DOCUMENTS[10:40])).sink(sink, on_error=policy)
    made = made.listen(recorded).listen(PrometheusListener(registry)).config(metrics=False)
    run_main(made.compile())
    changes = [(told["before"].lower(), told["after"].lower()) for told in recorded.told("on_breaker")]
    assert changes == [("closed", "closed"), ("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    states = {s: shown("stream_breaker_state", breaker="metrics-warehouse", state=s) for s in ("closed", "open")}
    assert states == {"closed": 1, "open": 0}


def test_the_state_and_the_checkpoints_are_shown(registry, shown, out):
    made = flow(registry, MemorySource(DOCUMENTS), out).group({"_id": "$_id", "n": {"$count": {}}})
    run_main(made.compile(), epoch_interval=timedelta(0))
    assert shown("stream_state_size_keys", step="group") == 1000
    assert shown("stream_state_size_bytes", step="group") > 1000
    assert shown("stream_checkpoint_timestamp_seconds") > shown("stream_start_timestamp_seconds") - 1


def test_records_that_cannot_be_decoded_are_failures_and_not_documents(tmp_path, registry, shown, out, dead):
    lines = [json.dumps({"n": n}) if n % 10 else "{broken" for n in range(200)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    made = (
        pipeline("decoding")
        .source("files", path=str(tmp_path / "in.jsonl"))
        .sink(out)
        .on_error(StreamingErrorPolicy.dead_letter(dead))
        .listen(PrometheusListener(registry))
        .config(metrics=False)
    )
    run_main(made.compile())
    assert shown("stream_fetched_total", connector="files") == shown("stream_delivered_total", step="sink") == 180
    assert shown("stream_rejected_total", connector="files") == 20
    assert shown("stream_failures_total", step="source", **{"class": "UndecodableRecord"}) == 20
    assert shown("stream_dead_letters_total", step="source") == len(dead.collected()) == 20


def test_pipelines_are_counted_by_default_and_may_be_compiled_again(out):
    def value(**labels):
        base = {"pipeline": "counted-by-default", "connector": "MemorySource", "environment": "", "worker": "0"}
        return REGISTRY.get_sample_value("stream_fetched_total", {**base, **labels})

    made = pipeline("counted-by-default").source(MemorySource(DOCUMENTS[:7])).sink(out)
    run_main(made.compile())
    run_main(made.compile())
    run_main(made.config(labels={"team": "a", "step": "b"}).compile())
    run_main(made.config(metrics=False).compile())
    run_main(made.listen(PrometheusListener()).compile())
    assert value() == 21
    assert value(team="a", exported_step="b") == 7


def test_a_listener_that_always_fails_changes_nothing(registry, shown, out, dead, caplog):
    class Broken(StreamingMetricsListener):
        pass

    def fail(self, context, **facts):
        raise RuntimeError("listener is broken")

    for hook in HOOKS:
        setattr(Broken, hook, fail)
    made = pipeline("broken-listener").source(MemorySource(DOCUMENTS)).set(DOUBLE).sink(out).listen(Broken())
    made = made.on_error(StreamingErrorPolicy.dead_letter(dead).per_document())
    made = made.listen(PrometheusListener(registry)).config(metrics=False)
    run_main(made.compile())
    assert len(out.collected()) == shown("stream_delivered_total", step="sink") == 980
    assert len(dead.collected()) == 20
    assert caplog.messages
    assert set(caplog.messages) == {"listener " + fail.__qualname__ + " failed: RuntimeError: listener is broken"}


def test_a_run_is_logged_as_json_lines(caplog, out, dead):
    caplog.set_level(logging.INFO, LOGGER)
    made = pipeline("logged").source(MemorySource(DOCUMENTS)).set(DOUBLE).sink(out).listen(JsonLogListener())
    made = made.on_error(StreamingErrorPolicy.dead_letter(dead).per_document()).config(metrics=False)
    run_main(made.compile())
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == LOGGER]
    assert Counter(line["event"] for line in lines) == {"start": 1, "failure": 5, "dead_letter": 5, "end": 1}
    assert {line["pipeline"] for line in lines} == {"logged"}
    assert lines[1]["error"]["class"] == "EvaluationError"
    assert (lines[1]["step"], lines[1]["partition"], lines[1]["decision"]) == ("stages[0].$set", "00000", "dead_letter")


def test_nothing_of_a_failing_run_shows_a_secret(registry, caplog, monkeypatch, dead):
    monkeypatch.setenv("METRICS_TOKEN", "tok-3n-of-metrics")
    from fluxion_flow import secret

    token = secret("METRICS_TOKEN").resolve()
    sink = MemorySink("out-of-metrics", fail_writes={1: ConnectionError(f"401 for Bearer {token}")})
    made = flow(registry, MemorySource(DOCUMENTS[10:20]), sink, name="secretive", labels={"owner": token})
    run_main(made.listen(JsonLogListener()).on_error(StreamingErrorPolicy.dead_letter(dead)).compile())
    page = generate_latest(registry).decode()
    assert token not in page
    assert 'class="ConnectionError"' in page
    assert 'owner="***"' in page
    assert "401 for Bearer ***" in caplog.text
    assert token not in caplog.text
