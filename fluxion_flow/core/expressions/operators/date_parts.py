"""Parts of dates: $year … $millisecond, weeks, ISO weeks, $dateToParts and $dateFromParts (MongoDB: date operators)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ...date_formats import sunday_week
from ...values import EvaluationError, is_nullish, type_name
from ...zones import time_zone
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import checked_operator
from ..registry import Example, Operator
from .date_arithmetic import a_date, whole_number, zone_of

_DATE = datetime.datetime(2024, 1, 6, 23, 4, 5, 678_000, tzinfo=datetime.timezone.utc)
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


def _part(name: str, source: str, example: int, elsewhere: int) -> Callable[[Callable[..., int]], Operator]:
    """Declare an operator that reads one part off the wall clock.

    ``source`` is the same as Python source, with ``{0}`` for the date. The examples are its values for
    2024-01-06T23:04:05.678Z, a Saturday, in UTC and in Tokyo, where it is nine hours later.
    """

    def declare(function: Callable[[datetime.datetime], int]) -> Operator:
        def part(date: Any, *, timezone: Any = "UTC") -> Any:
            if is_nullish(date) or is_nullish(timezone):
                return None
            if not isinstance(date, datetime.datetime):
                raise EvaluationError(f"{name} takes a date, got {type_name(date)}")
            return function(date if timezone == "UTC" else time_zone(timezone).wall(date))

        part.__doc__ = (
            f"{(function.__doc__ or '').strip()}\n\nNull if the date or the time zone is null or missing. Raises for "
            f"what is no date and for an unknown time zone. MongoDB: {name}."
        )
        examples: list[Example] = [
            ({"d": _DATE}, {name: "$d"}, example),
            ({"d": _DATE}, {name: {"date": "$d", "timezone": "Asia/Tokyo"}}, elsewhere),
            ({}, {name: "$d"}, None),
            ({"d": "2024-01-06"}, {name: "$d"}, EvaluationError),
        ]
        entry = checked_operator(
            name, checks={"timezone": time_zone}, examples=examples, returns=kinds.INT | kinds.NULL
        )(part)  # fmt: skip

        @entry.inline
        def _fast(e: Emitter, atoms: list[Atom]) -> Atom | None:
            if not atoms[0].may_be(kinds.DATE):
                return None
            date = atoms[0].code
            guard = (
                "" if atoms[0].is_only(kinds.DATE) else f"{date}.__class__ is {e.bind(datetime.datetime, 'datetime')}"
            )
            slow = f"{e.bind(part, name[1:])}({date})"
            return e.guarded(
                [guard], lambda: e.assign(source.format(date), kinds.INT), slow, kinds.INT | kinds.NULL
            )  # fmt: skip

        @entry.inline_named
        def _fast_in_zone(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
            zone = zone_of(literals.get("timezone", "UTC" if "timezone" not in atoms else None))
            if zone is None or not atoms["date"].may_be(kinds.DATE):
                return None
            date = atoms["date"].code
            guards = [f"{date}.__class__ is {e.bind(datetime.datetime, 'datetime')}", f"1 < {date}.year < 9999"]
            wall = date
            if zone.rules is not None:
                wall = f"{date}.astimezone({e.bind(zone.rules, 'zone')})"
            elif zone.fixed:
                wall = f"({date} + {e.bind(zone.fixed, 'offset')})"
            arguments = ", ".join(f"{key}={atom.code}" for key, atom in atoms.items())
            slow = f"{e.bind(part, name[1:])}({arguments})"

            def fast() -> Atom:
                there = wall if source.count("{0}") == 1 else e.assign(wall, kinds.DATE).code
                return e.assign(source.format(there), kinds.INT)

            return e.guarded(guards, fast, slow, kinds.INT | kinds.NULL)

        return entry

    return declare


@_part("$year", "{0}.year", 2024, 2024)
def year(wall: datetime.datetime) -> int:
    """The year of a date."""
    return wall.year


@_part("$month", "{0}.month", 1, 1)
def month(wall: datetime.datetime) -> int:
    """The month of a date, 1 to 12."""
    return wall.month


@_part("$dayOfMonth", "{0}.day", 6, 7)
def day_of_month(wall: datetime.datetime) -> int:
    """The day of the month of a date, 1 to 31."""
    return wall.day


@_part("$dayOfWeek", "{0}.isoweekday() % 7 + 1", 7, 1)
def day_of_week(wall: datetime.datetime) -> int:
    """The day of the week of a date, 1 (Sunday) to 7 (Saturday)."""
    return wall.isoweekday() % 7 + 1


@_part("$dayOfYear", "{0}.timetuple().tm_yday", 6, 7)
def day_of_year(wall: datetime.datetime) -> int:
    """The day of the year of a date, 1 to 366."""
    return wall.timetuple().tm_yday


@_part("$hour", "{0}.hour", 23, 8)
def hour(wall: datetime.datetime) -> int:
    """The hour of a date, 0 to 23."""
    return wall.hour


@_part("$minute", "{0}.minute", 4, 4)
def minute(wall: datetime.datetime) -> int:
    """The minute of a date, 0 to 59."""
    return wall.minute


@_part("$second", "{0}.second", 5, 5)
def second(wall: datetime.datetime) -> int:
    """The second of a date, 0 to 59."""
    return wall.second


@_part("$millisecond", "{0}.microsecond // 1000", 678, 678)
def millisecond(wall: datetime.datetime) -> int:
    """The millisecond of a date, 0 to 999."""
    return wall.microsecond // 1000


@_part("$week", "({0}.timetuple().tm_yday + 6 - {0}.isoweekday() % 7) // 7", 0, 1)
def week(wall: datetime.datetime) -> int:
    """The week of the year of a date, 0 to 53; weeks begin on Sundays, the days before the first Sunday are week 0."""
    return sunday_week(wall)


@_part("$isoWeek", "{0}.isocalendar()[1]", 1, 1)
def iso_week(wall: datetime.datetime) -> int:
    """The ISO 8601 week of a date, 1 to 53; week 1 is the one with the year's first Thursday."""
    return wall.isocalendar()[1]


