"""Regular expressions: $regexMatch, $regexFind, $regexFindAll (MongoDB: string expression operators)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...regexes import compile_regex, regex_of
from ...values import MISSING, EvaluationError, is_nullish, type_name
from .. import kinds
from ..literals import checked_operator


def _a_regex(value: Any) -> None:
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
        regex_of("", None if options is MISSING else options)
        return None
    pattern = regex_of(regex, None if options is MISSING else options)
    return None if is_nullish(text) else pattern


def _found(match: re.Match[str]) -> dict[str, Any]:
    return {"match": match[0], "idx": match.start(), "captures": list(match.groups())}


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """The matches from left to right; the search goes on behind each, one character further behind an empty one."""
    at = 0
    while found := pattern.search(text, at):
        yield found
        at = found.end() if found.end() > found.start() else found.end() + 1
        if at >= len(text):
            return


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
    if input.__class__ is str and regex.__class__ is str and options.__class__ is str:
        return compile_regex(regex, options).search(input) is not None
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
    found = None if pattern is None else pattern.search(input)
    return None if found is None else _found(found)


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

    Empty if there is none, or the text or the expression is null or missing. Raises for other types, a broken expression
    and unknown options. MongoDB: $regexFindAll.
    """
    pattern = _ready("$regexFindAll", input, regex, options)
    return [] if pattern is None else [_found(match) for match in _matches(pattern, input)]
