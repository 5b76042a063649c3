"""Text put together, changed, taken apart: $concat, $toUpper, $trim, $split, $replaceAll (MongoDB: strings)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ...dates import format_iso
from ...values import EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import checked_operator
from ..registry import operator
from .conversions import double_text

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_TO_UPPER = str.maketrans(_LOWER, _LOWER.upper())
_TO_LOWER = str.maketrans(_LOWER.upper(), _LOWER)
_BLANKS = "\0\t\n\v\f\r \xa0\u1680" + "".join(chr(c) for c in range(0x2000, 0x200B))
"""What $trim takes away unless it is told. MongoDB: $trim, whitespace characters."""


def text_of(operator: str, value: Any) -> str:
    """A value as text: strings as they are, numbers, dates in ISO 8601; null and missing are empty.

    Raises :class:`EvaluationError` for every other type. MongoDB: $toLower, $substr.
    """
    if isinstance(value, str):
        return value
    if is_nullish(value):
        return ""
    if isinstance(value, datetime.datetime):
        return format_iso(value)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise EvaluationError(f"{operator} takes a string, a number or a date, got {type_name(value)}")


def a_string(operator: str, name: str, value: Any) -> str:
    """The value itself when it is a string. Raises :class:`EvaluationError` for anything else."""
    if isinstance(value, str):
        return value
    raise EvaluationError(f"{operator} takes a string as '{name}', got {type_name(value)}")


def only_string(value: Any) -> None:
    """The check of a literal that must be a string."""
    if not isinstance(value, str):
        raise EvaluationError(f"takes a string, got {type_name(value)}")


def is_string(atom: Atom) -> str:
    """Source of "is a string"; ``""`` when that is known."""
    return "" if atom.is_only(kinds.STRING) else f"{atom.code}.__class__ is str"


def never_strings(*atoms: Atom) -> bool:
    """Whether one of the values is known to be no string, so that inline source would be in vain."""
    return not all(atom.may_be(kinds.STRING) for atom in atoms)


@checked_operator(
    "$concat",
    checks={"strings": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"first": "Ada", "last": "Lovelace"}, {"$concat": ["$first", " ", "$last"]}, "Ada Lovelace"),
        ({"first": "Ada"}, {"$concat": ["$first", "$last"]}, None),
        ({"first": "Ada", "n": 1}, {"$concat": ["$first", "$n"]}, EvaluationError),
    ],
)
def concat(*strings: Any) -> Any:
    """Strings put together.

    Null if any is null or missing. Raises for anything that is not a string. MongoDB: $concat.
    """
    for string in strings:
        if is_nullish(string):
            return None
        if not isinstance(string, str):
            raise EvaluationError(f"$concat takes strings, got {type_name(string)}")
    return "".join(strings)


@concat.inline
def _concat(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) < 2 or never_strings(*atoms):
        return None
    codes = [atom.code for atom in atoms]
    joined = " + ".join(codes) if len(codes) <= 4 else f"''.join(({', '.join(codes)}))"
    slow = f"{e.bind(concat.function, 'concat')}({', '.join(codes)})"
    guards = [is_string(atom) for atom in atoms]
    return e.guarded(guards, lambda: e.assign(joined, kinds.STRING), slow, kinds.STRING | kinds.NULL)


@operator(
    "$toUpper",
    returns=kinds.STRING,
    examples=[
        ({"t": "straße"}, {"$toUpper": "$t"}, "STRAßE"),
        ({}, {"$toUpper": "$t"}, ""),
        ({"t": True}, {"$toUpper": "$t"}, EvaluationError),
    ],
)
def to_upper(text: Any) -> str:
    """A text with the letters a to z in upper case; other letters stay. Numbers and dates become text first.

    Empty if null or missing. Raises for other types. MongoDB: $toUpper.
    """
    return text_of("$toUpper", text).translate(_TO_UPPER)


@operator(
    "$toLower",
    returns=kinds.STRING,
    examples=[
        ({"t": "ÄPFEL"}, {"$toLower": "$t"}, "Äpfel"),
        ({"t": None}, {"$toLower": "$t"}, ""),
        ({"t": []}, {"$toLower": ["$t"]}, EvaluationError),
    ],
)
def to_lower(text: Any) -> str:
    """A text with the letters A to Z in lower case; other letters stay. Numbers and dates become text first.

    Empty if null or missing. Raises for other types. MongoDB: $toLower.
    """
    return text_of("$toLower", text).translate(_TO_LOWER)


def _ascii_method(e: Emitter, atom: Atom, method: str, slow: str) -> Atom | None:
    if never_strings(atom):
        return None
    guards = [is_string(atom), f"{atom.code}.isascii()"]
    return e.guarded(
        guards, lambda: e.assign(f"{atom.code}.{method}()", kinds.STRING), f"{slow}({atom.code})", kinds.STRING
    )  # fmt: skip


@to_upper.inline
def _to_upper(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return _ascii_method(e, atoms[0], "upper", e.bind(to_upper.function, "to_upper"))


@to_lower.inline
def _to_lower(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return _ascii_method(e, atoms[0], "lower", e.bind(to_lower.function, "to_lower"))


def _upper(operator: str, value: Any) -> str:
    """A value as text with the letters a to z in upper case."""
    text = value if value.__class__ is str else text_of(operator, value)
    return text.upper() if text.isascii() else text.translate(_TO_UPPER)


@operator(
    "$strcasecmp",
    returns=kinds.INT,
    examples=[
        ({"a": "Pear", "b": "PEAR"}, {"$strcasecmp": ["$a", "$b"]}, 0),
        ({"a": "apple"}, {"$strcasecmp": ["$a", "pear"]}, -1),
        ({}, {"$strcasecmp": ["$a", "$b"]}, 0),
        ({"a": False}, {"$strcasecmp": ["$a", "x"]}, EvaluationError),
    ],
)
def strcasecmp(first: Any, second: Any) -> int:
    """-1, 0 or 1 as one text comes before, with or after another, the case of a to z aside.

    Numbers and dates become text first, null and missing are empty. Raises for other types. MongoDB: $strcasecmp.
    """
    a, b = _upper("$strcasecmp", first), _upper("$strcasecmp", second)
    return (a > b) - (a < b)


def _trimmed(operator: str, text: Any, chars: Any) -> tuple[str, str] | None:
    if is_nullish(text):
        return None
    text = a_string(operator, "input", text)
    if is_nullish(chars):
        return None
    return text, a_string(operator, "chars", chars)


@checked_operator(
    "$trim",
    checks={"chars": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"t": "  a b \n"}, {"$trim": {"input": "$t"}}, "a b"),
        ({"t": "xxaxx"}, {"$trim": {"input": "$t", "chars": "yx"}}, "a"),
        ({}, {"$trim": {"input": "$t"}}, None),
        ({"t": 5}, {"$trim": {"input": "$t"}}, EvaluationError),
    ],
)
def trim(*, input: Any, chars: Any = _BLANKS) -> Any:
    """A text without the given characters (unless given: white space and null bytes) at both its ends.

    Null if either is null or missing. Raises for what is no string. MongoDB: $trim.
    """
    pair = _trimmed("$trim", input, chars)
    return None if pair is None else pair[0].strip(pair[1])


@checked_operator(
    "$ltrim",
    checks={"chars": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"id": "00120"}, {"$ltrim": {"input": "$id", "chars": "0"}}, "120"),
        ({"id": " a "}, {"$ltrim": {"input": "$id"}}, "a "),
        ({"id": " a "}, {"$ltrim": {"input": "$id", "chars": "$none"}}, None),
    ],
)
def ltrim(*, input: Any, chars: Any = _BLANKS) -> Any:
    """As ``$trim``, at the beginning only. MongoDB: $ltrim."""
    pair = _trimmed("$ltrim", input, chars)
    return None if pair is None else pair[0].lstrip(pair[1])


@checked_operator(
    "$rtrim",
    checks={"chars": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"t": "what?!"}, {"$rtrim": {"input": "$t", "chars": "!?"}}, "what"),
        ({"t": " a "}, {"$rtrim": {"input": "$t"}}, " a"),
        ({"t": {}}, {"$rtrim": {"input": "$t"}}, EvaluationError),
    ],
)
def rtrim(*, input: Any, chars: Any = _BLANKS) -> Any:
    """As ``$trim``, at the end only. MongoDB: $rtrim."""
    pair = _trimmed("$rtrim", input, chars)
    return None if pair is None else pair[0].rstrip(pair[1])


def _strip(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any], method: str, slow: str) -> Atom | None:
    text = atoms["input"]
    chars = literals.get("chars") if "chars" in atoms else _BLANKS
    if never_strings(text) or not isinstance(chars, str):
        return None
    fast = f"{text.code}.{method}({e.const(chars).code})"
    call = f"{slow}(input={text.code}, chars={e.const(chars).code})"
    return e.guarded([is_string(text)], lambda: e.assign(fast, kinds.STRING), call, kinds.STRING | kinds.NULL)


@trim.inline_named
def _trim(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _strip(e, atoms, literals, "strip", e.bind(trim.function, "trim"))


@ltrim.inline_named
def _ltrim(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _strip(e, atoms, literals, "lstrip", e.bind(ltrim.function, "ltrim"))


@rtrim.inline_named
def _rtrim(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _strip(e, atoms, literals, "rstrip", e.bind(rtrim.function, "rtrim"))


def _separator(value: Any) -> None:
    only_string(value)
    if value == "":
        raise EvaluationError("takes a separator that is not empty")


@checked_operator(
    "$split",
    checks={"separator": _separator},
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"path": "a/b//c"}, {"$split": ["$path", "/"]}, ["a", "b", "", "c"]),
        ({}, {"$split": ["$path", "/"]}, None),
        ({"path": 1}, {"$split": ["$path", "/"]}, EvaluationError),
        ({"path": "a", "by": ""}, {"$split": ["$path", "$by"]}, EvaluationError),
    ],
)
def split(text: Any, separator: Any) -> Any:
    """The parts of a text between separators.

    Null if either is null or missing. Raises for what is no string and for an empty separator. MongoDB: $split.
    """
    if is_nullish(text) or is_nullish(separator):
        return None
    if not isinstance(text, str) or not isinstance(separator, str):
        wrong = separator if isinstance(text, str) else text
        raise EvaluationError(f"$split takes two strings, got {type_name(wrong)}")
    if separator == "":
        raise EvaluationError("$split takes a separator that is not empty")
    return text.split(separator)


@split.inline
def _split(e: Emitter, atoms: list[Atom]) -> Atom | None:
    text, separator = atoms
    if never_strings(text, separator):
        return None
    guards = [is_string(text), is_string(separator), "" if _literal_text(separator) else f"{separator.code} != ''"]
    slow = f"{e.bind(split.function, 'split')}({text.code}, {separator.code})"
    return e.guarded(
        guards, lambda: e.assign(f"{text.code}.split({separator.code})", kinds.ARRAY), slow, kinds.ARRAY | kinds.NULL
    )  # fmt: skip


def _literal_text(atom: Atom) -> bool:
    return atom.code[0] in "'\"" and len(atom.code) > 2


def _replacing(operator: str, text: Any, find: Any, replacement: Any) -> bool:
    """Whether all three are strings; not when one is null or missing. Raises for other types."""
    for name, value in (("input", text), ("find", find), ("replacement", replacement)):
        if not is_nullish(value):
            a_string(operator, name, value)
    return not (is_nullish(text) or is_nullish(find) or is_nullish(replacement))


@checked_operator(
    "$replaceOne",
    checks={"find": only_string, "replacement": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"t": "a-b-c"}, {"$replaceOne": {"input": "$t", "find": "-", "replacement": "+"}}, "a+b-c"),
        ({}, {"$replaceOne": {"input": "$t", "find": "-", "replacement": "+"}}, None),
        ({"t": 1}, {"$replaceOne": {"input": "$t", "find": "-", "replacement": "+"}}, EvaluationError),
    ],
)
def replace_one(*, input: Any, find: Any, replacement: Any) -> Any:
    """A text with the first occurrence of another text replaced.

    Null if any is null or missing. Raises for what is no string. MongoDB: $replaceOne.
    """
    return input.replace(find, replacement, 1) if _replacing("$replaceOne", input, find, replacement) else None


@checked_operator(
    "$replaceAll",
    checks={"find": only_string, "replacement": only_string},
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"t": "a-b-c"}, {"$replaceAll": {"input": "$t", "find": "-", "replacement": ""}}, "abc"),
        ({"t": "abc"}, {"$replaceAll": {"input": "$t", "find": "$x", "replacement": ""}}, None),
        ({"t": "abc", "x": 1}, {"$replaceAll": {"input": "$t", "find": "$x", "replacement": ""}}, EvaluationError),
    ],
)
def replace_all(*, input: Any, find: Any, replacement: Any) -> Any:
    """A text with every occurrence of another text replaced, from left to right.

    Null if any is null or missing. Raises for what is no string. MongoDB: $replaceAll.
    """
    return input.replace(find, replacement) if _replacing("$replaceAll", input, find, replacement) else None


def _replace(e: Emitter, atoms: Mapping[str, Atom], slow: str, times: str) -> Atom | None:
    text, find, replacement = atoms["input"], atoms["find"], atoms["replacement"]
    if never_strings(text, find, replacement):
        return None
    fast = f"{text.code}.replace({find.code}, {replacement.code}{times})"
    call = f"{slow}(input={text.code}, find={find.code}, replacement={replacement.code})"
    guards = [is_string(text), is_string(find), is_string(replacement)]
    return e.guarded(guards, lambda: e.assign(fast, kinds.STRING), call, kinds.STRING | kinds.NULL)


@replace_one.inline_named
def _replace_one(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _replace(e, atoms, e.bind(replace_one.function, "replace_one"), ", 1")


@replace_all.inline_named
def _replace_all(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _replace(e, atoms, e.bind(replace_all.function, "replace_all"), "")
