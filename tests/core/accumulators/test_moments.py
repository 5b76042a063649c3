import math
import statistics
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.accumulators.moments import (
    add_moment,
    add_pair,
    covariance,
    merge_moments,
    moments,
    pair_moments,
    standard_deviation,
)

numbers = st.one_of(
    st.integers(-1000, 1000),
    st.floats(-1e150, 1e150),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, 0.2, 0.3, 5e-324, 1e-200]),
)


def is_nearest_root(root, square):
    """Whether no double is nearer to the square root of ``square``, in exact arithmetic; infinity where none is large
    enough."""
    if math.isinf(root):
        return (Fraction(sys.float_info.max) + Fraction(2) ** 970) ** 2 <= square
    below, above = Fraction(math.nextafter(root, -math.inf)), math.nextafter(root, math.inf)
    low = (Fraction(root) + below) / 2
    if low > 0 and low * low > square:
        return False
    return math.isinf(above) or ((Fraction(root) + Fraction(above)) / 2) ** 2 >= square


@given(st.lists(numbers, min_size=2, max_size=20))
def test_standard_deviations_are_correctly_rounded(values):
    state = moments()
    for value in values:
        add_moment(state, value)
    exact = [Fraction(v) for v in values]
    assert is_nearest_root(standard_deviation(state, sample=False), statistics.pvariance(exact))
    assert is_nearest_root(standard_deviation(state, sample=True), statistics.variance(exact))


def test_a_standard_deviation_beyond_all_doubles_is_infinite():
    state = add_moment(add_moment(moments(), sys.float_info.max), -sys.float_info.max)
    assert standard_deviation(state, sample=False) == sys.float_info.max
    assert standard_deviation(state, sample=True) == math.inf


def test_a_root_just_above_the_middle_of_two_doubles_is_rounded_up():
    middle = 2**53 + 1
    assert standard_deviation([1, 0, 0, 0, middle**2], sample=False) == 2.0**53
    assert standard_deviation([1, 0, 0, 0, middle**2 + 1], sample=False) == 2.0**53 + 2


@given(st.lists(numbers, max_size=20), st.lists(numbers, max_size=20))
def test_merging_and_removing_are_exact(kept, others):
    whole, part, other = moments(), moments(), moments()
    for value in kept + others:
        add_moment(whole, value)
    for value in kept:
        add_moment(part, value)
    for value in others:
        add_moment(other, value)
    expected = [standard_deviation(part, sample) for sample in (True, False)]
    assert merge_moments(other, part) == whole
    for value in others:
        add_moment(whole, value, by=-1)
    assert [standard_deviation(whole, sample) for sample in (True, False)] == expected


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_covariance_is_correctly_rounded(pairs):
    state = pair_moments()
    for x, y in pairs:
        add_pair(state, x, y)
    mean_x = sum(Fraction(x) for x, _ in pairs) / len(pairs)
    mean_y = sum(Fraction(y) for _, y in pairs) / len(pairs)
    exact = sum((Fraction(x) - mean_x) * (Fraction(y) - mean_y) for x, y in pairs)
    for sample in (True, False):
        try:
            expected = float(exact / (len(pairs) - sample))
        except OverflowError:
            expected = math.inf if exact > 0 else -math.inf
        assert covariance(state, sample) == expected


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_a_special_number_makes_nan_until_it_is_removed(special):
    state = moments()
    for value in (1, 2, special):
        add_moment(state, value)
    assert math.isnan(standard_deviation(state, sample=False))
    add_moment(state, special, by=-1)
    assert standard_deviation(state, sample=False) == 0.5


def test_too_few_numbers_have_no_deviation():
    state = moments()
    assert standard_deviation(state, sample=False) is None
    add_moment(state, 7)
    add_moment(state, "7")
    add_moment(state, True)
    assert standard_deviation(state, sample=False) == 0.0
    assert standard_deviation(state, sample=True) is None
    pairs = add_pair(pair_moments(), 1, None)
    assert covariance(pairs, sample=False) is None
