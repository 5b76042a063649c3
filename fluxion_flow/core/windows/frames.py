"""Which documents belong to a window: bounds by position (``documents``) or by the value sorted by (``range``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from ...errors import Problems, Where, did_you_mean
from ..date_units import UNITS, add_units
from ..values import EvaluationError, is_number, type_name

Bound = Any
"""``None`` for unbounded, ``"current"``, or a number."""

Frames = tuple[Sequence[int], Sequence[int]]
"""For every document of a partition, the first position of its window and the one behind the last; both never fall."""


@dataclass(frozen=True)
class Window:
    """The bounds of a window, both included; ``unit`` for a range of dates."""

    kind: Literal["documents", "range"]
    lower: Bound
    upper: Bound
    unit: str | None = None

    @property
    def everything(self) -> bool:
        return self.lower is None and self.upper is None


WHOLE = Window("documents", None, None)
"""The window of a function that names none: the whole partition."""


def parse_window(
    spec: Any, where: Where, problems: Problems, sort: Sequence[tuple[tuple[str, ...], int]]
) -> Window | None:
    """Check ``{documents: [lower, upper]}`` or ``{range: [lower, upper], unit}``; ``None`` with problems reported.

    ``sort`` is the stage's sort specification.
    """
    if not isinstance(spec, Mapping):
        problems.add(where, f"takes an object with documents or range, got {spec!r}")
        return None
    before = len(problems.found)
    for name in spec:
        if name not in ("documents", "range", "unit"):
            problems.add(where / str(name), "unknown argument", did_you_mean(str(name), ("documents", "range", "unit")))
    kinds = [name for name in ("documents", "range") if name in spec]
    if len(kinds) == 2:
        problems.add(where, "has both documents and range", "keep one of them")
    elif not kinds and spec:
        problems.add(where, "needs documents or range", "such as documents: ['unbounded', 'current']")
    if len(problems.found) > before:
        return None
    if not kinds:
        return WHOLE
    if kinds[0] == "documents":
        return _documents(spec, where, problems, sort)
    return _range(spec, where, problems, sort)


def _pair(bounds: Any, where: Where, problems: Problems) -> tuple[Any, Any] | None:
    if not isinstance(bounds, (list, tuple)) or len(bounds) != 2:
        problems.add(where, f"takes a lower and an upper bound, got {bounds!r}", "such as [-2, 'current']")
        return None
    lower, upper = bounds
    return lower, upper


def _bound(value: Any, where: Where, problems: Problems, whole: bool) -> Bound:
    if value == "unbounded":
        return None
    if value == "current":
        return value
    number = is_number(value) and (math.isfinite(value))
    if not number or (whole and value != value // 1):
        needs = "a whole number" if whole else "a number"
        hint = did_you_mean(value, ("unbounded", "current")) if isinstance(value, str) else ""
        problems.add(where, f"takes 'unbounded', 'current' or {needs}, got {value!r}", hint)
        return None
    return int(value) if whole else value


def _check_order(lower: Bound, upper: Bound, where: Where, problems: Problems) -> None:
    low, high = (0 if bound == "current" else bound for bound in (lower, upper))
    if low is not None and high is not None and low > high:
        problems.add(where, f"the lower bound {lower!r} is above the upper bound {upper!r}", "exchange them")


def _documents(
    spec: Mapping[str, Any], where: Where, problems: Problems, sort: Sequence[tuple[tuple[str, ...], int]]
) -> Window | None:
    before = len(problems.found)
    if "unit" in spec:
        problems.add(where / "unit", "belongs to a range, not to documents")
    place = where / "documents"
    pair = _pair(spec["documents"], place, problems)
    if pair is None:
        return None
    lower, upper = (_bound(value, place / i, problems, whole=True) for i, value in enumerate(pair))
    if len(problems.found) == before:
        _check_order(lower, upper, place, problems)
        if not sort and not (lower is None and upper is None):
            problems.add(place, "needs an order of the documents", "give the stage a sortBy")
    return Window("documents", lower, upper) if len(problems.found) == before else None


def _range(
    spec: Mapping[str, Any], where: Where, problems: Problems, sort: Sequence[tuple[tuple[str, ...], int]]
) -> Window | None:
    before = len(problems.found)
    unit, place = spec.get("unit"), where / "range"
    if unit is not None and unit not in UNITS:
        hint = did_you_mean(str(unit), UNITS) or "use " + ", ".join(UNITS)
        problems.add(where / "unit", f"unknown unit of time {unit!r}", hint)
    pair = _pair(spec["range"], place, problems)
    if pair is None:
        return None
    lower, upper = (_bound(value, place / i, problems, whole=unit is not None) for i, value in enumerate(pair))
    if len(problems.found) == before:
        _check_order(lower, upper, place, problems)
        if len(sort) != 1 or sort[0][1] != 1:
            problems.add(place, "needs a sortBy of one ascending field", "give the stage one such as sortBy: {time: 1}")
    return Window("range", lower, upper, unit) if len(problems.found) == before else None


def frames_of(window: Window, size: int, sort_values: Sequence[Any]) -> Frames:
    """The frames of a partition of ``size`` documents; ``sort_values`` are those of the one field sorted by.

    Raises :class:`EvaluationError` where a range meets a value that it cannot be added to.
    """
    if window.everything and window.kind == "documents":
        return [0] * size, [size] * size
    if window.kind == "documents":
        return _positions(window, size)
    return _values(window, size, sort_values)


def _positions(window: Window, size: int) -> Frames:
    if window.lower is None:
        starts = [0] * size
    else:
        offset = 0 if window.lower == "current" else window.lower
        starts = [min(max(i + offset, 0), size) for i in range(size)]
    if window.upper is None:
        ends = [size] * size
    else:
        offset = 0 if window.upper == "current" else window.upper
        ends = [min(max(i + offset + 1, 0), size) for i in range(size)]
    return starts, ends


def _values(window: Window, size: int, values: Sequence[Any]) -> Frames:
    for value in values:
        _check_value(value, window.unit)
    starts, ends = [], []
    start = end = 0
    for value in values:
        if window.lower is not None:
            limit = _moved(value, window.lower, window.unit)
            while start < size and values[start] < limit:
                start += 1
        if window.upper is None:
            end = size
        else:
            limit = _moved(value, window.upper, window.unit)
            while end < size and values[end] <= limit:
                end += 1
        starts.append(min(start, end))
        ends.append(end)
    return starts, ends


def _check_value(value: Any, unit: str | None) -> None:
    if unit is None:
        if is_number(value):
            return
        given = type_name(value)
        hint = "; give a unit for dates" if given == "date" else ""
        raise EvaluationError(f"a range needs numbers in the field sorted by, got {given}{hint}")
    if value.__class__ is not datetime:
        raise EvaluationError(f"a range with a unit needs dates in the field sorted by, got {type_name(value)}")


def _moved(value: Any, bound: Bound, unit: str | None) -> Any:
    if bound == "current":
        return value
    if unit is not None:
        return add_units(value, unit, bound)
    if isinstance(value, Decimal) != isinstance(bound, Decimal):
        return Decimal(value) + Decimal(bound)
    return value + bound
