"""`{$meta: "stream.source.…"}`: what is known of the record that a document came from, on its way through a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fluxion_connectors.memory import clear, collected
from trial import DEAD, Policy, run

from fluxion_flow import pipeline
from fluxion_flow.connect.spi import Batch, SourceReader, StreamingSource

ASKED: list[int] = []
"""The positions whose records were asked for."""


class Records(Mapping[int, Mapping[str, Any]]):
    def __init__(self, positions: list[int]) -> None:
        self._positions = positions

    def __getitem__(self, position: int) -> Mapping[str, Any]:
        ASKED.append(position)
        return {"key": f"k{position}", "headers": [{"k": "trace", "v": position}]}

    def __iter__(self) -> Iterator[int]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)


class Reader(SourceReader):
    def __init__(self, partition: str, start: int) -> None:
        self._partition = partition
        self._next = start

    @property
    def cursor(self) -> int:
        return self._next

    def read(self, max_documents: int) -> Batch | None:
        """Every third position is empty, as in a compacted topic."""
        if self._next >= 30:
            return None
        places = [n for n in range(self._next, min(self._next + 10, 30)) if n % 3]
        self._next += 10
        documents = [{"_id": n, "a": list(range(n % 4)), "n": n} for n in places]
        meta = {"source": {"topic": "orders"}, "records": Records(places)}
        return Batch(documents, self._partition, places[0], places, 1_700_000_000_000, meta=meta)


class Source(StreamingSource):
    bounded = True

    def partitions(self) -> list[str]:
        return ["orders/0", "orders/1"]

    def open(self, partition: str, cursor: Any) -> Reader:
        return Reader(partition, cursor or 0)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    clear()
    ASKED.clear()


def _flow(*stages: Any, **options: Any) -> Any:
    return pipeline("meta").source(Source()).stages(list(stages)).sink("memory", name="out", **options)


KEY = {"key": {"$meta": "stream.source.key"}}
PLACES = [n for n in range(30) if n % 3]


def test_every_document_reads_its_own_record() -> None:
    assert run(_flow({"$match": {"n": {"$gt": 4}}}, {"$set": KEY})).error == ""
    assert [(d["n"], d["key"]) for d in collected("out")] == [(n, f"k{n}") for n in PLACES if n > 4] * 2


def test_it_follows_the_documents_that_came_of_a_record() -> None:
    assert run(_flow({"$unwind": "$a"}, {"$set": KEY}), workers=2).error == ""
    assert sorted((d["n"], d["a"], d["key"]) for d in collected("out")) == sorted(
        (n, i, f"k{n}") for n in PLACES for i in range(n % 4) for _ in range(2)
    )


def test_it_is_read_when_a_failing_document_sends_its_batch_stage_by_stage() -> None:
    flow = _flow({"$unwind": "$a"}, {"$set": {"half": {"$divide": [12, {"$subtract": ["$n", 10]}]}}}, {"$set": KEY})
    outcome = run(flow.on_error(Policy.builder().dead_letter(DEAD).granularity("document").build()))
    assert {(d["n"], d["key"]) for d in collected("out")} == {(n, f"k{n}") for n in PLACES if n % 4 and n != 10}
    sources = [letter["_stream_meta"]["source"] for letter in outcome.letters]
    assert len(sources) == 4
    assert {(s["topic"], s["position"], s["key"], str(s["headers"])) for s in sources} == {
        ("orders", 10, "k10", "[{'k': 'trace', 'v': 10}]")
    }


def test_a_group_may_be_made_by_it_and_has_none_itself() -> None:
    stages = ({"$group": {"_id": {"$meta": "stream.source.key"}, "n": {"$sum": 1}}}, {"$set": KEY})
    assert run(_flow(*stages)).error == ""
    assert sorted(map(str, collected("out"))) == sorted(str({"_id": f"k{n}", "n": 2}) for n in PLACES)


def test_a_pipeline_within_a_document_reads_that_documents_record() -> None:
    inner = {"$subPipeline": [{"pipeline": [{"$set": KEY}]}]}
    assert run(_flow(inner)).error == ""
    assert {(d["n"], d["key"]) for d in collected("out")} == {(n, f"k{n}") for n in PLACES}


def test_all_that_is_known_may_be_taken_at_once() -> None:
    stages = ({"$match": {"n": 5}}, {"$project": {"_id": 0, "m": {"$meta": "stream"}}})
    assert run(_flow(*stages)).error == ""
    known = {"type": "Source", "partition": "orders/0", "topic": "orders", "position": 5, "key": "k5"}
    assert collected("out")[0] == {"m": {"source": {**known, "headers": [{"k": "trace", "v": 5}]}}}


def test_every_source_gives_type_partition_and_position() -> None:
    fields = {name: {"$meta": f"stream.source.{name}"} for name in ("type", "partition", "position", "key")}
    flow = (
        pipeline("meta").source("memory", documents=[{"n": 1}, {"n": 2}]).stages([{"$project": {"_id": 0, **fields}}])
    )
    assert run(flow.sink("memory", name="out")).error == ""
    assert [(d["type"], d["position"]) for d in collected("out")] == [("memory", 0), ("memory", 1)]
    assert "key" not in collected("out")[0]


def test_a_stream_that_does_not_ask_for_it_makes_none() -> None:
    assert run(_flow({"$match": {"n": {"$gt": 4}}}, {"$set": {"topic": {"$meta": "stream.source.topic"}}})).error == ""
    assert {d["topic"] for d in collected("out")} == {"orders"}
    assert ASKED == []
