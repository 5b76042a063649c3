"""The one shape of what a benchmark finds: a row a comparison, with its target, and how much effort to take."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes start as they usually do: modules are compiled once


@dataclass(frozen=True)
class Effort:
    """``quick`` looks whether everything works; ``long`` takes what only time allows (10⁷ documents)."""

    quick: bool = False
    long: bool = False

    def of(self, usual: int, quick: int, long: int | None = None) -> int:
        """The size of a job."""
        return quick if self.quick else long if self.long and long is not None else usual

    def rounds(self, most: int, seconds: float, least: int = 3) -> Iterator[int]:
        """Numbers of rounds, 0 first: at least ``least``, then on until ``most`` or until the seconds are over."""
        began = time.monotonic()
        if self.quick:
            most, least = 1, 1
        for number in range(most):
            if number >= least and (time.monotonic() - began) * (number + 1) / number > seconds:
                return
            yield number


@dataclass(frozen=True)
class Row:
    """One comparison. ``values`` holds one number a round: how many times as fast we are (``at_least``), or how much we
    take of what the other side takes; with a ``unit``, a difference in it.
    """

    job: str
    beside: str
    target: float
    values: Sequence[float]
    at_least: bool = True
    unit: str = ""
    ours: str = ""
    """What our side came to, with its unit; the median."""
    theirs: str = ""
    note: str = ""
    """How it was measured, as far as the job does not say."""
    facts: dict[str, float] = field(default_factory=dict)
    """Further figures, by name: the scaling model is fed by them."""

    def as_data(self) -> dict[str, Any]:
        middle = median(self.values)
        return {
            "job": self.job,
            "beside": self.beside,
            "target": self.target,
            "at_least": self.at_least,
            "unit": self.unit,
            "median": round(middle, 3),
            "low": round(min(self.values), 3),
            "high": round(max(self.values), 3),
            "rounds": len(self.values),
            "reached": middle >= self.target if self.at_least else middle <= self.target,
            "ours": self.ours,
            "theirs": self.theirs,
            "note": self.note,
            "facts": {name: round(value, 6) for name, value in self.facts.items()},
        }


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Theirs by ours, round by round: both sides of a round met the same machine."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def rate(seconds: Sequence[float], documents: int, what: str = "documents") -> str:
    """The median rate as text: ``512,000 documents a second``."""
    return f"{documents / median(seconds):,.0f} {what} a second"
