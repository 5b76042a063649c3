"""Every policy at a sink: writes and flushes that fail, documents that are refused, sinks that cannot be opened."""

from __future__ import annotations

from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingErrorPolicy, pipeline
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter, StreamingSink
from fluxion_flow.runtime import unflushed

ALL = list(range(10))
WITHOUT = {5: [0, 1, 2, 3, 4, 6, 7, 8, 9], "batch": [0, 1, 2, 3, 8, 9]}
SKIP = Policy.skip_and_continue()
TO_DEAD = Policy.dead_letter(DEAD)


def flow(sink: StreamingSink, policy: StreamingErrorPolicy, count: int = 10) -> PipelineBuilder:
    return pipeline("trial").source(MemorySource(numbered(count))).sink(sink).on_error(policy)


# -- a write fails as a whole: the second batch, 4 to 7 ----------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_a_write_that_fails_once_is_repeated(granularity: str) -> None:
    outcome = run(flow(MemorySink(fail_writes=[2]), retry(3)), granularity=granularity)
    assert outcome.error == ""
    assert ids(collected()) == ALL
    assert outcome.failures("sink") == {"retry": 1}


@pytest.mark.parametrize(
    ("policy", "writes", "attempts"), [(SKIP, [2], 1), (TO_DEAD, [2], 1), (retry(2).then(TO_DEAD), [2, 3], 2)]
)
def test_a_batch_that_cannot_be_written_is_given_up(
    policy: StreamingErrorPolicy, writes: list[int], attempts: int
) -> None:
    outcome = run(flow(MemorySink(fail_writes=writes), policy), granularity="batch")
    assert outcome.error == ""
    assert ids(collected()) == WITHOUT["batch"]
    dead = policy.action == "dead_letter"
    assert outcome.dead == ([4, 5, 6, 7] if dead else [])
    assert outcome.skipped == (0 if dead else 4)
    assert {x["attempts"] for x in outcome.letters} == ({attempts} if dead else set())
    assert outcome.recorder.total("on_delivered", step="sink") == 6


@pytest.mark.parametrize(("policy", "writes"), [(SKIP, [2, 4]), (TO_DEAD, [2, 4]), (retry(2).then(TO_DEAD), [2, 3, 5])])
def test_documents_of_a_batch_that_cannot_be_written_get_one_more_try_each(
    policy: StreamingErrorPolicy, writes: list[int]
) -> None:
    outcome = run(flow(MemorySink(fail_writes=writes), policy), granularity="document")
    assert outcome.error == ""
    assert ids(collected()) == WITHOUT[5]
    assert outcome.dead == ([5] if policy.action == "dead_letter" else [])
    assert [x["attempts"] for x in outcome.letters] == [len(writes)] * len(outcome.dead)


@pytest.mark.parametrize("granularity", ["batch", "document"])
@pytest.mark.parametrize(
    ("policy", "tried"), [(Policy.fail_fast(), ""), (retry(3), ", after 3 attempts")], ids=["fail", "retry"]
)
def test_a_failing_write_ends_the_run(policy: StreamingErrorPolicy, tried: str, granularity: str) -> None:
    outcome = run(flow(MemorySink(fail_writes=range(2, 9)), policy), granularity=granularity)
    call = 4 if tried else 2
    assert outcome.error == (
        f"pipeline 'trial', step sink, source partition '00000', position 4{tried}: "
        f"ConnectionError: told to fail at write {call}"
    )


# -- the sink names the documents that it refuses ----------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["batch", "document"])
@pytest.mark.parametrize(
    ("policy", "attempts"), [(SKIP, 1), (TO_DEAD, 1), (retry(3).then(TO_DEAD), 3)], ids=["skip", "dead", "retry"]
)
def test_only_refused_documents_are_given_up(policy: StreamingErrorPolicy, attempts: int, granularity: str) -> None:
    sink = MemorySink(fail_documents=lambda d: ValueError(f"no {d['_id']}") if d["_id"] in (4, 6, 9) else None)
    outcome = run(flow(sink, policy), granularity=granularity)
    assert outcome.error == ""
    assert ids(collected()) == [0, 1, 2, 3, 5, 7, 8]
    dead = policy.action == "dead_letter"
    assert [(x["doc"]["_id"], x["errInfo"]["reason"]) for x in outcome.letters] == (
        [(4, "no 4"), (6, "no 6"), (9, "no 9")] if dead else []
    )
    assert outcome.skipped == (0 if dead else 3)
    assert outcome.failures("sink").total() == 2 * attempts
    assert {x["attempts"] for x in outcome.letters} <= {attempts}


def test_a_refused_document_ends_the_run_by_default() -> None:
    assert run(flow(MemorySink(fail_documents={"_id": 6}), Policy.fail_fast())).error == (
        "pipeline 'trial', step sink, source partition '00000', position 6: DeliveryError: 1 documents were not "
        "delivered, the first because: told to refuse documents with {'_id': 6}"
    )


