"""Bytewax sinks as they are: policies, dead letters, metrics, partitions and resumes are those of our own sinks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bytewax.connectors.files import DirSink, FileSink
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import TestingSink
from fluxion_connectors.memory import MemorySource
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingErrorPolicy, pipeline
from fluxion_flow.runtime import foreign_sink


class Failing(DynamicSink[Any]):
    """Writes to a list; some writes fail, and nothing of them is in it."""

    def __init__(self, out: list[Any], *failing: int) -> None:
        self.out = out
        self.failing = failing
        self.calls = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        assert step_id == "trial.sink_Failing"
        return FailingPart(self)


class FailingPart(StatelessSinkPartition[Any]):
    def __init__(self, sink: Failing) -> None:
        self.sink = sink

    def write_batch(self, items: list[Any]) -> None:
        self.sink.calls += 1
        if self.sink.calls in self.sink.failing:
            raise ConnectionError(f"call {self.sink.calls}")
        self.sink.out += items


def flow(sink: Any, policy: StreamingErrorPolicy = Policy(), count: int = 10) -> PipelineBuilder:  # noqa: B008
    return pipeline("trial").source(MemorySource(numbered(count))).sink(sink).on_error(policy)


@pytest.mark.parametrize(
    ("policy", "granularity", "failing", "delivered", "dead"),
    [
        (retry(2), "batch", [2], range(10), []),
        (Policy.skip_and_continue(), "batch", [2], [0, 1, 2, 3, 8, 9], []),
        (Policy.dead_letter(DEAD), "batch", [2], [0, 1, 2, 3, 8, 9], [4, 5, 6, 7]),
        (Policy.dead_letter(DEAD), "document", [2, 4], [0, 1, 2, 3, 4, 6, 7, 8, 9], [5]),
    ],
)
def test_policies_apply(
    policy: StreamingErrorPolicy, granularity: str, failing: list[int], delivered: Any, dead: list[int]
) -> None:
    out: list[Any] = []
    outcome = run(flow(Failing(out, *failing), policy), granularity=granularity)
    assert outcome.error == ""
    assert ids(out) == list(delivered)
    assert outcome.dead == dead
    assert outcome.recorder.total("on_delivered", step="sink") == len(out)


def test_a_failing_write_ends_the_run_by_default() -> None:
    line = FailingPart.write_batch.__code__.co_firstlineno + 3
    assert run(flow(Failing([], 2))).error == (
        "pipeline 'trial', step sink, source partition '00000', position 4: ConnectionError: call 2 "
        f"(raised in {__file__}, line {line}, in write_batch)"
    )


@pytest.mark.parametrize("workers", [1, 3])
def test_a_file_of_bytewax_holds_json_lines(tmp_path: Path, workers: int) -> None:
    assert run(flow(FileSink(tmp_path / "out.jsonl")), workers=workers).error == ""
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").open()]
    assert sorted(ids(found)) == list(range(10))


@pytest.mark.parametrize("workers", [1, 2])
def test_files_of_bytewax_are_chosen_by_id(tmp_path: Path, workers: int) -> None:
    sink = DirSink(tmp_path, 3, assign_file=lambda key: int(key) % 3)
    assert run(flow(sink), workers=workers).error == ""
    found = [[json.loads(line)["_id"] for line in path.open()] for path in sorted(tmp_path.iterdir())]
    assert found == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]


@pytest.mark.parametrize("crash", [2, 3, 5, 6])
def test_a_partitioned_sink_repeats_nothing_after_a_crash(tmp_path: Path, crash: int) -> None:
    path = tmp_path / "out.jsonl"
    for fail_reads in ([crash], []):
        source = MemorySource(numbered(12), fail_reads=fail_reads)
        data = pipeline("trial").source(source).sink(FileSink(path), name="file")
        assert bool(run(data, store=tmp_path / "store", batch_size=2).error) == bool(fail_reads)
    assert [json.loads(line)["_id"] for line in path.open()] == list(range(12))


def test_dead_letters_go_to_a_sink_of_bytewax() -> None:
    dead: list[Any] = []
    data = pipeline("trial").source(MemorySource(numbered(5, 2))).stages([{"$set": {"m": {"$add": ["$n", 1]}}}])
    outcome = run(data.sink(TestingSink([])).on_error(Policy.dead_letter(TestingSink(dead)).per_document()))
    assert outcome.error == ""
    assert [letter["doc"]["_id"] for letter in dead] == [2]


def test_a_kafka_sink_gets_messages_of_json() -> None:
    item = foreign_sink.item_of(KafkaSink(["localhost:1"], "orders"))
    assert item({"_id": 7, "n": 1.5}) == KafkaSinkMessage(key=b"7", value=b'{"_id":7,"n":1.5}')
    assert item({"n": 1}) == KafkaSinkMessage(key=None, value=b'{"n":1}')


def test_documents_without_a_json_text_are_refused_alone(tmp_path: Path) -> None:
    documents = [{"_id": 0}, {"_id": 1, "n": object()}, {"_id": 2}]
    data = pipeline("trial").source(MemorySource(documents)).sink(FileSink(tmp_path / "out.jsonl"))
    outcome = run(data.on_error("skip"))
    assert outcome.error == ""
    assert [json.loads(line)["_id"] for line in (tmp_path / "out.jsonl").open()] == [0, 2]
    assert outcome.skipped == 1
