"""Arithmetic in infix notation means what the operators' functions mean, however deep and however large the numbers."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression, source_of
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import OPERATORS, Operator
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.errors import Problems, Where

NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 3, 2**62, 2**63 - 1, -(2**63), 2**53 + 1, 10**18, 0.0, -0.0, 1.5, 1e300, math.inf, math.nan]
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
)
OTHERS = st.sampled_from(
    [MISSING, None, True, "1", [1], Decimal("1.5"), datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)]
)
FIELDS = "abcd"


def expressions(depth: int) -> st.SearchStrategy[Any]:
    leaf = st.one_of(st.sampled_from([f"${name}" for name in FIELDS]), st.sampled_from([1, 2**62, -3, 0.5, 0]))
    if depth == 0:
        return leaf
    below = expressions(depth - 1)
    two, many = st.lists(below, min_size=2, max_size=2), st.lists(below, min_size=2, max_size=5)
    return st.one_of(
        leaf,
        st.fixed_dictionaries({"$add": many}),
        st.fixed_dictionaries({"$multiply": many}),
        st.fixed_dictionaries({"$subtract": two}),
        st.fixed_dictionaries({"$divide": two}),
    )


def walked(spec: Any, document: dict[str, Any]) -> Any:
    """The value of an expression by the operators' functions alone."""
    if isinstance(spec, str):
        return document.get(spec[1:], MISSING)
    if not isinstance(spec, dict):
        return spec
    ((name, arguments),) = spec.items()
    entry = OPERATORS[name]
    assert isinstance(entry, Operator)
    return entry.function(*[walked(argument, document) for argument in arguments])


def outcome(function: Any, *arguments: Any) -> Any:
    try:
        value = function(*arguments)
    except (EvaluationError, OverflowError) as error:
        return f"raises {type(error).__name__}"
    return type(value).__name__, repr(value)


def compiled(spec: Any, speculative: bool = False) -> Any:
    problems = Problems()
    node = Parser(problems).expression(spec, Where.at("x"))
    return None if problems else compile_expression(node, speculative=speculative)


def agrees(spec: Any, document: dict[str, Any]) -> None:
    general = compiled(spec)
    if general is None:  # constants that always fail
        return
    expected = outcome(walked, spec, document)
    assert outcome(general, document, Environment()) == expected
    try:
        found = compiled(spec, speculative=True)(document, Environment())
    except Exception:  # noqa: BLE001 - the general tier answers
        return
    assert (type(found).__name__, repr(found)) == expected


@settings(max_examples=300, deadline=None)
@given(spec=expressions(3), document=st.fixed_dictionaries(dict.fromkeys(FIELDS, NUMBERS)))
@example(
    spec={"$multiply": [{"$subtract": [{"$multiply": ["$a", "$a"]}, {"$multiply": ["$a", "$b"]}]}, "$c"]},
    document={"a": 2**62, "b": 2**62 - 1, "c": 1.5},
)
@example(spec={"$add": ["$a", "$b", "$c", "$d"]}, document={"a": 2**63 - 1, "b": 2**63 - 1, "c": -(2**63), "d": 0.5})
@example(spec={"$divide": [{"$multiply": ["$a", "$b"]}, "$c"]}, document={"a": 2**53 + 1, "b": 3, "c": 7, "d": 0})
def test_numbers_of_every_size(spec: Any, document: dict[str, Any]) -> None:
    agrees(spec, document)


@settings(max_examples=150, deadline=None)
@given(
    spec=expressions(2),
    document=st.fixed_dictionaries({name: st.one_of(NUMBERS, OTHERS) for name in FIELDS}),
)
def test_values_of_other_types(spec: Any, document: dict[str, Any]) -> None:
    agrees(spec, {name: value for name, value in document.items() if value is not MISSING})


def test_nested_arithmetic_is_one_line_behind_one_guard() -> None:
    function = compiled({"$multiply": ["$price", {"$subtract": [1, "$discount"]}]}, speculative=True)
    assert "v3 = v1 * (t4 := 1 - v2)" in source_of(function)


@pytest.mark.parametrize(("a", "b"), [(2**62, 2), (-(2**63), -1)])
def test_a_product_beyond_64_bits_is_a_double(a: int, b: int) -> None:
    value = compiled({"$multiply": ["$a", "$b"]})({"a": a, "b": b}, Environment())
    assert (type(value), value) == (float, float(a * b))
