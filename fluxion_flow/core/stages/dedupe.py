"""$dedupe: drop documents whose key was seen a short time before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from .evaluate import Columns
from .in_order import Entry, Followed, Following
from .registry import stage
from .window_stages import choice, moment, parse_span
from .windowed import DEFAULT_LATENESS


@dataclass(frozen=True, eq=False)
class Dedupe(Following):
    """The state of a key is the time of the last document that was passed on."""

    within: int = 0

    def follow(self, state: Any, entries: Sequence[Entry], env: Environment) -> tuple[list[Followed], Any]:
        found = []
        for entry in entries:
            if state is None or entry[0] - state >= self.within:
                state = entry[0]
                found.append((entry, entry[4]))
        return found, state

    def expired(self, state: Any, watermark: int) -> bool:
        return bool(state + self.within <= watermark)

    @property
    def fingerprint(self) -> dict[str, Any]:
        return {"stage": "$dedupe", "key": self.spec["key"], "within": self.within}


@stage(
    "$dedupe",
    shape="in order of event time",
    streaming="any source; documents leave when the watermark of every source partition has passed them",
    examples=[
        (
            [{"_ts": moment(0), "id": "a"}, {"_ts": moment(20), "id": "a"}, {"_ts": moment(70), "id": "a"}],
            {"key": "$id", "within": {"size": 1, "unit": "minute"}},
            [{"_ts": moment(0), "id": "a"}, {"_ts": moment(70), "id": "a"}],
        )
    ],
)
def dedupe(spec: Any, where: Where, parser: Parser) -> Dedupe | None:
    """Drop a document when one with an equal ``key`` was passed on less than ``within`` before it, in event time.

    Documents are taken in the order of their event times, and come out in it. ``allowedLateness`` (``{size, unit}`` or
    0) is how long older ones are waited for; ``onLate`` (``dead_letter`` or ``drop``) is what happens to those that
    come later. Fluxion: of our own.
    """
    before = len(parser.problems.found)
    if parser.depth:
        parser.problems.add(where, "cannot stand inside another stage", "put it into the main pipeline")
        return None
    given = parser.arguments(spec, where, ("key", "within"), ("allowedLateness", "onLate"))
    if given is None:
        return None
    key = parser.expression(given["key"], where / "key")
    within = parse_span(given["within"], where / "within", parser)
    lateness: int | None = DEFAULT_LATENESS
    if "allowedLateness" in given:
        lateness = parse_span(given["allowedLateness"], where / "allowedLateness", parser, zero=True)
    on_late = choice(given, "onLate", ("dead_letter", "drop"), where, parser)
    if within is None or lateness is None or len(parser.problems.found) > before:
        return None
    return Dedupe(where, Columns((key,), where / "key"), given, lateness, on_late, within)
