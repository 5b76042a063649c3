import decimal
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core import exact
from fluxion_flow.core.exact import SlidingSum

D = decimal.Decimal
INF, NAN = math.inf, math.nan

doubles = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, -0.1, 1e16, -1e16, 1.7e308, -1.7e308, 5e-324, -0.0, 2.0**900, -(2.0**901)]),
)
integers = st.one_of(st.integers(-10, 10), st.integers(-(2**63), 2**63 - 1))
decimals = st.one_of(
    st.sampled_from([D("0.1"), D("-1.10"), D("0.00"), D("9E+6144"), D("1E-6176"), D("-0")]),
    st.decimals(-(10**6), 10**6, places=3, allow_nan=False),
)
specials = st.sampled_from([INF, -INF, NAN, D("Infinity"), D("-Infinity"), D("NaN"), D("sNaN")])
numbers = st.one_of(doubles, integers, decimals, specials)
lists = st.one_of(*[st.lists(s, max_size=60) for s in (doubles, integers, st.one_of(doubles, integers), numbers)])


def shown(value):
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([], "int 0"),
        ([1, 2], "int 3"),
        ([True, "1", None, [1]], "int 0"),
        ([2**63 - 1, 1], "float 9.223372036854776e+18"),
        ([2**63 - 1, 1, -1], "int 9223372036854775807"),
        ([0.1] * 10, "float 1.0"),
        ([1, 2.0], "float 3.0"),
        ([1e16, 1.0, 1.0, -1e16], "float 2.0"),
        ([2**53, 1, 0.5], "float 9007199254740994.0"),
        ([1e308, 1e308, -1e308], "float 1e+308"),
        ([1e308, 1e308], "float inf"),
        ([-0.0], "float 0.0"),
        ([INF, 1], "float inf"),
        ([INF, -INF], "float nan"),
        ([INF, 1e308, 1e308, -INF], "float nan"),
        ([D("1.10"), 2], "Decimal Decimal('3.10')"),
        ([D("0.1"), 0.1], "Decimal Decimal('0.2000000000000000055511151231257827')"),
        ([D("1.5"), INF], "Decimal Decimal('Infinity')"),
        ([D("Infinity"), -INF], "Decimal Decimal('NaN')"),
        ([D("9E+6144"), D("9E+6144")], "Decimal Decimal('Infinity')"),
        ([D("-0")], "Decimal Decimal('0')"),
    ],
)
def test_sums(values, result):
    assert shown(exact.total_of(values)) == result


@given(st.lists(st.one_of(doubles, integers), min_size=1, max_size=80))
def test_a_sum_of_doubles_and_integers_is_the_exact_sum_rounded_once(values):
    state = exact.zero()
    for value in values:
        exact.add(state, value)
    true = sum(map(Fraction, values))
    if all(type(v) is int for v in values):
        assert exact.total(state) == (int(true) if -(2**63) <= true < 2**63 else float(true))
    else:
        try:
            rounded = true.numerator / true.denominator
        except OverflowError:
            rounded = INF if true > 0 else -INF
        assert shown(exact.total(state)) == shown(rounded + 0.0)


@given(lists, st.data())
def test_no_order_split_or_compression_changes_a_bit(values, data):
    expected = shown(exact.total_of(values))
    shuffled = data.draw(st.permutations(values))
    states = [exact.zero() for _ in range(3)]
    for value in shuffled:
        state = states[data.draw(st.integers(0, 2))]
        exact.add(state, value)
        if data.draw(st.integers(0, 9)) == 0:
            exact.compress(state)
    a, b, c = states
    merged = exact.merge(exact.merge(a, c), b)
    assert shown(exact.total(merged)) == expected
    exact.compress(merged)
    assert shown(exact.total(merged)) == expected


@given(st.lists(doubles, max_size=300))
def test_compression_is_exact_and_short(values):
    state = [0, *values]
    exact.compress(state)
    assert sum(map(Fraction, state)) == sum(map(Fraction, values))
    assert len(state) <= 45  # the bits of a double's range, 53 at a time
    assert (len(state) > 1) == bool(values)


def test_a_long_sum_stays_short():
    state = exact.zero()
    for i in range(3 * exact.VERY_LONG):
        exact.add(state, i * 0.1)
    assert len(state) <= exact.VERY_LONG


@pytest.mark.parametrize(
    ("values", "result"),
    [
        ([1, 2], "float 1.5"),
        ([2**63 - 1, 2**63 - 1], "float 9.223372036854776e+18"),
        ([0.1] * 10, "float 0.1"),
        ([1.5e308, 1.5e308], "float 1.5e+308"),
        ([INF, 1], "float inf"),
        ([D("1"), 2], "Decimal Decimal('1.5')"),
        ([D("1"), 1, 0], "Decimal Decimal('0.6666666666666666666666666666666667')"),
    ],
)
def test_means(values, result):
    state = exact.zero()
    for value in values:
        exact.add(state, value)
    assert shown(exact.mean(state, len(values))) == result


@given(lists, lists, st.data())
def test_what_was_added_and_removed_leaves_no_trace(kept, passing, data):
    sliding = SlidingSum()
    waiting = []
    for value, stays in data.draw(st.permutations([(v, True) for v in kept] + [(v, False) for v in passing])):
        sliding.add(value)
        if not stays:
            waiting.append(value)
        if waiting and data.draw(st.booleans()):
            sliding.remove(waiting.pop(0))
    for value in waiting:
        sliding.remove(value)
    state = exact.zero()
    for value in kept:
        exact.add(state, value)
    assert sliding.count == len(kept)
    assert shown(sliding.total()) == shown(exact.total(state))
    assert shown(sliding.mean()) == (shown(exact.mean(state, len(kept))) if kept else "NoneType None")


def test_a_sliding_sum_takes_only_numbers():
    sliding = SlidingSum()
    for value in (True, None, "1", [2]):
        sliding.add(value)
    assert sliding.count == 0
    assert shown(sliding.total()) == "int 0"
    assert sliding.mean() is None


def test_merged_decimals_keep_every_digit():
    """Sums of decimals have more digits than a decimal: they are rounded when the result is read, never before."""
    parts = [[D("-1E+20"), D("1E-6176")], [1]]
    states = []
    for values in parts:
        state = exact.zero()
        for value in values:
            exact.add(state, value)
        states.append(state)
    one = exact.zero()
    for value in (1, D("-1E+20"), D("1E-6176")):
        exact.add(one, value)
    assert repr(exact.total(exact.merge(states[1], states[0]))) == repr(exact.total(one))