@_part("$isoWeekYear", "{0}.isocalendar()[0]", 2024, 2024)
def iso_week_year(wall: datetime.datetime) -> int:
    """The year that a date's ISO 8601 week belongs to."""
    return wall.isocalendar()[0]


@_part("$isoDayOfWeek", "{0}.isoweekday()", 6, 7)
def iso_day_of_week(wall: datetime.datetime) -> int:
    """The ISO 8601 day of the week of a date, 1 (Monday) to 7 (Sunday)."""
    return wall.isoweekday()


def _flag(value: Any) -> None:
    if not isinstance(value, bool):
        raise EvaluationError(f"$dateToParts takes a bool as 'iso8601', got {type_name(value)}")


@checked_operator(
    "$dateToParts",
    checks={"timezone": time_zone, "iso8601": _flag},
    returns=kinds.OBJECT | kinds.NULL,
    examples=[
        (
            {"d": _DATE},
            {"$dateToParts": {"date": "$d"}},
            {"year": 2024, "month": 1, "day": 6, "hour": 23, "minute": 4, "second": 5, "millisecond": 678},
        ),
        (
            {"d": _DATE},
            {"$dateToParts": {"date": "$d", "iso8601": True, "timezone": "Asia/Tokyo"}},
            {
                "isoWeekYear": 2024, "isoWeek": 1, "isoDayOfWeek": 7, "hour": 8, "minute": 4, "second": 5,
                "millisecond": 678,
            },
        ),
        ({}, {"$dateToParts": {"date": "$d"}}, None),
    ],
)  # fmt: skip
def date_to_parts(*, date: Any, timezone: Any = "UTC", iso8601: Any = False) -> Any:
    """A date taken apart into a document, by the calendar or by ISO 8601 weeks.

    Null if any argument is null or missing. Raises for what is no date, an unknown time zone, and an ``iso8601`` that
    is no bool. MongoDB: $dateToParts.
    """
    if is_nullish(timezone):
        return None
    zone = time_zone(timezone)
    if is_nullish(iso8601):
        return None
    _flag(iso8601)
    if is_nullish(date):
        return None
    wall = zone.wall(a_date("$dateToParts", date))
    if iso8601:
        year, week, day = wall.isocalendar()
        parts = {"isoWeekYear": year, "isoWeek": week, "isoDayOfWeek": day}
    else:
        parts = {"year": wall.year, "month": wall.month, "day": wall.day}
    time = {"hour": wall.hour, "minute": wall.minute, "second": wall.second, "millisecond": wall.microsecond // 1000}
    return {**parts, **time}


@date_to_parts.inline_named
def _date_to_parts(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """By the calendar and in UTC, the parts are read off the date itself."""
    date = atoms["date"]
    if len(atoms) != 1 or not date.may_be(kinds.DATE):
        return None
    d = date.code
    fast = (
        f"{{'year': {d}.year, 'month': {d}.month, 'day': {d}.day, 'hour': {d}.hour, 'minute': {d}.minute, "
        f"'second': {d}.second, 'millisecond': {d}.microsecond // 1000}}"
    )
    guard = f"{d}.__class__ is {e.bind(datetime.datetime, 'datetime')}"
    slow = f"{e.bind(date_to_parts.function, 'date_to_parts')}(date={d})"
    return e.guarded([guard], lambda: e.assign(fast, kinds.OBJECT), slow, kinds.OBJECT | kinds.NULL)


_CALENDAR = {"year", "month", "day"}
_WEEKS = {"isoWeekYear", "isoWeek", "isoDayOfWeek"}
_NOT_GIVEN: Any = ...
_INT16 = (-32768, 32767)


def _one_calendar(given: Collection[str]) -> str:
    calendar, weeks = _CALENDAR & set(given), _WEEKS & set(given)
    if calendar and weeks:
        return f"mixes {', '.join(sorted(calendar))} with {', '.join(sorted(weeks))}; give either dates or ISO weeks"
    if "year" not in given and "isoWeekYear" not in given:
        return "takes 'year' or 'isoWeekYear', got neither"
    return ""


def _bounded(name: str, low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        number = whole_number("$dateFromParts", name, value)
        if low <= number <= high:
            return number
        raise EvaluationError(f"$dateFromParts takes {low} to {high} as '{name}', got {number}")

    return check


_BOUNDS = {
    "year": _bounded("year", 1, 9999),
    "isoWeekYear": _bounded("isoWeekYear", 1, 9999),
    **{name: _bounded(name, *_INT16) for name in ("month", "day", "isoWeek", "isoDayOfWeek", "hour", "minute")},
    **{name: _bounded(name, -(2**63), 2**63 - 1) for name in ("second", "millisecond")},
}


@checked_operator(
    "$dateFromParts",
    checks={**_BOUNDS, "timezone": time_zone},
    together=_one_calendar,
    returns=kinds.DATE | kinds.NULL,
    examples=[
        (
            {"y": 2024},
            {"$dateFromParts": {"year": "$y", "month": 14, "day": 0}},
            datetime.datetime(2025, 1, 31, tzinfo=datetime.timezone.utc),
        ),
        (
            {"y": 2024},
            {"$dateFromParts": {"isoWeekYear": "$y", "isoWeek": 2, "timezone": "Asia/Tokyo"}},
            datetime.datetime(2024, 1, 7, 15, tzinfo=datetime.timezone.utc),
        ),
        ({}, {"$dateFromParts": {"year": "$y"}}, None),
        ({"y": 2024.5}, {"$dateFromParts": {"year": "$y"}}, EvaluationError),
    ],
)
def date_from_parts(
    *,
    year: Any = _NOT_GIVEN,
    month: Any = 1,
    day: Any = 1,
    iso_week_year: Any = _NOT_GIVEN,
    iso_week: Any = 1,
    iso_day_of_week: Any = 1,
    hour: Any = 0,
    minute: Any = 0,
    second: Any = 0,
    millisecond: Any = 0,
    timezone: Any = "UTC",
) -> Any:
    """A date put together from its parts, by the calendar or by ISO 8601 weeks; parts out of range carry over.

    Null if any argument is null or missing. Raises for parts that are not whole, years outside 1 to 9999, months, days,
    weeks, hours and minutes outside 16 bits, and an unknown time zone. MongoDB: $dateFromParts.
    """
    by_weeks = iso_week_year is not _NOT_GIVEN
    days = (
        {"isoWeekYear": iso_week_year, "isoWeek": iso_week, "isoDayOfWeek": iso_day_of_week}
        if by_weeks
        else {"year": year, "month": month, "day": day}
    )
    time = {"hour": hour, "minute": minute, "second": second, "millisecond": millisecond}
    if is_nullish(timezone) or any(is_nullish(value) for value in (*days.values(), *time.values())):
        return None
    zone = time_zone(timezone)
    a, b, c = (_BOUNDS[name](value) for name, value in days.items())
    h, m, s, ms = (_BOUNDS[name](value) for name, value in time.items())
    number = _first_monday(a) + (b - 1) * 7 + c - 1 if by_weeks else _first_of_month(a, b) + c - 1
    millis = (number - _EPOCH_DAY) * 86_400_000 + h * 3_600_000 + m * 60_000 + s * 1000 + ms
    try:
        return zone.moment(datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=millis))
    except OverflowError:
        raise EvaluationError("$dateFromParts gives a date outside the years 1 to 9999") from None


def _first_of_month(year: int, month: int) -> int:
    """The day number (0001-01-01 is 1) of a month's first day; the month counts on from the year, any integer."""
    year, month = divmod(year * 12 + month - 1, 12)
    cycles = year // 400 - 1
    return datetime.date(year - cycles * 400, month + 1, 1).toordinal() + cycles * 146_097


def _first_monday(year: int) -> int:
    """The day number of the Monday of a year's ISO week 1."""
    january_fourth = datetime.date(year, 1, 4).toordinal()
    return january_fourth - (january_fourth - 1) % 7


_COMMON = {
    "year": (1, 9999), "month": (1, 12), "day": (1, 28), "hour": (0, 23), "minute": (0, 59), "second": (0, 59),
    "millisecond": (0, 999),
}  # fmt: skip
"""Parts that make a date in any month, without carrying over."""


@date_from_parts.inline_named
def _date_from_parts(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """Integers within their usual bounds, by the calendar and in UTC, go straight into a date."""
    if not atoms.keys() <= _COMMON.keys() or not all(atom.may_be(kinds.INT) for atom in atoms.values()):
        return None
    guards = []
    for name, atom in atoms.items():
        low, high = _COMMON[name]
        if name in literals and not low <= literals[name] <= high:
            return None
        if name not in literals:
            guards += [
                "" if atom.is_only(kinds.INT) else f"{atom.code}.__class__ is int",
                f"{low} <= {atom.code} <= {high}",
            ]
    first = {name: atoms[name].code if name in atoms else str(_COMMON[name][0]) for name in _COMMON}
    first["millisecond"] += " * 1000"
    fast = (
        f"{e.bind(datetime.datetime, 'datetime')}({', '.join(first.values())}, {e.bind(datetime.timezone.utc, 'utc')})"
    )
    arguments = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
    slow = f"{e.bind(date_from_parts.function, 'date_from_parts')}({arguments})"
    return e.guarded(guards, lambda: e.assign(fast, kinds.DATE), slow, kinds.DATE | kinds.NULL)
