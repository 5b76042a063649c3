"""Random numbers that a replay repeats: $rand, $sampleRate, $createObjectId (MongoDB: the same).

A number depends on the run's seed, the record's place in its source and the operator's place in the definition, so
that the same record meets the same chance whenever it is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ....errors import Where
from ...environment import Environment
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form


def site(where: Where) -> int:
    """A number for a place in a definition; the positions of stages do not count, so that adding one changes little."""
    text = "/".join(str(part) for part in where.parts if isinstance(part, str))
    inner = [part for part in where.parts[2:] if isinstance(part, int)]
    return int.from_bytes(hashlib.blake2b(f"{text}{inner}".encode(), digest_size=6).digest(), "big")


@dataclass(frozen=True, eq=False)
class Chance(Node):
    """A random number from 0 to 1, or whether it lies below ``rate``."""

    rate: float | None = None
    seed: Any = None

    def children(self) -> Iterator[Node]:
        return iter(())

    def emit(self, e: Emitter) -> Atom:
        seed = "" if self.seed is None else f", {e.const(self.seed).code}"
        number = f"env.random({site(self.where)}{seed})"
        if self.rate is None:
            return e.assign(number, kinds.FLOAT)
        return e.assign(f"{number} < {e.const(self.rate).code}", kinds.BOOL)


@form("$rand", arity="{}")
def rand(spec: Any, where: Where, parser: Parser) -> Node:
    """A random number, at least 0 and below 1; a replayed record meets the same one. MongoDB: $rand."""
    if isinstance(spec, (Mapping, list, tuple)) and not spec:
        return Chance(where)
    parser.problems.add(where, "takes no argument", "write {$rand: {}}")
    return Const(where, None)


@form(
    "$sampleRate",
    arity="rate or {rate, seed}",
    examples=[({}, {"$sampleRate": 1.0}, True), ({}, {"$sampleRate": {"rate": 0, "seed": 42}}, False)],
)
def sample_rate(spec: Any, where: Where, parser: Parser) -> Node:
    """True by chance: of ``rate`` (from 0 to 1) of the records, the same ones in a replay.

    Fluxion: expression $sampleRate; a seed of its own makes the choice independent of the run's.
    """
    seed = None
    rate, place = spec, where
    if isinstance(spec, Mapping):
        given = parser.arguments(spec, where, ("rate",), ("seed",))
        if given is None:
            return Const(where, None)
        rate, place, seed = given["rate"], where / "rate", given.get("seed")
        if seed is not None and not isinstance(seed, (int, str)):
            parser.problems.add(where / "seed", "takes a whole number or a string")
    if rate.__class__ not in (int, float) or not 0 <= rate <= 1:
        parser.problems.add(place, f"is a number from 0 to 1, got {rate!r}")
        return Const(where, None)
    return Chance(where, float(rate), seed)


@dataclass(frozen=True, eq=False)
class NewId(Node):
    """The 24 hexadecimal digits of an ObjectId: the time of the batch in seconds, and 64 random bits."""

    def children(self) -> Iterator[Node]:
        return iter(())

    def emit(self, e: Emitter) -> Atom:
        made = e.bind(new_id, "new_id")
        return e.assign(f"{made}(env, {site(self.where)})", kinds.STRING)


def new_id(env: Environment, place: int) -> str:
    """The id that the record at hand gets at a place in the definition."""
    high, low = (int(env.random(place) * 2**32) for _ in range(2))
    return f"{int(env.now.timestamp()) & 0xFFFFFFFF:08x}{high:08x}{low:08x}"


@form("$createObjectId", arity="{}")
def create_object_id(spec: Any, where: Where, parser: Parser) -> Node:
    """A new ObjectId, as its 24 hexadecimal digits; a replayed record gets the same one. MongoDB: $createObjectId."""
    if isinstance(spec, Mapping) and not spec:
        return NewId(where)
    parser.problems.add(where, "takes no argument", "write {$createObjectId: {}}")
    return Const(where, None)
