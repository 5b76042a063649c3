"""Everything wrong with stages is said at once, with its place and what to do: ``tests/cases/problems/stages.json``."""

import datetime
import json
import pathlib

import pytest

from fluxion_flow.core.batch import run_batch
from fluxion_flow.errors import PipelineError

CASES = pathlib.Path(__file__).parents[2] / "cases" / "problems" / "stages.json"
COLLECTIONS = {"products": [{"_id": 1}], "orders": []}
PIPELINES = {
    "clean@1": [{"$set": {"a": 1}}],
    "clean@2": [{"$set": {"a": 2}}],
    "loop": [{"$subPipeline": ["loop"]}],
    "bad": [{"$sett": {"a": 1}}],
    "geo": [{"$set": {"g": 1}}],
}


def date(value):
    return datetime.datetime.fromisoformat(value["$date"].replace("Z", "+00:00")) if "$date" in value else value


def cases():
    found = json.loads(CASES.read_text(encoding="utf8"), object_hook=date)
    return [pytest.param(case["stages"], case["problems"], id=str(case["stages"])[:80]) for case in found]


@pytest.mark.parametrize(("stages", "problems"), cases())
def test_every_problem_is_reported_with_its_place(stages, problems):
    with pytest.raises(PipelineError) as caught:
        run_batch([], stages, collections=COLLECTIONS, pipelines=PIPELINES)
    assert str(caught.value).splitlines() == problems


def test_pipelines_within_each_other_end_with_a_problem_and_not_with_a_crash():
    stage = {"$match": {}}
    for _ in range(1000):
        stage = {"$unionWith": {"coll": "orders", "pipeline": [stage]}}
    with pytest.raises(PipelineError, match=r"more than 20 pipelines within each other; run some of them one after"):
        run_batch([], [stage], collections=COLLECTIONS)


def test_ten_thousand_fields_are_no_trouble():
    names = [f"f{i}" for i in range(10_000)]
    (document,) = run_batch([{"a": 1}], [{"$set": dict.fromkeys(names, "$a")}])
    assert len(document) == 10_001
