import copy
import datetime
import decimal
import math
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow.core.values import (
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    INT64_MIN,
    MISSING,
    EvaluationError,
    Missing,
    decimal128,
    from_millis,
    int64,
    is_nullish,
    is_number,
    to_millis,
    truthy,
    type_name,
    utc,
)
from fluxion_flow.errors import FluxionError

UTC = datetime.timezone.utc


def test_missing_is_one_object_also_after_copying_and_pickling():
    assert Missing() is MISSING
    assert copy.copy(MISSING) is MISSING
    assert copy.deepcopy({"a": [MISSING]})["a"][0] is MISSING
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(MISSING, protocol)) is MISSING
    assert repr(MISSING) == "MISSING"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (MISSING, "missing"),
        (None, "null"),
        (True, "bool"),
        (0, "int"),
        (INT32_MAX, "int"),
        (INT32_MIN, "int"),
        (INT32_MAX + 1, "long"),
        (INT64_MIN, "long"),
        (INT64_MAX + 1, "double"),
        (1.0, "double"),
        (decimal.Decimal(1), "decimal"),
        ("", "string"),
        ({}, "object"),
        ([], "array"),
        (from_millis(0), "date"),
        (b"", "binData"),
        (re.compile(""), "regex"),
    ],
)
def test_type_names_are_those_of_bson(value, name):
    assert type_name(value) == name


def test_type_name_of_something_that_no_document_holds_is_an_error_without_the_value():
    with pytest.raises(EvaluationError) as error:
        type_name({"secret"})
    assert str(error.value) == (
        "a document cannot hold a Python 'set'; use None, bool, int, float, Decimal, str, dict, list, datetime, bytes "
        "or a compiled regular expression"
    )
    assert isinstance(error.value, FluxionError)


def test_truth_is_false_only_for_absence_false_and_zero():
    assert not any(map(truthy, [MISSING, None, False, 0, 0.0, -0.0, decimal.Decimal(0), decimal.Decimal("-0E+3")]))
    assert all(map(truthy, [True, 1, -0.5, math.nan, decimal.Decimal("NaN"), "", [], {}, b"", from_millis(0)]))


def test_bools_are_no_numbers():
    assert all(map(is_number, [0, 1.5, math.nan, decimal.Decimal(1)]))
    assert not any(map(is_number, [True, False, "1", None, MISSING, [1]]))


def test_nullish_is_null_or_missing():
    assert is_nullish(None)
    assert is_nullish(MISSING)
    assert not is_nullish(0)


@pytest.mark.parametrize(
    ("number", "result"),
    [
        (INT64_MAX, INT64_MAX),
        (INT64_MIN, INT64_MIN),
        (INT64_MAX + 1, 9223372036854775808.0),
        (-(10**400), -math.inf),
        (10**400, math.inf),
    ],
)
def test_an_integer_beyond_64_bits_becomes_a_double(number, result):
    assert int64(number) == result
    assert type(int64(number)) is type(result)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.1, "0.100000000000000"),
        (2.5, "2.50000000000000"),
        (math.inf, "Infinity"),
        (math.nan, "NaN"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("0.12345678901234567890123456789012345"), "0.1234567890123456789012345678901234"),
    ],
)
def test_numbers_become_decimals_of_34_digits_and_doubles_of_15(value, text):
    assert str(decimal128(value)) == text


def test_utc_dates_have_whole_milliseconds():
    east = datetime.timezone(datetime.timedelta(hours=2))
    assert utc(datetime.datetime(2024, 1, 1, 2, 0, 0, 999_999, east)) == datetime.datetime(
        2024, 1, 1, 0, 0, 0, 999_000, UTC
    )
    assert utc(datetime.datetime(2024, 1, 1)).isoformat() == "2024-01-01T00:00:00+00:00"
    with pytest.raises(EvaluationError) as error:
        utc(datetime.datetime(1, 1, 1, tzinfo=east))
    assert str(error.value) == "the date 0001-01-01T00:00:00+02:00 is outside the years 1 to 9999 in UTC"


def test_milliseconds_round_down():
    assert from_millis(-1.5) == datetime.datetime(1969, 12, 31, 23, 59, 59, 998_000, UTC)
    assert to_millis(datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1
    assert to_millis(datetime.datetime(1970, 1, 1, 0, 0, 1)) == 1000


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_come_back(millis):
    assert to_millis(from_millis(millis)) == millis
    assert utc(from_millis(millis)) == from_millis(millis)


@pytest.mark.parametrize("millis", [10**18, -1e300, math.nan, math.inf, 253_402_300_800_000])
def test_milliseconds_out_of_range_are_an_error(millis):
    with pytest.raises(EvaluationError) as error:
        from_millis(millis)
    assert str(error.value) == f"{millis} milliseconds since 1970 is no date; dates lie in the years 1 to 9999"