def test_a_document_that_is_refused_once_is_written_again_without_its_neighbours() -> None:
    refused = {5, 6}

    def refuse(document: dict[str, Any]) -> Exception | None:
        if document["_id"] in refused:
            refused.remove(document["_id"])
            return ConnectionError("busy")
        return None

    outcome = run(flow(MemorySink(fail_documents=refuse), retry(2)))
    assert outcome.error == ""
    assert ids(collected()) == [0, 1, 2, 3, 4, 7, 5, 6, 8, 9]


# -- flushes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["batch", "document"])
@pytest.mark.parametrize("replays", [True, False])
def test_a_flush_that_fails_is_repeated(granularity: str, replays: bool) -> None:
    sink = MemorySink(replays=replays, fail_flushes=[1, 2])
    outcome = run(flow(sink, retry(3)), granularity=granularity)
    assert outcome.error == ""
    assert ids(collected()) == ALL
    assert outcome.failures("sink") == {"retry": 2}
    assert outcome.recorder.total("on_delivered") == 10


def test_what_a_flush_could_not_make_durable_is_given_up() -> None:
    outcome = run(flow(MemorySink(replays=True, fail_flushes=[1]), TO_DEAD), batch_size=10, granularity="batch")
    assert outcome.error == ""
    assert collected() == []
    assert outcome.dead == ALL
    assert outcome.recorder.total("on_delivered", step="sink") == 0


def test_what_was_durable_before_a_failing_flush_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unflushed, "MOST", 4)  # a flush after every batch, though the epoch goes on
    sink = MemorySink(replays=True, fail_flushes=[2])
    outcome = run(flow(sink, TO_DEAD), granularity="batch", epoch=60)
    assert outcome.error == ""
    assert ids(collected()) == WITHOUT["batch"]
    assert outcome.dead == [4, 5, 6, 7]
    assert outcome.recorder.total("on_delivered", step="sink") == 6


@pytest.mark.parametrize(
    ("granularity", "flushes", "dead"),
    [
        ("batch", [1], []),  # all of it together; then each batch by itself: good
        ("batch", [1, 3], [4, 5, 6, 7]),
        ("document", [1, 3], []),  # then each document of the second batch by itself: good
        ("document", [1, 3, 5], [5]),
    ],
)
def test_after_a_failed_flush_batches_and_documents_get_one_more_try(
    granularity: str, flushes: list[int], dead: list[int]
) -> None:
    outcome = run(flow(MemorySink(replays=True, fail_flushes=flushes), TO_DEAD), granularity=granularity, epoch=60)
    assert outcome.error == ""
    assert ids(collected()) == [i for i in ALL if i not in dead]
    assert outcome.dead == dead
    assert outcome.recorder.total("on_delivered", step="sink") == 10 - len(dead)
    assert {x["attempts"] for x in outcome.letters} <= {2 if granularity == "batch" else 3}


@pytest.mark.parametrize(
    ("policy", "tried"), [(Policy.fail_fast(), ""), (retry(3), ", after 3 attempts")], ids=["fail", "retry"]
)
def test_a_failing_flush_ends_the_run(policy: StreamingErrorPolicy, tried: str) -> None:
    outcome = run(flow(MemorySink(fail_flushes=range(1, 9)), policy))
    call = 3 if tried else 1
    assert outcome.error == (
        f"pipeline 'trial', step sink, source partition '00000', position 0{tried}: "
        f"ConnectionError: told to fail at flush {call}"
    )


class Bulk(StreamingSink):
    """Sends everything at the flush, and then says which documents were refused."""

    def __init__(self, *refused: int, times: int = 99) -> None:
        self.refused = refused
        self.times = times
        self.stored: list[int] = []

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        return BulkWriter(self)


class BulkWriter(SinkWriter):
    def __init__(self, sink: Bulk) -> None:
        self.sink = sink
        self.waiting: list[int] = []

    def write(self, batch: Batch) -> None:
        self.waiting += ids(batch.documents)

    def flush(self) -> None:
        sent, self.waiting = self.waiting, []
        refuses = any(i in self.sink.refused for i in sent) and self.sink.times > 0
        self.sink.times -= refuses
        errors = {n: ValueError(f"no {i}") for n, i in enumerate(sent) if refuses and i in self.sink.refused}
        self.sink.stored += [i for n, i in enumerate(sent) if n not in errors]
        if errors:
            raise DeliveryError(errors)


@pytest.mark.parametrize("granularity", ["batch", "document"])
@pytest.mark.parametrize("epoch", [0.0, 60.0])
def test_documents_that_a_flush_names_are_given_up_alone(granularity: str, epoch: float) -> None:
    sink = Bulk(3, 6, 9)
    outcome = run(flow(sink, TO_DEAD), granularity=granularity, epoch=epoch)
    assert outcome.error == ""
    assert sink.stored == [0, 1, 2, 4, 5, 7, 8]
    assert [(x["doc"]["_id"], x["errInfo"]["reason"]) for x in outcome.letters] == [
        (3, "no 3"),
        (6, "no 6"),
        (9, "no 9"),
    ]
    assert outcome.recorder.total("on_delivered", step="sink") == 7


