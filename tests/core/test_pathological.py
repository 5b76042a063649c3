"""Definitions and documents that are absurdly deep, wide or long: an answer or an error that says where, no crash."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow import run_batch
from fluxion_flow.core.accumulators import ACCUMULATORS
from fluxion_flow.core.expressions.registry import all_operators
from fluxion_flow.core.program import DocumentError
from fluxion_flow.core.query.registry import field_operators, query_operators
from fluxion_flow.core.stages import all_stages
from fluxion_flow.errors import FluxionError, PipelineError

DEPTH = 1000
WIDTH = 10_000
LONG = 10 * 1024 * 1024

Wrap = Callable[[Any], Any]


def nested(depth: int, wrap: Wrap, inner: Any) -> Any:
    for _ in range(depth):
        inner = wrap(inner)
    return inner


def deep_list() -> Any:
    return nested(DEPTH, lambda x: [x], 1)


def deep_object() -> Any:
    return nested(DEPTH, lambda x: {"k": x}, 1)


def answer(documents: list[Any], *stages: Any) -> Any:
    """What comes out, or the text of the error; any other error than our own fails the test."""
    try:
        return run_batch(documents, stages, collections={"c": [{"a": 1}]})
    except FluxionError as error:
        return str(error)


EXPRESSIONS: dict[str, Wrap] = {
    "$cond, then": lambda x: {"$cond": ["$a", x, 0]},
    "$cond, if": lambda x: {"$cond": [x, 1, 0]},
    "$switch": lambda x: {"$switch": {"branches": [{"case": x, "then": 1}], "default": 0}},
    "$ifNull": lambda x: {"$ifNull": ["$none", x]},
    "$and": lambda x: {"$and": ["$a", x]},
    "$or": lambda x: {"$or": ["$none", x]},
    "$not": lambda x: {"$not": [x]},
    "$map, in": lambda x: {"$map": {"input": "$list", "in": x}},
    "$map, input": lambda x: {"$map": {"input": x, "in": "$$this"}},
    "$filter": lambda x: {"$filter": {"input": "$list", "cond": x}},
    "$reduce": lambda x: {"$reduce": {"input": "$list", "initialValue": 0, "in": x}},
    "$let, in": lambda x: {"$let": {"vars": {"v": "$a"}, "in": x}},
    "$let, vars": lambda x: {"$let": {"vars": {"v": x}, "in": "$$v"}},
    "$add": lambda x: {"$add": ["$a", x]},
    "$concat": lambda x: {"$concat": ["a", x]},
    "$eq": lambda x: {"$eq": [x, "$a"]},
    "$sortArray": lambda x: {"$sortArray": {"input": x, "sortBy": 1}},
    "$convert": lambda x: {"$convert": {"input": "$s", "to": "int", "onError": x}},
    "$dateFromString": lambda x: {"$dateFromString": {"dateString": "$none", "onNull": x}},
    "$literal": lambda x: {"$literal": x},
    "array": lambda x: [x],
    "object": lambda x: {"k": x},
}


@pytest.mark.parametrize("inner", ["$a", 1], ids=["field", "constant"])
@pytest.mark.parametrize("wrap", EXPRESSIONS.values(), ids=list(EXPRESSIONS))
def test_a_deep_expression_is_a_problem(wrap, inner):
    expression = nested(DEPTH, wrap, inner)
    for stage in ({"$set": {"r": expression}}, {"$group": {"_id": expression}}, {"$match": {"$expr": expression}}):
        found = answer([{"a": 2, "list": [1], "s": "x"}], stage)
        assert re.search(r"nested (too deep|deeper than 100 levels)|documents nest at most 100", found.splitlines()[0])


@pytest.mark.parametrize("wrap", [w for n, w in EXPRESSIONS.items() if n != "$literal"])
def test_an_expression_of_ninety_levels_is_computed(wrap):
    stage = {"$project": {"_id": 0, "r": nested(90, wrap, "$a")}}
    found = answer([{"a": 2, "list": [1], "s": "x"}], stage)
    assert isinstance(found, list) or re.search(r": \$\w+ takes ", found)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: {"$and": [x, {"a": 2}]},
        lambda x: {"$or": [x, {"a": 7}]},
        lambda x: {"$nor": [x]},
        lambda x: {"a": {"$elemMatch": x}},
        lambda x: {"a": {"b": x}},
    ],
)
def test_a_deep_query_is_a_problem(wrap):
    with pytest.raises(PipelineError, match="nested deeper than 100 levels; split it over several stages"):
        run_batch([{"a": 2}], [{"$match": nested(DEPTH, wrap, {"a": 2})}])


@pytest.mark.parametrize(
    "stage",
    [
        {"$match": {".".join(["k"] * DEPTH): 1}},
        {"$set": {"z": "$" + ".".join(["k"] * DEPTH)}},
        {"$set": {".".join(["k"] * DEPTH): 1}},
        {"$set": nested(DEPTH, lambda x: {"k": x}, 1)},
        {"$project": {".".join(["k"] * DEPTH): 1}},
        {"$project": {".".join(["k"] * DEPTH): 0}},
        {"$project": nested(DEPTH, lambda x: {"k": x}, 1)},
        {"$unset": ".".join(["k"] * DEPTH)},
        {"$unwind": "$" + ".".join(["k"] * DEPTH)},
        {"$sort": {".".join(["k"] * DEPTH): 1}},
    ],
)
def test_a_path_of_a_thousand_names_is_an_answer_or_a_problem(stage):
    found = answer([{"a": 2}, deep_object()], stage)
    assert isinstance(found, list) or re.search("documents nest at most 100 levels deep|nested too deep", found)


def test_a_pipeline_has_at_most_a_thousand_stages():
    stages = [{"$set": {"a": {"$add": ["$a", 1]}}}]
    assert run_batch([{"a": 0}], stages * 1000) == [{"a": 1000}]
    with pytest.raises(PipelineError) as raised:
        run_batch([{"a": 0}], stages * 1001)
    assert str(raised.value) == (
        "stages: a pipeline of 1001 stages, but 1000 is the most; "
        "join stages, or move some of them into pipelines of their own"
    )


def test_any_number_of_stages_may_multiply_documents():
    unwinds = [{"$unwind": {"path": "$a", "includeArrayIndex": "i"} if i % 2 else "$a"} for i in range(50)]
    stages = [*unwinds, {"$group": {"_id": "$a", "n": {"$sum": 1}}}]
    assert run_batch([{"a": [1, 2]}, {"a": []}], stages) == [{"_id": 1, "n": 1}, {"_id": 2, "n": 1}]


def test_pipelines_within_each_other_end_with_a_problem():
    for wrap in (
        lambda x: {"$subPipeline": [{"pipeline": [x]}]},
        lambda x: {"$unionWith": {"pipeline": [{"$documents": []}, x]}},
        lambda x: {"$lookup": {"from": "c", "as": "z", "pipeline": [x]}},
    ):
        found = answer([{"a": 1}], nested(DEPTH, wrap, {"$match": {}}))
        assert "more than 20 pipelines within each other; run some of them one after another" in found


MANY = range(WIDTH)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ({"$set": {f"f{i}": {"$add": ["$a", i]} for i in MANY}}, {"a": 1, **{f"f{i}": i + 1 for i in MANY}}),
        ({"$set": {f"x.f{i}": "$a" for i in range(2000)}}, {"a": 1, "x": {f"f{i}": 1 for i in range(2000)}}),
        ({"$project": {"_id": 0, **{f"f{i}": "$a" for i in MANY}}}, {f"f{i}": 1 for i in MANY}),
        (
            {"$group": {"_id": None, **{f"f{i}": {"$sum": "$a"} for i in MANY}}},
            {"_id": None, **{f"f{i}": 1 for i in MANY}},
        ),
        ({"$group": {"_id": {f"f{i}": "$a" for i in MANY}}}, {"_id": {f"f{i}": 1 for i in MANY}}),
        ({"$match": {f"f{i}": None for i in MANY}}, {"a": 1}),
        ({"$match": {"$or": [{"a": i} for i in range(WIDTH, 0, -1)]}}, {"a": 1}),
        ({"$match": {"a": {"$in": list(range(200_000))}}}, {"a": 1}),
        ({"$match": {"a": {"$nin": [str(i) for i in range(200_000)]}}}, {"a": 1}),
        ({"$set": {"r": {"$and": [{"$lt": ["$a", i + 2]} for i in range(3000)]}}}, {"a": 1, "r": True}),
        ({"$set": {"r": {"$or": [{"$gt": ["$a", i + 2]} for i in range(3000)]}}}, {"a": 1, "r": False}),
        ({"$set": {"r": {"$ifNull": [*(f"$f{i}" for i in range(3000)), "$a"]}}}, {"a": 1, "r": 1}),
        (
            {
                "$set": {
                    "r": {
                        "$switch": {
                            "branches": [{"case": {"$eq": ["$a", i]}, "then": i} for i in range(3000, 0, -1)],
                            "default": 0,
                        }
                    }
                }
            },
            {"a": 1, "r": 1},
        ),
        ({"$set": {"r": {"$add": ["$a"] * WIDTH}}}, {"a": 1, "r": WIDTH}),
        ({"$set": {"r": {"$sum": [f"$f{i}" for i in MANY]}}}, {"a": 1, "r": 0}),
    ],
)
def test_ten_thousand_of_anything_is_computed(stage, expected):
    assert run_batch([{"a": 1}], [stage]) == [expected]


TEXT = "ab " * (LONG // 3)
DIGITS = "9" * LONG


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"$strLenCP": {"$toUpper": "$text"}}, len(TEXT)),
        ({"$strLenBytes": {"$trim": {"input": "$text"}}}, len(TEXT) - 1),
        ({"$size": {"$split": ["$text", " "]}}, LONG // 3 + 1),
        ({"$indexOfCP": ["$text", "z"]}, -1),
        ({"$strLenCP": {"$replaceAll": {"input": "$text", "find": "a", "replacement": "bb"}}}, LONG // 3 * 4),
        ({"$regexMatch": {"input": "$text", "regex": "z$"}}, False),
        ({"$convert": {"input": "$digits", "to": "long", "onError": "no"}}, "no"),
        ({"$convert": {"input": "$digits", "to": "int", "onError": "no"}}, "no"),
        ({"$dateFromString": {"dateString": "$digits", "onError": "no"}}, "no"),
        ({"$cmp": ["$text", "$digits"]}, 1),
    ],
)
def test_strings_of_ten_megabytes_are_values_like_any_other(expression, expected):
    stages = [{"$project": {"_id": 0, "r": expression}}]
    assert run_batch([{"text": TEXT, "digits": DIGITS}], stages) == [{"r": expected}]


def test_an_int_of_any_size_is_an_answer_or_an_error():
    for name in all_operators():
        answer([{"a": 10**5000}], {"$project": {"r": {name: "$a"}}})
        answer([{"a": 10**5000}], {"$project": {"r": {name: ["$a", "$a"]}}})
    assert answer([{"a": 1}], {"$match": {"a": {"$lt": 10**5000}}}) == [{"a": 1}]


# -- everything, with values nested a thousand levels deep -----------------------------------------------------------

DEEP = pytest.mark.parametrize("deep", [deep_list, deep_object], ids=["list", "object"])


@DEEP
@pytest.mark.parametrize("name", sorted(all_operators()))
def test_every_operator_bears_deep_values(name, deep):
    answer([{}], {"$set": {"r": {name: deep()}}})
    answer([{"a": deep()}], {"$set": {"r": {name: "$a"}}})
    answer([{"a": deep()}], {"$set": {"r": {name: ["$a", "$a"]}}})


@DEEP
@pytest.mark.parametrize("name", sorted(all_stages()))
def test_every_stage_bears_deep_specifications(name, deep):
    answer([{"a": deep()}], {name: deep()})
    names = ("_id", "path", "from", "as", "output", "sortBy", "groupBy", "boundaries", "size", "field", "range", "coll")
    answer([{"a": deep()}], {name: {option: deep() for option in names}})


@DEEP
@pytest.mark.parametrize("name", sorted({*field_operators(), *query_operators()}))
def test_every_query_operator_bears_deep_values(name, deep):
    answer([{"a": deep()}], {"$match": {"a": {name: deep()}}})
    answer([{"a": deep()}], {"$match": {name: deep()}})
    answer([{"a": deep()}], {"$match": {"a": {name: 1}}})


@DEEP
@pytest.mark.parametrize("name", sorted(ACCUMULATORS))
def test_every_accumulator_bears_deep_values(name, deep):
    answer([{}], {"$group": {"_id": None, "r": {name: deep()}}})
    answer([{"a": deep()}, {"a": deep()}], {"$group": {"_id": None, "r": {name: "$a"}}})


def test_a_list_of_stages_may_be_anything():
    for wrong in (deep_list(), [deep_list()], [deep_object()]):
        with pytest.raises(PipelineError, match="stages"):
            run_batch([{}], wrong)


def test_what_is_nested_too_deep_is_said_with_its_place():
    deep = {"a": deep_object(), "b": deep_object()}
    with pytest.raises(DocumentError) as raised:
        run_batch([deep], [{"$set": {"same": {"$eq": ["$a", "$b"]}}}])
    assert str(raised.value) == "stages[0].$set.same.$eq: a value is nested too deep"
    with pytest.raises(DocumentError) as raised:
        run_batch([deep, deep], [{"$sort": {"a": 1}}])
    assert str(raised.value) == "stages[0].$sort: a value is nested too deep"


def test_a_document_that_holds_itself_is_an_error_and_not_a_hang():
    document: dict[str, Any] = {"a": 1}
    document["self"] = document
    with pytest.raises(DocumentError, match="nested too deep"):
        run_batch([document], [{"$set": {"e": {"$eq": ["$self", "$$ROOT"]}}}])


def test_a_definition_that_holds_itself_is_a_problem_and_not_a_hang():
    query: list[Any] = []
    query.append({"$and": query})
    expression: dict[str, Any] = {}
    expression["$add"] = ["$a", expression]
    for stage in ({"$match": {"$and": query}}, {"$set": {"x": expression}}):
        with pytest.raises(PipelineError, match="nested deeper than 100 levels"):
            run_batch([{"a": 1}], [stage])
