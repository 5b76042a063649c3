"""Which policy applies, what swaps it, and what goes with one: callbacks, budgets, listeners."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingContext, StreamingMetricsListener, pipeline
from fluxion_flow.runtime.failure import GO_ON

DOUBLE = {"$set": {"m": {"$multiply": ["$n", 2]}}}
HALVE = {"$set": {"h": {"$divide": ["$k", 2]}}}
GOOD = [0, 1, 2, 3, 4, 6, 7, 8, 9]


def flow(*stages: dict[str, Any]) -> PipelineBuilder:
    return pipeline("trial").source(MemorySource(numbered(10, 5))).stages(list(stages)).sink(MemorySink("out"))


# -- the nearest policy wins -------------------------------------------------------------------------------------------


def test_a_stages_policy_is_nearer_than_the_pipelines() -> None:
    data = flow({**DOUBLE, "on_error": Policy.dead_letter(DEAD).per_document()}).on_error("fail_fast")
    outcome = run(data)
    assert outcome.error == ""
    assert outcome.dead == [5]


def test_each_stage_of_a_fused_run_has_a_policy_of_its_own() -> None:
    poison = {"$set": {"k": {"$cond": [{"$eq": ["$_id", 7]}, "odd", 1]}}}
    data = flow({**DOUBLE, "on_error": "skip"}, poison, {**HALVE, "on_error": {"dead_letter": DEAD}}, {"$unset": "k"})
    outcome = run(data.on_error("fail_fast"), granularity="document")
    assert outcome.error == ""
    assert ids(collected("out")) == [0, 1, 2, 3, 4, 6, 8, 9]
    assert outcome.recorder.total("on_skipped", step="stages[0].$set") == 1
    assert outcome.dead == [7]


def test_a_nearer_policy_takes_what_it_leaves_open_from_the_pipelines() -> None:
    outer = Policy.builder().dead_letter(DEAD).granularity("document").budget(failures=2).build()
    outcome = run(flow({**DOUBLE, "on_error": {"retry": 1, "then": "dead_letter"}}).on_error(outer))
    assert outcome.dead == [5]


# -- swapped by the environment alone ----------------------------------------------------------------------------------

SKIPPED = ([0, 1, 2, 3, 4, 6, 7, 8, 9], [], "")
FAILED = (
    "pipeline 'trial', step stages[0].$set, source partition '00000', position 5: "
    f"stages[0].$set.m.$multiply: $multiply takes numbers, got string{GO_ON}"
)


@pytest.mark.parametrize(
    ("variables", "delivered", "dead", "error"),
    [
        ({}, GOOD, [5], ""),
        ({"FLUXION_STAGE_ON_ERROR__TOTALS": "skip_and_continue"}, GOOD, [], ""),
        ({"FLUXION_STAGE_ON_ERROR__0": "skip"}, GOOD, [], ""),
        ({"FLUXION_STAGE_ON_ERROR__TOTALS": "{granularity: batch, skip: {}}"}, [0, 1, 2, 3, 8, 9], [], ""),
        ({"FLUXION_STAGE_ON_ERROR__TOTALS": "fail_fast"}, None, [], FAILED),
        ({"FLUXION_ON_ERROR": "fail_fast"}, GOOD, [5], ""),  # the stage's own stays nearer
        ({"FLUXION_STAGE_ON_ERROR__TOTALS": "{dead_letter: {type: memory, name: other}}"}, GOOD, [], ""),
    ],
    ids=str,
)
def test_a_restart_with_a_variable_swaps_a_policy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], delivered: list[int] | None, dead: list[int], error: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    data = flow({**DOUBLE, "name": "totals", "on_error": Policy.dead_letter(DEAD).per_document()})
    outcome = run(data)
    assert outcome.error == error
    assert delivered is None or ids(collected("out")) == delivered
    assert outcome.dead == dead
    assert len(collected("other")) == ("other" in str(variables))


@pytest.mark.parametrize("variable", ["FLUXION_ON_ERROR", "FLUXION_SOURCE_ON_ERROR"])
def test_the_policy_of_reading_is_swapped(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    def failing() -> PipelineBuilder:
        return pipeline("trial").source(MemorySource(numbered(4), fail_reads=[1])).sink(MemorySink("out"))

    assert run(failing()).error != ""
    monkeypatch.setenv(variable, "{retry: {max_attempts: 2, backoff: 1ms}}")
    assert run(failing()).error == ""
    assert ids(collected("out")) == [0, 1, 2, 3]


def test_the_policy_of_every_sink_is_swapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXION_SINK_ON_ERROR", "skip")
    data = pipeline("trial").source(MemorySource(numbered(4)))
    data = data.sink(MemorySink("one", fail_documents={"_id": 1}), name="one", on_error="fail_fast")
    data = data.sink(MemorySink("two", fail_documents={"_id": 2}), name="two")
    outcome = run(data)
    assert outcome.error == ""
    assert (ids(collected("one")), ids(collected("two"))) == ([0, 2, 3], [0, 1, 3])


def test_a_file_of_settings_swaps_policies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "live.yaml").write_text("on_error: {stages: {totals: skip}}\ngranularity: document\n")
    monkeypatch.setenv("FLUXION_CONFIG", str(tmp_path / "live.yaml"))
    outcome = run(flow({**DOUBLE, "name": "totals"}))
    assert outcome.error == ""
    assert ids(collected("out")) == GOOD


def test_a_policy_is_swapped_between_two_runs_on_one_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def data(*fail_reads: int) -> PipelineBuilder:
        source = MemorySource(numbered(30, 5, 25), fail_reads=fail_reads)
        return pipeline("trial").source(source, on_error="fail_fast").stages([DOUBLE]).sink(MemorySink("out"))

    monkeypatch.setenv("FLUXION_ON_ERROR", "{skip: {}, granularity: document}")
    assert "told to fail" in run(data(5), store=tmp_path / "store").error
    monkeypatch.setenv("FLUXION_ON_ERROR", "{dead_letter: {type: memory, name: dead}, granularity: document}")
    outcome = run(data(), store=tmp_path / "store")
    assert outcome.error == ""
    assert ids(collected("out")) == [i for i in range(30) if i not in (5, 25)]
    assert outcome.dead == [25]


# -- callbacks ---------------------------------------------------------------------------------------------------------


def test_callbacks_hear_every_failure_and_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    def note(error: BaseException, facts: Any) -> None:
        heard.append((type(error).__name__, {**facts, "delay": facts["delay"] > 0}))
        raise RuntimeError("on its own account")

    policy = Policy.builder().retry(2, backoff=0.001).on_failure(note).skip().granularity("document").build()
    outcome = run(flow(DOUBLE).on_error(policy))
    assert outcome.error == ""
    assert ids(collected("out")) == GOOD
    step = {"step": "stages[0].$set"}
    assert heard == [
        ("DocumentError", {**step, "attempt": 1, "decision": "retry", "delay": True}),
        ("DocumentError", {**step, "attempt": 2, "decision": "skip", "delay": False}),
    ]
    name = "test_callbacks_hear_every_failure_and_change_nothing.<locals>.note"
    assert [r.getMessage() for r in caplog.records] == [
        f"stages[0].$set: callback {name} failed: RuntimeError: on its own account"
    ] * 2


# -- budgets -----------------------------------------------------------------------------------------------------------

LAST = "The last failure: stages[0].$set.m.$multiply: $multiply takes numbers, got string"


@pytest.mark.parametrize(
    ("budget", "bad", "text"),
    [
        ({"failures": 2}, [5, 9], "2 of 10 documents failed (20.0 %); the failure budget is 2"),
        ({"percent": 25, "minimum": 4}, [2], "1 of 4 documents failed (25.0 %); the failure budget is 25 %"),
        (
            {"percent": 90, "failures": 3, "within": "10m"},
            [1, 2, 3],
            "3 of 4 documents failed in the last 600 s (75.0 %); the failure budget is 90 % or 3 in 600 s",
        ),
    ],
)
@pytest.mark.parametrize("action", ["skip", "dead_letter"])
def test_a_budget_turns_skipping_into_an_end(budget: dict[str, Any], bad: list[int], text: str, action: str) -> None:
    builder = Policy.builder().budget(**budget).granularity("document")
    policy = builder.skip().build() if action == "skip" else builder.dead_letter(DEAD).build()
    data = pipeline("trial").source(MemorySource(numbered(10, *bad))).stages([DOUBLE]).sink(MemorySink())
    assert run(data.on_error(policy)).error == (
        f"pipeline 'trial', step stages[0].$set, source partition '00000', position {bad[-1]}: {text}, so the run "
        f"stops: find the cause in the dead letters or the log, or raise the budget. {LAST}"
    )


def test_a_budget_that_is_not_used_up_changes_nothing() -> None:
    policy = Policy.builder().budget(failures=3, percent=50, minimum=2).granularity("document").skip().build()
    assert run(flow(DOUBLE).on_error(policy)).error == ""


def test_refused_documents_of_a_sink_use_up_its_budget() -> None:
    policy = Policy.builder().budget(failures=2).skip().build()
    sink = MemorySink(fail_documents=lambda d: ValueError("no") if d["_id"] in (1, 6) else None)
    data = pipeline("trial").source(MemorySource(numbered(10))).sink(sink).on_error(policy)
    assert run(data).error == (
        "pipeline 'trial', step sink, source partition '00000', position 6: 2 of 5 documents failed (40.0 %); the "
        "failure budget is 2, so the run stops: find the cause in the dead letters or the log, or raise the budget. "
        "The last failure: DeliveryError: 1 documents were not delivered, the first because: no"
    )


def test_undecodable_records_use_up_the_sources_budget(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"_id": 0}\n?\n{"_id": 2}\n?\n')
    policy = Policy.builder().budget(failures=2).skip().build()
    data = pipeline("trial").source("files", path=str(tmp_path / "in.jsonl")).sink(MemorySink()).on_error(policy)
    error = run(data).error
    assert ": 2 of 4 documents failed (50.0 %); the failure budget is 2, so the run stops" in error


# -- what is counted ---------------------------------------------------------------------------------------------------


class Clumsy(StreamingMetricsListener):
    def on_batch(self, context: StreamingContext, **facts: Any) -> None:
        raise RuntimeError("clumsy")


def test_a_listener_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert run(flow({"$set": {"a": 1}}).listen(Clumsy())).error == ""
    assert len(collected("out")) == 10
    assert caplog.records[0].getMessage() == "listener Clumsy.on_batch failed: RuntimeError: clumsy"


@pytest.mark.parametrize("granularity", ["batch", "document"])
@pytest.mark.parametrize("workers", [1, 2])
def test_what_listeners_hear_adds_up(granularity: str, workers: int) -> None:
    """Everything fetched is delivered, dead-lettered, skipped or dropped by $match."""
    stages = [
        {"$match": {"_id": {"$lt": 90}}},
        {**DOUBLE, "on_error": {"dead_letter": DEAD}},
        {"$set": {"k": {"$cond": [{"$eq": ["$_id", 50]}, "odd", 1]}}},
        {**HALVE, "on_error": "skip"},
    ]
    sink = MemorySink("out", fail_documents=lambda d: ValueError("no") if d["_id"] in (7, 40) else None)
    data = pipeline("trial").source(MemorySource([numbered(100, 5, 6, 30), []])).stages(stages)
    outcome = run(data.sink(sink, on_error={"dead_letter": DEAD}), granularity=granularity, workers=workers)
    recorder = outcome.recorder
    assert outcome.error == ""
    delivered = recorder.total("on_delivered", step="sink")
    assert recorder.total("on_fetched") == 100
    assert delivered == len(collected("out"))
    assert recorder.total("on_dead_letter") == len(collected("dead"))
    assert recorder.total("on_delivered", step="dead_letter sink") == len(collected("dead"))
    assert delivered + recorder.total("on_dead_letter") + recorder.total("on_skipped") == 90
    names = [f"stages[{k}].{name}" for k, name in enumerate(("$match", "$set", "$set", "$set"))]
    ins = [recorder.total("on_stage", "size_in", step=name) for name in names]
    outs = [recorder.total("on_stage", "size_out", step=name) for name in names]
    assert ins == [100, 90, outs[1], outs[2]]
    assert outs[0] == 90
    assert outs[3] - recorder.total("on_dead_letter", step="sink") == delivered
    assert granularity == "batch" or (ins[1] - outs[1], ins[3] - outs[3]) == (3, 1)
    assert len(recorder.all("on_start")) == workers


def test_listeners_hear_of_lag_checkpoints_and_state(tmp_path: Path) -> None:
    stages = [{"$group": {"_id": "$n", "c": {"$count": {}}}}]
    data = pipeline("trial").source(MemorySource([numbered(20), numbered(4)])).stages(stages).sink(MemorySink("out"))
    recorder = run(data, store=tmp_path / "store", state_partitions=2).recorder
    assert [facts["lag"] for facts in recorder.all("on_lag", "source")][-1] == 0
    contexts = [c for (hook, _, _), c in zip(recorder.heard, recorder.contexts, strict=True) if hook == "on_checkpoint"]
    assert {context.partition for context in contexts} == {"00000", "00001"}
    last: dict[str, dict[str, Any]] = {}
    for (hook, step, facts), context in zip(recorder.heard, recorder.contexts, strict=True):
        if hook == "on_state":
            assert step == "group"
            last[context.partition] = facts
    assert sum(facts["keys"] for facts in last.values()) == 20
    assert all(facts["size"] > 0 for facts in last.values())


def test_timed_batches_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from fluxion_flow.runtime import steps

    monkeypatch.setattr(steps, "TIME_EVERY", 1)
    stages = [{"$set": {"n": ["$n", 1]}}, {"$unwind": "$n"}, DOUBLE, {"$match": {"_id": {"$ne": 3}}}]
    stages += [{"$group": {"_id": None, "ids": {"$push": "$_id"}}}]
    outcome = run(flow(*stages).on_error("skip"), granularity="document")
    assert outcome.error == ""
    assert collected("out") == [{"_id": None, "ids": [0, 0, 1, 1, 2, 2, 4, 4, 5, 6, 6, 7, 7, 8, 8, 9, 9]}]
    sizes = {facts["stage"]: [0, 0] for facts in outcome.recorder.all("on_stage")}
    for facts in outcome.recorder.all("on_stage"):
        sizes[facts["stage"]][0] += facts["size_in"]
        sizes[facts["stage"]][1] += facts["size_out"]
    assert list(sizes.values()) == [[10, 10], [10, 20], [20, 19], [19, 17], [17, 0]]
    assert any(facts["nanoseconds"] for facts in outcome.recorder.all("on_stage"))


def test_a_timed_batch_may_be_empty_behind_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    from fluxion_flow.runtime import steps

    monkeypatch.setattr(steps, "TIME_EVERY", 1)
    outcome = run(flow({"$match": {"_id": {"$lt": 0}}}, DOUBLE, {"$unwind": "$n"}))
    assert outcome.error == ""
    assert collected("out") == []
    assert outcome.recorder.total("on_stage", "size_in", step="stages[1].$set") == 0


def test_a_context_says_where_and_when() -> None:
    data = flow(DOUBLE).on_error(retry(2).then(Policy.skip_and_continue()).per_document())
    outcome = run(data, environment="test", labels={"team": "a"})
    failing = [
        c
        for (hook, _, _), c in zip(outcome.recorder.heard, outcome.recorder.contexts, strict=True)
        if hook == "on_failure"
    ]
    context = failing[0]
    assert (context.pipeline, context.step, context.worker) == ("trial", "stages[0].$set", 0)
    assert (context.partition, context.connector) == ("00000", "MemorySource")
    assert context.metadata == {"environment": "test", "labels": {"team": "a"}}
    assert context.count("mine", 2) == 2