def test_documents_that_a_flush_names_are_tried_again() -> None:
    sink = Bulk(3, 6, times=1)
    outcome = run(flow(sink, retry(2)), epoch=60)
    assert outcome.error == ""
    assert sink.stored == [0, 1, 2, 4, 5, 7, 8, 9, 3, 6]
    assert outcome.recorder.total("on_delivered") == 10


def test_a_document_that_a_flush_names_ends_the_run_by_default() -> None:
    assert run(flow(Bulk(6), Policy.fail_fast())).error == (
        "pipeline 'trial', step sink, source partition '00000', position 0: DeliveryError: 1 documents were not "
        "delivered, the first because: no 6"
    )


@pytest.mark.parametrize("policy", [Policy.fail_fast(), retry(2)])
def test_flushes_come_in_time_under_a_steady_load(policy: StreamingErrorPolicy, monkeypatch: Any) -> None:
    flushes: list[int] = []
    opened = MemorySink.open

    def counting(self: MemorySink, part: str, cursor: Any) -> Any:
        writer = opened(self, part, cursor)
        flush = writer.flush

        def counted() -> None:
            flushes.append(1)
            flush()

        writer.flush = counted  # type: ignore[method-assign]
        return writer

    monkeypatch.setattr(MemorySink, "open", counting)
    run(flow(MemorySink(), policy, count=400), batch_size=1, epoch=60, flush_interval=0.0)
    assert len(flushes) > 20


# -- opening and closing -----------------------------------------------------------------------------------------------


class Door(MemorySink):
    """Cannot be opened at first, and not be closed."""

    left = 0

    def open(self, part: str, cursor: Cursor | None) -> Any:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("refused")
        writer = super().open(part, cursor)
        writer.close = self.stuck  # type: ignore[method-assign]
        return writer

    def stuck(self) -> None:
        raise OSError("stuck")


def test_opening_a_sink_is_tried_again() -> None:
    sink = Door()
    sink.left = 2
    assert run(flow(sink, retry(3))).error == ""
    assert ids(collected()) == ALL


@pytest.mark.parametrize("policy", [SKIP, TO_DEAD, Policy.fail_fast()])
def test_a_sink_that_cannot_be_opened_ends_the_run(policy: StreamingErrorPolicy) -> None:
    sink = Door()
    sink.left = 9
    line = Door.open.__code__.co_firstlineno + 3
    assert run(flow(sink, policy)).error == (
        f"pipeline 'trial', step sink: ConnectionError: refused (raised in {__file__}, line {line}, in open)"
    )


def test_a_sink_that_cannot_be_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert run(flow(Door(), Policy.fail_fast())).error == ""
    assert [r.getMessage() for r in caplog.records] == ["sink: closing the sink failed: OSError: stuck"]


# -- the sink's own policy ---------------------------------------------------------------------------------------------


def test_the_sinks_own_policy_is_nearer_than_the_pipelines() -> None:
    data = pipeline("trial").source(MemorySource(numbered(10))).on_error("fail_fast")
    outcome = run(data.sink(MemorySink(fail_documents={"_id": 6}), on_error=TO_DEAD))
    assert outcome.error == ""
    assert outcome.dead == [6]


def test_each_sink_has_a_policy_of_its_own() -> None:
    data = pipeline("trial").source(MemorySource(numbered(10))).on_error(SKIP)
    one = data.sink(MemorySink("one", fail_documents={"_id": 6}), name="one", on_error=TO_DEAD)
    outcome = run(one.sink(MemorySink("two", fail_writes=[2]), name="two"))
    assert outcome.error == ""
    assert ids(collected("one")) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert ids(collected("two")) == WITHOUT["batch"]
    assert [(x["doc"]["_id"], x["operatorName"]) for x in outcome.letters] == [(6, "sinks.one")]
    assert outcome.recorder.total("on_skipped", step="sinks.two") == 4


def test_a_sinks_breaker_holds_back_and_recovers() -> None:
    breaker = {"minimum_number_of_calls": 2, "sliding_window_size": 2, "sliding_window_type": "COUNT_BASED"}
    breaker |= {"wait_duration_in_open_state": "20ms", "permitted_calls_in_half_open_state": 1}
    policy = Policy.builder().circuit_breaker(**breaker).retry(None, backoff=0.001).build()
    outcome = run(flow(MemorySink(fail_writes=[2, 3, 4]), policy))
    assert outcome.error == ""
    assert ids(collected()) == ALL
    assert len(outcome.recorder.transitions()) == 7


def test_workers_deliver_and_dead_letter_each_for_itself() -> None:
    source = MemorySource([numbered(10), [{"_id": i, "n": i} for i in range(10, 20)]])
    sink = MemorySink(fail_documents=lambda d: ValueError("no") if d["_id"] % 10 == 6 else None)
    outcome = run(pipeline("trial").source(source).sink(sink).on_error(TO_DEAD), workers=3)
    assert outcome.error == ""
    assert sorted(ids(collected())) == [i for i in range(20) if i % 10 != 6]
    assert sorted(outcome.dead) == [6, 16]
