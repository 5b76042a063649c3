"""Smoothing: ``$expMovingAvg``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ...errors import Where
from ..expressions.parse import Parser
from ..values import DECIMAL128, decimal128, is_number
from .frames import Window
from .registry import Partition, WindowFunction, window_function


@window_function(
    "$expMovingAvg",
    window="none",
    sort="any",
    examples=[
        (
            [{"day": 1, "p": 13}, {"day": 2, "p": 15.4}, {"day": 3, "p": None}, {"day": 4, "p": 12}],
            {"sortBy": {"day": 1}, "output": {"e": {"$expMovingAvg": {"input": "$p", "alpha": 0.5}}}},
            [
                {"day": 1, "p": 13, "e": 13},
                {"day": 2, "p": 15.4, "e": 14.2},
                {"day": 3, "p": None, "e": None},
                {"day": 4, "p": 12, "e": 13.1},
            ],
        )
    ],
)
@dataclass(frozen=True, eq=False)
class ExpMovingAvg(WindowFunction):
    """The exponential moving average: ``alpha`` of this document's ``input`` and the rest of the average before.

    ``alpha`` lies between 0 and 1; ``N`` stands for ``2 / (N + 1)``. The first number is its own average. An input
    that is no number gives null and does not count. MongoDB: $expMovingAvg.
    """

    alpha: float | Decimal = 0.5
    n: int | None = None

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        found: list[Any] = []
        average: Any = None
        for value in rows:
            if not is_number(value):
                found.append(None)
                continue
            average = value if average is None else self._next(average, value)
            found.append(average)
        return found

    def _next(self, average: Any, value: Any) -> Any:
        if isinstance(average, Decimal) or isinstance(value, Decimal) or isinstance(self.alpha, Decimal):
            part = decimal128(self.alpha) if self.n is None else DECIMAL128.divide(Decimal(2), Decimal(self.n + 1))
            rest = DECIMAL128.multiply(decimal128(average), DECIMAL128.subtract(Decimal(1), part))
            return DECIMAL128.add(DECIMAL128.multiply(decimal128(value), part), rest)
        return value * self.alpha + average * (1 - self.alpha)

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> ExpMovingAvg | None:
        given = parser.arguments(spec, where, ("input",), ("N", "alpha"))
        if given is None:
            return None
        if ("N" in given) == ("alpha" in given):
            what = "has both N and alpha" if "N" in given else "needs N or alpha"
            parser.problems.add(where, what, "give one of them")
            return None
        alpha: Any
        if "N" in given:
            n = given["N"]
            if not is_number(n) or not 1 <= n < 2**63 or n != n // 1:
                parser.problems.add(where / "N", f"takes a whole number of at least 1, got {n!r}")
                return None
            n = int(n)
            alpha = 2.0 / (n + 1)
        else:
            n, alpha = None, given["alpha"]
            if not is_number(alpha) or not 0 < alpha < 1:
                parser.problems.add(where / "alpha", f"takes a number between 0 and 1, got {alpha!r}")
                return None
        return cls(where, (parser.expression(given["input"], where / "input"),), window, alpha, n)
