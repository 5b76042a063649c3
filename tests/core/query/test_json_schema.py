"""$jsonSchema in MongoDB's dialect: each keyword, with documents that pass and documents that do not."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import pytest

from fluxion_flow.core.query import matches

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("schema", "passing", "failing"),
    [
        ({"bsonType": "int"}, [1], [1.5, 2**40, True, None, "1"]),
        ({"bsonType": ["number", "null"]}, [1, 1.5, Decimal(1), None], [True, "1"]),
        ({"bsonType": "date"}, [NOON], ["2026-03-01"]),
        ({"type": "boolean"}, [True], [1]),
        ({"type": ["object", "array"]}, [{}, []], ["x"]),
        ({"enum": [1, "a", {"x": 1, "y": 2}, None]}, [1.0, "a", {"y": 2, "x": 1}, None], [True, "b", [1]]),
        ({"minimum": 5}, [5, 5.0, Decimal(6), "4"], [4, math.nan]),
        ({"minimum": 5, "exclusiveMinimum": True}, [6], [5]),
        ({"minimum": 5, "exclusiveMinimum": False}, [5], [4]),
        ({"maximum": 5, "exclusiveMaximum": True}, [4, None], [5, math.inf]),
        ({"multipleOf": 0.01}, [1.13, 2, Decimal("0.05"), "x"], [1.135, math.inf]),
        ({"multipleOf": 3}, [9, 9.0, -3, 3 * 10**17], [10]),
        ({"minLength": 2, "maxLength": 3}, ["ab", "äöü", 5], ["a", "abcd"]),
        ({"pattern": "^a"}, ["abc", 5], ["bc"]),
        ({"minItems": 1, "maxItems": 2}, [[1], [1, 2], "x"], [[], [1, 2, 3]]),
        ({"uniqueItems": True}, [[1, 2], [1, True], []], [[1, 1.0], [{"x": 1, "y": 2}, {"y": 2, "x": 1}]]),
        ({"uniqueItems": False}, [[1, 1]], []),
        ({"items": {"bsonType": "int"}}, [[1, 2], [], "x"], [[1, "a"]]),
        ({"items": [{"bsonType": "int"}]}, [[1, "a"], []], [["a"]]),
        ({"items": [{}], "additionalItems": False}, [[1], []], [[1, 2]]),
        ({"items": [{}], "additionalItems": {"type": "string"}}, [[1, "a"]], [[1, 2]]),
        ({"minProperties": 1, "maxProperties": 2}, [{"a": 1}, 5], [{}, {"a": 1, "b": 2, "c": 3}]),
        ({"required": ["a", "b"]}, [{"a": None, "b": 1}, 5], [{"a": 1}]),
        ({"properties": {"a": {"type": "string"}}}, [{"a": "x"}, {}, {"b": 1}, 5], [{"a": 1}, {"a": None}]),
        ({"patternProperties": {"^n_": {"type": "number"}}}, [{"n_a": 1, "x": "y"}, 5], [{"n_a": "1"}]),
        (
            {"properties": {"a": {}}, "patternProperties": {"^n_": {}}, "additionalProperties": False},
            [{"a": 1, "n_b": 2}, {}, 5],
            [{"b": 1}],
        ),
        ({"additionalProperties": {"type": "string"}}, [{"a": "x"}], [{"a": 1}]),
        ({"additionalProperties": True}, [{"a": 1}], []),
        ({"dependencies": {"a": ["b"]}}, [{"a": 1, "b": 2}, {"b": 1}, 5], [{"a": 1}]),
        ({"dependencies": {"a": {"required": ["c"]}}}, [{"a": 1, "c": 2}, {}], [{"a": 1}]),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
        ({"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["x", 3], [2]),
        ({"oneOf": [{"minimum": 3}, {"multipleOf": 2}]}, [2, 5], [4, 1]),
        ({"not": {"type": "string"}}, [1], ["x"]),
        ({"title": "n", "description": "a number"}, [1, "x"], []),
    ],
)
def test_a_value_passes_or_fails(schema: dict[str, Any], passing: list[Any], failing: list[Any]) -> None:
    test = matches({"$jsonSchema": {"properties": {"v": schema}}})
    assert [value for value in passing if not test({"v": value})] == []
    assert [value for value in failing if test({"v": value})] == []


def test_a_schema_asks_of_the_whole_document_and_of_elements() -> None:
    schema = {"required": ["id"], "properties": {"id": {"bsonType": "int"}}, "additionalProperties": False}
    assert matches({"$jsonSchema": schema})({"id": 1}) is True
    assert matches({"$jsonSchema": schema})({"id": 1, "x": 2}) is False
    assert matches({"items": {"$elemMatch": {"$jsonSchema": schema}}})({"items": [{"x": 1}, {"id": 2}]}) is True
