"""Filling gaps from the documents around: ``$locf`` and ``$linearFill``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ...errors import Where
from ..expressions.parse import Parser
from ..values import DECIMAL128, MISSING, decimal128, is_number, to_millis, type_name
from .frames import Window
from .registry import Partition, WindowFunction, window_function

_PRICES: list[dict[str, Any]] = [{"t": 1, "p": 10}, {"t": 2}, {"t": 4, "p": 16}, {"t": 5, "p": None}]


@window_function(
    "$locf",
    window="none",
    examples=[
        (
            _PRICES,
            {"sortBy": {"t": 1}, "output": {"p": {"$locf": "$p"}}},
            [{"t": 1, "p": 10}, {"t": 2, "p": 10}, {"t": 4, "p": 16}, {"t": 5, "p": 16}],
        )
    ],
)
class Locf(WindowFunction):
    """The last value that was neither null nor missing, this document's own included; null before the first.

    MongoDB: $locf.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        found, last = [], None
        for value in rows:
            if value is not None and value is not MISSING:
                last = value
            found.append(last)
        return found

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> Locf | None:
        return cls(where, (parser.expression(spec, where),), window)


@window_function(
    "$linearFill",
    window="none",
    sort="one",
    examples=[
        (
            _PRICES,
            {"sortBy": {"t": 1}, "output": {"p": {"$linearFill": "$p"}}},
            [{"t": 1, "p": 10}, {"t": 2, "p": 12.0}, {"t": 4, "p": 16}, {"t": 5, "p": None}],
        )
    ],
)
class LinearFill(WindowFunction):
    """The document's own number, or one on the straight line between the two numbers around a gap.

    The line runs over the field sorted by, which holds numbers or dates, each once in a partition. Null before the
    first number and after the last. Raises for a value that is no number. MongoDB: $linearFill.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        places = self._places(partition)
        known = []
        for row, value in enumerate(rows):
            if value is None or value is MISSING:
                continue
            if not is_number(value):
                partition.fail(row, f"$linearFill takes numbers, got {type_name(value)}")
            known.append(row)
        found: list[Any] = [None] * len(rows)
        for row in known:
            found[row] = rows[row]
        for left, right in itertools.pairwise(known):
            for row in range(left + 1, right):
                found[row] = _between(places[row], places[left], rows[left], places[right], rows[right])
        return found

    def _places(self, partition: Partition) -> list[Any]:
        """The values sorted by, as numbers."""
        places: list[Any] = []
        dates = False
        for row, value in enumerate(partition.sort_values):
            date = value.__class__ is datetime
            if not date and not is_number(value):
                what = f"$linearFill needs numbers or dates in the field sorted by, got {type_name(value)}"
                partition.fail(row, what)
            if places and date is not dates:
                partition.fail(row, "$linearFill needs numbers or dates in the field sorted by, not both")
            dates = date
            places.append(to_millis(value) if date else value)
            if row and places[-1] == places[-2]:
                partition.fail(row, "$linearFill needs different values in the field sorted by, got the same one twice")
        return places

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> LinearFill | None:
        return cls(where, (parser.expression(spec, where),), window)


def _between(x: Any, x0: Any, y0: Any, x1: Any, y1: Any) -> Any:
    """The value at ``x`` on the line through two points."""
    if any(isinstance(n, Decimal) for n in (x, x0, y0, x1, y1)):
        x, x0, y0, x1, y1 = (decimal128(n) for n in (x, x0, y0, x1, y1))
        rise, run = DECIMAL128.subtract(y1, y0), DECIMAL128.subtract(x1, x0)
        step = DECIMAL128.divide(DECIMAL128.multiply(DECIMAL128.subtract(x, x0), rise), run)
        return DECIMAL128.add(y0, step)
    return float(y0) + (x - x0) * (float(y1) - float(y0)) / (x1 - x0)
