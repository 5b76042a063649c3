"""Scaling to a range: ``$minMaxScaler``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ...errors import Where
from ..accumulators.extremes import Max, Min
from ..expressions.parse import Parser
from ..values import DECIMAL128, MISSING, decimal128, is_number, type_name
from .accumulate import over_frames
from .frames import Window
from .registry import Partition, WindowFunction, window_function


@window_function(
    "$minMaxScaler",
    examples=[
        (
            [{"a": 1}, {"a": 5}, {"a": 21}],
            {"output": {"part": {"$minMaxScaler": "$a"}}},
            [{"a": 1, "part": 0.0}, {"a": 5, "part": 0.2}, {"a": 21, "part": 1.0}],
        ),
        (
            [{"a": 1}, {"a": 5}],
            {"output": {"percent": {"$minMaxScaler": {"input": "$a", "min": 0, "max": 100}}}},
            [{"a": 1, "percent": 0.0}, {"a": 5, "percent": 100.0}],
        ),
    ],
)
@dataclass(frozen=True, eq=False)
class MinMaxScaler(WindowFunction):
    """The input between ``min`` (default 0) and ``max`` (default 1), as it lies between the extremes of the window.

    ``min`` where the window's numbers are all the same, null for an empty window. Raises for an input that is no
    number. MongoDB: $minMaxScaler.
    """

    low: Any = 0
    high: Any = 1

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        for row, value in enumerate(rows):
            if not is_number(value):
                given = "nothing" if value is None or value is MISSING else type_name(value)
                partition.fail(row, f"$minMaxScaler takes numbers as input, got {given}")
        starts, ends = partition.frames(self.window)
        least, most = over_frames(Min(), rows, starts, ends), over_frames(Max(), rows, starts, ends)
        return [
            None if low is None else self._scaled(x, low, high) for x, low, high in zip(rows, least, most, strict=True)
        ]

    def _scaled(self, x: Any, least: Any, most: Any) -> Any:
        if any(isinstance(n, Decimal) for n in (x, least, most, self.low, self.high)):
            x, least, most, low, high = (decimal128(n) for n in (x, least, most, self.low, self.high))
            if least == most:
                return low
            part = DECIMAL128.divide(DECIMAL128.subtract(x, least), DECIMAL128.subtract(most, least))
            return DECIMAL128.add(DECIMAL128.multiply(part, DECIMAL128.subtract(high, low)), low)
        if least == most:
            return float(self.low)
        return (x - least) / (most - least) * (self.high - self.low) + self.low

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> MinMaxScaler | None:
        if not isinstance(spec, Mapping) or any(str(name).startswith("$") for name in spec):
            return cls(where, (parser.expression(spec, where),), window)
        given = parser.arguments(spec, where, ("input",), ("min", "max"))
        if given is None:
            return None
        before = len(parser.problems.found)
        bounds = []
        for name, default in (("min", 0), ("max", 1)):
            value = parser.constant(given.get(name, default), where / name)
            if len(parser.problems.found) == before and not is_number(value):
                parser.problems.add(where / name, f"takes a number, got {type_name(value)}")
            bounds.append(value)
        if len(parser.problems.found) == before and bounds[0] >= bounds[1]:
            parser.problems.add(where / "max", f"lies above min, got {bounds[1]!r} and {bounds[0]!r}")
        node = parser.expression(given["input"], where / "input")
        return cls(where, (node,), window, *bounds) if len(parser.problems.found) == before else None
