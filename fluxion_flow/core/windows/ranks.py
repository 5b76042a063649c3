"""Places in the order: ``$rank``, ``$denseRank``, ``$documentNumber``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .registry import Partition, WindowFunction, window_function

_SCORES: list[dict[str, Any]] = [{"s": 9}, {"s": 7}, {"s": 9}, {"s": 5}]


def _stage(name: str) -> dict[str, Any]:
    return {"sortBy": {"s": -1}, "output": {"r": {name: {}}}}


def _places(*places: int) -> list[dict[str, Any]]:
    return [{"s": s, "r": r} for s, r in zip((9, 9, 7, 5), places, strict=True)]


@window_function("$rank", window="none", sort="one", examples=[(_SCORES, _stage("$rank"), _places(1, 1, 3, 4))])
class Rank(WindowFunction):
    """The document's place by the field sorted by, from 1; equal ones share the best place, and places are left out.

    Null and missing are equal. MongoDB: $rank.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        found: list[int] = []
        keys = partition.sort_keys
        for i, key in enumerate(keys):
            found.append(found[-1] if i and key == keys[i - 1] else i + 1)
        return found


@window_function(
    "$denseRank", window="none", sort="one", examples=[(_SCORES, _stage("$denseRank"), _places(1, 1, 2, 3))]
)
class DenseRank(WindowFunction):
    """The document's place by the field sorted by, from 1; equal ones share a place, and none is left out.

    Null and missing are equal. MongoDB: $denseRank.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        found: list[int] = []
        keys = partition.sort_keys
        for i, key in enumerate(keys):
            found.append((found[-1] + (key != keys[i - 1])) if i else 1)
        return found


@window_function(
    "$documentNumber",
    window="none",
    sort="any",
    examples=[(_SCORES, _stage("$documentNumber"), _places(1, 2, 3, 4))],
)
class DocumentNumber(WindowFunction):
    """The document's position in the partition, from 1; no two documents share one. MongoDB: $documentNumber."""

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        return list(range(1, len(partition) + 1))
