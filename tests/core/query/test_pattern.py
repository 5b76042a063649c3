"""Perl's regular expressions in Python's: what is rewritten, and what is refused."""

from __future__ import annotations

import warnings

import pytest

from fluxion_flow.core.query.pattern import compile_pattern


@pytest.mark.parametrize(
    ("pattern", "options", "found", "not_found"),
    [
        ("^abc", "", ["abcd"], ["xabc", "Abc"]),
        ("^abc", "i", ["ABCd"], ["x"]),
        ("^b$", "m", ["a\nb\nc"], ["ab"]),
        ("a.b", "s", ["a\nb"], ["ab"]),
        ("a b  # two letters", "x", ["ab"], ["a b"]),
        ("straße", "iu", ["STRAßE"], ["x"]),
        (r"(?<year>\d{4})-\k<year>", "", ["2026-2026"], ["2026-2025"]),
        (r"(?'y'\d)\k{y}", "", ["11"], ["12"]),
        (r"(a)\g{1}", "", ["aa"], ["ab"]),
        (r"(?<=a)b(?<!c)", "", ["ab"], ["cb"]),
        (r"^\w+$", "", ["abc_1"], ["é"]),
        (r"(*UCP)^\w+$", "", ["abc", "é"], ["-"]),
        (r"^[\w-]+$", "", ["a-b"], ["é"]),
        (r"^\d+\s$", "", ["12 "], ["٣ "]),
        (r"\bcat\b", "", ["a cat."], ["concat"]),
        (r"^[[:alpha:]_]+$", "", ["ab_"], ["a1"]),
        (r"^[]a]+$", "", ["]a"], ["b"]),
        (r"^[[&&a]+$", "", ["[&a"], ["b"]),
        (r"^\Qa.b*\E+$", "", ["a.b*"], ["axb"]),
        (r"\x{1F600}|\x41", "", ["😀", "A"], ["x"]),
        (r"^a\hb\z", "", ["a\tb"], ["a\nb", "a b\n"]),
        (r"^ab\Z", "", ["ab", "ab\n"], ["abc"]),
        ("^a(?i)b|c$", "", ["aB", "C"], ["AB"]),
        ("(a(?i)b|c)d", "", ["aBd", "Cd"], ["aBD", "Abd"]),
        ("(?i)^abc", "", ["ABC"], ["x"]),
        ("(?i)a(?-i)b", "", ["Ab"], ["aB"]),
        (r"a\|b\(", "", ["a|b("], ["a"]),
    ],
)
def test_a_pattern_finds_what_perl_would(pattern: str, options: str, found: list[str], not_found: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = compile_pattern(pattern, options)
    assert [text for text in found if not compiled.search(text)] == []
    assert [text for text in not_found if compiled.search(text)] == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(", "missing ), unterminated subpattern at position 0"),
        (r"\p{Lu}", r"\p is not supported"),
        (r"[\p{Lu}]", r"\p is not supported"),
        ("[[:^alpha:]]", "the class [:^alpha:] is not supported"),
        ("a**", "multiple repeat at position 2"),
    ],
)
def test_what_cannot_be_compiled_says_why(pattern: str, expected: str) -> None:
    with pytest.raises(ValueError) as error:
        compile_pattern(pattern)
    assert str(error.value) == expected
