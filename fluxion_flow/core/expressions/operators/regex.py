"""Regular expressions: $regexMatch, $regexFind, $regexFindAll (MongoDB: string expression operators)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ...query.pattern import OPTIONS, compile_pattern
from ...values import EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import checked_operator


@lru_cache(maxsize=1024)
def compile_regex(pattern: str, options: str = "") -> re.Pattern[str]:
    """A Perl-style pattern with options (``i``, ``m``, ``s``, ``x``, ``u``), compiled once.

    Raises :class:`EvaluationError` for a pattern that cannot be used, for null bytes and for other options.
    """
    for option in options:
        if option not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise EvaluationError(f"unknown option {option!r} of a regular expression; known are {known}")
    if "\0" in pattern:
        raise EvaluationError("a regular expression cannot hold a null byte")
    try:
        return compile_pattern(pattern, options)
    except ValueError as error:
        raise EvaluationError(f"the regular expression {pattern!r} cannot be used: {error}") from None


def regex_of(value: Any, options: Any = "") -> re.Pattern[str]:
    """The pattern of a regex value or of a string, with options given beside it (null: none).

    Raises :class:`EvaluationError` for any other type, and for options given twice.
    """
    if is_nullish(options):
        options = ""
    if not isinstance(options, str):
        raise EvaluationError(f"the options of a regular expression are a string, got {type_name(options)}")
    if isinstance(value, str):
        return compile_regex(value, options)
    if not isinstance(value, re.Pattern) or not isinstance(value.pattern, str):
        raise EvaluationError(f"a regular expression is a regex or a string, got {type_name(value)}")
    own = "".join(letter for letter, flag in OPTIONS.items() if value.flags & flag)
    if own and options:
        raise EvaluationError("options are given both in the regular expression and beside it; give them once")
    return compile_regex(value.pattern, own or options)


def _a_regex(value: Any) -> None:
    """The check of a literal: it must be of use with or without the option ``x``, which lets it hold comments."""
    try:
        regex_of(value)
    except EvaluationError:
        if not isinstance(value, str):
            raise
        try:
            compile_regex(value, "x")
        except EvaluationError:
            regex_of(value)


def _options(value: Any) -> None:
    regex_of("", value)


_CHECKS = {"regex": _a_regex, "options": _options}


def _ready(operator: str, text: Any, regex: Any, options: Any) -> re.Pattern[str] | None:
    """The pattern to look for, or ``None`` when text or pattern is null or missing."""
    if not is_nullish(text) and not isinstance(text, str):
        raise EvaluationError(f"{operator} takes a string as 'input', got {type_name(text)}")
    if is_nullish(regex):
        regex_of("", options)
        return None
    pattern = regex_of(regex, options)
    return None if is_nullish(text) else pattern


def _found(match: re.Match[str]) -> dict[str, Any]:
    return {"match": match[0], "idx": match.start(), "captures": list(match.groups())}


def _first(match: re.Match[str] | None) -> dict[str, Any] | None:
    return None if match is None else _found(match)


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches from left to right; the search goes on behind each, one character further behind an empty one."""
    at = 0
    while found := pattern.search(text, at):
        yield found
        at = found.end() if found.end() > found.start() else found.end() + 1
        if at >= len(text):
            return


def _every(pattern: re.Pattern[str], text: str) -> list[Any]:
    return [_found(match) for match in _matches(pattern, text)]


@checked_operator(
    "$regexMatch",
    checks=_CHECKS,
    returns=kinds.BOOL,
    examples=[
        ({"t": "Order 66"}, {"$regexMatch": {"input": "$t", "regex": "order", "options": "i"}}, True),
        ({"t": "Order 66"}, {"$regexMatch": {"input": "$t", "regex": re.compile(r"^\d")}}, False),
        ({}, {"$regexMatch": {"input": "$t", "regex": "a"}}, False),
        ({"t": 66}, {"$regexMatch": {"input": "$t", "regex": "a"}}, EvaluationError),
    ],
)
def regex_match(*, input: Any, regex: Any, options: Any = "") -> bool:
    """Whether a text matches a regular expression anywhere.

    False if the text or the expression is null or missing. Raises for other types, a broken expression and unknown
    options. MongoDB: $regexMatch.
    """
    pattern = _ready("$regexMatch", input, regex, options)
    return pattern is not None and pattern.search(input) is not None


