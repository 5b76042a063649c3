"""Lengths and places in text: $strLenCP, $substrCP, $indexOfCP and their kin in bytes (MongoDB: string operators)."""

from __future__ import annotations

import math
from typing import Any

from ...values import INT32_MAX, INT32_MIN, EvaluationError, is_nullish, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import checked_operator
from ..registry import operator
from .strings import a_string, is_string, never_strings, only_string, text_of


@operator(
    "$strLenCP",
    returns=kinds.INT,
    examples=[
        ({"t": "café"}, {"$strLenCP": "$t"}, 4),
        ({"t": None}, {"$strLenCP": "$t"}, EvaluationError),
    ],
)
def str_len_cp(text: Any) -> int:
    """The length of a string in code points. Raises for everything else, null and missing included.

    MongoDB: $strLenCP.
    """
    if isinstance(text, str):
        return len(text)
    raise EvaluationError(f"$strLenCP takes a string, got {type_name(text)}")


@operator(
    "$strLenBytes",
    returns=kinds.INT,
    examples=[
        ({"t": "café"}, {"$strLenBytes": "$t"}, 5),
        ({}, {"$strLenBytes": "$t"}, EvaluationError),
    ],
)
def str_len_bytes(text: Any) -> int:
    """The length of a string in bytes of UTF-8. Raises for everything else, null and missing included.

    MongoDB: $strLenBytes.
    """
    if isinstance(text, str):
        return len(text) if text.isascii() else len(_bytes(text))
    raise EvaluationError(f"$strLenBytes takes a string, got {type_name(text)}")


@str_len_cp.inline
def _str_len_cp(e: Emitter, atoms: list[Atom]) -> Atom | None:
    text = atoms[0]
    if never_strings(text):
        return None
    slow = f"{e.bind(str_len_cp.function, 'str_len_cp')}({text.code})"
    return e.guarded([is_string(text)], lambda: e.assign(f"len({text.code})", kinds.INT), slow, kinds.INT)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _whole(operator: str, name: str, value: Any) -> int:
    """A number as an integer of 32 bits that is not negative."""
    if not is_number(value):
        raise EvaluationError(f"{operator} takes a number as '{name}', got {type_name(value)}")
    if not math.isfinite(value) or value != int(value) or not 0 <= value <= INT32_MAX:
        raise EvaluationError(f"{operator} takes a whole number from 0 to {INT32_MAX} as '{name}', got {value}")
    return int(value)


def _place(value: Any) -> None:
    """The check of a literal place or length."""
    if not is_number(value) or not math.isfinite(value) or value != int(value) or not 0 <= value <= INT32_MAX:
        raise EvaluationError(f"takes a whole number from 0 to {INT32_MAX}, got {value!r}")


def _number(value: Any) -> None:
    if not is_number(value):
        raise EvaluationError(f"takes a number, got {type_name(value)}")


@checked_operator(
    "$substrCP",
    checks={"start": _place, "length": _place},
    returns=kinds.STRING,
    examples=[
        ({"t": "cafés"}, {"$substrCP": ["$t", 3, 5]}, "és"),
        ({}, {"$substrCP": ["$t", 0, 5]}, ""),
        ({"t": "café", "n": -1}, {"$substrCP": ["$t", 0, "$n"]}, EvaluationError),
    ],
)
def substr_cp(text: Any, start: Any, length: Any) -> str:
    """A part of a text, by code points: from ``start`` (0 is the first), ``length`` of them or what there is.

    Numbers and dates become text first, null and missing are empty. Raises for other types, and for places that are
    negative or not whole. MongoDB: $substrCP.
    """
    whole = text_of("$substrCP", text)
    first = _whole("$substrCP", "start", start)
    return whole[first : first + _whole("$substrCP", "length", length)]


def _substr_bytes(operator: str, value: Any, start: Any, length: Any) -> str:
    text = text_of(operator, value)
    for name, value in (("start", start), ("length", length)):
        if not is_number(value):
            raise EvaluationError(f"{operator} takes a number as '{name}', got {type_name(value)}")
    first = _cut(start)
    count = _cut(length)
    if first < 0:
        raise EvaluationError(f"{operator} takes a 'start' that is not negative, got {start}")
    if text.isascii():
        return text[first:] if count < 0 else text[first : first + count]
    data = _bytes(text)
    end = len(data) if count < 0 else min(len(data), first + count)
    for at in (first, end):
        if at < len(data) and data[at] & 0xC0 == 0x80:
            raise EvaluationError(f"{operator} would cut through a character at byte {at}")
    return data[first:end].decode("utf-8", "surrogatepass")


def _cut(number: Any) -> int:
    if not math.isfinite(number):
        return 0 if number != number else INT32_MAX if number > 0 else INT32_MIN
    return int(number)


@checked_operator(
    "$substrBytes",
    checks={"start": _number, "length": _number},
    returns=kinds.STRING,
    examples=[
        ({"t": "café"}, {"$substrBytes": ["$t", 3, 2]}, "é"),
        ({"t": "café"}, {"$substrBytes": ["$t", 1, -1]}, "afé"),
        ({"t": "café"}, {"$substrBytes": ["$t", 4, 1]}, EvaluationError),
        ({"d": None}, {"$substrBytes": ["$d", 0, 3]}, ""),
    ],
)
def substr_bytes(text: Any, start: Any, length: Any) -> str:
    """A part of a text, by bytes of UTF-8: from ``start`` (0 is the first), ``length`` of them; negative: all the rest.

    Numbers and dates become text first, null and missing are empty. Raises for other types, for a negative start, and
    where it would cut through a character. MongoDB: $substrBytes.
    """
    return _substr_bytes("$substrBytes", text, start, length)


