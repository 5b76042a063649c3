"""Every way of getting a definition wrong, with the whole answer: ``bad_definitions.json``.

``{connectors}`` stands for the connectors that are installed.
"""

import json
from pathlib import Path

import pytest

from fluxion_flow import PipelineError, StreamingPipelineDefinition
from fluxion_flow.connect.registry import connector_types

CASES = json.loads(Path(__file__).with_name("bad_definitions.json").read_text(encoding="utf-8"))


def test_the_table_is_large_and_its_titles_differ():
    assert len({case["title"] for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=[case["title"] for case in CASES])
def test_every_problem_is_reported_at_once_and_in_order(case):
    with pytest.raises(PipelineError) as caught:
        StreamingPipelineDefinition.from_dict(case["definition"])
    expected = [line.replace("{connectors}", ", ".join(connector_types())) for line in case["problems"]]
    assert str(caught.value).splitlines() == expected


def test_a_definition_that_is_nested_too_deeply_is_answered():
    expression = 1
    for _ in range(5000):
        expression = {"$add": [expression]}
    data = {
        "name": "deep",
        "source": {"type": "broker", "topic": "a"},
        "stages": [{"$set": {"x": expression}}],
        "sink": {"type": "broker", "topic": "b"},
    }
    with pytest.raises(PipelineError) as caught:
        StreamingPipelineDefinition.from_dict(data)
    assert str(caught.value) == "definition: is nested too deeply; split it over several stages"


def test_a_definition_with_very_many_fields_is_read():
    data = {
        "name": "wide",
        "source": {"type": "broker", "topic": "a"},
        "stages": [{"$set": {f"f{i}": i for i in range(3000)}}],
        "sink": {"type": "broker", "topic": "b"},
    }
    assert len(StreamingPipelineDefinition.from_dict(data).stages[0].spec["$set"]) == 3000
