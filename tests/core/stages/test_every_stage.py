"""What holds for every registered stage: its examples are true, and it is documented."""

import copy
import re

import pytest

from fluxion_flow.core.batch import run_batch
from fluxion_flow.core.stages import all_stages

FROM_OUTSIDE = {"$lookup", "$graphLookup", "$streamJoin"}
"""Stages whose examples need collections or streams; they stand in tests/cases/stages and tests/core/stages."""

examples = [
    pytest.param(entry.name, *example, id=f"{entry.name} {i}")
    for entry in all_stages().values()
    for i, example in enumerate(entry.examples)
]


@pytest.mark.parametrize(("name", "documents", "spec", "expected"), examples)
def test_examples_are_true(name, documents, spec, expected):
    before = copy.deepcopy((documents, spec))
    assert repr(run_batch(documents, [{name: spec}])) == repr(expected)
    assert (documents, spec) == before


@pytest.mark.parametrize("entry", all_stages().values(), ids=list(all_stages()))
def test_every_stage_says_what_it_does_and_how_it_streams(entry):
    assert re.search(r"(MongoDB|Fluxion): ", entry.doc)
    assert entry.streaming
    assert entry.examples or entry.name in FROM_OUTSIDE
