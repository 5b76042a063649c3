"""Arrays: what the examples beside the array operators leave out."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.expressions.operators.array_order import in_order
from fluxion_flow.core.ordering import sort_key
from fluxion_flow.core.values import MISSING, EvaluationError

Evaluate = Callable[..., Any]

MIXED = st.lists(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(-9, 9), st.just(math.nan), st.text(max_size=2)),
    max_size=8,
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"$arrayElemAt": [[1, 2], Decimal("1.0")]}, 2),
        ({"$arrayElemAt": [[1, 2], -3]}, MISSING),
        ({"$arrayElemAt": [[1, 2], None]}, None),
        ({"$first": [[]]}, MISSING),
        ({"$in": [math.nan, [1, math.nan]]}, True),
        ({"$in": [1, [True]]}, False),
        ({"$in": ["$absent", [None]]}, False),
        ({"$indexOfArray": [[True, 1.0, 1], 1]}, 1),
        ({"$indexOfArray": [["a", "b"], "b", 0, 1]}, -1),
        ({"$slice": [[1, 2, 3], -5, 2]}, [1, 2]),
        ({"$slice": [[1, 2, 3], 0]}, []),
        ({"$slice": [[1, 2, 3], 1, None]}, None),
        ({"$concatArrays": [[1], None, "x"]}, None),
        ({"$concatArrays": []}, []),
        ({"$range": [5, 0]}, []),
        ({"$range": [0, 1.0, 1]}, [0]),
        ({"$maxN": {"input": [1, "a", None, 2.5, [0]], "n": 2}}, [[0], "a"]),
        ({"$minN": {"input": [2, 1.0, 1], "n": 2.0}}, [1.0, 1]),
        ({"$sortArray": {"input": [True, "a", 2, None, {}], "sortBy": 1}}, [None, 2, "a", {}, True]),
        (
            {"$sortArray": {"input": [{"a": 2}, {"a": [1, 9]}, {}, 7], "sortBy": {"a": 1}}},
            [{}, 7, {"a": [1, 9]}, {"a": 2}],
        ),
        (
            {
                "$sortArray": {
                    "input": [{"a": {"b": 1}, "c": 1}, {"a": {"b": 1}, "c": 2}],
                    "sortBy": {"a.b": 1, "c": -1},
                }
            },
            [{"a": {"b": 1}, "c": 2}, {"a": {"b": 1}, "c": 1}],
        ),
        ({"$zip": {"inputs": [["a"], None]}}, None),
        ({"$zip": {"inputs": [[1], [2, 3]], "useLongestLength": True}}, [[1, 2], [None, 3]]),
        ({"$arrayToObject": [[]]}, {}),
        ({"$arrayToObject": {"$literal": [["a.b", 1], ["$c", 2]]}}, {"a.b": 1, "$c": 2}),
        ({"$objectToArray": {"a": "$absent"}}, []),
    ],
)
def test_arrays_are_read_as_mongodb_reads_them(spec: Any, expected: Any, evaluate: Evaluate) -> None:
    assert evaluate(spec) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$size": "$absent"}, "$size takes an array, got missing"),
        (
            {"$arrayElemAt": [[1], 2**31]},
            "$arrayElemAt takes a whole number from -2147483648 to 2147483647 as its index, got 2147483648",
        ),
        ({"$arrayElemAt": [[1], math.nan]}, "$arrayElemAt takes a whole number as its index, got nan"),
        ({"$slice": [[1], 0, 0]}, "$slice takes a whole number of at least 1 as its number of items, got 0"),
        ({"$range": [0, 5, 0]}, "$range takes a step other than 0"),
        ({"$range": [0, 2**31 - 1]}, "$range makes at most 6500000 numbers, 2147483647 were asked for"),
        ({"$firstN": {"input": [1], "n": 1.5}}, "$firstN takes a whole number as n, got 1.5"),
        ({"$zip": {"inputs": "$absent"}}, "$zip takes an array of arrays as its inputs, got missing"),
        (
            {"$arrayToObject": [[["a", 1, 2]]]},
            "$arrayToObject takes [name, value] pairs or {k: name, v: value} documents",
        ),
        ({"$arrayToObject": [[[1, 2]]]}, "$arrayToObject takes strings as names, got int"),
        ({"$arrayToObject": [[["a\0", 2]]]}, "$arrayToObject takes names without null bytes"),
    ],
)
def test_what_is_no_array_says_so(spec: Any, text: str, evaluate: Evaluate) -> None:
    with pytest.raises(EvaluationError) as raised:
        evaluate(spec)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$zip": {"inputs": ["$a"], "useLongestLength": 1}}, "x.$zip.useLongestLength: is true or false, got 1"),
        (
            {"$zip": {"inputs": [], "defaults": [1]}},
            "x.$zip.defaults: needs useLongestLength; add useLongestLength: true\n"
            "x.$zip.inputs: takes at least one array",
        ),
        (
            {"$zip": {"inputs": ["$a", "$b"], "useLongestLength": True, "defaults": [1]}},
            "x.$zip.defaults: takes one for each input: 2, got 1",
        ),
        (
            {"$sortArray": {"input": "$a", "sortBy": 2}},
            'x.$sortArray.sortBy: takes 1, -1 or an object of fields; such as {"age": -1, "name": 1}',
        ),
        (
            {"$sortArray": {"input": "$a", "sortby": {"a": "up"}}},
            "x.$sortArray.sortby: unknown argument; did you mean 'sortBy'?\n"
            "x.$sortArray.sortBy: required argument is missing",
        ),
        (
            {"$sortArray": {"input": 1, "sortBy": {"a": "up"}}},
            "x.$sortArray.sortBy.a: the direction is 1 or -1, got 'up'",
        ),
        ({"$firstN": ["$a", 1]}, "x.$firstN: takes an object of named arguments; give input, n"),
        ({"$slice": ["$a"]}, "x.$slice: takes 2 to 3 arguments, got 1"),
    ],
)
def test_a_bad_definition_is_answered_before_it_runs(spec: Any, text: str, problems_of: Callable[..., str]) -> None:
    assert problems_of(spec) == text


def test_arrays_are_never_changed_in_place(evaluate: Evaluate) -> None:
    document = {"a": [3, 1, 2]}
    for spec in (
        {"$sortArray": {"input": "$a", "sortBy": 1}},
        {"$reverseArray": "$a"},
        {"$concatArrays": ["$a", [4]]},
        {"$setUnion": ["$a", [9]]},
    ):
        assert evaluate(spec, document) is not document["a"]
        assert document == {"a": [3, 1, 2]}


@given(MIXED, st.booleans())
def test_pythons_own_order_is_taken_only_where_it_is_bson_order(items: list[Any], descending: bool) -> None:
    expected = sorted(items, key=sort_key, reverse=descending)
    assert list(map(repr, in_order(items, descending))) == list(map(repr, expected))