@checked_operator(
    "$regexFind",
    checks=_CHECKS,
    returns=kinds.OBJECT | kinds.NULL,
    examples=[
        (
            {"t": "Tel. 030-1234"},
            {"$regexFind": {"input": "$t", "regex": r"(\d+)-(\d+)"}},
            {"match": "030-1234", "idx": 5, "captures": ["030", "1234"]},
        ),
        ({"t": "none"}, {"$regexFind": {"input": "$t", "regex": r"\d"}}, None),
        ({"t": ["a"]}, {"$regexFind": {"input": "$t", "regex": "a"}}, EvaluationError),
    ],
)
def regex_find(*, input: Any, regex: Any, options: Any = "") -> Any:
    """The first match: its text, where it begins (in code points), and what its groups caught (null: nothing).

    Null if there is no match, or the text or the expression is null or missing. Raises for other types, a broken
    expression and unknown options. MongoDB: $regexFind.
    """
    pattern = _ready("$regexFind", input, regex, options)
    return None if pattern is None else _first(pattern.search(input))


@checked_operator(
    "$regexFindAll",
    checks=_CHECKS,
    returns=kinds.ARRAY,
    examples=[
        (
            {"t": "a1 b2"},
            {"$regexFindAll": {"input": "$t", "regex": r"[a-z](\d)"}},
            [{"match": "a1", "idx": 0, "captures": ["1"]}, {"match": "b2", "idx": 3, "captures": ["2"]}],
        ),
        ({}, {"$regexFindAll": {"input": "$t", "regex": "a"}}, []),
        ({"t": 5}, {"$regexFindAll": {"input": "$t", "regex": "a"}}, EvaluationError),
    ],
)
def regex_find_all(*, input: Any, regex: Any, options: Any = "") -> list[Any]:
    """Every match, from left to right, each as ``$regexFind`` gives it.

    Empty if there is none, or the text or the expression is null or missing. Raises for other types, a broken
    expression and unknown options. MongoDB: $regexFindAll.
    """
    pattern = _ready("$regexFindAll", input, regex, options)
    return [] if pattern is None else _every(pattern, input)


def _search(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> re.Pattern[str] | None:
    """The pattern of a call whose expression and options are literals."""
    if "input" in literals or len(literals) != len(atoms) - 1 or literals.get("regex") is None:
        return None
    try:
        return regex_of(literals["regex"], literals.get("options", ""))
    except EvaluationError:
        return None


def _inline(
    e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any], function: Any, fast: Any, returns: int
) -> Atom | None:
    """Source that searches with a pattern made ready beforehand, where the text is a string.

    ``fast`` gives the source of the value, from the pattern and the code of the text.
    """
    pattern = _search(e, atoms, literals)
    text = atoms["input"]
    if pattern is None or not text.may_be(kinds.STRING):
        return None
    arguments = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
    slow = f"{e.bind(function, function.__name__)}({arguments})"
    guard = "" if text.is_only(kinds.STRING) else f"{text.code}.__class__ is str"
    return e.guarded([guard], lambda: e.assign(fast(pattern, text.code), returns), slow, returns)


@regex_match.inline_named
def _regex_match(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    def fast(pattern: re.Pattern[str], text: str) -> str:
        return f"{e.bind(pattern.search, 'search')}({text}) is not None"

    return _inline(e, atoms, literals, regex_match.function, fast, kinds.BOOL)


@regex_find.inline_named
def _regex_find(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    def fast(pattern: re.Pattern[str], text: str) -> str:
        return f"{e.bind(_first, 'first_match')}({e.bind(pattern.search, 'search')}({text}))"

    return _inline(e, atoms, literals, regex_find.function, fast, kinds.OBJECT | kinds.NULL)


@regex_find_all.inline_named
def _regex_find_all(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    def fast(pattern: re.Pattern[str], text: str) -> str:
        return f"{e.bind(_every, 'every_match')}({e.bind(pattern, 'pattern')}, {text})"

    return _inline(e, atoms, literals, regex_find_all.function, fast, kinds.ARRAY)
