"""Every way of getting a definition wrong, with the whole answer: ``bad_definitions.json``.

``{connectors}`` stands for the connectors that are installed.
"""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fluxion_flow import PipelineError, StreamingPipelineDefinition
from fluxion_flow.connect.registry import connector_types
from fluxion_flow.dsl.parse import SECTIONS

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


junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 3),
        st.floats(allow_nan=False),
        st.sampled_from(["", "a", "$a", "$$x", "${X", "broker", "a.b", "skip", "retry", "$match", "5s"]),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "name", "$match", "$set", "$group", "$date", "$env", "retry", "on_error", "a.b", 1, ""]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=10,
)
sections = [*SECTIONS, "stage", "listeners"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sections), junk, max_size=8))
def test_whatever_stands_in_a_definition_is_answered_as_problems(data):
    good = {"name": "a", "source": {"type": "broker", "topic": "a"}, "sink": {"type": "broker", "topic": "b"}}
    for definition in (data, {**good, **data}):
        with contextlib.suppress(PipelineError):
            StreamingPipelineDefinition.from_dict(definition)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk)
def test_whatever_stands_in_a_stage_is_answered_as_problems(value):
    good = {"name": "a", "source": {"type": "broker", "topic": "a"}, "sink": {"type": "broker", "topic": "b"}}
    for stage in (value, {"$match": {"a": 1}, "name": value}, {"$match": {}, "on_error": value}):
        with contextlib.suppress(PipelineError):
            StreamingPipelineDefinition.from_dict({**good, "stages": [stage]})
