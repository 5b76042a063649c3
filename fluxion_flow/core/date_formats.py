"""Formats of dates, ``%Y-%m-%d``: each letter once, for writing and for reading (MongoDB: date format specifiers)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from .date_words import MONTH_NAMES, month_number, zone_in_text
from .values import EvaluationError, type_name
from .zones import UTC, Zone

Part = Callable[[datetime, timedelta], str]

_MONTHS: Final = tuple(name.capitalize() for name in MONTH_NAMES)


def sunday_week(wall: datetime) -> int:
    """The week of the year, 0 to 53; weeks begin on Sundays, days before the first are week 0."""
    return (wall.timetuple().tm_yday + 6 - wall.isoweekday() % 7) // 7


def _offset_text(offset: timedelta) -> str:
    minutes = int(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{rest:02d}"


@dataclass(frozen=True)
class Letter:
    """One letter of a format: how it is written, and (where it can be read) the pattern and name of what is read."""

    write: Part
    pattern: str = ""
    reads: str = ""


LETTERS: Final[dict[str, Letter]] = {
    "Y": Letter(lambda w, o: f"{w.year:04d}", r"\d{4}", "year"),
    "m": Letter(lambda w, o: f"{w.month:02d}", r"\d{1,2}", "month"),
    "d": Letter(lambda w, o: f"{w.day:02d}", r"\d{1,2}", "day"),
    "H": Letter(lambda w, o: f"{w.hour:02d}", r"\d{1,2}", "hour"),
    "M": Letter(lambda w, o: f"{w.minute:02d}", r"\d{2}", "minute"),
    "S": Letter(lambda w, o: f"{w.second:02d}", r"\d{2}", "second"),
    "L": Letter(lambda w, o: f"{w.microsecond // 1000:03d}", r"\d{1,3}", "fraction"),
    "j": Letter(lambda w, o: f"{w.timetuple().tm_yday:03d}", r"\d{1,3}", "dayOfYear"),
    "G": Letter(lambda w, o: f"{w.isocalendar()[0]:04d}", r"\d{1,4}", "isoYear"),
    "V": Letter(lambda w, o: f"{w.isocalendar()[1]:02d}", r"\d{1,2}", "isoWeek"),
    "u": Letter(lambda w, o: str(w.isoweekday()), r"[1-7]", "isoDay"),
    "b": Letter(lambda w, o: _MONTHS[w.month - 1][:3], r"[A-Za-z]+", "monthName"),
    "B": Letter(lambda w, o: _MONTHS[w.month - 1], r"[A-Za-z]+", "monthName"),
    "z": Letter(lambda w, o: _offset_text(o), r"[ \t]*[A-Za-z]*(?:[+-]\d{1,2}:?(?:\d{2})?)?", "zone"),
    "Z": Letter(lambda w, o: str(int(o.total_seconds() / 60)), r"[+-]\d{1,4}", "offsetMinutes"),
    "U": Letter(lambda w, o: f"{sunday_week(w):02d}"),
    "w": Letter(lambda w, o: str(w.isoweekday() % 7 + 1)),
    "%": Letter(lambda w, o: "%", "%"),
}


def _pieces(pattern: str) -> list[tuple[str, Letter | None]]:
    """A format taken apart: literal text (with no letter) and letters."""
    found: list[tuple[str, Letter | None]] = []
    for text in re.findall(r"%.|%$|[^%]+", pattern, re.DOTALL):
        if text[0] != "%":
            found.append((text, None))
        elif len(text) == 1:
            raise EvaluationError(f"the format {pattern!r} ends with a lone '%'; write '%%' for the sign itself")
        elif text[1] not in LETTERS:
            known = ", ".join("%" + letter for letter in LETTERS)
            raise EvaluationError(f"unknown letter {text!r} in the format {pattern!r}; known are {known}")
        else:
            found.append((text[1], LETTERS[text[1]]))
    return found


_FIELDS: Final = {
    "Y": ("%04d", "year"), "m": ("%02d", "month"), "d": ("%02d", "day"),
    "H": ("%02d", "hour"), "M": ("%02d", "minute"), "S": ("%02d", "second"),
}  # fmt: skip
"""Letters that are one attribute of a datetime: formats of these alone are written in one go."""


@lru_cache(maxsize=512)
def _writer(pattern: str) -> Part:
    pieces = _pieces(pattern)
    letters = [text for text, letter in pieces if letter is not None]
    if len(letters) > 1 and all(letter in _FIELDS for letter in letters):
        template = "".join(_FIELDS[text][0] if letter else text for text, letter in pieces)
        fields = attrgetter(*(_FIELDS[letter][1] for letter in letters))
        return lambda wall, offset: template % fields(wall)
    parts = [letter.write if letter else _as_it_is(text) for text, letter in pieces]
    return lambda wall, offset: "".join([part(wall, offset) for part in parts])


def _as_it_is(text: str) -> Part:
    return lambda wall, offset: text


def check_format(pattern: object) -> None:
    """Raise :class:`EvaluationError` for a format that cannot be used for writing."""
    if not isinstance(pattern, str):
        raise EvaluationError(f"a format of dates is a string, got {type_name(pattern)}")
    _writer(pattern)


def write_date(moment: datetime, pattern: str, zone: Zone = UTC) -> str:
    """A moment as text, in the given format, on the wall clock of ``zone``.

    Raises :class:`EvaluationError` for a bad format. MongoDB: $dateToString.
    """
    wall = zone.wall(moment)
    return _writer(pattern)(wall, wall - moment.replace(tzinfo=None))


def date_writer(pattern: str, zone: Zone) -> Callable[[datetime], str]:
    """:func:`write_date` with the format and the zone made ready."""
    write, nothing = _writer(pattern), timedelta(0)
    if zone is UTC:
        return lambda moment: write(moment, nothing)
    return lambda moment: write_date(moment, pattern, zone)


@dataclass(frozen=True)
class Reader:
    """A format made ready for reading: one regular expression, and what each of its groups is."""

    pattern: str
    regex: re.Pattern[str]
    names: tuple[str, ...]


def reader(pattern: object) -> Reader:
    """A format made ready for reading. Raises :class:`EvaluationError` for one that cannot be read."""
    if not isinstance(pattern, str):
        raise EvaluationError(f"a format of dates is a string, got {type_name(pattern)}")
    return _reader(pattern)


@lru_cache(maxsize=512)
def _reader(pattern: str) -> Reader:
    regex, names = "", []
    for text, letter in _pieces(pattern):
        if letter is None:
            regex += re.escape(text)
        elif not letter.pattern:
            raise EvaluationError(f"'%{text}' in the format {pattern!r} can be written but not read")
        elif letter.reads:
            regex += f"({letter.pattern})"
            names.append(letter.reads)
        else:
            regex += letter.pattern
    return Reader(pattern, re.compile(regex, re.ASCII), tuple(names))


def read_date(text: str, ready: Reader, zone: Zone = UTC) -> datetime:
    """The date (UTC) that ``text`` names in a format; without an offset in the text it is a time of ``zone``.

    Raises :class:`EvaluationError` when the text does not fit the format, names no possible date, leaves out the year,
    the month or the day, or has an offset of its own beside a ``zone`` other than UTC. MongoDB: $dateFromString.
    """
    found = ready.regex.fullmatch(text)
    if found is None:
        raise EvaluationError(f"the text {text!r} does not fit the format {ready.pattern!r}")
    values = dict(zip(ready.names, found.groups(), strict=True))
    try:
        return _assemble(values, text, zone)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"no date in the text {text!r}: {error}") from None


def _assemble(values: dict[str, str], text: str, zone: Zone) -> datetime:
    offset = _own_offset(values)
    if offset is not None:
        if zone.fixed is None or zone.fixed:
            raise EvaluationError(f"the text {text!r} has an offset of its own; leave out 'timezone'")
        zone = Zone(text, offset)
    day = _day(values)
    hour, minute, second = (int(values.get(name, 0)) for name in ("hour", "minute", "second"))
    millis = int(values.get("fraction", "").ljust(3, "0")) if "fraction" in values else 0
    return zone.moment(datetime(day.year, day.month, day.day, hour, minute, second, millis * 1000))


def _own_offset(values: dict[str, str]) -> timedelta | None:
    if "offsetMinutes" in values:
        return timedelta(minutes=int(values["offsetMinutes"]))
    if "zone" in values:
        return zone_in_text(values["zone"].strip())
    return None


def _day(values: dict[str, str]) -> date:
    given: Any = values.get
    iso = {"isoYear", "isoWeek", "isoDay"} & values.keys()
    natural = {"year", "month", "monthName", "day", "dayOfYear"} & values.keys()
    if iso and natural:
        raise ValueError("ISO weeks do not mix with years, months and days")
    if iso:
        if "isoYear" not in values:
            raise ValueError("the ISO year is missing")
        start = date.fromisocalendar(int(values["isoYear"]), 1, 1)
        return start + timedelta(weeks=int(given("isoWeek", 1)) - 1, days=int(given("isoDay", 1)) - 1)
    if "year" not in values:
        raise ValueError("the year is missing")
    year = int(values["year"])
    if "dayOfYear" in values:
        return date(year, 1, 1) + timedelta(days=int(values["dayOfYear"]) - 1)
    month = month_number(values["monthName"]) if "monthName" in values else int(given("month", 0))
    if not month or "day" not in values:
        raise ValueError("the month or the day is missing")
    return date(year, month, int(values["day"]))
