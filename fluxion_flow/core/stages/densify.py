"""$densify: add the documents that are missing in a series of numbers or dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ...errors import Where, did_you_mean
from ..date_units import UNITS, add_units
from ..environment import Environment
from ..expressions.parse import Parser
from ..expressions.paths import path_in, set_path
from ..ordering import canonical
from ..values import DECIMAL128, MISSING, EvaluationError, decimal128, is_number, type_name, utc
from .evaluate import failed
from .registry import stage
from .shapes import Document, Whole
from .sort import order_of

MOST = 500_000
"""How many documents one $densify may add; MongoDB has the same limit."""


@dataclass(frozen=True)
class Grid:
    """The values ``base``, ``base + step``, ``base + 2 * step`` …"""

    base: Any
    step: Any
    unit: str | None

    def value(self, k: int) -> Any:
        """The value number ``k``. Raises :class:`EvaluationError` for a date outside the years 1 to 9999."""
        if k == 0:
            return self.base
        if self.unit is not None:
            return add_units(self.base, self.unit, self.step * k)
        if isinstance(self.base, Decimal) or isinstance(self.step, Decimal):
            return DECIMAL128.add(decimal128(self.base), DECIMAL128.multiply(decimal128(self.step), Decimal(k)))
        return self.base + self.step * k


@dataclass
class Series:
    """How far one partition has come: ``k`` is the next value of its grid."""

    grid: Grid
    fields: list[tuple[tuple[str, ...], Any]]
    k: int = 0


@dataclass(frozen=True, eq=False)
class Densify(Whole):
    field: tuple[str, ...]
    partition: tuple[tuple[str, ...], ...]
    step: Any
    unit: str | None
    bounds: Any
    """``"full"``, ``"partition"`` or the pair of a lower and an upper value."""

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        fields = (self.field,) if self.bounds == "full" else (*self.partition, self.field)
        order = order_of(documents, range(len(documents)), tuple((path, 1) for path in fields))
        values = {i: self._value(documents[i], i) for i in order}
        known = [values[i] for i in order if values[i] is not MISSING]
        low, high, included = (min(known), max(known), True) if self.bounds == "full" and known else (None, None, False)
        if isinstance(self.bounds, tuple):
            low, high = self.bounds
        series: dict[Any, Series] = {}
        found: list[Document] = []
        added = [0]
        if not documents and low is not None and not self.partition:
            series[()] = Series(Grid(low, self.step, self.unit), [])
        last = None
        for i in order:
            document, value = documents[i], values[i]
            if value is MISSING:
                found.append(document)
                continue
            parts = [(path, path_in(document, path)) for path in self.partition]
            key = tuple(canonical(part) for _, part in parts)
            if isinstance(self.bounds, tuple) and last is not None and key != last:
                self._fill(series[last], lambda v: v < high, found, added, i)
            last = key
            one = series.get(key)
            if one is None:
                one = series[key] = Series(Grid(value if low is None else low, self.step, self.unit), parts)
            limit = value if high is None or value < high or included else high
            self._fill(one, lambda v, limit=limit: v < limit, found, added, i)  # type: ignore[misc]
            if (high is None or value < high or included) and one.grid.value(one.k) == value:
                one.k += 1
            found.append(document)
        for one in series.values():
            if high is not None:
                self._fill(one, (lambda v: v <= high) if included else (lambda v: v < high), found, added, 0)
        return found

    def _fill(
        self, one: Series, wanted: Callable[[Any], bool], found: list[Document], added: list[int], index: int
    ) -> None:
        """Add documents for the values of the grid that come next, as long as they are wanted."""
        try:
            while wanted(value := one.grid.value(one.k)):
                document: Document = {}
                for path, part in one.fields:
                    if part is not MISSING:
                        document = set_path(document, path, part)
                found.append(set_path(document, self.field, value))
                one.k += 1
                added[0] += 1
                if added[0] > MOST:
                    raise EvaluationError(f"more than {MOST} documents would be added; take a larger step")
        except EvaluationError as error:
            raise failed(self.where, index, error) from error

    def _value(self, document: Document, index: int) -> Any:
        """The value of the field, ``MISSING`` for null and nothing."""
        value = path_in(document, self.field)
        if value is None or value is MISSING:
            return MISSING
        good = value.__class__ is datetime if self.unit else is_number(value) and value == value
        if not good:
            needs = (
                "a date"
                if self.unit
                else "a number; give a unit for dates"
                if value.__class__ is datetime
                else "a number"
            )
            what = f"the field {'.'.join(self.field)!r} must hold {needs}, got {type_name(value)}"
            raise failed(self.where, index, EvaluationError(what))
        return value


def _kind(value: Any) -> str:
    return "int" if type_name(value) == "long" else type_name(value)


def _field(name: Any, where: Where, parser: Parser) -> tuple[str, ...]:
    if not isinstance(name, str) or not name or name.startswith("$"):
        parser.problems.add(where, f"takes a field name without '$', got {name!r}")
        return ()
    return tuple(name.split(".")) if parser.check_path(name, where) else ()


class _Range:
    """Reads ``range``: step, unit and bounds; problems are reported."""

    def __init__(self, spec: Mapping[str, Any], where: Where, parser: Parser) -> None:
        self.where, self.problems = where, parser.problems
        self.step, self.unit, self.bounds = spec["step"], spec.get("unit"), spec["bounds"]
        if self.unit is not None and self.unit not in UNITS:
            hint = did_you_mean(str(self.unit), UNITS) or "use " + ", ".join(UNITS)
            self.problems.add(where / "unit", f"unknown unit of time {self.unit!r}", hint)
        if not is_number(self.step) or not self.step > 0:
            self.problems.add(where / "step", f"takes a number above 0, got {self.step!r}")
        elif self.unit is not None and self.step != self.step // 1:
            self.problems.add(where / "step", f"takes a whole number beside a unit, got {self.step!r}")
        elif self.unit is not None:
            self.step = int(self.step)
        if self.bounds not in ("full", "partition"):
            self._pair(self.bounds, where / "bounds")

    def _pair(self, bounds: Any, where: Where) -> None:
        if not isinstance(bounds, (list, tuple)):
            hint = did_you_mean(bounds, ("full", "partition")) if isinstance(bounds, str) else ""
            self.problems.add(where, f"takes 'full', 'partition' or [lower, upper], got {bounds!r}", hint)
            return
        if len(bounds) != 2:
            self.problems.add(where, f"takes a lower and an upper bound, got {len(bounds)} of them")
            return
        low, high = (utc(b) if isinstance(b, datetime) else b for b in bounds)
        kinds = [_kind(b) for b in (low, high)]
        if not (is_number(low) or isinstance(low, datetime)) or kinds[0] != kinds[1]:
            what = f"takes two numbers of one type or two dates, got {kinds[0]} and {kinds[1]}"
            self.problems.add(where, what)
        elif is_number(low) and self.unit is not None:
            self.problems.add(where, "numbers have no unit", "give dates, or no unit")
        elif not is_number(low) and self.unit is None:
            self.problems.add(where, "dates need a unit", "such as unit: 'day'")
        elif is_number(low) and is_number(self.step) and _kind(self.step) != kinds[0]:
            what = f"bounds and step are of one type, got {kinds[0]} and {_kind(self.step)}"
            self.problems.add(where, what, "write all of them with a decimal point, or none")
        elif not low <= high:
            self.problems.add(where, f"the lower bound {low!r} is above the upper bound {high!r}", "exchange them")
        self.bounds = (low, high)


@stage(
    "$densify",
    shape="whole",
    examples=[
        (
            [{"day": 1, "x": 5}, {"day": 4, "x": 7}],
            {"field": "day", "range": {"step": 1, "bounds": "full"}},
            [{"day": 1, "x": 5}, {"day": 2}, {"day": 3}, {"day": 4, "x": 7}],
        ),
        (
            [{"sku": "A", "day": 2}],
            {"field": "day", "partitionByFields": ["sku"], "range": {"step": 1, "bounds": [1, 4]}},
            [{"sku": "A", "day": 1}, {"sku": "A", "day": 2}, {"sku": "A", "day": 3}],
        ),
    ],
)
def densify(spec: Any, where: Where, parser: Parser) -> Densify | None:
    """Add documents so that ``field`` holds every value of a series, ``step`` (in ``unit``s, for dates) apart.

    ``bounds``: ``"full"`` from the smallest to the largest value of all documents, ``"partition"`` of each partition,
    or ``[lower, upper]``, the upper one excluded. ``partitionByFields`` are filled in beside the value. Values are
    counted from the first one: no errors add up, and a month's last day stays it. Documents without the field pass
    as they are; a value of another type fails. The result is sorted by the field (with other bounds than "full", by
    the partition first). MongoDB: $densify.
    """
    given = parser.arguments(spec, where, ("field", "range"), ("partitionByFields",))
    if given is None:
        return None
    before = len(parser.problems.found)
    field = _field(given["field"], where / "field", parser)
    names = given.get("partitionByFields", ())
    partition: list[tuple[str, ...]] = []
    if not isinstance(names, (list, tuple)):
        parser.problems.add(where / "partitionByFields", f"takes a list of field names, got {names!r}")
    else:
        partition = [_field(name, where / "partitionByFields" / i, parser) for i, name in enumerate(names)]
    for i, path in enumerate(partition):
        short = min(len(path), len(field))
        if short and path[:short] == field[:short]:
            parser.problems.add(
                where / "partitionByFields" / i, "the field to fill cannot divide the documents", "remove it"
            )
    inner = parser.arguments(given["range"], where / "range", ("step", "bounds"), ("unit",))
    if inner is None:
        return None
    read = _Range(inner, where / "range", parser)
    if read.bounds == "partition" and not partition:
        what = "there is no partition to take the bounds of"
        parser.problems.add(where / "range" / "bounds", what, "give partitionByFields, or bounds: 'full'")
    if len(parser.problems.found) > before:
        return None
    return Densify(where, field, tuple(partition), read.step, read.unit, read.bounds)
