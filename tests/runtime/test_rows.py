"""Whole pipelines over rows of the needed fields: files out, dead letters and errors are those of whole documents."""

import json
import random

import pytest
from on_workers import run_on

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.compiler.plan import Plan, make_plan
from fluxion_flow.core.rows import Rows
from fluxion_flow.runtime import steps

MATCH = {"$match": {"status": {"$ne": "VOID"}}}
FRAGILE = {"$project": {"share": {"$divide": ["$price", "$count"]}, "status": 1, "where": "$place.city"}}
GROUP = {"$group": {"_id": "$status", "n": {"$sum": 1}, "most": {"$max": "$price"}, "sum": {"$sum": "$price"}}}

ODD = [
    b'{"_id": 1, "status": "PAID", "price": 3, "count": 0}', b'{"_id": 2, "status": "A", "price": "dear", "count": 2}',
    b'{"_id": 3, "note": "\xff", "status": "PAID", "price": 1, "count": 1}', b"", b"nonsense", b"[1, 2]",
    '{"_id": 4, "status": "ÉTÉ", "price": 2.5, "count": 2, "new": {"a": [1]}}'.encode(), b'{"status": "VOID"}',
    b'{"_id": 5, "status": "PAID", "price": 1, "count": 1, "note": 1e999}', b'{"_id": 6, "count": 4}',
]  # fmt: skip


def orders(path, count, odd):
    rng = random.Random(count)
    with open(path, "wb") as file:
        for n in range(count):
            order = {"_id": n, "status": rng.choice(["PAID", "OPEN", "VOID"]), "price": rng.randrange(800) / 8}
            order |= {"count": rng.randrange(1, 9), "place": {"city": f"c{n % 5}"}, "note": "x" * (n % 9)}
            file.write((rng.choice(ODD) if rng.random() < odd else json.dumps(order).encode()) + b"\n")


def outcome(folder, stages, policy, workers=1, hint=True, **config):
    """The lines written, and the dead letters without the times in them."""
    folder.mkdir()
    data = {
        "name": "rows",
        "source": {"type": "files", "path": str(folder.parent / "in.jsonl"), "part_size": 20_000},
        "stages": stages,
        "sink": {"type": "files", "path": str(folder / "out.jsonl")},
        "on_error": {**policy, "dead_letter": {"type": "files", "path": str(folder / "dead.jsonl")}},
        "config": {"batch_size": 64, **config},
    }
    definition = StreamingPipelineDefinition.from_dict(data)
    assert (make_plan(definition).needs is not None) is hint
    flow = definition.compile()
    run_on(flow, workers)
    lines = (folder / "out.jsonl").read_bytes().splitlines()
    dead = folder / "dead.jsonl"
    read = [json.loads(line) for line in dead.read_text().splitlines()] if dead.exists() else []
    letters = [{k: v for k, v in letter.items() if not (isinstance(v, dict) and "$date" in v)} for letter in read]
    if workers > 1 or any("$group" in stage for stage in stages):
        lines.sort()
    return lines, sorted(letters, key=repr)


@pytest.mark.parametrize("odd", [0.004, 0.2])
@pytest.mark.parametrize("granularity", ["document", "batch"])
@pytest.mark.parametrize(("stages", "workers"), [([MATCH, FRAGILE], 1), ([MATCH, FRAGILE], 2), ([MATCH, GROUP], 1)])
def test_a_pipeline_over_rows_does_what_it_does_over_documents(
    tmp_path, monkeypatch, stages, workers, granularity, odd
):
    orders(tmp_path / "in.jsonl", 1500, odd)
    policy = {"granularity": granularity}
    ran = []
    original = steps.Program.run
    monkeypatch.setattr(
        steps.Program, "run", lambda self, d, *rest: (ran.append(isinstance(d, Rows)), original(self, d, *rest))[1]
    )
    with_rows = outcome(tmp_path / "with", stages, policy, workers)
    assert any(ran)
    ran.clear()
    monkeypatch.setattr(Plan, "needs", None)
    without = outcome(tmp_path / "without", stages, policy, workers, hint=False)
    assert not any(ran)
    assert json.dumps(with_rows[1]).replace("/with/", "/without/") == json.dumps(without[1])
    assert with_rows[0] == without[0]
    assert without[0]
    assert without[1]


HALVES = {"$match": {"$expr": {"$gt": [{"$divide": ["$price", "$count"]}, 5]}}}


@pytest.mark.parametrize(("odd", "workers"), [(0, 1), (0.004, 1), (0.004, 2), (0.2, 1)])
@pytest.mark.parametrize("granularity", ["document", "batch"])
def test_documents_that_are_only_let_through_are_written_as_their_lines_came(
    tmp_path, monkeypatch, odd, workers, granularity
):
    orders(tmp_path / "in.jsonl", 1500, odd)
    came = (tmp_path / "in.jsonl").read_bytes().splitlines()
    policy = {"granularity": granularity}
    lines, letters = outcome(tmp_path / "with", [MATCH, HALVES], policy, workers)
    monkeypatch.setattr(Plan, "needs", None)
    anew, same_letters = outcome(tmp_path / "without", [MATCH, HALVES], policy, workers, hint=False)
    assert sorted(map(json.dumps, map(json.loads, lines))) == sorted(map(json.dumps, map(json.loads, anew)))
    assert json.dumps(letters).replace("/with/", "/without/") == json.dumps(same_letters)
    assert lines
    assert lines != anew
    assert set(lines) <= set(came)
    if workers == 1:
        assert [json.loads(line) for line in lines] == [json.loads(line) for line in anew]


def test_a_pipeline_whose_sinks_or_windows_see_whole_documents_reads_whole_documents():
    def needs(*stages, **more):
        source = {"type": "files", "path": "in.jsonl", **more}
        data = {"name": "n", "source": source, "stages": list(stages), "sink": {"type": "stdio"}}
        return make_plan(StreamingPipelineDefinition.from_dict(data)).needs

    window = {"$tumblingWindow": {"interval": {"size": 1, "unit": "minute"}, "pipeline": [GROUP]}}
    assert needs() is None
    assert needs(MATCH) == ("status",)
    assert needs(MATCH, {"$limit": 5}) is None
    assert needs({"$sort": {"a": 1}}) is None
    assert needs({"$project": {"status": 1, "ts": 1}}, window, time_field="$ts") is None
    assert needs(MATCH, GROUP, {"$sort": {"n": 1}}) == ("status", "price")
    assert needs(MATCH, FRAGILE, {"$sort": {"n": 1}}) == ("status", "_id", "price", "count", "place")
