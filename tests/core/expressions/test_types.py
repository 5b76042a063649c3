"""Conversions: every pair of types, texts to the letter, binary data, sizes and hashes."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluxion_flow import run_batch
from fluxion_flow.core.expressions.operators.conversions import double_text, to_double
from fluxion_flow.core.expressions.operators.extended_json import deserialized
from fluxion_flow.core.expressions.operators.hashing import hashed
from fluxion_flow.core.expressions.operators.sizes import size_in_bson
from fluxion_flow.core.extended_json import to_canonical
from fluxion_flow.core.values import EvaluationError

UTC = datetime.timezone.utc
DATE = datetime.datetime(2018, 3, 27, 16, 58, 51, 538000, UTC)
MILLIS = 1522169931538
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "to", "expected"),
    [
        (True, "int", 1),
        (1.99999, "int", 1),
        (-1.5, "long", -1),
        ("+5", "int", 5),
        (Decimal("5.5000"), "int", 5),
        (DATE, "long", MILLIS),
        (DATE, "double", float(MILLIS)),
        (DATE, "decimal", Decimal(MILLIS)),
        (DATE, "string", "2018-03-27T16:58:51.538Z"),
        (DATE, "bool", True),
        ("5e10", "double", 5e10),
        ("-Infinity", "double", -math.inf),
        (".5", "double", 0.5),
        (2.5, "decimal", Decimal("2.50000000000000")),
        ("-5.50", "decimal", Decimal("-5.50")),
        (float(MILLIS) + 0.9, "date", DATE),
        (MILLIS, "date", DATE),
        (Decimal(MILLIS), 9, DATE),
        ("2018-03-27T16:58:51.538Z", "date", DATE),
        (0.0, "bool", False),
        (math.nan, "bool", True),
        ("", "bool", True),
        ([], 8, True),
        (1e21, "string", "1e+21"),
        (1e15, "string", "1000000000000000"),
        (-0.0, "string", "-0"),
        (Decimal("1E+3"), "string", "1E+3"),
        (2**40, "string", "1099511627776"),
    ],
)
def test_values_convert(value: Any, to: Any, expected: Any, evaluate: Callable[..., Any]) -> None:
    got = evaluate({"$convert": {"input": "$v", "to": to}}, {"v": value})
    assert type(got) is type(expected)
    assert str(got) == str(expected)


@pytest.mark.parametrize(
    ("value", "to", "text"),
    [
        ("2.5", "int", "cannot convert the string '2.5' to int: it is not a whole number in base 10"),
        (" 5", "long", "cannot convert the string ' 5' to long: it is not a whole number in base 10"),
        ("0x64", "double", "cannot convert the string '0x64' to double: it is not a number in base 10"),
        ("1_0", "double", "cannot convert the string '1_0' to double: it is not a number in base 10"),
        ("١", "int", "cannot convert the string '١' to int: it is not a whole number in base 10"),
        ("5e550", "double", "cannot convert the string '5e550' to double: it is too large"),
        ("1e-400", "double", "cannot convert the string '1e-400' to double: it is too small"),
        (Decimal("1E309"), "double", "cannot convert decimal to double: it is too large"),
        (2**31, "int", "cannot convert long to int: it lies outside -2147483648 to 2147483647"),
        (math.inf, "long", "cannot convert double to long: it is inf"),
        ([1], "string", "cannot convert array to string"),
        (DATE, "int", "cannot convert date to int"),
        (1, "date", "cannot convert int to date: milliseconds are given as a long or a double; use $toDouble first"),
        (1e300, "decimal", None),
        ({}, "minKey", "cannot convert object to minKey"),
    ],
)
def test_what_does_not_convert_says_why_or_takes_on_error(
    value: Any, to: Any, text: str | None, evaluate: Callable[..., Any]
) -> None:
    spec = {"input": "$v", "to": to}
    if text is None:
        assert evaluate({"$convert": spec}, {"v": value}) is not None
        return
    with pytest.raises(EvaluationError) as raised:
        evaluate({"$convert": spec}, {"v": value})
    assert str(raised.value) == text
    assert evaluate({"$convert": {**spec, "onError": {"$concat": ["no ", "$w"]}}}, {"v": value, "w": "way"}) == "no way"


def test_on_error_and_on_null_are_evaluated_only_when_needed(evaluate: Callable[..., Any]) -> None:
    spec = {"$convert": {"input": "$v", "to": "int", "onError": {"$toInt": "$x"}, "onNull": {"$divide": [1, "$z"]}}}
    assert evaluate(spec, {"v": "5", "x": "x", "z": 0}) == 5
    with pytest.raises(EvaluationError, match=r"\$divide by zero"):
        evaluate(spec, {"z": 0})


def test_on_error_does_not_hide_errors_of_the_input(evaluate: Callable[..., Any]) -> None:
    with pytest.raises(EvaluationError, match=r"\$divide by zero"):
        evaluate({"$convert": {"input": {"$divide": [1, "$z"]}, "to": "int", "onError": 0}}, {"z": 0})


def test_the_target_type_may_be_computed(evaluate: Callable[..., Any]) -> None:
    spec = {"$convert": {"input": "$v", "to": "$to", "onError": "bad"}}
    assert evaluate(spec, {"v": "5", "to": "int"}) == 5
    assert evaluate(spec, {"v": "x", "to": 16}) == "bad"
    assert evaluate(spec, {"v": "x"}) is None
    with pytest.raises(EvaluationError, match=r"\$convert knows no type 'integer'; known are double, string"):
        evaluate(spec, {"v": "5", "to": "integer"})


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"to": "binData", "format": "base64"}, "SGVsbG8=", b"Hello"),
        ({"to": "binData", "format": "base64url"}, "-_8", b"\xfb\xff"),
        ({"to": "binData", "format": "hex"}, "4a6F", b"Jo"),
        ({"to": "binData", "format": "utf8"}, "é", b"\xc3\xa9"),
        ({"to": "string", "format": "hex"}, b"Jo", "4A6F"),
        ({"to": "string", "format": "base64url"}, b"\xfb\xff", "-_8"),
        ({"to": "string", "format": "utf8"}, b"\xc3\xa9", "é"),
        ({"to": {"type": "binData", "subtype": 5}, "format": "hex"}, "00", b"\0"),
        ({"to": "binData"}, 5, b"\5\0\0\0"),
        ({"to": "binData", "byteOrder": "big"}, 2**32, b"\0\0\0\1\0\0\0\0"),
        ({"to": "long", "byteOrder": "big"}, b"\xff\xfe", -2),
        ({"to": "double"}, b"\0\0\0\0\0\0\xf8\x3f", 1.5),
        ({"to": "int", "base": 16}, "-fF", -255),
        ({"to": "string", "base": 2}, 5, "101"),
        ({"to": "string", "base": 16}, 255.0, "FF"),
    ],
)
def test_binary_data_and_bases(spec: Any, value: Any, expected: Any, evaluate: Callable[..., Any]) -> None:
    assert evaluate({"$convert": {"input": "$v", **spec}}, {"v": value}) == expected


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ({"to": "binData"}, "SGVsbG8="),
        ({"to": "string"}, b"Hello"),
        ({"to": "binData", "format": "base64"}, "SGVsbG8"),
        ({"to": "binData", "format": "base64url"}, "+/8="),
        ({"to": "binData", "format": "hex"}, "a27"),
        ({"to": "binData", "format": "uuid"}, "167dee52-c331-484e-92d1-c56479b8e670"),
        ({"to": "binData", "format": "base64"}, 5),
        ({"to": "string", "format": "utf8"}, b"\xff"),
        ({"to": "string", "format": "uuid"}, b"123"),
        ({"to": "int", "base": 2}, "12"),
        ({"to": "string", "base": 16}, 1.5),
        ({"to": "int"}, b"123"),
    ],
)
def test_binary_data_that_does_not_fit_takes_on_error(spec: Any, value: Any, evaluate: Callable[..., Any]) -> None:
    assert evaluate({"$convert": {"input": "$v", **spec, "onError": "bad"}}, {"v": value}) == "bad"


def test_a_uuid_comes_back_as_it_was(evaluate: Callable[..., Any]) -> None:
    text = "167dee52-c331-484e-92d1-c56479b8e670"
    assert evaluate({"$convert": {"input": {"$toUUID": text}, "to": "string", "format": "uuid"}}) == text


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"$convert": {"input": 1, "to": "integer"}}, "x.$convert.to: unknown type 'integer'; did you mean 'int'?"),
        (
            {"$convert": {"input": 1, "to": 1.1}},
            "x.$convert.to: unknown type 1.1; "
            "known are double, string, bool, date, int, long, decimal, array, object, binData",
        ),
        (
            {"$convert": {"input": 1, "to": {"type": "binData"}, "format": "base46"}},
            "x.$convert.format: unknown format 'base46'; did you mean 'base64'?",
        ),
        (
            {"$convert": {"input": "1", "to": "int", "base": 3}},
            "x.$convert.base: unknown base 3; known are 2, 8, 10, 16",
        ),
        (
            {"$convert": {"input": "$id", "to": "objectId"}},
            "x.$convert.to: documents hold no ObjectId; keep its 24 hexadecimal digits as a string",
        ),
        (
            {"$toObjectId": "$id"},
            "x.$toObjectId: documents hold no ObjectId; keep its 24 hexadecimal digits as a string",
        ),
        ({"$toInt": [1, 2]}, "x.$toInt: takes 1 argument, got 2"),
        (
            {"$hash": {"input": "$a", "algorithm": "sha265"}},
            "x.$hash.algorithm: unknown algorithm 'sha265'; did you mean 'sha256'?",
        ),
        ({"$createObjectId": 1}, "x.$createObjectId: takes no argument; write {$createObjectId: {}}"),
        (
            {"$encStrContains": {"input": "$a", "substring": "b"}},
            "x.$encStrContains: asks a MongoDB server about an encrypted field; use $indexOfCP on the plain text",
        ),
        (
            {"$map": {"input": "$a", "as": "b", "arrayIndexAs": "b", "in": 1}},
            "x.$map.arrayIndexAs: 'b' names the item or the value already; use another name",
        ),
        (
            {"$map": {"input": "$a", "arrayIndexAs": "n", "in": "$$IDX"}},
            "x.$map.in: unknown variable '$$IDX'; define it with $let",
        ),
    ],
)
def test_a_bad_conversion_is_answered_before_it_runs(spec: Any, text: str, problems_of: Callable[..., str]) -> None:
    assert problems_of(spec) == text


@given(st.floats(allow_nan=False))
def test_the_text_of_a_double_gives_it_back(number: float) -> None:
    text = double_text(number)
    assert not text.endswith(".0")
    assert repr(float(text)) == repr(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_in_any_notation_is_read(number: float) -> None:
    for text in (repr(number), f"{number:e}", f"{number:+.17g}"):
        if number == 0 or abs(number) > 1e-300:
            assert to_double(text) == float(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 4854801880128277513),
        (math.nan, 4854801880128277513),
        (1.987, 5902408780260971510),
        (1.7e308, 921523596458303250),
        (True, 6405873908747105701),
        ("", 2049396243249673340),
        ({}, 7980500913326740417),
        ({"a": "abc", "b": 123}, 4771603801758380216),
        (["bar", "baz", "qux"], -2938911267422831539),
        (bytes([0, 1, 2, 3, 4, 6]), 7252465090394235301),
        (datetime.datetime(1970, 1, 1, tzinfo=UTC), -1178696894582842035),
        (re.compile(".*", re.IGNORECASE), 7095855029187981886),
    ],
)
def test_hashes_are_those_of_a_hashed_index(value: Any, expected: int) -> None:
    assert hashed(value) == expected


def test_the_size_of_every_type_in_bson() -> None:
    document = {
        "a": None, "b": True, "c": 1, "d": 2**40, "e": 1.5, "f": Decimal(1), "g": "é", "h": DATE, "i": [1, "x"],
        "j": {}, "k": b"xy", "l": re.compile("ab", re.IGNORECASE),
    }  # fmt: skip
    sizes = [0, 1, 4, 8, 8, 16, 7, 8, 5 + 3 + 4 + 3 + 6, 5, 7, 5]
    assert size_in_bson(document) == 5 + sum(3 + size for size in sizes)


@pytest.mark.parametrize(
    "text", ["123", "NaN", "[1,]", "{'a': 1}", '{"a": 1e999}', '{"a\\u0000": 1}', "[" * 2000, "[]"]
)
def test_a_text_that_holds_no_object_is_an_error(evaluate: Callable[..., Any], text: str) -> None:
    with pytest.raises(EvaluationError, match=r"^cannot convert the string .* to object: "):
        evaluate({"$toObject": "$a"}, {"a": text})
    assert evaluate({"$convert": {"input": "$a", "to": "object", "onError": "no"}}, {"a": text}) == "no"


def test_extended_json_in_a_text_stays_as_it_is_written(evaluate: Callable[..., Any]) -> None:
    text = '[{"$date": "2024-01-01T00:00:00Z"}, 1.0, 4294967296]'
    assert evaluate({"$toArray": "$a"}, {"a": text}) == [{"$date": "2024-01-01T00:00:00Z"}, 1.0, 4294967296]


def test_the_index_of_an_inner_array_hides_the_outer_one(evaluate: Callable[..., Any]) -> None:
    inner = {"$map": {"input": "$$row", "in": {"$add": [{"$multiply": ["$$n", 10]}, "$$IDX"]}}}
    spec = {"$map": {"input": "$a", "as": "row", "arrayIndexAs": "n", "in": inner}}
    assert evaluate(spec, {"a": [[7, 7], [], [7]]}) == [[0, 1], [], [20]]


def test_a_record_gets_the_same_new_ids_whenever_it_is_read() -> None:
    stages = [{"$set": {"a": {"$createObjectId": {}}, "b": [{"$createObjectId": {}}, {"$createObjectId": {}}]}}]
    now = datetime.datetime(2024, 1, 1, tzinfo=UTC)
    first, again = (run_batch([{}] * 50, stages, now=now, seed=3) for _ in range(2))
    assert first == again
    ids = [new for d in first for new in (d["a"], *d["b"])]
    assert len(set(ids)) == 150
    assert {len(new) for new in ids} == {24}
    assert {new[:8] for new in ids} == {f"{int(now.timestamp()):08x}"}


@given(VALUES)
def test_canonical_extended_json_comes_back_as_it_was(value: Any) -> None:
    assert repr(deserialized(to_canonical(value))) == repr(value)


def test_canonical_extended_json_tells_the_types_of_numbers() -> None:
    numbers = [2**31 - 1, 2**31, -1.0, math.inf, True, None, datetime.datetime(1960, 1, 1, tzinfo=UTC)]
    assert to_canonical(numbers) == [
        {"$numberInt": "2147483647"},
        {"$numberLong": "2147483648"},
        {"$numberDouble": "-1.0"},
        {"$numberDouble": "Infinity"},
        True,
        None,
        {"$date": {"$numberLong": "-315619200000"}},
    ]
