"""JSON in and out: every value survives, or is named as an error."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.connect.encoding import (
    decode_document,
    decode_records,
    encode_document,
    encode_lines,
    from_extended,
    to_extended,
)
from fluxion_flow.core.rows import Rows

UTC = timezone.utc

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_typed_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False)
    | st.integers(-62_135_596_800_000, 253_402_300_799_999).map(
        lambda ms: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_plain_key = st.text().filter(lambda key: not key.startswith("$"))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"[1]", "is not a JSON object but an array"),
        (b"5", "is not a JSON object but a number"),
        (b"0.5", "is not a JSON object but a number"),
        (b'"x"', "is not a JSON object but a string"),
        (b"true", "is not a JSON object but a boolean"),
        (b"null", "is not a JSON object but null"),
        (b'{"a":1', "is not valid JSON: Input data was truncated"),
        (b"{'a':1}", "is not valid JSON: object keys must be strings (byte 1)"),
        (b'{"a":NaN}', "is not valid JSON: invalid character (byte 5)"),
        (b'{"a":1}{', "is not valid JSON: trailing characters (byte 8)"),
        (b'{"a":1e999}', "is not valid JSON: Number out of range"),
        (b'{"a":"x\xff"}', "is not valid UTF-8 (byte 7)"),
        (b'{"a":' * 5000, "is nested too deeply"),
    ],
)
def test_a_record_that_is_no_document_says_why(record: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        decode_document(record)
    assert str(caught.value) == reason


def test_integers_of_any_size_are_exact() -> None:
    text = b'{"n":123456789012345678901234567890,"m":-18446744073709551616}'
    document = decode_document(text)
    assert document == {"n": 123456789012345678901234567890, "m": -18446744073709551616}
    assert encode_document(document) == text


def test_a_bad_record_leaves_its_neighbours_alone() -> None:
    records = [b'{"n":1}\n', b"\r\n", b"[2]\r\n", b'{"n":3}']
    documents, positions, rejects = decode_records(records, range(10, 14))
    assert documents == [{"n": 1}, {"n": 3}]
    assert list(positions) == [10, 13]
    assert [(r.raw, r.position, r.error) for r in rejects] == [(b"[2]", 12, "is not a JSON object but an array")]


def test_plain_mode_writes_strings_for_types_that_json_lacks() -> None:
    document = {
        "at": datetime(2024, 5, 1, 10, tzinfo=UTC),
        "fraction": datetime(2024, 5, 1, 10, 0, 0, 123000, tzinfo=UTC),
        "price": Decimal("12.50"),
        "ratio": math.nan,
        "most": math.inf,
        "least": [-math.inf, {"x": math.nan}],
        "raw": b"abc",
        "pattern": re.compile("^a"),
        "nothing": None,
    }
    expected = (
        b'{"at":"2024-05-01T10:00:00Z","fraction":"2024-05-01T10:00:00.123000Z","price":"12.50","ratio":"NaN",'
        b'"most":"Infinity","least":["-Infinity",{"x":"NaN"}],"raw":"YWJj","pattern":"^a","nothing":null}'
    )
    assert encode_document(document) == expected
    assert encode_lines([document, {"n": 1}]) == (expected + b'\n{"n":1}\n', {})


def test_extended_mode_keeps_types() -> None:
    document = {
        "at": datetime(2024, 5, 1, 10, tzinfo=UTC),
        "long_ago": datetime(1950, 1, 1, tzinfo=UTC),
        "price": Decimal("12.50"),
        "ratio": math.nan,
        "raw": b"abc",
        "pattern": re.compile("^a", re.IGNORECASE | re.DOTALL),
        "n": 1,
    }
    text = (
        b'{"at":{"$date":"2024-05-01T10:00:00.000Z"},"long_ago":{"$date":{"$numberLong":"-631152000000"}},'
        b'"price":{"$numberDecimal":"12.50"},"ratio":{"$numberDouble":"NaN"},'
        b'"raw":{"$binary":{"base64":"YWJj","subType":"00"}},'
        b'"pattern":{"$regularExpression":{"pattern":"^a","options":"is"}},"n":1}'
    )
    assert encode_lines([document], extended=True) == (text + b"\n", {})
    assert encode_document(document, extended=True) == text
    back = decode_document(text, extended=True)
    assert math.isnan(back.pop("ratio"))
    assert back == {name: value for name, value in document.items() if name != "ratio"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"$numberInt":"5"}', 5),
        ('{"$numberLong":"-9223372036854775808"}', -9223372036854775808),
        ('{"$numberDouble":"-Infinity"}', -math.inf),
        ('{"$numberDouble":"1.5"}', 1.5),
        ('{"$date":1714557600000}', datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ('{"$date":{"$numberLong":"1714557600000"}}', datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ('{"$date":"2024-05-01T12:00:00.1239+02:00"}', datetime(2024, 5, 1, 10, 0, 0, 123000, tzinfo=UTC)),
        ('{"$binary":"YWJj","$type":"00"}', b"abc"),
        ('{"$undefined":true}', None),
        ('{"$oid":"5f"}', {"$oid": "5f"}),
        ('{"$binary":{"base64":"YWJj","subType":"04"}}', {"$binary": {"base64": "YWJj", "subType": "04"}}),
        ('{"$date":1,"other":2}', {"$date": 1, "other": 2}),
    ],
)
def test_extended_json_is_read(text: str, value: Any) -> None:
    assert from_extended(json.loads(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"$date":"yesterday"}',
        '{"$date":null}',
        '{"$date":{"$numberLong":"99999999999999999999"}}',
        '{"$numberLong":"x"}',
        '{"$numberDouble":5}',
        '{"$numberDecimal":"x"}',
        '{"$binary":{"base64":"?","subType":"00"}}',
        '{"$regularExpression":{"pattern":"(","options":""}}',
    ],
)
def test_malformed_extended_json_is_named(text: str) -> None:
    kind = next(iter(json.loads(text)))
    with pytest.raises(ValueError) as caught:
        decode_document(b'{"a":' + text.encode() + b"}", extended=True)
    assert str(caught.value) == f"holds a malformed {kind}"


def test_documents_that_cannot_be_written_are_named_and_the_others_written() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    for extended in (False, True):
        text, errors = encode_lines([{"n": 1}, {"n": object()}, {"n": "\ud800"}, deep, {"n": 2}], extended)
        assert text == b'{"n":1}\n{"n":2}\n'
        assert {index: str(error) for index, error in errors.items()} == {
            1: "cannot be written as JSON: it holds a value of type 'object'",
            2: "cannot be written as JSON: a string in it is not valid Unicode (a lone surrogate)",
            3: "cannot be written as JSON: it is nested too deeply",
        }


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), _json_values, max_size=4), max_size=5))
def test_json_documents_survive_both_modes(documents: list[dict[str, Any]]) -> None:
    text, errors = encode_lines(documents)
    assert not errors
    assert [json.loads(line) for line in text.splitlines()] == documents
    assert decode_records(text.splitlines(keepends=True), range(len(documents)))[0] == documents
    assert encode_lines(documents, extended=True) == (text, {})


@settings(deadline=None)
@given(st.lists(st.dictionaries(_plain_key, _typed_values, max_size=4), max_size=5))
def test_typed_documents_survive_extended_mode(documents: list[dict[str, Any]]) -> None:
    text, errors = encode_lines(documents, extended=True)
    assert not errors
    lines = text.splitlines(keepends=True)
    back = decode_records(lines, range(len(lines)), extended=True)[0]
    assert back == [from_extended(to_extended(document)) for document in documents]
    assert all(_same_types(was, now) for was, now in zip(documents, back, strict=True))


def _same_types(was: Any, now: Any) -> bool:
    if isinstance(was, dict) and any(key.startswith("$") for key in was):
        return True  # an object that Extended JSON gives a meaning of its own
    if isinstance(was, dict):
        return was.keys() == now.keys() and all(_same_types(was[key], now[key]) for key in was)
    if isinstance(was, list):
        return len(was) == len(now) and all(map(_same_types, was, now))
    return type(was) is type(now) and was == now


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.floats() | st.none() | st.integers(), max_size=4), max_size=5))
def test_no_number_becomes_null(documents: list[dict[str, Any]]) -> None:
    text, _ = encode_lines(documents)
    for line, document in zip(text.splitlines(), documents, strict=True):
        read = json.loads(line)
        assert {name for name, value in read.items() if value is None} == {
            name for name, value in document.items() if value is None
        }
        assert encode_document(document) == line


def test_records_that_were_only_let_through_are_written_as_they_came():
    def rows(*records):
        return Rows((), records, (), decode_document)

    spaced = b'{ "n" : 1.00,  "n":2, "s": "\\u00e9" }'
    assert encode_lines(rows(spaced + b"\n", b'{"m":1}\n')) == (spaced + b'\n{"m":1}\n', {})
    assert encode_lines(rows(spaced + b"\r\n", b' {"m":1}')) == (spaced + b'\n{"m":1}\n', {})
    assert encode_lines(rows(b'{"n":\n1.00}', spaced)) == (b'{"n":1.0}\n' + spaced + b"\n", {})
    assert encode_lines(rows(b'{"n": 1e2}\n'), extended=True) == (b'{"n":100.0}\n', {})
    assert encode_lines(rows()) == (b"", {})