@checked_operator(
    "$substr",
    checks={"start": _number, "length": _number},
    returns=kinds.STRING,
    examples=[
        ({"sku": "BRAND123"}, {"$substr": ["$sku", 0, 5]}, "BRAND"),
        ({"n": 1234}, {"$substr": ["$n", 1, 2]}, "23"),
        ({"n": True}, {"$substr": ["$n", 1, 2]}, EvaluationError),
    ],
)
def substr(text: Any, start: Any, length: Any) -> str:
    """Another name of ``$substrBytes``. MongoDB: $substr."""
    return _substr_bytes("$substr", text, start, length)


def _slice(e: Emitter, atoms: list[Atom], guards: list[str], slow: str) -> Atom | None:
    """``text[start : start + length]`` where both places are literals."""
    text, start, length = atoms
    if never_strings(text) or not (
        start.code.isdecimal() and length.code.isdecimal() and int(start.code) + int(length.code) <= INT32_MAX
    ):
        return None
    cut = f"{text.code}[{start.code}:{int(start.code) + int(length.code)}]"
    call = f"{slow}({text.code}, {start.code}, {length.code})"
    return e.guarded([is_string(text), *guards], lambda: e.assign(cut, kinds.STRING), call, kinds.STRING)


@substr_cp.inline
def _substr_cp(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return _slice(e, atoms, [], e.bind(substr_cp.function, "substr_cp"))


@substr_bytes.inline
def _substr_bytes_inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return _slice(e, atoms, [f"{atoms[0].code}.isascii()"], e.bind(substr_bytes.function, "substr_bytes"))


@substr.inline
def _substr(e: Emitter, atoms: list[Atom]) -> Atom | None:
    return _slice(e, atoms, [f"{atoms[0].code}.isascii()"], e.bind(substr.function, "substr"))


def _strings(operator: str, text: Any, sought: Any) -> bool:
    if is_nullish(text):
        return False
    a_string(operator, "string", text)
    a_string(operator, "substring", sought)
    return True


_INDEX_CHECKS = {"substring": only_string, "start": _place, "end": _place}


@checked_operator(
    "$indexOfCP",
    checks=_INDEX_CHECKS,
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"t": "café olé"}, {"$indexOfCP": ["$t", "é"]}, 3),
        ({"t": "café olé"}, {"$indexOfCP": ["$t", "é", 4]}, 7),
        ({"t": "café"}, {"$indexOfCP": ["$t", "x"]}, -1),
        ({}, {"$indexOfCP": ["$t", "x"]}, None),
        ({"t": 1}, {"$indexOfCP": ["$t", "x"]}, EvaluationError),
    ],
)
def index_of_cp(string: Any, substring: Any, start: Any = 0, end: Any = INT32_MAX) -> Any:
    """Where a text first stands in another, in code points, between ``start`` and (not reaching) ``end``; -1: nowhere.

    Null if the text to search in is null or missing. Raises for what is no string, and for places that are negative or
    not whole. MongoDB: $indexOfCP.
    """
    if not _strings("$indexOfCP", string, substring):
        return None
    first, last = _whole("$indexOfCP", "start", start), _whole("$indexOfCP", "end", end)
    return string.find(substring, first, last)


@index_of_cp.inline
def _index_of_cp(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 2 or never_strings(*atoms):
        return None
    codes = f"{atoms[0].code}, {atoms[1].code}"
    slow = f"{e.bind(index_of_cp.function, 'index_of_cp')}({codes})"
    fast = f"{atoms[0].code}.find({atoms[1].code})"
    return e.guarded(
        [is_string(atom) for atom in atoms], lambda: e.assign(fast, kinds.INT), slow, kinds.INT | kinds.NULL
    )  # fmt: skip


@checked_operator(
    "$indexOfBytes",
    checks=_INDEX_CHECKS,
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"t": "café olé"}, {"$indexOfBytes": ["$t", "olé"]}, 6),
        ({"t": "vanilla"}, {"$indexOfBytes": ["$t", "ll", 0, 2]}, -1),
        ({"t": None}, {"$indexOfBytes": ["$t", "x"]}, None),
        ({"t": "a"}, {"$indexOfBytes": ["$t", "$x"]}, EvaluationError),
    ],
)
def index_of_bytes(string: Any, substring: Any, start: Any = 0, end: Any = INT32_MAX) -> Any:
    """As ``$indexOfCP``, in bytes of UTF-8. MongoDB: $indexOfBytes."""
    if not _strings("$indexOfBytes", string, substring):
        return None
    first, last = _whole("$indexOfBytes", "start", start), _whole("$indexOfBytes", "end", end)
    if string.isascii():
        return string.find(substring, first, last)
    return _bytes(string).find(_bytes(substring), first, last)


@index_of_bytes.inline
def _index_of_bytes(e: Emitter, atoms: list[Atom]) -> Atom | None:
    if len(atoms) != 2 or never_strings(*atoms):
        return None
    codes = f"{atoms[0].code}, {atoms[1].code}"
    slow = f"{e.bind(index_of_bytes.function, 'index_of_bytes')}({codes})"
    fast = f"{atoms[0].code}.find({atoms[1].code})"
    guards = [*(is_string(atom) for atom in atoms), f"{atoms[0].code}.isascii()"]
    return e.guarded(guards, lambda: e.assign(fast, kinds.INT), slow, kinds.INT | kinds.NULL)
