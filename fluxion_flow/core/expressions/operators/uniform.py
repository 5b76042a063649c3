"""Arrays whose items are all plain numbers or all strings: there Python's own order, sums and sets mean MongoDB's."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, Final

_STRINGS: Final = {str}
_INTS: Final = {int}
_NUMBERS: Final = {int, float}
_KEYS: Final = {str, int, NoneType}


def _numbers_without_nan(kinds: set[type], array: Sequence[Any]) -> bool:
    """Whether all are ints and doubles, none of them NaN (nor infinities of both signs)."""
    if not kinds <= _NUMBERS:
        return False
    try:
        total = sum(array)
    except OverflowError:
        return False
    return bool(total == total)


def only_numbers(array: Sequence[Any]) -> bool:
    """Whether all items are ints and doubles."""
    return set(map(type, array)) <= _NUMBERS


def in_python_order(array: Sequence[Any]) -> bool:
    """Whether Python's ``<`` puts the items in MongoDB's order: all strings, or all numbers without NaN."""
    kinds = set(map(type, array))
    return kinds == _STRINGS or kinds == _INTS or _numbers_without_nan(kinds, array)


def keys_of_themselves(array: Sequence[Any]) -> bool:
    """Whether every item is its own canonical key, so that Python's sets and dicts tell the items apart rightly."""
    kinds = set(map(type, array))
    return kinds <= _KEYS or _numbers_without_nan(kinds, array)
