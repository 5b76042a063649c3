"""Every query operator that is declared: its examples, its documentation, and cases that the examples leave out."""

from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from typing import Any

import pytest

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import origin
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.query import Predicate, compile_query, matches, parse_query
from fluxion_flow.core.query.registry import field_operators, query_operators
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.values import EvaluationError
from fluxion_flow.errors import Problems, Where

OPERATORS = [*field_operators().values(), *query_operators().values()]
UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=UTC)


def parsed(query: Any, resources: Resources | None = None) -> Predicate:
    problems = Problems()
    predicate = parse_query(query, Where.at("stages", 0, "$match"), Parser(problems, resources))
    problems.raise_if_any()
    return predicate


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)
def test_every_operator_is_documented_and_its_examples_hold(operator: Any) -> None:
    assert operator.doc.endswith("."), "a docstring in sentences"
    assert f"MongoDB: {operator.name}" in operator.doc
    assert operator.examples
    for document, query, expected in operator.examples:
        assert compile_query(parsed(query))(document, Environment()) is expected
        try:
            answer = compile_query(parsed(query), speculative=True)(document, Environment())
        except KeyError:
            continue
        assert answer is expected


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        # equality
        ({"a": 0}, {"a": False}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": True}, {"a": [1, True]}, True),
        ({"a": 1}, {"a": Decimal("1.0")}, True),
        ({"a": Decimal("0.1")}, {"a": 0.1}, False),
        ({"a": math.nan}, {"a": Decimal("NaN")}, True),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, False),
        ({"a": {"b": 1.0, "c": 2}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {}}, {"a": {}}, True),
        ({"a": {}}, {"a": {"b": 1}}, False),
        ({"a": [1, 2]}, {"a": [[1, 2]]}, True),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, False),
        ({"a": b"x"}, {"a": b"x"}, True),
        ({"a": {"$ref": "customers", "$id": 5}}, {"a": {"$ref": "customers", "$id": 5}}, True),
        ({"a": NOON}, {"a": NOON.astimezone(datetime.timezone(datetime.timedelta(hours=2)))}, True),
        ({"a": {"$eq": re.compile("x")}}, {"a": "x"}, False),
        ({"a": {"$eq": re.compile("x")}}, {"a": re.compile("x")}, True),
        ({"a": re.compile("x")}, {"a": re.compile("x")}, True),
        # null and absent
        ({"a": None}, {"a": [None]}, True),
        ({"a": None}, {"a": []}, False),
        ({"a": {"$ne": None}}, {}, False),
        ({"a": {"$gte": None}}, {}, True),
        ({"a": {"$gt": None}}, {"a": None}, False),
        ({"a.b": None}, {"a": 5}, True),
        ({"a.b": None}, {"a": [5]}, False),
        # order, within a type
        ({"a": {"$gt": 1}}, {"a": True}, False),
        ({"a": {"$gt": False}}, {"a": True}, True),
        ({"a": {"$lt": 5}}, {"a": math.nan}, False),
        ({"a": {"$lte": math.nan}}, {"a": math.nan}, True),
        ({"a": {"$lte": math.nan}}, {"a": 1}, False),
        ({"a": {"$lt": 10**30}}, {"a": 5}, True),
        ({"a": {"$gt": Decimal("1.5")}}, {"a": 2}, True),
        ({"a": {"$gt": [1]}}, {"a": [1, 0]}, True),
        ({"a": {"$gt": {"b": 1}}}, {"a": {"b": 2}}, True),
        ({"a": {"$gte": NOON}}, {"a": NOON.replace(tzinfo=None)}, True),
        ({"a": {"$lt": NOON}}, {"a": "2026"}, False),
        ({"a": {"$gt": 5, "$lt": 3}}, {"a": [1, 9]}, True),
        # arrays and indexes
        ({"a.b.c": 1}, {"a": [{"b": [{"c": 5}]}, {"b": {"c": [7, 1]}}]}, True),
        ({"a.1": 5}, {"a": [1, 5]}, True),
        ({"a.01": 5}, {"a": [1, 5]}, False),
        ({"a.b": 5}, {"a": [[{"b": 5}]]}, False),
        ({"a.0.b": 5}, {"a": [[{"b": 5}]]}, True),
        ({"a": {"$size": 2.0}}, {"a": [1, 2]}, True),
        ({"a": {"$all": [None]}}, {}, True),
        ({"a": {"$all": [[1, 2]]}}, {"a": [1, 2]}, True),
        ({"a": {"$all": ["x", re.compile("^y")]}}, {"a": ["x", "yz"]}, True),
        ({"a": {"$elemMatch": {}}}, {"a": [1, {}]}, True),
        ({"a": {"$elemMatch": {}}}, {"a": [1]}, False),
        ({"a": {"$elemMatch": {"$or": [{"x": 1}, {"y": 1}]}}}, {"a": [{"y": 1}]}, True),
        ({"a": {"$elemMatch": {"$not": {"$gt": 5}}}}, {"a": [9, 3]}, True),
        (
            {"a": {"$elemMatch": {"b.c": 1, "d": {"$gt": 5}}}},
            {"a": [{"b": {"c": 1}, "d": 5}, {"b": [{"c": 1}], "d": 6}]},
            True,
        ),
        ({"a": {"$not": {"$elemMatch": {"b": 1}}}}, {"a": [{"b": 1}]}, False),
        # types
        ({"a": {"$type": "long"}}, {"a": 2**31}, True),
        ({"a": {"$type": "int"}}, {"a": 2**31}, False),
        ({"a": {"$type": "array"}}, {"a": []}, True),
        ({"a": {"$type": "objectId"}}, {"a": 5}, False),
        ({"a": {"$type": ["int", 2]}}, {"a": "x"}, True),
        # numbers
        ({"a": {"$mod": [4.9, 0.5]}}, {"a": 8}, True),
        ({"a": {"$mod": [4, 0]}}, {"a": "8"}, False),
        ({"a": {"$mod": [4, 0]}}, {"a": 2**70}, False),
        ({"a": {"$bitsAllSet": [200]}}, {"a": -1}, True),
        ({"a": {"$bitsAllSet": 1}}, {"a": 1.5}, False),
        ({"a": {"$bitsAllSet": 1}}, {"a": True}, False),
        ({"a": {"$bitsAnySet": [9]}}, {"a": b"\x00\x02"}, True),
        ({"a": {"$bitsAllClear": [90]}}, {"a": b"\x00\x02"}, True),
        ({"a": {"$bitsAllSet": b"\x03"}}, {"a": 7}, True),
        # joined
        ({}, {"a": 1}, True),
        ({"$nor": [{"a": 1}, {"a": 2}]}, {"a": 2}, False),
        ({"$or": [{"a": 1}], "b": 2}, {"a": 1, "b": 3}, False),
        ({"a": {"$not": re.compile("^x")}}, {"a": "xy"}, False),
        ({"a": {"$nin": [re.compile("^x"), 1]}}, {"a": ["y", "xy"]}, False),
        ({"": 1}, {"": 1}, True),
        ({"a.": 1}, {"a": {"": 1}}, True),
    ],
)
def test_a_document_is_matched_as_mongodb_does(query: dict[str, Any], document: dict[str, Any], expected: bool) -> None:
    assert matches(query)(document) is expected


