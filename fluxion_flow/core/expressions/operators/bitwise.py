"""Bits of integers: $bitAnd, $bitOr, $bitXor, $bitNot (MongoDB: bitwise operators)."""

from __future__ import annotations

from typing import Any

from ...values import INT64_MAX, INT64_MIN, EvaluationError, is_nullish, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import Operator, operator


def _an_integer(name: str, value: Any) -> None:
    if value.__class__ is not int or not INT64_MIN <= value <= INT64_MAX:
        raise EvaluationError(f"{name} takes ints and longs, got {type_name(value)}")


@operator(
    "$bitAnd",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": 6, "b": 3}, {"$bitAnd": ["$a", "$b"]}, 2),
        ({"a": 6}, {"$bitAnd": ["$a", "$b"]}, None),
        ({"a": 6.0}, {"$bitAnd": ["$a", 3]}, EvaluationError),
    ],
)
def bit_and(*numbers: Any) -> Any:
    """The bits that are set in all integers; ``-1`` of none.

    Null from the first argument that is null or missing. Raises for anything that is not an int or a long, doubles
    without a fraction too. MongoDB: $bitAnd.
    """
    result = -1
    for number in numbers:
        if is_nullish(number):
            return None
        _an_integer("$bitAnd", number)
        result &= number
    return result


@operator(
    "$bitOr",
    returns=kinds.INT | kinds.NULL,
    examples=[({"a": 6, "b": 3}, {"$bitOr": ["$a", "$b"]}, 7), ({"a": 6}, {"$bitOr": ["$a", "$b"]}, None)],
)
def bit_or(*numbers: Any) -> Any:
    """The bits that are set in any of some integers; ``0`` of none.

    Null from the first argument that is null or missing. Raises for anything that is not an int or a long.
    MongoDB: $bitOr.
    """
    result = 0
    for number in numbers:
        if is_nullish(number):
            return None
        _an_integer("$bitOr", number)
        result |= number
    return result


@operator(
    "$bitXor",
    returns=kinds.INT | kinds.NULL,
    examples=[({"a": 6, "b": 3}, {"$bitXor": ["$a", "$b"]}, 5), ({"a": 6}, {"$bitXor": ["$a", "$b"]}, None)],
)
def bit_xor(*numbers: Any) -> Any:
    """The bits that are set in an odd number of integers; ``0`` of none.

    Null from the first argument that is null or missing. Raises for anything that is not an int or a long.
    MongoDB: $bitXor.
    """
    result = 0
    for number in numbers:
        if is_nullish(number):
            return None
        _an_integer("$bitXor", number)
        result ^= number
    return result


def _inline(declared: Operator, symbol: str) -> None:
    """Inline source for ints that 64 bits hold."""

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        if len(atoms) < 2 or not all(a.may_be(kinds.INT) for a in atoms):
            return None
        guards = [f"{a.code}.__class__ is int" for a in atoms if not a.is_only(kinds.INT)]
        guards += [f"{INT64_MIN} <= {a.code} <= {INT64_MAX}" for a in atoms]
        slow = f"{e.bind(declared.function, declared.name[1:])}({', '.join(a.code for a in atoms)})"
        fast = f" {symbol} ".join(a.code for a in atoms)
        return e.guarded(guards, lambda: e.assign(fast, kinds.INT), slow, kinds.INT | kinds.NULL)


_inline(bit_and, "&")
_inline(bit_or, "|")
_inline(bit_xor, "^")


@operator(
    "$bitNot",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": 6}, {"$bitNot": "$a"}, -7),
        ({}, {"$bitNot": "$a"}, None),
        ({"a": "6"}, {"$bitNot": "$a"}, EvaluationError),
    ],
)
def bit_not(number: Any) -> Any:
    """All bits of an integer turned around.

    Null if null or missing. Raises for anything that is not an int or a long. MongoDB: $bitNot.
    """
    if is_nullish(number):
        return None
    _an_integer("$bitNot", number)
    return ~number


@bit_not.inline
def _bit_not(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if not a.may_be(kinds.INT):
        return None
    guards = [f"{a.code}.__class__ is int", f"{INT64_MIN} <= {a.code} <= {INT64_MAX}"]
    slow = f"{e.bind(bit_not.function, 'bit_not')}({a.code})"
    return e.guarded(guards, lambda: e.assign(f"~{a.code}", kinds.INT), slow, kinds.INT | kinds.NULL)
