"""MongoDB's accumulators: how the documents of a group become one value, in any number of steps.

One file a family; importing this package registers all of them.
"""

from . import collect, extremes, picking, ranking, scripted, statistics, sums
from .registry import (
    ACCUMULATORS,
    PLAIN,
    Accumulator,
    ExpressionParser,
    Inline,
    accumulator,
    build_accumulator,
    find_accumulator,
)

__all__ = [
    "ACCUMULATORS",
    "PLAIN",
    "Accumulator",
    "ExpressionParser",
    "Inline",
    "accumulator",
    "build_accumulator",
    "collect",
    "extremes",
    "find_accumulator",
    "picking",
    "ranking",
    "scripted",
    "statistics",
    "sums",
]
