"""Change over the field sorted by: ``$derivative`` and ``$integral``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from ...errors import Where, did_you_mean
from ..date_units import MILLIS
from ..exact import SlidingSum
from ..expressions.parse import Parser
from ..values import DECIMAL128, MISSING, decimal128, is_number, to_millis, type_name
from .frames import Window
from .registry import Partition, WindowFunction, window_function

_TRIP: list[dict[str, Any]] = [{"t": 0, "x": 10}, {"t": 2, "x": 16}, {"t": 3, "x": 20}]

C = TypeVar("C", bound="_Change")


@dataclass(frozen=True, eq=False)
class _Change(WindowFunction):
    unit: str | None = None

    @classmethod
    def build(cls: type[C], spec: Any, where: Where, parser: Parser, window: Window) -> C | None:
        given: Mapping[str, Any] | None = parser.arguments(spec, where, ("input",), ("unit",))
        if given is None:
            return None
        unit = given.get("unit")
        if unit is not None and unit not in MILLIS:
            hint = did_you_mean(str(unit), MILLIS) or "use " + ", ".join(reversed(MILLIS))
            parser.problems.add(where / "unit", f"unknown unit of a rate {unit!r}", hint)
            return None
        return cls(where, (parser.expression(given["input"], where / "input"),), window, unit)

    def _times(self, partition: Partition) -> list[Any]:
        """The values sorted by as numbers: dates in milliseconds, other numbers as they are, whatever the unit."""
        times = []
        for row, value in enumerate(partition.sort_values):
            if value.__class__ is datetime:
                if self.unit is None:
                    partition.fail(row, f"{self.name} needs a unit where the field sorted by holds dates")
                times.append(to_millis(value))
            elif is_number(value):
                times.append(value)
            else:
                what = f"{self.name} needs dates or numbers in the field sorted by, got {type_name(value)}"
                partition.fail(row, what)
        return times

    def _per_unit(self, partition: Partition) -> int:
        """Milliseconds in the unit; 1 where the field sorted by holds numbers."""
        dates = bool(partition.sort_values) and partition.sort_values[0].__class__ is datetime
        return MILLIS[self.unit] if dates and self.unit is not None else 1

    def _number(self, rows: Sequence[Any], row: int, partition: Partition) -> Any:
        value = rows[row]
        if not is_number(value):
            given = "nothing" if value is None or value is MISSING else type_name(value)
            partition.fail(row, f"{self.name} takes numbers as input, got {given}")
        return value


def _minus(a: Any, b: Any) -> Any:
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return DECIMAL128.subtract(decimal128(a), decimal128(b))
    return a - b


@window_function(
    "$derivative",
    window="required",
    sort="one",
    examples=[
        (
            _TRIP,
            {
                "sortBy": {"t": 1},
                "output": {"v": {"$derivative": {"input": "$x"}, "window": {"documents": [-1, 0]}}},
            },
            [{"t": 0, "x": 10, "v": None}, {"t": 2, "x": 16, "v": 3.0}, {"t": 3, "x": 20, "v": 4.0}],
        )
    ],
)
class Derivative(_Change):
    """The mean rate of change from the window's first document to its last: the difference of ``input`` by that of the
    field sorted by, which holds dates (then ``unit``, a week or shorter, is needed) or numbers.

    Null for fewer than two documents, or two at the same place. A unit beside numbers changes nothing (Fluxion's
    dialect). Raises for an input that is no number. MongoDB: $derivative.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        times, scale = self._times(partition), self._per_unit(partition)
        found: list[Any] = []
        for start, end in zip(*partition.frames(self.window), strict=True):
            run = _minus(times[end - 1], times[start]) if end - start > 1 else 0
            if not run:
                found.append(None)
                continue
            rise = _minus(self._number(rows, end - 1, partition), self._number(rows, start, partition))
            if isinstance(rise, Decimal) or isinstance(run, Decimal):
                rate: Any = DECIMAL128.multiply(DECIMAL128.divide(decimal128(rise), decimal128(run)), Decimal(scale))
            else:
                rate = rise / run * scale
            found.append(rate)
        return found


@window_function(
    "$integral",
    sort="one",
    examples=[
        (
            _TRIP,
            {
                "sortBy": {"t": 1},
                "output": {"a": {"$integral": {"input": "$x"}, "window": {"documents": ["unbounded", "current"]}}},
            },
            [{"t": 0, "x": 10, "a": 0.0}, {"t": 2, "x": 16, "a": 26.0}, {"t": 3, "x": 20, "a": 44.0}],
        )
    ],
)
class Integral(_Change):
    """The area below ``input`` over the field sorted by, by trapezoids: dates (then ``unit``, a week or shorter, is
    needed) or numbers.

    0 for one document, null for none. Raises for an input that is no number. MongoDB: $integral.
    """

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        times, scale = self._times(partition), self._per_unit(partition)
        heights = [self._number(rows, row, partition) for row in range(len(rows))]
        areas = [_area(_minus(times[i + 1], times[i]), heights[i], heights[i + 1]) for i in range(len(heights) - 1)]
        found: list[Any] = []
        area, low, high = SlidingSum(), 0, 0
        for start, end in zip(*partition.frames(self.window), strict=True):
            last = max(end - 1, start)
            if high < start:
                while low < high:
                    area.remove(areas[low])
                    low += 1
                low = high = start
            while high < last:
                area.add(areas[high])
                high += 1
            while low < min(start, high):
                area.remove(areas[low])
                low += 1
            found.append(_in_units(area.total(), scale) if start < end else None)
        return found


def _area(width: Any, left: Any, right: Any) -> Any:
    if isinstance(width, Decimal) or isinstance(left, Decimal) or isinstance(right, Decimal):
        sides = DECIMAL128.add(decimal128(left), decimal128(right))
        return DECIMAL128.divide(DECIMAL128.multiply(sides, decimal128(width)), Decimal(2))
    return (left + right) * width / 2


def _in_units(area: Any, scale: int) -> Any:
    if isinstance(area, Decimal):
        return DECIMAL128.divide(area, Decimal(scale))
    return area / scale
