"""Numbers: what the examples beside the arithmetic, rounding, power, bit and angle operators leave out."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.expressions.operators import decimal_trigonometry
from fluxion_flow.core.expressions.operators.rounding import round_, trunc
from fluxion_flow.core.values import EvaluationError

Evaluate = Callable[..., Any]


def _same(got: Any, expected: Any) -> bool:
    return type(got) is type(expected) and repr(got) == repr(expected)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"$mod": [5, 3.0]}, 2),
        ({"$mod": [500000000000, 450000000000.0]}, 50000000000.0),
        ({"$mod": [-7.5, 2]}, -1.5),
        ({"$mod": [2, math.inf]}, 2.0),
        ({"$mod": [math.inf, 2]}, math.nan),
        ({"$mod": [Decimal("1E+40"), 7]}, Decimal(4)),
        ({"$abs": Decimal("-2.50")}, Decimal("2.50")),
        ({"$ceil": -0.5}, -0.0),
        ({"$floor": Decimal("-1.5")}, Decimal(-2)),
        ({"$ceil": math.inf}, math.inf),
        ({"$round": 2.5}, 2.0),
        ({"$round": -3.5}, -4.0),
        ({"$round": [2.345, 2]}, 2.35),
        ({"$round": [0.125, 2]}, 0.12),
        ({"$round": [25, -1]}, 20),
        ({"$round": [Decimal("2.345"), 2]}, Decimal("2.34")),
        ({"$round": [Decimal("1.397"), 50]}, Decimal("1.397000000000000000000000000000000")),
        ({"$round": [1.32, 50]}, 1.32),
        ({"$trunc": [-1299, -2]}, -1200),
        ({"$trunc": [0.29, 2]}, 0.28),
        ({"$trunc": [-2.5]}, -2.0),
        ({"$trunc": [Decimal("-1.56"), 1]}, Decimal("-1.5")),
        ({"$pow": [2, 62]}, 4611686018427387904),
        ({"$pow": [2, 63]}, 9223372036854775808.0),
        ({"$pow": [-1, -3]}, -1),
        ({"$pow": [2, -1]}, 0.5),
        ({"$pow": [10, 400]}, math.inf),
        ({"$pow": [-10, 401]}, -math.inf),
        ({"$pow": [-8.0, 0.5]}, math.nan),
        ({"$pow": [1, Decimal("NaN")]}, Decimal(1)),
        ({"$exp": 1000}, math.inf),
        ({"$ln": Decimal("NaN")}, math.nan),
        ({"$log": [math.nan, 1]}, math.nan),
        ({"$sigmoid": -1000}, 0.0),
        ({"$bitAnd": []}, -1),
        ({"$bitXor": [2, 3, None, "x"]}, None),
        ({"$sinh": -1000}, -math.inf),
        ({"$atanh": 1}, math.inf),
        ({"$acos": Decimal(-1)}, Decimal("3.141592653589793238462643383279503")),
        ({"$degreesToRadians": Decimal(90)}, Decimal("1.570796326794896619231321691639752")),
        ({"$atan2": [Decimal("-0.1"), Decimal("-0.2")]}, Decimal("-2.677945044588987122248387151818288")),
    ],
)
def test_numbers_keep_their_kind_and_every_digit(spec: Any, expected: Any, evaluate: Evaluate) -> None:
    got = evaluate(spec)
    assert _same(got, expected), got


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$abs": -(2**63)}, "$abs of the smallest long, -9223372036854775808, does not fit in a long"),
        ({"$mod": [1, 0.0]}, "$mod by zero"),
        ({"$round": [1.5, 0.5]}, "$round takes a whole number as its place, got 0.5"),
        ({"$round": [1.5, 101]}, "$round takes a whole number from -20 to 100 as its place, got 101"),
        ({"$round": [9223372036854775806, -1]}, "$round gives 9223372036854775810, which does not fit in a long"),
        ({"$trunc": ["a"]}, "$trunc takes a number, got string"),
        ({"$pow": [0, -1]}, "$pow takes no base of 0 with a negative exponent"),
        ({"$log": [2, 1]}, "$log takes a base above 0 that is not 1"),
        ({"$sqrt": Decimal(-1)}, "$sqrt takes a number of at least 0"),
        ({"$sin": math.inf}, "$sin takes a finite number, got inf"),
        ({"$asin": 1.5}, "$asin takes a number from -1 to 1, got 1.5"),
        ({"$bitOr": [1, 2.0]}, "$bitOr takes ints and longs, got double"),
        ({"$bitNot": 2**64}, "$bitNot takes ints and longs, got double"),
    ],
)
def test_what_cannot_be_computed_says_why(spec: Any, text: str, evaluate: Evaluate) -> None:
    with pytest.raises(EvaluationError) as raised:
        evaluate(spec)
    assert str(raised.value) == text


@given(st.floats(-1e15, 1e15), st.integers(-5, 12))
def test_round_goes_to_the_nearest_of_the_exact_value(number: float, places: int) -> None:
    unit = Fraction(10) ** -places
    exact = Fraction(number)
    assert round_.function(number, places) == float(round(exact / unit) * unit)


@given(st.floats(-1e15, 1e15), st.integers(-5, 12))
def test_trunc_cuts_the_exact_value(number: float, places: int) -> None:
    unit = Fraction(10) ** -places
    assert trunc.function(number, places) == float(math.trunc(Fraction(number) / unit) * unit)


@given(st.decimals(-5, 5, places=20))
def test_decimal_angles_agree_with_double_ones(x: Decimal) -> None:
    for name in ("sin", "cos", "atan", "sinh", "cosh", "tanh", "asinh"):
        got = getattr(decimal_trigonometry, name)(x)
        assert math.isclose(float(got), getattr(math, name)(float(x)), rel_tol=1e-12, abs_tol=1e-15), name


@given(st.decimals("-0.99", "0.99", places=25))
def test_decimal_functions_undo_their_inverses(x: Decimal) -> None:
    pairs = (("sin", "asin"), ("cos", "acos"), ("tan", "atan"), ("sinh", "asinh"), ("tanh", "atanh"))
    for function, inverse in pairs:
        back = getattr(decimal_trigonometry, function)(getattr(decimal_trigonometry, inverse)(x))
        assert abs(back - x) < Decimal("1e-31"), function
