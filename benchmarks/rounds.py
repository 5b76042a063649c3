"""Measuring by turns: every contender once a round, so that all of them meet the machine in the same states."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Something that does the job: ``run()`` gives the result; ``seconds()``, if given, runs it and times itself.

    ``documents``: how many the job has here; a slow contender may get fewer.
    """

    name: str
    documents: int
    run: Callable[[], Any]
    seconds: Callable[[], float] | None = None


def timed(run: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call. What it returns lives until the clock has stopped."""
    gc.collect()
    started = clock()
    result = run()
    passed = clock() - started
    del result
    return passed


def by_turns(
    contenders: Sequence[Contender], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds a document of every contender in every round, A B C A B C …, after one round that does not count."""
    found: dict[str, list[float]] = {c.name: [] for c in contenders}
    gc.collect()
    gc.freeze()
    for number in range(rounds + 1):
        for contender in contenders:
            seconds = contender.seconds() if contender.seconds else timed(contender.run, clock)
            if number:
                found[contender.name].append(seconds / contender.documents)
    gc.unfreeze()
    return found


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of every contender's seconds."""
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def median_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """The median, over the rounds, of how many times as fast we are: both met the same machine in a round."""
    return statistics.median(them / us for them, us in zip(theirs, ours, strict=True))


def alike(a: Any, b: Any) -> bool:
    """Whether two results are the same: numbers to a relative 1e-9, the order of fields ignored."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or math.isclose(a, b, rel_tol=1e-9)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    return bool(a == b)


def by_id(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The documents in the order of their ``_id``: groups come in no particular order."""
    return sorted(documents, key=lambda document: str(document["_id"]))
