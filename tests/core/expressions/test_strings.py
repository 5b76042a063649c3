"""Strings and regular expressions: what the examples beside the operators leave out."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.registry import all_operators
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.errors import PipelineError
from tests.core.expressions.agreement import assert_inline_source_agrees, function_of


def value(expression: Any, **document: Any) -> Any:
    return function_of(expression)(document, Environment())


def problems_of(expression: Any) -> str:
    with pytest.raises(PipelineError) as raised:
        function_of(expression)
    return str(raised.value)


@pytest.mark.parametrize(
    ("value_", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (2.5, "2.5"),
        (1e21, "1E+21"),
        (float("nan"), "NAN"),
        (float("-inf"), "-INFINITY"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+10"), "1E+10"),
        (datetime.datetime(906, 6, 1, 8, 1, 2, 23_000, tzinfo=datetime.timezone.utc), "0906-06-01T08:01:02.023Z"),
        (None, ""),
        ("éa", "éA"),
    ],
)
def test_to_upper_makes_text_of_numbers_and_dates(value_: Any, text: str) -> None:
    assert value({"$toUpper": "$a"}, a=value_) == text


@pytest.mark.parametrize("blank", ["\0", "\t", "\n", "\v", "\f", "\r", " ", "\xa0", "\u1680", "\u2000", "\u200a"])
def test_trim_takes_every_blank_away(blank: str) -> None:
    assert value({"$trim": {"input": "$a"}}, a=f"{blank}x{blank}") == "x"


def test_trim_leaves_what_is_no_blank_for_mongodb() -> None:
    assert value({"$trim": {"input": "$a"}}, a="\u200bx\u3000") == "\u200bx\u3000"


def test_trim_takes_its_characters_from_the_document() -> None:
    assert value({"$trim": {"input": "$a", "chars": "$c"}}, a="xyzzyx", c="xy") == "zz"
    assert value({"$trim": {"input": "$a", "chars": "$none"}}, a="x") is None


@pytest.mark.parametrize(
    ("text", "start", "length", "part"),
    [
        ("寿司sushi", 0, 3, "寿"),
        ("éclair", 0, 3, "éc"),
        ("hello", 2, -1, "llo"),
        ("hello", 9, 2, ""),
        ("hello", 2.9, 2, "ll"),
        ("hello", 1, Decimal("2.9"), "el"),
    ],
)
def test_substr_bytes_counts_bytes(text: str, start: Any, length: Any, part: str) -> None:
    assert value({"$substrBytes": ["$t", "$s", "$l"]}, t=text, s=start, l=length) == part


@pytest.mark.parametrize(("start", "length"), [(1, 2), (0, 1), (0, 4)])
def test_substr_bytes_refuses_to_cut_a_character(start: int, length: int) -> None:
    with pytest.raises(EvaluationError, match="would cut through a character at byte"):
        value({"$substrBytes": ["$t", "$s", "$l"]}, t="寿司", s=start, l=length)


def test_places_beyond_the_end_find_nothing() -> None:
    assert value({"$indexOfCP": ["$t", ""]}, t="") == 0
    assert value({"$indexOfCP": ["$t", "", 1, 3]}, t="") == -1
    assert value({"$indexOfBytes": ["$t", "ple", 4, 6]}, t="appleple") == -1


def test_replacing_the_empty_text_stands_between_all_characters() -> None:
    assert value({"$replaceAll": {"input": "$t", "find": "", "replacement": "-"}}, t="ab") == "-a-b-"
    assert value({"$replaceOne": {"input": "$t", "find": "", "replacement": "-"}}, t="ab") == "-ab"


def test_null_before_a_wrong_type_makes_concat_null() -> None:
    assert value({"$concat": ["$none", "$n"]}, n=1) is None
    with pytest.raises(EvaluationError) as raised:
        value({"$concat": ["$n", "$none"]}, n=1)
    assert str(raised.value) == "$concat takes strings, got int"


# -- regular expressions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "options", "text", "matches"),
    [
        (r"^b", "", "a\nb", False),
        (r"^b", "m", "a\nb", True),
        (r"a.b", "", "a\nb", False),
        (r"a.b", "s", "a\nb", True),
        ("a b # letters", "x", "ab", True),
        ("É", "i", "é", True),
        (r"\d", "", "٣", False),
        (r"\w", "", "é", False),
        (r"(?<year>\d{4})", "", "in 2024", True),
        (r"[[:upper:]]{2}", "", "aBC", True),
        (r"\Qa.b\E", "", "axb", False),
        (r"\x{e9}", "", "é", True),
    ],
)
def test_patterns_are_perls(pattern: str, options: str, text: str, matches: bool) -> None:
    spec = {"$regexMatch": {"input": "$t", "regex": "$p", "options": "$o"}}
    assert value(spec, t=text, p=pattern, o=options) is matches
    assert value({"$regexMatch": {"input": "$t", "regex": pattern, "options": options}}, t=text) is matches


def test_empty_matches_advance_by_one_character() -> None:
    found = value({"$regexFindAll": {"input": "$t", "regex": "(a*?)"}}, t="aé")
    assert found == [{"match": "", "idx": 0, "captures": [""]}, {"match": "", "idx": 1, "captures": [""]}]
    assert value({"$regexFindAll": {"input": "$t", "regex": ""}}, t="") == [{"match": "", "idx": 0, "captures": []}]


def test_groups_that_caught_nothing_are_null() -> None:
    found = value({"$regexFind": {"input": "$t", "regex": "(b)|(a)"}}, t="💗a")
    assert found == {"match": "a", "idx": 1, "captures": [None, "a"]}


def test_a_regex_value_brings_its_own_options() -> None:
    assert value({"$regexMatch": {"input": "$t", "regex": re.compile("ORDER", re.IGNORECASE)}}, t="order") is True
    assert value({"$regexMatch": {"input": "$t", "regex": "$r"}}, t="order", r=re.compile("ORDER", re.I)) is True
    spec = {"$regexMatch": {"input": "$t", "regex": "$r", "options": "s"}}
    with pytest.raises(EvaluationError, match="options are given both"):
        value(spec, t="order", r=re.compile("ORDER", re.IGNORECASE))


# -- problems of the definition -----------------------------------------------------------------------------------


def test_every_wrong_literal_is_a_problem_of_the_definition() -> None:
    wrong = {
        "a": {"$split": ["$t", ""]},
        "b": {"$concat": ["$t", 5]},
        "c": {"$regexMatch": {"input": "$t", "regex": "(a", "options": "g"}},
        "d": {"$trim": {"input": "$t", "chars": 1}},
        "e": {"$substrCP": ["$t", -1, 2]},
        "f": {"$replaceOne": {"input": "$t", "find": ["a"], "replacement": "b"}},
    }
    assert problems_of(wrong).splitlines() == [
        "x.a.$split[1]: takes a separator that is not empty",
        "x.b.$concat[1]: takes a string, got int",
        "x.c.$regexMatch.regex: the regular expression '(a' cannot be used: missing ), unterminated subpattern at "
        "position 0",
        "x.c.$regexMatch.options: unknown option 'g' of a regular expression; known are i, m, s, x, u",
        "x.d.$trim.chars: takes a string, got int",
        "x.e.$substrCP[1]: takes a whole number from 0 to 2147483647, got -1",
        "x.f.$replaceOne.find: takes a string, got array",
    ]


def test_arguments_are_counted_and_named() -> None:
    wrong = {
        "a": {"$split": ["$t"]},
        "b": {"$trim": {"inputs": "$t"}},
        "c": {"$indexOfCP": ["$t", "a", 1, 2, 3]},
        "d": {"$regexFind": "$t"},
        "e": {"$strLenCP": ["$t", "$t"]},
    }
    assert problems_of(wrong).splitlines() == [
        "x.a.$split: takes 2 arguments, got 1",
        "x.b.$trim.inputs: unknown argument; did you mean 'input'?",
        "x.b.$trim.input: required argument is missing",
        "x.c.$indexOfCP: takes 2 to 4 arguments, got 5",
        "x.d.$regexFind: takes an object of named arguments; give input, regex, options (optional)",
        "x.e.$strLenCP: takes 1 argument, got 2",
    ]


# -- inline source means what the function means ------------------------------------------------------------------

VALUES = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["", "A b", "éa", "a.b.c", "\ud800", "寿司"]),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
    st.just(MISSING),
    st.just([1]),
)
EXPRESSIONS = [
    {"$concat": ["$a", "-", "$b"]},
    {"$toUpper": "$a"},
    {"$toLower": "$a"},
    {"$split": ["$a", "$b"]},
    {"$split": ["$a", "."]},
    {"$strLenCP": "$a"},
    {"$substrCP": ["$a", 1, 2]},
    {"$substr": ["$a", 0, 2]},
    {"$substrBytes": ["$a", 1, 2]},
    {"$indexOfCP": ["$a", "$b"]},
    {"$trim": {"input": "$a"}},
    {"$rtrim": {"input": "$a", "chars": "a"}},
    {"$replaceAll": {"input": "$a", "find": "$b", "replacement": "x"}},
    {"$replaceOne": {"input": "$a", "find": "a", "replacement": "$b"}},
    {"$regexMatch": {"input": "$a", "regex": "a"}},
    {"$regexFind": {"input": "$a", "regex": "(.)b"}},
    {"$regexFindAll": {"input": "$a", "regex": "a*", "options": "i"}},
]


@settings(max_examples=60, deadline=None)
@given(a=VALUES, b=VALUES)
@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_inline_source_agrees_with_the_operators_function(expression: Any, a: Any, b: Any) -> None:
    assert_inline_source_agrees(expression, a=a, b=b)


def test_every_string_operator_is_declared() -> None:
    names = (
        "$concat $substr $substrBytes $substrCP $toLower $toUpper $trim $ltrim $rtrim $split $strLenCP $strLenBytes "
        "$strcasecmp $indexOfBytes $indexOfCP $replaceOne $replaceAll $regexFind $regexFindAll $regexMatch"
    )
    assert [name for name in names.split() if name not in all_operators()] == []
