"""Documents as values: names with dots and dollars, and what is refused before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow.core.values import MISSING, EvaluationError

DOCUMENT = {"a.b": 1, "$c": 2, "o": {"x.y": 3, "$z": 4}, "name": "x.y", "n": None, "list": [{"a": 1}]}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"$getField": "a.b"}, 1),
        ({"$getField": {"$literal": "$c"}}, 2),
        ({"$getField": {"field": "$name", "input": "$o"}}, 3),
        ({"$getField": {"$concat": ["a", ".b"]}}, 1),
        ({"$getField": {"field": "a", "input": "$list"}}, MISSING),
        ({"$getField": {"field": "a", "input": "$absent"}}, MISSING),
        ({"$getField": {"field": "a", "input": "$n"}}, None),
        ({"$getField": {"field": "a", "input": {"a": 5}}}, 5),
        ({"$setField": {"field": {"$literal": "$z"}, "input": "$o", "value": 5}}, {"x.y": 3, "$z": 5}),
        ({"$setField": {"field": "q", "input": "$o", "value": "$absent"}}, {"x.y": 3, "$z": 4}),
        ({"$unsetField": {"field": "x.y", "input": "$o"}}, {"$z": 4}),
        ({"$mergeObjects": []}, {}),
        ({"$mergeObjects": ["$o", "$n", {"w": 1}, "$absent"]}, {"x.y": 3, "$z": 4, "w": 1}),
    ],
)
def test_fields_are_found_by_their_whole_name(spec: Any, expected: Any, evaluate: Callable[..., Any]) -> None:
    assert evaluate(spec, DOCUMENT) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$getField": {"field": "$n", "input": "$o"}}, "$getField takes a string as its field, got null"),
        ({"$setField": {"field": "a", "input": 5, "value": 1}}, "$setField takes an object as its input, got int"),
        ({"$mergeObjects": "$list"}, "$mergeObjects takes objects, got array"),
    ],
)
def test_what_is_no_document_says_so(spec: Any, text: str, evaluate: Callable[..., Any]) -> None:
    with pytest.raises(EvaluationError) as raised:
        evaluate(spec, DOCUMENT)
    assert str(raised.value) == text


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$getField": 5}, "x.$getField: takes the name of a field, got int"),
        ({"$getField": {"field": "a", "from": 1}}, "x.$getField.from: unknown argument; known are field, input"),
        (
            {"$setField": {"field": "$a", "input": "$o", "value": 1}},
            "x.$setField.field: takes a constant name; use {$literal: '$a'} for the text itself",
        ),
        (
            {"$unsetField": {"field": 5, "input": "$o", "value": 1}},
            "x.$unsetField.value: unknown argument; known are field, input",
        ),
        (
            {"$unsetField": {"field": 5, "input": "$o"}},
            "x.$unsetField.field: takes the name of a field, got int",
        ),
    ],
)
def test_a_bad_name_is_answered_before_it_runs(spec: Any, text: str, problems_of: Callable[..., str]) -> None:
    assert problems_of(spec) == text
