"""Several sinks, the query that routes to each, and named connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected, provide
from trial import DEAD, Policy, ids, numbered, run

from fluxion_flow import PipelineBuilder, StreamingPipelineDefinition, pipeline


def flow(count: int = 10) -> PipelineBuilder:
    return pipeline("trial").source(MemorySource(numbered(count)))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_sink_gets_every_document_unless_its_query_says_otherwise(workers: int) -> None:
    data = flow().sink(MemorySink("all"), name="all")
    data = data.sink(MemorySink("low"), name="low", when={"n": {"$lt": 3}})
    data = data.sink(MemorySink("odd"), name="odd", when={"$expr": {"$eq": [{"$mod": ["$n", 2]}, 1]}})
    data = data.sink(MemorySink("none"), name="none", when={"n": "x"})
    assert run(data, workers=workers).error == ""
    assert ids(collected("all")) == list(range(10))
    assert ids(collected("low")) == [0, 1, 2]
    assert ids(collected("odd")) == [1, 3, 5, 7, 9]
    assert collected("none") == []


def test_a_query_sees_what_the_stages_made_and_changes_nothing() -> None:
    stages = [{"$group": {"_id": {"$mod": ["$n", 3]}, "total": {"$sum": "$n"}}}]
    data = flow().stages(stages).sink(MemorySink("big"), name="big", when={"total": {"$gt": 12}})
    data = data.sink(MemorySink("small"), name="small", when={"total": {"$lte": 12}})
    assert run(data).error == ""
    assert collected("big") == [{"_id": 0, "total": 18}, {"_id": 2, "total": 15}]
    assert collected("small") == [{"_id": 1, "total": 12}]


def test_a_query_that_fails_ends_the_run() -> None:
    broken = {"$expr": {"$gt": [{"$divide": [1, "$n"]}, 0]}}
    data = flow().on_error("skip").sink(MemorySink("one"), name="one", when=broken).sink(MemorySink("two"), name="two")
    assert run(data).error == (
        "pipeline 'trial', step sinks.one.when, source partition '00000', position 0: "
        "sinks[0].when.$expr.$gt[0].$divide: $divide by zero"
    )


def test_a_sink_that_fails_does_not_keep_documents_from_the_others() -> None:
    data = flow().sink(MemorySink("one", fail_documents={"_id": 4}), name="one", on_error=Policy.dead_letter(DEAD))
    data = data.sink(MemorySink("two", fail_documents={"_id": 4}), name="two", on_error="skip").sink(
        MemorySink("three")
    )
    outcome = run(data)
    assert outcome.error == ""
    assert len(collected("one")) == len(collected("two")) == 9
    assert len(collected("three")) == 10
    assert outcome.dead == [4]


def test_positions_are_known_behind_a_query() -> None:
    sink = MemorySink("odd", fail_documents={"_id": 7})
    data = flow().on_error(Policy.dead_letter(DEAD)).sink(sink, name="odd", when={"n": {"$in": [1, 7]}})
    outcome = run(data.sink(MemorySink("all"), name="all"))
    assert [x["_stream_meta"]["source"]["position"] for x in outcome.letters] == [7]


def test_several_dead_letter_sinks_get_their_own() -> None:
    double = {"$set": {"m": {"$multiply": ["$n", 2]}}, "on_error": {"dead_letter": {"type": "memory", "name": "one"}}}
    source = MemorySource(numbered(6, 2))
    sink = MemorySink("out", fail_documents={"_id": 4})
    data = pipeline("trial").source(source).stages([double]).sink(sink)
    outcome = run(data.on_error(Policy.dead_letter({"type": "memory", "name": "two"})), granularity="document")
    assert outcome.error == ""
    assert [x["doc"]["_id"] for x in collected("one")] == [2]
    assert [x["doc"]["_id"] for x in collected("two")] == [4]


def test_two_places_share_one_dead_letter_file(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    (tmp_path / "in.jsonl").write_text('{"_id": 0, "n": 1}\n?\n{"_id": 2, "n": "x"}\n{"_id": 3, "n": 3}\n')
    sink = MemorySink("out", fail_documents={"_id": 3})
    data = pipeline("trial").source("files", path=str(tmp_path / "in.jsonl"))
    data = data.stages([{"$set": {"m": {"$multiply": ["$n", 2]}}}]).sink(sink)
    outcome = run(data.on_error({"dead_letter": {"type": "files", "path": str(path)}}), granularity="document")
    assert outcome.error == ""
    assert ids(collected("out")) == [0]
    assert [
        line.count('"code":"' + code + '"') for line, code in zip(path.open(), ("decode", "stage", "sink"), strict=True)
    ] == [1] * 3


def connected(**connections: Any) -> StreamingPipelineDefinition:
    return StreamingPipelineDefinition.from_dict(
        {
            "name": "trial",
            "connections": connections,
            "source": {"type": "memory", "connection_ref": "orders"},
            "sinks": [
                {"connection_ref": "store", "when": {"n": {"$gt": 1}}},
                {"connection_ref": "store", "name": "other"},
            ],
            "on_error": "fail_fast",
            "config": {"metrics": False},
        }
    )


def test_named_connections_hold_type_and_options() -> None:
    from bytewax.testing import run_main

    provide("orders", numbered(4))
    definition = connected(orders={"name": "orders"}, store={"type": "memory", "name": "stored", "replays": True})
    run_main(definition.compile())
    assert ids(collected("stored")) == [2, 3]
    assert ids(collected("other")) == [0, 1, 2, 3]


def test_connections_come_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bytewax.testing import run_main

    provide("live", numbered(4))
    (tmp_path / "live.yaml").write_text("orders: {name: live}\nstore: {type: memory, name: stored}\n")
    monkeypatch.setenv("FLUXION_CONNECTIONS", str(tmp_path / "live.yaml"))
    run_main(connected().compile())
    assert ids(collected("stored")) == [2, 3]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_single_file_has_one_writer_and_parts_have_one_each(tmp_path: Path, workers: int) -> None:
    source = MemorySource([[{"_id": i * 10 + k} for k in range(5)] for i in range(4)])
    data = pipeline("trial").source(source).sink("files", path=str(tmp_path / "one.jsonl"), name="one")
    data = data.sink("files", path=str(tmp_path / "part-{part}.jsonl"), name="parts")
    assert run(data, workers=workers).error == ""
    one = (tmp_path / "one.jsonl").read_text().splitlines()
    parts = [path.read_text().splitlines() for path in tmp_path.glob("part-*")]
    assert sorted(one) == sorted(line for lines in parts for line in lines)
    assert len(one) == 20
    assert len(parts) <= workers