def test_the_common_case_is_written_inline() -> None:
    query = parsed({"status": "PAID", "customer.tier": {"$in": ["gold", "silver"]}, "total": {"$gte": 10}})
    source = compile_query(query, speculative=True).__fluxion_source__  # type: ignore[attr-defined]
    assert source == (
        "def matches(d, env):\n"
        "    v1 = d['status']\n"
        "    if not (v1 == 'PAID' or (v1.__class__ is list and equal_(v1))):\n"
        "        return False\n"
        "    v2 = d['customer']\n"
        "    v3 = v2['tier']\n"
        "    if not (v3 in keys_ if v3.__class__ is str else oneof_(v3)):\n"
        "        return False\n"
        "    v4 = d['total']\n"
        "    if not (v4 >= 10 if v4.__class__ is float or v4.__class__ is int else ordered_(v4)):\n"
        "        return False\n"
        "    return True\n"
    )


def test_absence_is_no_surprise_where_it_is_asked_for() -> None:
    query = parsed(
        {"a": {"$exists": False}, "b.c": {"$ne": 1}, "d": None, "e": {"$nin": [1]}, "f": {"$not": {"$gt": 1}}}
    )
    assert compile_query(query, speculative=True)({}, Environment()) is True


def test_an_error_in_an_expression_knows_its_place() -> None:
    test = compile_query(parsed({"a": 1, "$or": [{"b": 1}, {"$expr": {"$gt": [{"$divide": ["$a", "$b"]}, 1]}}]}))
    with pytest.raises(EvaluationError) as error:
        test({"a": 1, "b": 0}, Environment())
    assert str(origin(error.value)) == "stages[0].$match.$or[1].$expr.$gt[0].$divide"


def test_variables_and_the_time_reach_an_expression() -> None:
    resources = Resources(variables={"limit": 5}, now=NOON)
    test = matches({"$expr": {"$and": [{"$gt": ["$n", "$$limit"]}, {"$eq": ["$at", "$$NOW"]}]}}, resources)
    assert test({"n": 6, "at": NOON}) is True
    assert test({"n": 5, "at": NOON}) is False


def test_a_sample_depends_on_seed_and_place_alone() -> None:
    test = compile_query(parsed({"$sampleRate": {"rate": 0.3, "seed": 42}}))

    def draw(partition: str, position: int, count: int) -> list[bool]:
        env = Environment(partition=partition, position=position)
        return [test(document, env) for document in env.start([{}] * count, 0)]

    whole = draw("a", 0, 4000)
    assert whole == draw("a", 0, 1500) + draw("a", 1500, 2500)
    assert whole != draw("b", 0, 4000)
    assert 1100 < sum(whole) < 1300
