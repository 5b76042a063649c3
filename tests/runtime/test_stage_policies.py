"""Every policy at a stage: in a run of fused stages, at the combine of $group, behind $group, behind $unwind."""

from __future__ import annotations

from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import DEAD, Outcome, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingErrorPolicy, StreamingMetricsListener, pipeline
from fluxion_flow.runtime.failure import GO_ON

DOUBLE = {"$set": {"m": {"$multiply": ["$n", 2]}}}
FUSED = [{"$match": {"_id": {"$gte": 0}}}, DOUBLE, {"$project": {"m": 1}}]
REASON = "stages[1].$set.m.$multiply: $multiply takes numbers, got string"


def flow(stages: list[dict[str, Any]], policy: StreamingErrorPolicy, *bad: int, count: int = 10) -> PipelineBuilder:
    source = MemorySource(numbered(count, *bad))
    return pipeline("trial").source(source).stages(stages).sink(MemorySink("out")).on_error(policy)


# documents 0-3, 4-7, 8-9 are batches; 5 and 6 are poison
CASES = [
    ("skip", Policy.skip_and_continue(), "batch", [0, 1, 2, 3, 8, 9], []),
    ("skip", Policy.skip_and_continue(), "document", [0, 1, 2, 3, 4, 7, 8, 9], []),
    ("dead letter", Policy.dead_letter(DEAD), "batch", [0, 1, 2, 3, 8, 9], [4, 5, 6, 7]),
    ("dead letter", Policy.dead_letter(DEAD), "document", [0, 1, 2, 3, 4, 7, 8, 9], [5, 6]),
    ("retry, skip", retry(3).then(Policy.skip_and_continue()), "batch", [0, 1, 2, 3, 8, 9], []),
    ("retry, skip", retry(3).then(Policy.skip_and_continue()), "document", [0, 1, 2, 3, 4, 7, 8, 9], []),
    ("retry, dead letter", retry(3).then(Policy.dead_letter(DEAD)), "batch", [0, 1, 2, 3, 8, 9], [4, 5, 6, 7]),
    ("retry, dead letter", retry(3).then(Policy.dead_letter(DEAD)), "document", [0, 1, 2, 3, 4, 7, 8, 9], [5, 6]),
]


