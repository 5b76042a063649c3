"""$tsSecond and $tsIncrement, for definitions that come from MongoDB: documents here hold no BSON timestamps."""

from __future__ import annotations

from typing import Any

from ...values import EvaluationError, is_nullish, type_name
from .. import kinds
from ..registry import operator


def _no_timestamp(name: str, value: Any) -> Any:
    if is_nullish(value):
        return None
    raise EvaluationError(f"{name} takes a timestamp, got {type_name(value)}; use $dateToParts or $toLong of a date")


@operator(
    "$tsSecond",
    returns=kinds.NULL,
    examples=[({}, {"$tsSecond": "$a"}, None), ({"a": 1}, {"$tsSecond": "$a"}, EvaluationError)],
)
def ts_second(timestamp: Any) -> Any:
    """The seconds of a BSON timestamp, a type that documents here do not hold.

    Null if null or missing. Raises for anything else. MongoDB: $tsSecond.
    """
    return _no_timestamp("$tsSecond", timestamp)


@operator(
    "$tsIncrement",
    returns=kinds.NULL,
    examples=[({}, {"$tsIncrement": "$a"}, None), ({"a": 1}, {"$tsIncrement": "$a"}, EvaluationError)],
)
def ts_increment(timestamp: Any) -> Any:
    """The counter of a BSON timestamp, a type that documents here do not hold.

    Null if null or missing. Raises for anything else. MongoDB: $tsIncrement.
    """
    return _no_timestamp("$tsIncrement", timestamp)
