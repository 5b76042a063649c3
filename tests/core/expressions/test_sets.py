"""Sets: items are the same when $eq says so, whatever short cut is taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.expressions.operators import sets
from fluxion_flow.core.ordering import equal
from fluxion_flow.core.values import EvaluationError

ITEMS = st.lists(
    st.one_of(
        st.integers(0, 3),
        st.sampled_from([0.0, -0.0, 1.0, math.nan, True, False, None, "a", "b", Decimal(1), [1], {"a": 1}]),
    ),
    max_size=6,
)


def _distinct(items: list[Any]) -> list[Any]:
    result: list[Any] = []
    for item in items:
        if not any(equal(item, other) for other in result):
            result.append(item)
    return result


@given(ITEMS, ITEMS)
def test_sets_mean_what_equality_says(a: list[Any], b: list[Any]) -> None:
    def holds(array: list[Any], item: Any) -> bool:
        return any(equal(item, other) for other in array)

    union = _distinct(a + b)
    assert repr(sets.set_union.function(a, b)) == repr(union)
    assert repr(sets.set_intersection.function(a, b)) == repr([i for i in _distinct(a) if holds(b, i)])
    assert repr(sets.set_difference.function(a, b)) == repr([i for i in _distinct(a) if not holds(b, i)])
    assert sets.set_is_subset.function(a, b) == all(holds(b, i) for i in a)
    assert sets.set_equals.function(a, b) == (all(holds(b, i) for i in a) and all(holds(a, i) for i in b))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"$setUnion": []}, []),
        ({"$setUnion": [[1], None, "x"]}, None),
        ({"$setIntersection": [[2, 1, 2]]}, [2, 1]),
        ({"$setDifference": [None, "x"]}, None),
        ({"$allElementsTrue": [["", [], {}, math.nan]]}, True),
        ({"$anyElementTrue": [[0, None, False, 0.0, Decimal("0.0")]]}, False),
    ],
)
def test_null_and_truth_in_sets(spec: Any, expected: Any, evaluate: Callable[..., Any]) -> None:
    assert evaluate(spec) == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$setIsSubset": [[1], None]}, "$setIsSubset takes arrays, got null"),
        ({"$setUnion": ["x", None]}, "$setUnion takes arrays, got string"),
        ({"$allElementsTrue": ["$absent"]}, "$allElementsTrue takes an array, got missing"),
    ],
)
def test_what_is_no_set_says_so(spec: Any, text: str, evaluate: Callable[..., Any]) -> None:
    with pytest.raises(EvaluationError) as raised:
        evaluate(spec)
    assert str(raised.value) == text