@pytest.mark.parametrize(("title", "policy", "granularity", "delivered", "dead"), CASES, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("workers", [1, 2])
def test_poison_in_a_fused_run(
    title: str, policy: StreamingErrorPolicy, granularity: str, delivered: list[int], dead: list[int], workers: int
) -> None:
    outcome = run(flow(FUSED, policy, 5, 6), workers=workers, granularity=granularity)
    assert outcome.error == ""
    assert collected("out") == [{"_id": i, "m": i * 2} for i in delivered]
    assert outcome.dead == dead
    lost = 10 - len(delivered)
    assert outcome.skipped == (0 if dead else lost)
    assert outcome.recorder.total("on_dead_letter") == len(dead)
    attempts = 3 if policy.retries else 1
    assert {letter["attempts"] for letter in outcome.letters} <= {attempts}
    failing = 2 if granularity == "document" else 1
    assert outcome.failures("stages[1].$set").total() == failing * attempts
    assert len(outcome.recorder.all("on_retry")) == failing * (attempts - 1)


@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_fail_fast_names_pipeline_step_partition_and_position(granularity: str) -> None:
    outcome = run(flow(FUSED, Policy.fail_fast(), 5, 6), granularity=granularity)
    assert (
        outcome.error == f"pipeline 'trial', step stages[1].$set, source partition '00000', position 5: {REASON}{GO_ON}"
    )
    assert outcome.failures() == {"abort": 1}


@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_a_retry_that_runs_out_ends_the_run(granularity: str) -> None:
    outcome = run(flow(FUSED, retry(3), 5), granularity=granularity)
    place = "pipeline 'trial', step stages[1].$set, source partition '00000', position 5"
    assert outcome.error == f"{place}, after 3 attempts: {REASON}{GO_ON}"
    assert outcome.failures() == {"retry": 2, "abort": 1}


class Fails(StreamingMetricsListener):
    """A function that fails for some values until the run has heard of so many failures."""

    def __init__(self, times: int, *values: Any) -> None:
        self.times = times
        self.values = values

    def on_failure(self, context: Any, *, error: BaseException, decision: str) -> None:
        self.times -= 1

    def __call__(self, value: Any) -> Any:
        if self.times > 0 and value in self.values:
            raise ConnectionError(f"no answer for {value}")
        return value


CALL = {"$set": {"m": {"$function": {"body": "flaky", "args": ["$n"], "lang": "python"}}}}


@pytest.mark.parametrize(("granularity", "failures"), [("batch", 2), ("document", 4)])
def test_a_retry_succeeds_and_keeps_the_order(granularity: str, failures: int) -> None:
    flaky = Fails(failures, 5, 6)
    outcome = run(flow([CALL], retry(3)).function("flaky", flaky).listen(flaky), granularity=granularity)
    assert outcome.error == ""
    assert collected("out") == [{"_id": i, "n": i, "m": i} for i in range(10)]
    assert outcome.failures() == {"retry": failures}


def test_documents_that_are_not_retried_do_not_wait_for_those_that_are() -> None:
    def answer(value: int) -> int:
        if value == 5:
            raise ValueError("never")
        if value == 6:
            raise ConnectionError("perhaps")
        return value

    policy = retry(3, ignore=[ValueError]).then(Policy.dead_letter(DEAD)).per_document()
    outcome = run(flow([CALL], policy).function("flaky", answer))
    assert ids(collected("out")) == [0, 1, 2, 3, 4, 7, 8, 9]
    assert [(x["doc"]["_id"], x["attempts"], x["errInfo"]["reason"]) for x in outcome.letters] == [
        (5, 1, "stages[0].$set.m.$function: ValueError: never"),
        (6, 3, "stages[0].$set.m.$function: ConnectionError: perhaps"),
    ]


@pytest.mark.parametrize("only", [{"retry_on": [TimeoutError]}, {"ignore": ["ConnectionError"]}])
def test_errors_that_are_not_to_be_retried_are_given_up_at_once(only: dict[str, Any]) -> None:
    flaky = Fails(99, 5)
    policy = retry(5, **only).then(Policy.skip_and_continue())
    outcome = run(flow([CALL], policy).function("flaky", flaky).listen(flaky))
    assert ids(collected("out")) == [0, 1, 2, 3, 8, 9]
    assert outcome.failures() == {"skip": 1}


def test_errors_in_retry_on_are_retried() -> None:
    flaky = Fails(2, 5)
    outcome = run(flow([CALL], retry(5, retry_on=[OSError])).function("flaky", flaky).listen(flaky))
    assert len(collected("out")) == 10
    assert outcome.failures() == {"retry": 2}


TOTAL = {"$group": {"_id": "$k", "total": {"$sum": {"$multiply": ["$n", 2]}}, "ids": {"$push": "$_id"}}}


@pytest.mark.parametrize(
    ("policy", "granularity", "kept", "dead"),
    [
        (Policy.skip_and_continue(), "batch", [0, 1, 2, 3, 8, 9], []),
        (Policy.skip_and_continue(), "document", [0, 1, 2, 3, 4, 7, 8, 9], []),
        (Policy.dead_letter(DEAD), "batch", [0, 1, 2, 3, 8, 9], [4, 5, 6, 7]),
        (Policy.dead_letter(DEAD), "document", [0, 1, 2, 3, 4, 7, 8, 9], [5, 6]),
        (retry(2).then(Policy.dead_letter(DEAD)), "document", [0, 1, 2, 3, 4, 7, 8, 9], [5, 6]),
    ],
)
def test_poison_at_the_combine_of_a_group(
    policy: StreamingErrorPolicy, granularity: str, kept: list[int], dead: list[int]
) -> None:
    outcome = run(flow([{"$set": {"k": "a"}}, TOTAL], policy, 5, 6), granularity=granularity)
    assert outcome.error == ""
    assert collected("out") == [{"_id": "a", "total": sum(kept) * 2, "ids": kept}]
    assert outcome.dead == dead
    assert outcome.skipped == (0 if dead else 10 - len(kept))
    assert {x["operatorName"] for x in outcome.letters} <= {"stages[1].$group"}


def test_a_failing_combine_names_the_position() -> None:
    outcome = run(flow([TOTAL], Policy.fail_fast(), 6))
    assert outcome.error == (
        "pipeline 'trial', step stages[0].$group, source partition '00000', position 6: "
        f"stages[0].$group.total.$sum.$multiply: $multiply takes numbers, got string{GO_ON}"
    )


BEHIND = [{"$group": {"_id": "$n", "c": {"$count": {}}}}, {"$set": {"m": {"$multiply": ["$_id", 2]}}}]


@pytest.mark.parametrize(
    ("policy", "granularity", "delivered", "dead"),
    [
        (Policy.skip_and_continue(), "document", {0, 1, 2}, []),
        (Policy.dead_letter(DEAD), "document", {0, 1, 2}, ["bad"]),
    ],
)
@pytest.mark.parametrize("emit", ["final", "update"])
def test_poison_behind_a_group(
    policy: StreamingErrorPolicy, granularity: str, delivered: set[int], dead: list[str], emit: str
) -> None:
    outcome = run(flow(BEHIND, policy, 3, 4, count=5), granularity=granularity, emit=emit, batch_size=100)
    assert outcome.error == ""
    assert set(ids(collected("out"))) == delivered
    assert outcome.dead == dead
    assert outcome.skipped == (0 if dead else 1)


def test_a_failure_behind_a_group_names_no_position_of_the_source() -> None:
    outcome = run(flow(BEHIND, Policy.fail_fast(), 3), state_partitions=1)
    assert outcome.error == (
        "pipeline 'trial', step stages[1].$set, source partition 'group/00000': "
        f"stages[1].$set.m.$multiply: $multiply takes numbers, got string{GO_ON}"
    )


UNWOUND = [{"$unwind": "$n"}, {"$set": {"m": {"$multiply": ["$n", 2]}}}, {"$set": {"k": {"$add": ["$m", 1]}}}]


@pytest.mark.parametrize(
    ("granularity", "delivered", "dead"),
    [("batch", [5], [1, "x", 2, "y", "z", 3, 4]), ("document", [1, 2, 3, 4, 5], ["x", "y", "z"])],
)
def test_poison_behind_an_unwind(granularity: str, delivered: list[int], dead: list[Any]) -> None:
    documents = [{"_id": 0, "n": [1, "x", 2]}, {"_id": 1, "n": ["y", "z", 3]}, {"_id": 2, "n": 4}, {"_id": 3, "n": 5}]
    flow = pipeline("trial").source(MemorySource(documents)).stages(UNWOUND).sink(MemorySink("out"))
    outcome = run(flow.on_error(Policy.dead_letter(DEAD)), granularity=granularity, batch_size=3)
    assert [x["n"] for x in collected("out")] == delivered
    assert [x["doc"]["n"] for x in outcome.letters] == dead
    assert len({x["id"] for x in outcome.letters}) == len(dead)
    records = {"x": 0, "y": 1, "z": 1, 1: 0, 2: 0, 3: 1, 4: 2}
    assert [x["_stream_meta"]["source"]["position"] for x in outcome.letters] == [records[n] for n in dead]


def test_the_position_of_a_failure_behind_an_unwind_is_the_records() -> None:
    documents = [{"_id": 0, "n": [1, 2, 3]}, {"_id": 1, "n": [4, "x"]}]
    flow = pipeline("trial").source(MemorySource(documents)).stages(UNWOUND).sink(MemorySink("out"))
    assert run(flow).error == (
        "pipeline 'trial', step stages[1].$set, source partition '00000', position 1: "
        f"stages[1].$set.m.$multiply: $multiply takes numbers, got string{GO_ON}"
    )


def test_stages_before_the_failing_one_are_not_applied_to_what_is_dead_lettered() -> None:
    outcome = run(flow([{"$set": {"a": 1}}, DOUBLE], Policy.dead_letter(DEAD).per_document(), 5))
    assert [x["doc"] for x in outcome.letters] == [{"_id": 5, "n": "bad", "a": 1}]


def test_random_numbers_are_the_same_on_the_slow_path() -> None:
    stages = [{"$set": {"n": {"$range": [0, 3]}}}, {"$unwind": "$n"}, {"$set": {"r": {"$rand": {}}}}]
    run(flow(stages, Policy.fail_fast()))
    fast = collected("out")
    source = MemorySource([{**document, "bad": document["_id"] == 5} for document in numbered(10)])
    poison = {"$set": {"b": {"$cond": ["$bad", {"$add": ["$x", "x"]}, 0]}}}
    slow = pipeline("trial").source(source).stages([*stages, poison, {"$unset": ["bad", "b"]}])
    run(slow.sink(MemorySink("slow")).on_error(Policy.skip_and_continue().per_document()))
    assert collected("slow") == [document for document in fast if document["_id"] != 5]


def outcome_of_breaker(when_open: str, times: int) -> Outcome:
    flaky = Fails(times, *range(8))
    breaker = {
        "minimum_number_of_calls": 2,
        "sliding_window_size": 2,
        "sliding_window_type": "COUNT_BASED",
        "wait_duration_in_open_state": 0.05,
        "permitted_calls_in_half_open_state": 1,
        "when_open": when_open,
    }
    policy = Policy.builder().circuit_breaker(**breaker).dead_letter(DEAD).build()
    return run(flow([CALL], policy, count=10).function("flaky", flaky).listen(flaky), batch_size=2)


def test_an_open_breaker_holds_the_stream_back_until_a_probe_is_permitted() -> None:
    outcome = outcome_of_breaker("wait", times=3)
    assert outcome.dead == [0, 1, 2, 3, 4, 5]
    assert ids(collected("out")) == [6, 7, 8, 9]
    assert [(x["before"], x["after"]) for x in outcome.recorder.transitions()] == [
        ("CLOSED", "OPEN"),
        ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "OPEN"),
        ("OPEN", "HALF_OPEN"),
        ("HALF_OPEN", "CLOSED"),
    ]


def test_an_open_breaker_diverts_to_the_dead_letters() -> None:
    outcome = outcome_of_breaker("divert", times=2)
    assert collected("out") == []
    assert outcome.dead == list(range(10))
    reasons = [x["errInfo"]["reason"] for x in outcome.letters]
    assert reasons[3] == "stages[0].$set.m.$function: ConnectionError: no answer for 2"
    assert reasons[4].startswith("circuit breaker 'stages[0].$set' is open; it may be asked again in 0.")


def test_a_breaker_counts_successes_too() -> None:
    breaker = {"minimum_number_of_calls": 4, "sliding_window_type": "COUNT_BASED", "failure_rate_threshold": 60}
    policy = Policy.builder().circuit_breaker(**breaker).skip().granularity("document").build()
    outcome = run(flow([DOUBLE], policy, *range(1, 20, 2), count=20))
    assert ids(collected("out")) == list(range(0, 20, 2))
    assert outcome.recorder.transitions() == []
