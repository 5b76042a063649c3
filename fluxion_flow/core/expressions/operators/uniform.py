"""Arrays whose items are all plain numbers or all strings: there Python's own order, sums and sets mean MongoDB's."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, Final

_INT: Final = {int}
_FLOAT: Final = {float}
_STR: Final = {str}
_NUMBERS: Final = {int, float}
_KEYS: Final = {str, int, NoneType}


def common_type(array: Sequence[Any]) -> type | None:
    """``str``, ``int`` or ``float`` when all items are of that type and none is NaN, else ``None``."""
    kinds = set(map(type, array))
    if kinds == _INT:
        return int
    if kinds == _FLOAT:
        return float if _no_nan(array) else None
    return str if kinds == _STR else None


def in_python_order(array: Sequence[Any]) -> bool:
    """Whether Python's ``<`` puts the items in MongoDB's order: all strings, or all numbers without NaN."""
    kinds = set(map(type, array))
    if len(kinds) == 1 and (str in kinds or int in kinds):
        return True
    return kinds <= _NUMBERS and _no_nan(array)


def keys_of_themselves(array: Sequence[Any]) -> bool:
    """Whether every item is its own canonical key, so that Python's sets and dicts tell the items apart rightly."""
    kinds = set(map(type, array))
    return kinds <= _KEYS or (kinds <= _NUMBERS and _no_nan(array))


def _no_nan(numbers: Sequence[Any]) -> bool:
    """Whether no number is NaN; infinities of both signs count as one."""
    try:
        total = sum(numbers)
    except OverflowError:
        return False
    return bool(total == total)
