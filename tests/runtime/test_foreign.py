"""Bytewax sources and sinks as they are: what their items become, policies, resumes, drains."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from bytewax.connectors.kafka import KafkaSourceMessage
from bytewax.inputs import DynamicSource, FixedPartitionedSource, StatefulSourcePartition, StatelessSourcePartition
from bytewax.testing import TestingSink, TestingSource
from fluxion_connectors.memory import MemorySink, collected
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingContext, StreamingErrorPolicy, StreamingMetricsListener, pipeline
from fluxion_flow.runtime import source as runtime_source


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_source, "REST", 0.01)


def flow(source: Any, *stages: dict[str, Any], bounded: bool = True) -> PipelineBuilder:
    return pipeline("trial").source(source, bounded=bounded).stages(list(stages)).sink(MemorySink("out"))


GROUP = {"$group": {"_id": None, "ids": {"$push": "$_id"}}}


@pytest.mark.parametrize("item_batch", [1, 3, 100])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_testing_source_and_a_testing_sink(item_batch: int, workers: int) -> None:
    out: list[Any] = []
    data = pipeline("trial").source(TestingSource(numbered(10), item_batch), bounded=True)
    outcome = run(data.stages([{"$match": {"n": {"$gt": 3}}}]).sink(TestingSink(out)), workers=workers)
    assert outcome.error == ""
    assert ids(out) == [4, 5, 6, 7, 8, 9]
    assert outcome.recorder.total("on_fetched") == 10


def test_a_bounded_source_completes_a_group_and_a_sort() -> None:
    assert run(flow(TestingSource(numbered(5)), {"$sort": {"n": -1}}, GROUP)).error == ""
    assert collected("out") == [{"_id": None, "ids": [4, 3, 2, 1, 0]}]


def test_a_source_is_unbounded_unless_it_says_otherwise() -> None:
    assert run(flow(TestingSource(numbered(2)), GROUP, bounded=False), batch_size=1).error == ""
    assert collected("out")[-1] == {"_id": None, "ids": [0, 1]}
    error = run(flow(TestingSource([]), {"$sort": {"n": 1}}, bounded=False)).error
    assert error == (
        "stages[0].$sort: needs every document, but source 'TestingSource' never completes; "
        "sort inside a window, or use a bounded source"
    )


@pytest.mark.parametrize(
    ("item", "document"),
    [
        ({"_id": 1}, {"_id": 1}),
        (MappingProxyType({"_id": 1}), {"_id": 1}),
        ('{"_id": 1}', {"_id": 1}),
        (b'{"_id": 1}', {"_id": 1}),
        (bytearray(b'{"_id": 1}'), {"_id": 1}),
        (KafkaSourceMessage(b"k", b'{"_id": 1}', "t", offset=5, partition=0), {"_id": 1}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_items_that_are_documents(item: Any, document: dict[str, Any]) -> None:
    assert run(flow(TestingSource([item]))).error == ""
    assert collected("out") == [document]


@pytest.mark.parametrize(
    ("item", "raw", "reason"),
    [
        (7, b"7", "a int is neither a document nor JSON text"),
        (None, b"", "a message without a value"),
        ("[1]", b"[1]", "is not a JSON object but an array"),
        (b"\xff", b"\xff", None),
        (KafkaSourceMessage(b"k", None, "t", offset=5, partition=0), b"", "a message without a value"),
        (("key", {"_id": 1}), b"('key', {'_id': 1})", "a tuple is neither a document nor JSON text"),
    ],
    ids=str,
)
def test_items_that_are_no_documents_are_dead_lettered(item: Any, raw: bytes, reason: str | None) -> None:
    source = TestingSource([{"_id": 0}, item, {"_id": 2}], 3)
    outcome = run(flow(source).on_error(Policy.dead_letter(DEAD)))
    assert outcome.error == ""
    assert ids(collected("out")) == [0, 2]
    (letter,) = outcome.letters
    assert base64.b64decode(letter["raw"]) == raw
    assert reason is None or letter["errInfo"] == {"reason": reason, "type": "UndecodableRecord", "code": "decode"}


def messages(*values: bytes) -> list[KafkaSourceMessage[bytes, bytes]]:
    return [
        KafkaSourceMessage(b"k", value, "orders", offset=100 + i, partition=3, timestamp=(1, 1_700_000_000_000 + i))
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize("item_batch", [1, 4])
def test_messages_of_a_broker_are_known_by_topic_partition_and_offset(item_batch: int) -> None:
    source = TestingSource(messages(b'{"_id": 0}', b"?", b'{"_id": 2, "n": "x"}', b'{"_id": 3}'), item_batch)
    data = flow(source, {"$set": {"m": {"$add": ["$n", 1]}}}).on_error(Policy.dead_letter(DEAD).per_document())
    outcome = run(data)
    assert outcome.error == ""
    assert ids(collected("out")) == [0, 3]
    sources = [x["_stream_meta"]["source"] for x in outcome.letters]
    assert [(s["topic"], s["partition"], s["position"]) for s in sources] == [("orders", 3, 101), ("orders", 3, 102)]
    assert [x["id"][:8] for x in outcome.letters] == ["8de693ad", "00382440"]


class Flaky(FixedPartitionedSource[Any, int]):
    """Fails at some calls; goes on where it was."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing

    def list_parts(self) -> list[str]:
        return ["p"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> FlakyPart:
        return FlakyPart(self.failing, resume_state or 0)


class FlakyPart(StatefulSourcePartition[Any, int]):
    def __init__(self, failing: tuple[int, ...], start: int) -> None:
        self.failing = failing
        self.calls = 0
        self.at = start

    def next_batch(self) -> list[Any]:
        self.calls += 1
        if self.calls in self.failing:
            raise ConnectionError(f"call {self.calls}")
        if self.at == 6:
            raise StopIteration
        self.at += 1
        return [{"_id": self.at - 1}]

    def snapshot(self) -> int:
        return self.at


@pytest.mark.parametrize("policy", [retry(3), Policy.skip_and_continue(), Policy.dead_letter(DEAD)])
def test_a_partition_that_fails_is_asked_again_where_the_policy_says_so(policy: StreamingErrorPolicy) -> None:
    outcome = run(flow(Flaky(2, 3, 5)).on_error(policy))
    assert outcome.error == ""
    assert ids(collected("out")) == list(range(6))
    assert outcome.letters == []
    assert outcome.failures("source").total() == 3


def test_a_partition_that_fails_ends_the_run_by_default() -> None:
    line = FlakyPart.next_batch.__code__.co_firstlineno + 3
    assert run(flow(Flaky(2))).error == (
        f"pipeline 'trial', step source, source partition 'p': ConnectionError: call 2 "
        f"(raised in {__file__}, line {line}, in next_batch)"
    )


def test_a_partitioned_source_resumes(tmp_path: Path) -> None:
    assert "call 4" in run(flow(Flaky(4)), store=tmp_path / "store").error
    before = ids(collected("out"))
    assert run(flow(Flaky()), store=tmp_path / "store").error == ""
    assert before == [0, 1, 2]
    assert ids(collected("out")) == list(range(6))


def test_an_abort_of_a_testing_source_passes_through(tmp_path: Path) -> None:
    items = [*numbered(3), TestingSource.ABORT(), {"_id": 3}]
    for expected in ([0, 1, 2], [0, 1, 2, 3]):
        assert run(flow(TestingSource(items)), store=tmp_path / "store").error == ""
        assert ids(collected("out")) == expected


class PerWorker(DynamicSource[Any]):
    """Two documents on every worker."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSourcePartition[Any]:
        return PerWorkerPart(worker_index)


class PerWorkerPart(StatelessSourcePartition[Any]):
    def __init__(self, index: int) -> None:
        self.left = [{"_id": index * 10}, {"_id": index * 10 + 1}]

    def next_batch(self) -> list[Any]:
        if not self.left:
            raise StopIteration
        return [self.left.pop(0)]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_source_on_every_worker(workers: int) -> None:
    assert run(flow(PerWorker(), {"$group": {"_id": None, "sum": {"$sum": "$_id"}}}), workers=workers).error == ""
    assert collected("out") == [{"_id": None, "sum": sum(i * 20 + 1 for i in range(workers))}]


class Stop(StreamingMetricsListener):
    """Asks the run to end once so much was fetched."""

    def __init__(self, after: int, request: Callable[[], None]) -> None:
        self.left = after
        self.request = request

    def on_fetched(self, context: StreamingContext, *, documents: int, **facts: Any) -> None:
        self.left -= documents
        if self.left == 0:
            self.request()


class Endless(Flaky):
    """Ten documents, and then nothing for an hour."""

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Any:
        return EndlessPart((), resume_state or 0)


class EndlessPart(FlakyPart):
    def next_awake(self) -> datetime | None:
        return datetime.now(timezone.utc) + timedelta(hours=1) if self.at == 6 else None

    def next_batch(self) -> list[Any]:
        self.at += 1
        assert self.at < 7, "asked before its time"
        return [{"_id": self.at - 1}]


def test_a_drain_does_not_wait_for_a_source_that_sleeps() -> None:
    from fluxion_flow.runtime import drain

    def request() -> None:
        for one in drain._drains:
            one.request()

    outcome = run(flow(Endless(), bounded=False).listen(Stop(6, request)))
    assert outcome.error == ""
    assert ids(collected("out")) == list(range(6))
    assert len(outcome.recorder.all("on_drain")) == 1
