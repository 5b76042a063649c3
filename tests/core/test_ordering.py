import collections
import datetime
import decimal
import enum
import itertools
import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.ordering import (
    Descending,
    canonical,
    compare,
    equal,
    field_sort_key,
    regex_options,
    representation,
    sort_key,
)
from fluxion_flow.core.values import MISSING, EvaluationError, from_millis

D = decimal.Decimal
INF = math.inf

ASCENDING = [
    MISSING,
    None,
    math.nan,
    -INF,
    -(2**63),
    -1.5,
    0,
    D("0.1"),  # below the double 0.1, which is a little more
    0.1,
    1,
    2**53,
    2**53 + 1,  # no double lies here
    float(2**53 + 2),
    D("1E+400"),
    INF,
    "",
    "A",
    "a",
    "é",
    "\U0001f600",
    {},
    {"b": None},
    {"a": 1},
    {"a": 1, "b": 0},
    {"b": 1},
    {"a": "x"},
    [],
    [None],
    [1],
    [1, 2],
    [2],
    [[]],
    b"",
    b"z",
    b"aa",
    False,
    True,
    from_millis(-1),
    from_millis(0),
    re.compile("a"),
    re.compile("a", re.IGNORECASE),
    re.compile("b"),
]
EQUAL = [
    [1, 1.0, D(1), D("1.00")],
    [0, 0.0, -0.0, D("-0")],
    [math.nan, -math.nan, D("NaN"), D("sNaN")],
    [INF, D("Infinity")],
    [[1, {"a": 2}], [1.0, {"a": D(2)}]],
    [
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        datetime.datetime(2024, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        datetime.datetime(2024, 1, 1),
    ],
    [{"a": 1}, collections.OrderedDict(a=1)],
    ["x", enum.Enum("Letter", {"X": "x"}, type=str).X],
]
DIFFERENT = [True, 1, "1", b"1", ["1"], {"1": 1}, None, MISSING, "nan", math.nan, "True", ("bool", True)[0], "missing"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.sampled_from([0.1, 1.0, -0.0, float(2**53), D("0.1"), D("1"), D("NaN"), D("1E+20"), D("-Infinity")]),
    st.sampled_from(["", "a", "b", "nan", "bool"]),
    st.sampled_from([b"", b"a", b"ab"]),
    st.sampled_from([from_millis(0), from_millis(1)]),
    st.sampled_from([re.compile("a"), re.compile("a", re.IGNORECASE)]),
)
values = st.one_of(
    st.just(MISSING),
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)


def test_values_of_all_types_stand_in_the_order_of_the_manual():
    for (i, a), (j, b) in itertools.product(enumerate(ASCENDING), repeat=2):
        assert compare(a, b) == (i > j) - (i < j), (a, b)


@pytest.mark.parametrize("same", EQUAL)
def test_equal_values_have_one_key_and_one_place(same):
    for a, b in itertools.product(same, repeat=2):
        assert compare(a, b) == 0
        assert equal(a, b)
        assert hash(canonical(a)) == hash(canonical(b))
        assert canonical(a) == canonical(b)
        assert sort_key(a) == sort_key(b)


def test_different_values_have_different_keys():
    assert len({canonical(value) for value in DIFFERENT}) == len(DIFFERENT)


def test_strings_and_ints_are_their_own_keys():
    text = "a long string".upper()
    assert canonical(text) is text
    assert canonical(2**70) == 2**70


def test_the_order_of_fields_matters():
    assert not equal({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert canonical({"a": 1, "b": 2}) != canonical({"b": 2, "a": 1})


def test_missing_and_null_sort_alike_but_differ():
    assert sort_key(MISSING) == sort_key(None)
    assert compare(MISSING, None) == -1
    assert not equal(MISSING, None)


@given(values, values, values)
def test_the_order_is_total(a, b, c):
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    low, middle, high = sorted([a, b, c], key=lambda v: (v is not MISSING, sort_key(v)))
    assert compare(low, middle) <= 0
    assert compare(middle, high) <= 0
    assert compare(low, high) <= 0


@given(values, values)
def test_sort_keys_and_canonical_keys_agree_with_comparison(a, b):
    order = compare(a, b)
    assert (order == 0) == equal(a, b) == (canonical(a) == canonical(b))
    if order == 0:
        assert hash(canonical(a)) == hash(canonical(b))
    if {a is None or a is MISSING, b is None or b is MISSING} != {True}:
        key_a, key_b = sort_key(a), sort_key(b)
        assert order == (key_a > key_b) - (key_a < key_b)
        assert (Descending(key_a) < Descending(key_b)) == (order > 0)


@given(values)
def test_keys_survive_pickling(value):
    assert pickle.loads(pickle.dumps(canonical(value))) == canonical(value)


def test_array_fields_sort_by_their_smallest_or_largest_item():
    assert field_sort_key([3, 1, 2]) == sort_key(1)
    assert field_sort_key([3, 1, 2], descending=True) == sort_key(3)
    assert field_sort_key([[5], 1], descending=True) == sort_key([5])
    assert field_sort_key([]) < field_sort_key(None) == field_sort_key(MISSING)


def test_equal_values_are_told_apart_with_ints_first():
    looks = [1, 1.0, D("1"), D("1.0")]
    assert [repr(v) for v in sorted([D("1.0"), 1.0, D("1"), 1], key=representation)] == [repr(v) for v in looks]
    assert representation(0.0) < representation(-0.0)
    assert representation([{"a": 1}]) < representation([{"a": 1.0}])


def test_regex_options_are_those_of_mongodb():
    assert regex_options(re.compile("a", re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE)) == "imsx"
    assert regex_options(re.compile("a")) == ""


@pytest.mark.parametrize("function", [sort_key, canonical, lambda value: compare(value, 1)])
def test_a_python_value_that_no_document_holds_is_an_error(function):
    with pytest.raises(EvaluationError, match="a document cannot hold a Python 'set'"):
        function({1})
