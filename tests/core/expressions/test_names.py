"""Names of fields and variables are data: none of them is mixed up with a name of the generated source."""

import pytest

from fluxion_flow import run_batch

NAMES = [
    "self",
    "e",
    "env",
    "d",
    "M",
    "v1",
    "out",
    "it",
    "append",
    "general",
    "truthy",
    "in",
    "None",
    "x'y",
    "x\ny",
    "\\",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_may_have_any_name(name):
    stages = [
        {"$set": {name: {"$map": {"input": f"${name}", "in": {"$add": ["$$this", 1]}}}, f"k.{name}": 1}},
        {"$unwind": f"${name}"},
        {"$project": {name: 1, "k": 1}},
        {"$group": {"_id": {name: f"${name}"}, name: {"$sum": f"$k.{name}"}}},
    ]
    assert run_batch([{name: [1, 2]}], stages) == [{"_id": {name: 2}, name: 1}, {"_id": {name: 3}, name: 1}]


@pytest.mark.parametrize("name", ["self", "e", "env", "d", "m", "out", "in", "def", "v1", "é"])
def test_a_variable_may_have_any_name(name):
    inner = {"$map": {"input": [1, 2], "as": name, "in": f"$${name}"}}
    expression = {"$let": {"vars": {name: "$a"}, "in": {"$concatArrays": [[f"$${name}"], inner]}}}
    assert run_batch([{"a": 7}], [{"$project": {"_id": 0, "r": expression}}]) == [{"r": [7, 1, 2]}]
