"""Accumulators over one document's values: the same results as in $group, one array or several arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.accumulators import ACCUMULATORS
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.errors import Problems, Where

VALUES = st.lists(
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.decimals(-1000, 1000, places=3),
        st.sampled_from([None, True, "a", [1], {}, 0.0, -0.0, 0, 1, 1.0]),
    ),
    max_size=8,
)
PLAIN = st.one_of(st.lists(st.floats(), max_size=8), st.lists(st.integers(-5, 5), max_size=8), VALUES)


@pytest.mark.parametrize("name", ["$sum", "$avg", "$min", "$max", "$stdDevPop", "$stdDevSamp"])
@given(values=PLAIN)
def test_an_array_gives_what_a_group_of_its_items_gives(name: str, values: list[Any]) -> None:
    accumulator = ACCUMULATORS[name]()
    state = accumulator.zero()
    for value in values:
        state = accumulator.add(state, value)
    node = Parser(Problems()).expression({name: "$a"}, Where.at("x"))
    assert repr(compile_expression(node)({"a": values}, None)) == repr(accumulator.result(state))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"$sum": [[1, 2], 3]}, 3),
        ({"$sum": [[1, 2]]}, 3),
        ({"$sum": [2**63 - 1, 1]}, 9223372036854775808.0),
        ({"$sum": [1, Decimal("0.5"), True, "x"]}, Decimal("1.5")),
        ({"$avg": [[1, 2], 4]}, 4.0),
        ({"$max": [[1, 5], 3]}, [1, 5]),
        ({"$max": [1, 1.0, None]}, 1),
        ({"$min": ["$absent", 3, math.nan]}, math.nan),
        ({"$median": {"input": ["$absent", 5, 1], "method": "approximate"}}, 1.0),
        ({"$median": {"input": [1, 2], "method": "continuous"}}, 1.5),
        ({"$percentile": {"input": [1, 2, 3, 4], "p": [0, 0.5, 1], "method": "approximate"}}, [1.0, 2.0, 4.0]),
    ],
)
def test_several_arguments_and_ranks(spec: Any, expected: Any, evaluate: Callable[..., Any]) -> None:
    assert repr(evaluate(spec)) == repr(expected)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"$percentile": {"input": "$a", "p": [0.5, 2], "method": "exact"}},
            "x.$percentile.method: unknown method 'exact'; known are approximate, discrete, continuous\n"
            "x.$percentile.p[1]: is a number from 0 to 1, got 2",
        ),
        (
            {"$percentile": {"input": "$a", "p": 0.5, "method": "approximate"}},
            "x.$percentile.p: takes an array of numbers from 0 to 1; such as [0.5, 0.95]",
        ),
        ({"$median": {"input": "$a"}}, "x.$median.method: required argument is missing"),
    ],
)
def test_bad_ranks_are_answered_before_they_run(spec: Any, text: str, problems_of: Callable[..., str]) -> None:
    assert problems_of(spec) == text
