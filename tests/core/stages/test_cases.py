"""Stages as tables: every case of ``tests/cases/stages/*.json`` is documents, stages, and what must come out."""

import datetime
import decimal
import json
import pathlib

import pytest

from fluxion_flow.core.batch import run_batch
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.plan import segments
from fluxion_flow.core.program import DocumentError
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.stages import PerDocument, parse_stages
from fluxion_flow.errors import Problems, Where

CASES = pathlib.Path(__file__).parents[2] / "cases" / "stages"
RESOURCES = ("collections", "pipelines", "variables")


def decoded(value):
    """Plain JSON with ``{"$date": …}`` and ``{"$numberDecimal": …}`` as documents hold them."""
    if isinstance(value, list):
        return [decoded(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$date"}:
            return datetime.datetime.fromisoformat(value["$date"].replace("Z", "+00:00"))
        if value.keys() == {"$numberDecimal"}:
            return decimal.Decimal(value["$numberDecimal"])
        return {name: decoded(item) for name, item in value.items()}
    return value


def cases():
    return [
        pytest.param(decoded(case), id=f"{path.stem}: {case['title']}")
        for path in sorted(CASES.glob("*.json"))
        for case in json.loads(path.read_text(encoding="utf8"))
    ]


def shown(value):
    """A value as text in which 1, 1.0 and true differ, and so does the order of fields."""
    return json.dumps(value, default=repr)


@pytest.mark.parametrize("case", cases())
def test_case(case):
    assert case.keys() <= {"title", "documents", "stages", "expected", "error", *RESOURCES}
    given = {name: case[name] for name in RESOURCES if name in case}
    before = shown(case["documents"])
    if "error" in case:
        with pytest.raises(DocumentError) as caught:
            run_batch(case["documents"], case["stages"], **given)
        assert str(caught.value) == case["error"]
    else:
        assert shown(run_batch(case["documents"], case["stages"], **given)) == shown(case["expected"])
    assert shown(case["documents"]) == before, "the documents that went in were changed"


@pytest.mark.parametrize("case", [case for case in cases() if "expected" in case.values[0]])
def test_per_document_stages_mean_the_same_in_both_tiers(case):
    resources = Resources(**{name: case[name] for name in RESOURCES if name in case})
    problems = Problems()
    built = parse_stages(case["stages"], Where.at("stages"), problems, resources)
    problems.raise_if_any()
    if not all(isinstance(stage, PerDocument) for stage in built):
        return
    ((segment),) = segments(built)
    out = []
    env = Environment(partition="0", variables=resources.variables)
    segment.program.general(env.start(case["documents"], len(built)), out, env)
    assert shown(out) == shown(case["expected"])
