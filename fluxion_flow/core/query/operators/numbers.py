"""Conditions about numbers, and a draw: $mod, $bitsAllSet and its kin, $sampleRate (MongoDB: Evaluation, Bitwise)."""

from __future__ import annotations

import decimal
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...expressions import kinds
from ...expressions.emit import Atom, Emitter
from ...expressions.parse import Parser
from ...values import INT64_MAX, INT64_MIN, is_number
from ..condition import Condition, Never
from ..parse import shown
from ..paths import Reading
from ..predicate import Always, Predicate
from ..registry import field_operator, query_operator


def cut(value: Any) -> int | None:
    """A number without its fraction; ``None`` for NaN, infinities, what 64 bits cannot hold, and what is no number."""
    if not is_number(value) or not math.isfinite(value):
        return None
    whole = int(value)
    return whole if INT64_MIN <= whole <= INT64_MAX else None


def whole_number(value: Any) -> int | None:
    """A number of any kind that is whole, as an ``int``; ``None`` for anything else."""
    whole = cut(value)
    return whole if whole == value else None


@dataclass(frozen=True, eq=False)
class Modulo(Condition):
    """A number with a certain remainder, which has the sign of the number."""

    divisor: int
    remainder: int

    def holds(self, value: Any) -> bool:
        whole = cut(value)
        if whole is None:
            return False
        rest = abs(whole) % abs(self.divisor)
        return (rest if whole >= 0 else -rest) == self.remainder

    def source(self, e: Emitter, value: Reading) -> str:
        fast = f"{value.code} % {abs(self.divisor)} == {self.remainder}"
        guard = f"{value.code}.__class__ is int and 0 <= {value.code} <= {INT64_MAX}"
        return f"({fast} if {guard} else {self.slow_unless_absent(e, value)})"


@field_operator(
    "$mod", examples=[({"n": 7}, {"n": {"$mod": [4, 3]}}, True), ({"n": -7}, {"n": {"$mod": [4, -3]}}, True)]
)
def mod(spec: Any, where: Where, parser: Parser) -> Condition:
    """A number that, divided by the first, leaves the second; fractions are cut off first. MongoDB: $mod."""
    if not isinstance(spec, (list, tuple)) or len(spec) != 2:
        parser.problems.add(where, f"takes [divisor, remainder], got {_counted(spec)}")
        return Never(where)
    numbers = [cut(item) for item in spec]
    for i, number in enumerate(numbers):
        if number is None:
            parser.problems.add(where / i, f"takes a number of at most 64 bits, got {shown(spec[i])}")
        elif number == 0 and i == 0:
            parser.problems.add(where / i, "the divisor cannot be 0")
    divisor, remainder = numbers
    if not divisor or remainder is None:
        return Never(where)
    return Modulo(where, divisor, remainder)


def _counted(spec: Any) -> str:
    return f"{len(spec)} of them" if isinstance(spec, (list, tuple)) else shown(spec)


@dataclass(frozen=True, eq=False)
class Bits(Condition):
    """Bits of a whole number or of binary data. ``every``: all of them, else any; ``are``: set, else clear."""

    positions: tuple[int, ...]
    every: bool
    are: bool

    def holds(self, value: Any) -> bool:
        if isinstance(value, bytes):
            found = (self._of_bytes(value, position) for position in self.positions)
        else:
            whole = whole_number(value)
            if whole is None:
                return False
            found = (bool(whole >> position & 1) for position in self.positions)
        answers = (bit is self.are for bit in found)
        return all(answers) if self.every else any(answers)

    @staticmethod
    def _of_bytes(value: bytes, position: int) -> bool:
        byte, bit = divmod(position, 8)
        return byte < len(value) and bool(value[byte] >> bit & 1)


