"""Units of time: adding them to a date, counting their boundaries between dates, cutting a date to them."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from typing import Any, Final

from ..errors import did_you_mean
from .values import EvaluationError, from_millis, to_millis, type_name
from .zones import UTC, Zone

MILLIS: Final = {
    "millisecond": 1,
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
"""The length of each unit that has one, in milliseconds."""

MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}
"""The length of the other units, in months."""

UNITS: Final = ("year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond")

BELOW: Final[dict[str, Any]] = {
    "second": {"microsecond": 0},
    "minute": {"second": 0, "microsecond": 0},
    "hour": {"minute": 0, "second": 0, "microsecond": 0},
    "day": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "month": {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "year": {"month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0},
}
"""What a date is set to when it is cut to one unit, in UTC."""

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY_NUMBERS: Final = {text: i for i, name in enumerate(_DAYS) for text in (name, name[:3])}
_LARGEST_BIN: Final = 100_000_000_000
_REFERENCE: Final = datetime(2000, 1, 1)
"""Where bins of more than one unit are counted from, on the wall clock: a Saturday."""


def unit_of_time(name: object) -> str:
    """The unit itself, checked. Raises :class:`EvaluationError` for anything else than one of :data:`UNITS`."""
    if name.__class__ is str and name in UNITS:
        return str(name)
    if not isinstance(name, str):
        raise EvaluationError(f"a unit of time is a string, got {type_name(name)}")
    raise EvaluationError(f"unknown unit of time {name!r}; {did_you_mean(name, UNITS) or 'use ' + ', '.join(UNITS)}")


def day_of_week(name: object) -> int:
    """The number (Monday is 0) of a day given by name or its first three letters, in any case.

    Raises :class:`EvaluationError` for anything else.
    """
    if not isinstance(name, str):
        raise EvaluationError(f"a day of the week is a string, got {type_name(name)}")
    number = _DAY_NUMBERS.get(name.lower())
    if number is None:
        raise EvaluationError(
            f"unknown day of the week {name!r}; {did_you_mean(name, _DAYS) or 'use ' + ', '.join(_DAYS)}"
        )
    return number


def add_units(moment: datetime, unit: str, amount: int, zone: Zone = UTC) -> datetime:
    """``moment`` moved by an amount of units.

    Days and longer units are moved on the wall clock of ``zone``; a day that the month does not have becomes its last.
    Raises :class:`EvaluationError` when the result leaves the years 1 to 9999. MongoDB: $dateAdd.
    """
    try:
        months = MONTHS.get(unit)
        if months is not None:
            if zone is UTC:
                return add_months(moment, months * amount)
            return zone.moment(add_months(zone.wall(moment), months * amount))
        if zone.fixed is None and unit in ("day", "week"):
            return zone.moment(zone.wall(moment) + timedelta(milliseconds=MILLIS[unit] * amount))
        return moment + timedelta(milliseconds=MILLIS[unit] * amount)
    except (OverflowError, ValueError):
        raise EvaluationError(f"{amount} {unit}s more leave the years 1 to 9999") from None


def add_months(wall: datetime, months: int) -> datetime:
    """A date moved by months, on its day or the month's last. Raises ``ValueError`` outside the years 1 to 9999."""
    year, month = divmod(wall.year * 12 + wall.month - 1 + months, 12)
    day = wall.day
    if day > 28:
        day = min(day, calendar.monthrange(year, month + 1)[1])
    return wall.replace(year=year, month=month + 1, day=day)


def units_between(start: datetime, end: datetime, unit: str, zone: Zone = UTC, week_start: int = 6) -> int:
    """How many boundaries of a unit lie between two moments: 23:59 to 00:01 is one day.

    Negative when ``end`` is before ``start``. Hours and longer units have their boundaries on the wall clock of
    ``zone``; weeks begin on ``week_start`` (Monday is 0). MongoDB: $dateDiff.
    """
    if unit in ("millisecond", "second", "minute"):
        length = MILLIS[unit]
        return to_millis(end) // length - to_millis(start) // length
    first, last = (start, end) if zone is UTC else (zone.wall(start), zone.wall(end))
    months = MONTHS.get(unit)
    if months is not None:
        return (last.year * 12 + last.month - 1) // months - (first.year * 12 + first.month - 1) // months
    if unit == "day":
        return last.toordinal() - first.toordinal()
    if unit == "week":
        return (last.toordinal() - 1 - week_start) // 7 - (first.toordinal() - 1 - week_start) // 7
    hours = last.toordinal() * 24 + last.hour - first.toordinal() * 24 - first.hour
    shifted = (zone.offset(end) - zone.offset(start)).total_seconds()
    return hours - int(shifted / 3600)


def truncate(moment: datetime, unit: str, size: int = 1, zone: Zone = UTC, week_start: int = 6) -> datetime:
    """The lower boundary of the bin of ``size`` units that holds ``moment``.

    Bins are counted from 2000-01-01T00:00 on the wall clock of ``zone``; weeks from the first ``week_start`` (Monday
    is 0) of that year. Raises :class:`EvaluationError` for a size that is not positive, one beyond 10^11 days or longer
    units, and a result outside the years 1 to 9999. MongoDB: $dateTrunc.
    """
    if size == 1 and zone is UTC and unit in BELOW:
        return moment.replace(**BELOW[unit])
    if size < 1:
        raise EvaluationError(f"a bin has a size above 0, got {size}")
    if size > _LARGEST_BIN and unit in ("day", "week", "month", "quarter", "year"):
        raise EvaluationError(f"a bin of {size} {unit}s is too large")
    try:
        months = MONTHS.get(unit)
        if months is not None:
            wall = zone.wall(moment)
            since = (wall.year - 2000) * 12 + wall.month - 1
            year, month = divmod(since - since % (months * size), 12)
            return zone.moment(datetime(2000 + year, month + 1, 1))
        if unit in ("day", "week"):
            reference = _REFERENCE.toordinal()
            length = size
            if unit == "week":
                reference += (week_start - 5) % 7
                length *= 7
            day = zone.wall(moment).toordinal()
            return zone.moment(datetime.fromordinal(day - (day - reference) % length))
        millis = to_millis(moment)
        return from_millis(millis - (millis - to_millis(zone.moment(_REFERENCE))) % (MILLIS[unit] * size))
    except (OverflowError, ValueError):
        raise EvaluationError(f"a bin of {size} {unit}s begins outside the years 1 to 9999") from None
