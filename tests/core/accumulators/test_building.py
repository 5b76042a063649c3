"""What is said about accumulators that cannot be built or run."""

import pytest

from fluxion_flow.core.accumulators import ACCUMULATORS, Accumulator, accumulator, find_accumulator
from fluxion_flow.core.values import EvaluationError
from fluxion_flow.errors import PipelineError


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$sumx": "$a"}, "group.x: unknown accumulator '$sumx'; did you mean '$sum'?"),
        ({"$zzz": 1}, "group.x: unknown accumulator '$zzz'"),
        ("$a", 'group.x: must be an object with one accumulator; such as {"$sum": "$amount"}'),
        ({}, 'group.x: must be an object with one accumulator; such as {"$sum": "$amount"}'),
        ({"a": 1}, 'group.x: must be an object with one accumulator; such as {"$sum": "$amount"}'),
        ({"$sum": 1, "$avg": 1}, 'group.x: must be an object with one accumulator; such as {"$sum": "$amount"}'),
        ({"$sum": ["$a"]}, 'group.x.$sum: takes one expression, not an array; give a field such as "$amount"'),
        ({"$count": 1}, 'group.x.$count: takes no argument, got 1; write {"$count": {}}'),
        ({"$count": {"a": 1}}, 'group.x.$count: takes no argument, got object; write {"$count": {}}'),
        ({"$firstN": "$a"}, "group.x.$firstN: must be an object, got '$a'; give input, n"),
        (
            {"$firstN": {"imput": "$a"}},
            "group.x.$firstN.imput: unknown argument; did you mean 'input'?\n"
            "group.x.$firstN.input: required argument is missing\n"
            "group.x.$firstN.n: required argument is missing",
        ),
        ({"$maxN": {"input": "$a", "n": 0}}, "group.x.$maxN.n: must be an integer from 1, got 0"),
        ({"$maxN": {"input": "$a", "n": 1.5}}, "group.x.$maxN.n: must be an integer from 1, got 1.5"),
        ({"$lastN": {"input": "$a", "n": True}}, "group.x.$lastN.n: must be an integer from 1, got True"),
        ({"$minN": {"input": "$a", "n": "3"}}, "group.x.$minN.n: must be an integer from 1, got '3'"),
        (
            {"$top": {"output": "$a", "sortBy": {"$b": 1, "c": 2}, "n": 1}},
            "group.x.$top.n: unknown argument; known are output, sortBy",
        ),
        (
            {"$top": {"output": "$a", "sortBy": {"$b": 1, "c": 2}}},
            "group.x.$top.sortBy.$b: must be a field path; write it without '$'\n"
            "group.x.$top.sortBy.c: must be 1 (ascending) or -1 (descending), got 2",
        ),
        (
            {"$bottomN": {"output": "$a", "sortBy": {}, "n": -1}},
            'group.x.$bottomN.sortBy: must name fields to sort by, got object; such as {"score": -1}\n'
            "group.x.$bottomN.n: must be an integer from 1, got -1",
        ),
        (
            {"$median": {"input": "$a", "method": "aproximate"}},
            "group.x.$median.method: must be one of approximate, discrete, continuous, got 'aproximate'; "
            "did you mean 'approximate'?",
        ),
        (
            {"$percentile": {"input": "$a", "p": [0.5, 2, "x"], "method": "approximate"}},
            "group.x.$percentile.p[1]: must be a number from 0 to 1, got 2\n"
            "group.x.$percentile.p[2]: must be a number from 0 to 1, got 'x'",
        ),
        (
            {"$percentile": {"input": "$a", "p": 0.5, "method": "approximate"}},
            "group.x.$percentile.p: must be an array of numbers from 0 to 1, got 0.5; such as [0.5, 0.95]",
        ),
        (
            {"$percentile": {"input": "$a", "p": "$p", "method": "approximate"}},
            "group.x.$percentile.p: must be a constant",
        ),
        (
            {
                "$accumulator": {
                    "init": "ini",
                    "accumulate": 5,
                    "accumulateArgs": "$a",
                    "merge": "join",
                    "lang": "python",
                }
            },
            "group.x.$accumulator.init: unknown function 'ini'; did you mean 'init'?\n"
            "group.x.$accumulator.accumulate: must name a registered function, got 5\n"
            "group.x.$accumulator.merge: unknown function 'join'; register it as a function of this pipeline\n"
            "group.x.$accumulator.accumulateArgs: must be an array of expressions, got '$a'",
        ),
        (
            {"$accumulator": {"init": "init", "accumulate": "f", "accumulateArgs": [], "merge": "f", "lang": "js"}},
            "group.x.$accumulator.lang: must be 'python'; register Python functions and give their names",
        ),
    ],
)
def test_every_problem_is_reported_with_its_place(spec, text, build):
    with pytest.raises(PipelineError) as error:
        build(spec, functions={"init": list, "f": max})
    assert str(error.value) == text


def test_n_may_depend_on_the_key_of_the_group(run):
    documents = [{"n": 2, "x": x} for x in (5, 1, 3)]
    assert run(documents, {"$maxN": {"input": "$x", "n": "$n"}}) == [5, 3]
    with pytest.raises(EvaluationError) as error:
        run([{"n": 0, "x": 1}], {"$maxN": {"input": "$x", "n": "$n"}})
    assert str(error.value) == "group.x.$maxN.n: must be an integer from 1, got 0"


def test_registered_functions_make_an_accumulator(run):
    functions = {
        "start": lambda unit: {"unit": unit, "seen": 0},
        "step": lambda state, a, b: {**state, "seen": state["seen"] + (a or 0) * b},
        "join": lambda a, b: {**a, "seen": a["seen"] + b["seen"]},
        "show": lambda state: f"{state['seen']} {state['unit']}",
    }
    spec = {
        "$accumulator": {
            "init": "start",
            "initArgs": ["kg"],
            "accumulate": "step",
            "accumulateArgs": ["$a", 2],
            "merge": "join",
            "finalize": "show",
        }
    }
    assert run([{"a": 1}, {"a": 2}, {}], spec, functions) == "6 kg"


def test_running_on_a_wrong_type_names_the_type_and_not_the_value(run):
    with pytest.raises(EvaluationError) as error:
        run([{"o": "secret"}], {"$mergeObjects": "$o"})
    assert str(error.value) == "$mergeObjects takes objects, got a value of type string"


def test_a_name_is_declared_once():
    assert find_accumulator("$sum") is ACCUMULATORS["$sum"]
    assert find_accumulator("$nothing") is None
    with pytest.raises(ValueError, match=r"accumulator '\$sum' is declared twice"):

        @accumulator("$sum", examples=[])
        class Again(Accumulator):
            """Again."""


def test_an_accumulator_needs_a_docstring():
    with pytest.raises(ValueError, match=r"accumulator '\$silent' needs a docstring"):

        @accumulator("$silent", examples=[])
        class Silent(Accumulator):
            pass

    assert "$silent" not in ACCUMULATORS