def _bits(spec: Any, where: Where, parser: Parser, every: bool, are: bool) -> Condition:
    positions: list[int] = []
    if isinstance(spec, (list, tuple)):
        for i, item in enumerate(spec):
            position = whole_number(item)
            if position is None or not 0 <= position <= 2**31 - 1:
                parser.problems.add(where / i, f"takes a bit's position from 0 on, got {shown(item)}")
            else:
                positions.append(position)
    elif isinstance(spec, bytes):
        positions = [i for i in range(8 * len(spec)) if spec[i // 8] >> i % 8 & 1]
    else:
        mask = whole_number(spec)
        if mask is None or mask < 0:
            hint = "a mask is binary data or a whole number from 0 on"
            parser.problems.add(where, f"takes a mask or an array of positions, got {shown(spec)}", hint)
            return Never(where)
        positions = [i for i in range(mask.bit_length()) if mask >> i & 1]
    return Bits(where, tuple(positions), every, are)


@field_operator(
    "$bitsAllSet",
    examples=[({"n": 54}, {"n": {"$bitsAllSet": 50}}, True), ({"n": 54}, {"n": {"$bitsAllSet": [0]}}, False)],
)
def bits_all_set(spec: Any, where: Where, parser: Parser) -> Condition:
    """A whole number or binary data in which all bits of a mask, or all positions of an array, are 1.

    MongoDB: $bitsAllSet.
    """
    return _bits(spec, where, parser, every=True, are=True)


@field_operator("$bitsAllClear", examples=[({"n": 20}, {"n": {"$bitsAllClear": [1, 5]}}, True)])
def bits_all_clear(spec: Any, where: Where, parser: Parser) -> Condition:
    """A whole number or binary data in which all bits of a mask, or all positions of an array, are 0.

    MongoDB: $bitsAllClear.
    """
    return _bits(spec, where, parser, every=True, are=False)


@field_operator("$bitsAnySet", examples=[({"n": 2}, {"n": {"$bitsAnySet": [1, 5]}}, True)])
def bits_any_set(spec: Any, where: Where, parser: Parser) -> Condition:
    """A whole number or binary data in which any bit of a mask, or any position of an array, is 1.

    MongoDB: $bitsAnySet.
    """
    return _bits(spec, where, parser, every=False, are=True)


@field_operator("$bitsAnyClear", examples=[({"n": 2}, {"n": {"$bitsAnyClear": [1, 5]}}, True)])
def bits_any_clear(spec: Any, where: Where, parser: Parser) -> Condition:
    """A whole number or binary data in which any bit of a mask, or any position of an array, is 0.

    MongoDB: $bitsAnyClear.
    """
    return _bits(spec, where, parser, every=False, are=False)


@dataclass(frozen=True, eq=False)
class SampleRate(Predicate):
    """A share of the documents. The draw depends on the seed and the record's place, so that a replay draws alike."""

    rate: float
    seed: Any = None

    def test(self, e: Emitter) -> Atom:
        site = zlib.crc32(str(self.where).encode())
        return e.assign(f"env.random({site}, {e.const(self.seed).code}) < {self.rate!r}", kinds.BOOL, "t")


@query_operator(
    "$sampleRate", examples=[({}, {"$sampleRate": 1}, True), ({}, {"$sampleRate": {"rate": 0, "seed": 7}}, False)]
)
def sample_rate(spec: Any, where: Where, parser: Parser) -> Predicate:
    """Matches each document with a probability from 0 to 1; ``{rate, seed}`` fixes the draw. MongoDB: $sampleRate."""
    rate, seed, place = spec, None, where
    if isinstance(spec, Mapping):
        given = parser.arguments(spec, where, ("rate",), ("seed",))
        if given is None:
            return Always(where, True)
        rate, seed, place = given["rate"], given.get("seed"), where / "rate"
        if seed is not None and whole_number(seed) is None:
            parser.problems.add(where / "seed", f"takes a whole number, got {shown(seed)}")
            return Always(where, True)
    if not isinstance(rate, (int, float, decimal.Decimal)) or isinstance(rate, bool) or not 0 <= rate <= 1:
        parser.problems.add(place, f"takes a number from 0 to 1, got {shown(rate)}")
        return Always(where, True)
    return SampleRate(where, float(rate), seed if seed is None else whole_number(seed))
