"""Moving, comparing and cutting dates: $dateAdd, $dateSubtract, $dateDiff, $dateTrunc (MongoDB: date operators)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ...date_units import (
    BELOW,
    MILLIS,
    MONTHS,
    add_months,
    add_units,
    day_of_week,
    truncate,
    unit_of_time,
    units_between,
)
from ...values import INT64_MAX, INT64_MIN, EvaluationError, is_nullish, is_number, type_name
from ...zones import UTC, Zone, time_zone
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import Check, checked_operator

_NEW_YEAR = datetime.datetime(2024, 1, 31, 12, 30, tzinfo=datetime.timezone.utc)
_LATER = datetime.datetime(2024, 3, 1, 1, 0, tzinfo=datetime.timezone.utc)


def a_date(operator: str, value: Any) -> datetime.datetime:
    """The value itself when it is a date. Raises :class:`EvaluationError` for anything else."""
    if isinstance(value, datetime.datetime):
        return value
    raise EvaluationError(f"{operator} takes a date, got {type_name(value)}")


def whole_number(operator: str, name: str, value: Any) -> int:
    """An int64, or a double or decimal of that value. Raises :class:`EvaluationError` for anything else."""
    if value.__class__ is int:
        number = int(value)
    elif not is_number(value):
        raise EvaluationError(f"{operator} takes a whole number as '{name}', got {type_name(value)}")
    elif value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise EvaluationError(f"{operator} takes a whole number as '{name}', got {value}")
    else:
        number = int(value)
    if INT64_MIN <= number <= INT64_MAX:
        return number
    raise EvaluationError(f"{operator} takes a whole number of 64 bits as '{name}', got {number}")


def zone_of(literal: Any) -> Zone | None:
    """The zone of a literal; ``None`` when it is no zone (or not known)."""
    try:
        return time_zone(literal) if isinstance(literal, str) else None
    except EvaluationError:
        return None


def _is_date(e: Emitter, atom: Atom) -> str:
    return f"{atom.code}.__class__ is {e.bind(datetime.datetime, 'datetime')}"


def _call(e: Emitter, function: Any, atoms: Mapping[str, Atom]) -> str:
    arguments = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
    return f"{e.bind(function, function.__name__)}({arguments})"


def _move(operator: str, sign: int, start: Any, unit: Any, amount: Any, timezone: Any) -> Any:
    if is_nullish(start) or is_nullish(unit) or is_nullish(amount) or is_nullish(timezone):
        return None
    moment = a_date(operator, start)
    unit = unit_of_time(unit)
    return add_units(moment, unit, sign * whole_number(operator, "amount", amount), time_zone(timezone))


def _whole(operator: str, name: str) -> Check:
    return lambda value: whole_number(operator, name, value)


@checked_operator(
    "$dateAdd",
    checks={"unit": unit_of_time, "timezone": time_zone, "amount": _whole("$dateAdd", "amount")},
    returns=kinds.DATE | kinds.NULL,
    examples=[
        (
            {"d": _NEW_YEAR},
            {"$dateAdd": {"startDate": "$d", "unit": "month", "amount": 1}},
            _NEW_YEAR.replace(month=2, day=29),
        ),
        ({}, {"$dateAdd": {"startDate": "$d", "unit": "day", "amount": 1}}, None),
        ({"d": "2024-01-31"}, {"$dateAdd": {"startDate": "$d", "unit": "day", "amount": 1}}, EvaluationError),
    ],
)
def date_add(*, start_date: Any, unit: Any, amount: Any, timezone: Any = "UTC") -> Any:
    """A date moved on by an amount of units.

    Days and longer units move on the wall clock of the time zone; a day that the month does not have becomes its last
    one. Null if any argument is null or missing. Raises for what is no date, an unknown unit or zone, an amount that is
    not whole, and results outside the years 1 to 9999. MongoDB: $dateAdd.
    """
    return _move("$dateAdd", 1, start_date, unit, amount, timezone)


@checked_operator(
    "$dateSubtract",
    checks={"unit": unit_of_time, "timezone": time_zone, "amount": _whole("$dateSubtract", "amount")},
    returns=kinds.DATE | kinds.NULL,
    examples=[
        (
            {"d": _LATER},
            {"$dateSubtract": {"startDate": "$d", "unit": "hour", "amount": 2}},
            datetime.datetime(2024, 2, 29, 23, 0, tzinfo=datetime.timezone.utc),
        ),
        ({"d": _LATER}, {"$dateSubtract": {"startDate": "$d", "unit": "hour", "amount": "$n"}}, None),
    ],
)
def date_subtract(*, start_date: Any, unit: Any, amount: Any, timezone: Any = "UTC") -> Any:
    """A date moved back by an amount of units; otherwise as ``$dateAdd``. MongoDB: $dateSubtract."""
    return _move("$dateSubtract", -1, start_date, unit, amount, timezone)


def _moved(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any], function: Any, sign: str) -> Atom | None:
    """Moves of less than a year, by units of one length or by a literal number of months in UTC, are one addition."""
    zone = zone_of(literals.get("timezone", None if "timezone" in atoms else "UTC"))
    unit, amount, date = literals.get("unit"), atoms["amount"], atoms["start_date"]
    if zone is None or not date.may_be(kinds.DATE) or not amount.may_be(kinds.INT):
        return None
    guards = [_is_date(e, date), f"1 < {date.code}.year < 9999"]
    number = literals.get("amount")
    if unit in MILLIS and (unit not in ("day", "week") or zone.fixed is not None):
        most = 366 * MILLIS["day"] // MILLIS[unit]
        one = datetime.timedelta(milliseconds=MILLIS[unit])
        if number is None:
            guards += ["" if amount.is_only(kinds.INT) else f"{amount.code}.__class__ is int"]
            guards += [f"-{most} <= {amount.code} <= {most}"]
            fast = f"{date.code} {sign} {amount.code} * {e.bind(one, 'unit')}"
        elif number.__class__ is int and abs(number) <= most:
            fast = f"{date.code} {sign} {e.bind(one * number, 'delta')}"
        else:
            return None
    elif unit in MONTHS and zone is UTC and number.__class__ is int and MONTHS[unit] * abs(number) <= 12:
        fast = f"{e.bind(add_months, 'add_months')}({date.code}, {sign}({MONTHS[unit] * number}))"
    else:
        return None
    return e.guarded(
        guards, lambda: e.assign(fast, kinds.DATE), _call(e, function, atoms), kinds.DATE | kinds.NULL
    )  # fmt: skip


@date_add.inline_named
def _date_add(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _moved(e, atoms, literals, date_add.function, "+")


@date_subtract.inline_named
def _date_subtract(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    return _moved(e, atoms, literals, date_subtract.function, "-")


@checked_operator(
    "$dateDiff",
    checks={"unit": unit_of_time, "timezone": time_zone},
    returns=kinds.INT | kinds.NULL,
    examples=[
        (
            {"a": _NEW_YEAR, "b": _LATER},
            {"$dateDiff": {"startDate": "$a", "endDate": "$b", "unit": "month"}},
            2,
        ),
        ({"a": _NEW_YEAR}, {"$dateDiff": {"startDate": "$a", "endDate": "$b", "unit": "day"}}, None),
        ({"a": 1, "b": 2}, {"$dateDiff": {"startDate": "$a", "endDate": "$b", "unit": "day"}}, EvaluationError),
    ],
)
def date_diff(
    *, start_date: Any, end_date: Any, unit: Any, timezone: Any = "UTC", start_of_week: Any = "sunday"
) -> Any:
    """How many boundaries of a unit lie between two dates, negative when the end is before the start.

    ``startOfWeek`` counts only for weeks. Null if any argument that counts is null or missing. Raises for what is no
    date, and an unknown unit, zone or day. MongoDB: $dateDiff.
    """
    if is_nullish(start_date) or is_nullish(end_date) or is_nullish(unit) or is_nullish(timezone):
        return None
    if unit == "week" and is_nullish(start_of_week):
        return None
    start, end = a_date("$dateDiff", start_date), a_date("$dateDiff", end_date)
    unit = unit_of_time(unit)
    week_start = day_of_week(start_of_week) if unit == "week" else 6
    return units_between(start, end, unit, time_zone(timezone), week_start)


@date_diff.inline_named
def _date_diff(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """Days in UTC are a difference of day numbers."""
    start, end = atoms["start_date"], atoms["end_date"]
    plain = literals.get("unit") == "day" and literals.get("timezone", "UTC") == "UTC"
    if not plain or ("timezone" in atoms and "timezone" not in literals):
        return None
    if not start.may_be(kinds.DATE) or not end.may_be(kinds.DATE):
        return None
    fast = f"{end.code}.toordinal() - {start.code}.toordinal()"
    slow = _call(e, date_diff.function, atoms)
    return e.guarded(
        [_is_date(e, start), _is_date(e, end)], lambda: e.assign(fast, kinds.INT), slow, kinds.INT | kinds.NULL
    )  # fmt: skip


@checked_operator(
    "$dateTrunc",
    checks={"unit": unit_of_time, "timezone": time_zone, "binSize": _whole("$dateTrunc", "binSize")},
    returns=kinds.DATE | kinds.NULL,
    examples=[
        (
            {"d": _NEW_YEAR},
            {"$dateTrunc": {"date": "$d", "unit": "minute", "binSize": 20}},
            _NEW_YEAR.replace(minute=20),
        ),
        (
            {"d": _NEW_YEAR},
            {"$dateTrunc": {"date": "$d", "unit": "week", "startOfWeek": "monday"}},
            datetime.datetime(2024, 1, 29, tzinfo=datetime.timezone.utc),
        ),
        ({}, {"$dateTrunc": {"date": "$d", "unit": "day"}}, None),
        ({"d": True}, {"$dateTrunc": {"date": "$d", "unit": "day"}}, EvaluationError),
    ],
)
def date_trunc(*, date: Any, unit: Any, bin_size: Any = 1, timezone: Any = "UTC", start_of_week: Any = "sunday") -> Any:
    """The beginning of the bin that a date falls into; bins are counted from 2000-01-01 in the time zone.

    ``startOfWeek`` counts only for weeks. Null if any argument that counts is null or missing. Raises for what is no
    date, an unknown unit, zone or day, and a size of bins that is not a whole number above 0. MongoDB: $dateTrunc.
    """
    if is_nullish(date) or is_nullish(unit) or is_nullish(bin_size) or is_nullish(timezone):
        return None
    if unit == "week" and is_nullish(start_of_week):
        return None
    moment = a_date("$dateTrunc", date)
    unit = unit_of_time(unit)
    week_start = day_of_week(start_of_week) if unit == "week" else 6
    return truncate(moment, unit, whole_number("$dateTrunc", "binSize", bin_size), time_zone(timezone), week_start)


@date_trunc.inline_named
def _date_trunc(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """One unit in UTC is cut off by setting what is below to zero; bins of fixed length by a remainder."""
    if len(literals) != len(atoms) - 1 or "date" in literals or not atoms["date"].may_be(kinds.DATE):
        return None
    unit, size, zone = literals["unit"], literals.get("bin_size", 1), zone_of(literals.get("timezone", "UTC"))
    if zone is None or unit == "week" or size.__class__ is not int or size < 1:
        return None
    date = atoms["date"].code
    guards = [_is_date(e, atoms["date"])]
    if zone is UTC and size == 1 and unit in BELOW:
        fast = f"{date}.replace({', '.join(f'{part}={value}' for part, value in BELOW[unit].items())})"
    elif unit in MILLIS and (unit != "day" or zone.fixed is not None) and MILLIS[unit] * size <= 366 * MILLIS["day"]:
        since = e.bind(zone.moment(datetime.datetime(2000, 1, 1)), "since")
        fast = f"{date} - ({date} - {since}) % {e.bind(datetime.timedelta(milliseconds=MILLIS[unit] * size), 'bin')}"
        guards.append(f"{date}.year > 2")
    else:
        return None
    slow = _call(e, date_trunc.function, atoms)
    return e.guarded(guards, lambda: e.assign(fast, kinds.DATE), slow, kinds.DATE | kinds.NULL)
