"""How two values change together: ``$covariancePop`` and ``$covarianceSamp``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ...errors import Where
from ..accumulators.moments import add_pair, covariance, pair_moments
from ..expressions.parse import Parser
from .frames import Window
from .registry import Partition, WindowFunction, window_function

_PAIRS: list[dict[str, Any]] = [{"t": 1, "x": 1, "y": 2}, {"t": 2, "x": 3, "y": 8}]


def _stage(name: str) -> dict[str, Any]:
    window = {"documents": ["unbounded", "current"]}
    return {"sortBy": {"t": 1}, "output": {"c": {name: ["$x", "$y"], "window": window}}}


class _Covariance(WindowFunction):
    sample: ClassVar[bool]

    def values(self, rows: Sequence[Any], partition: Partition) -> list[Any]:
        found, state, low, high = [], pair_moments(), 0, 0
        for start, end in zip(*partition.frames(self.window), strict=True):
            while high < end:
                state = add_pair(state, rows[high][0], rows[high][1])
                high += 1
            while low < start:
                state = add_pair(state, rows[low][0], rows[low][1], -1)
                low += 1
            found.append(covariance(state, self.sample))
        return found

    @classmethod
    def build(cls, spec: Any, where: Where, parser: Parser, window: Window) -> WindowFunction | None:
        if not isinstance(spec, (list, tuple)) or len(spec) != 2:
            parser.problems.add(where, f"takes an array of two expressions, got {spec!r}", 'such as ["$x", "$y"]')
            return None
        return cls(where, tuple(parser.expression(item, where / i) for i, item in enumerate(spec)), window)


@window_function(
    "$covariancePop",
    examples=[
        (_PAIRS, _stage("$covariancePop"), [{"t": 1, "x": 1, "y": 2, "c": 0.0}, {"t": 2, "x": 3, "y": 8, "c": 3.0}])
    ],
)
class CovariancePop(_Covariance):
    """The covariance of two values over the window as a whole population, a double; pairs that are not two numbers are
    left out.

    Computed exactly and rounded once. Null for no pairs. MongoDB: $covariancePop.
    """

    sample = False


@window_function(
    "$covarianceSamp",
    examples=[
        (_PAIRS, _stage("$covarianceSamp"), [{"t": 1, "x": 1, "y": 2, "c": None}, {"t": 2, "x": 3, "y": 8, "c": 6.0}])
    ],
)
class CovarianceSamp(_Covariance):
    """The covariance of two values over the window as a sample, a double; pairs that are not two numbers are left out.

    Computed exactly and rounded once. Null for fewer than two pairs. MongoDB: $covarianceSamp.
    """

    sample = True
