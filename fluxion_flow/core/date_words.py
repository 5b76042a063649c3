"""Dates as people write them: ``July 4th, 2017 12pm``, ``7/4/2017``, ``Tue, 4 Jul 2017 12:39:30 +0200``.

A text is read as a row of pieces (a date, a time, a zone, a day of the week), in any order, separated by blanks and
commas; at each place the longest piece that fits is taken. MongoDB: $dateFromString without a format.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

MONTH_NAMES: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTHS: Final = {text: i for i, name in enumerate(MONTH_NAMES, 1) for text in (name, name[:3])} | {"sept": 9}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS: Final[dict[str, float]] = {
    "utc": 0, "gmt": 0, "z": 0, "wet": 0, "west": 1, "bst": 1, "cet": 1, "cest": 2, "mez": 1, "mesz": 2, "eet": 2,
    "eest": 3, "msk": 3, "msd": 4, "ast": -4, "adt": -3, "est": -5, "edt": -4, "cst": -6, "cdt": -5, "mst": -7,
    "mdt": -6, "pst": -8, "pdt": -7, "akst": -9, "akdt": -8, "hst": -10, "jst": 9, "kst": 9, "awst": 8, "acst": 9.5,
    "acdt": 10.5, "aest": 10, "aedt": 11, "nzst": 12, "nzdt": 13, "sast": 2,
    **{letter: hours for hours, letter in enumerate("abcdefghiklm", 1)},
    **{letter: -hours for hours, letter in enumerate("nopqrstuvwxy", 1)},
}  # fmt: skip
"""Abbreviated zones and military letters: hours east of UTC."""

_ZONE: Final = re.compile(r"(?:gmt|utc)?([+-])(\d{1,2}):?(\d{2})?|([a-z]+)", re.ASCII | re.IGNORECASE)


def month_number(name: str) -> int:
    """The month of a name, whole or its first three letters, in any case. Raises ``ValueError`` for others."""
    number = _MONTHS.get(name.lower())
    if number is None:
        raise ValueError(f"{name!r} is no month")
    return number


def zone_in_text(text: str) -> timedelta:
    """The offset of ``+0200``, ``GMT+02:00``, ``EST`` or a military letter. Raises ``ValueError`` for others."""
    found = _ZONE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no offset from UTC")
    sign, hours, minutes, word = found.groups()
    if word is not None:
        if word.lower() not in _HOURS:
            raise ValueError(f"{text!r} is no offset from UTC")
        return timedelta(hours=_HOURS[word.lower()])
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
    return -offset if sign == "-" else offset


@dataclass
class Reading:
    """What has been read of a text so far."""

    day: date | None = None
    time: tuple[int, int, int, int] | None = None
    offset: timedelta | None = None
    weekday: int | None = None
    seen: set[str] = field(default_factory=set)

    def once(self, kind: str) -> None:
        if kind in self.seen:
            raise ValueError(f"it has two {kind}s")
        self.seen.add(kind)


def _whole_year(text: str) -> int:
    if len(text) == 2:
        return int(text) + (2000 if int(text) < 70 else 1900)
    return int(text)


def _set_day(r: Reading, m: re.Match[str]) -> None:
    r.once("date")
    parts = m.groupdict()
    if "y" not in parts:
        raise ValueError("the year is missing")
    month = month_number(parts["mon"]) if "mon" in parts else int(parts["m"])
    r.day = date(_whole_year(parts["y"]), month, int(parts.get("d") or 1))


def _set_week(r: Reading, m: re.Match[str]) -> None:
    r.once("date")
    r.day = date.fromisocalendar(int(m["y"]), 1, 1) + timedelta(weeks=int(m["w"]) - 1, days=int(m["d"] or 1) - 1)


def _set_day_of_year(r: Reading, m: re.Match[str]) -> None:
    r.once("date")
    r.day = date(int(m["y"]), 1, 1) + timedelta(days=int(m["n"]) - 1)


def _set_time(r: Reading, m: re.Match[str]) -> None:
    r.once("time")
    parts = m.groupdict()
    hour = int(parts["h"])
    half = (parts.get("half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(f"there is no hour {hour} on a clock of 12 hours")
        hour = hour % 12 + (12 if half == "p" else 0)
    millis = int(((parts.get("f") or "") + "000")[:3])
    r.time = (hour, int(parts.get("i") or 0), int(parts.get("s") or 0), millis)


def _set_both(r: Reading, m: re.Match[str]) -> None:
    _set_day(r, m)
    _set_time(r, m)


def _set_word_of_day(r: Reading, m: re.Match[str]) -> None:
    r.once("time")
    r.time = (12 if m[0].lower() == "noon" else 0, 0, 0, 0)


def _set_weekday(r: Reading, m: re.Match[str]) -> None:
    r.once("day of the week")
    r.weekday = next(i for i, name in enumerate(_WEEKDAYS) if name.startswith(m["day"].lower()[:3]))


def _set_zone(r: Reading, m: re.Match[str]) -> None:
    r.once("offset")
    r.offset = zone_in_text(m["zone"])


_MONTH = "(?P<mon>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")"
_TIME = r"(?P<h>\d{1,2})[:.](?P<i>\d{2})(?:[:.](?P<s>\d{2})(?:[.,:](?P<f>\d+))?)?"
_NTH = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DAY_NAME = (
    r"(?P<day>mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:rs|rsday|r)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
)
_PIECES: Final[list[tuple[str, Callable[[Reading, re.Match[str]], None]]]] = [
    (r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})", _set_day),
    (r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})", _set_day),
    (r"(?P<y>\d{4})-(?P<m>\d{2})(?![\d-])", _set_day),
    (r"(?P<y>\d{2})-(?P<m>\d{2})-(?P<d>\d{2})(?!\d)", _set_day),
    (r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4}|\d{2})(?!\d)", _set_day),
    (r"(?P<m>\d{1,2})/(?P<d>\d{1,2})(?![\d/])", _set_day),
    (r"(?P<d>\d{1,2})[.\t-](?P<m>\d{1,2})[.-](?P<y>\d{4})", _set_day),
    (rf"{_NTH}[ \t.-]*{_MONTH}[ \t.-]*(?P<y>\d{{4}})", _set_day),
    (rf"{_MONTH}[ \t.-]*{_NTH}[ \t.,-]+(?P<y>\d{{4}})(?![\d:])", _set_day),
    (rf"{_NTH}[ \t.-]*{_MONTH}", _set_day),
    (rf"{_MONTH}[ \t.-]*{_NTH}(?![\d:])", _set_day),
    (rf"(?P<y>\d{{4}})[ \t.-]*{_MONTH}[ \t.-]*(?P<d>\d{{1,2}})(?!\d)", _set_day),
    (rf"{_MONTH}[ \t.-]*(?P<y>\d{{4}})", _set_day),
    (r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?!\d)", _set_day),
    (
        r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})t?(?P<h>\d{2}):?(?P<i>\d{2}):?(?P<s>\d{2})(?:[.,](?P<f>\d+))?",
        _set_both,
    ),
    (r"(?P<y>\d{4})-?W(?P<w>\d{2})-?(?P<d>[0-7])?(?!\d)", _set_week),
    (r"(?P<y>\d{4})[.-]?(?P<n>\d{3})(?![\d-])", _set_day_of_year),
    (rf"t?{_TIME}", _set_time),
    (rf"t?{_TIME}[ \t]*(?P<half>[ap])\.?m\b\.?", _set_time),
    (r"(?P<h>\d{1,2})[ \t]*(?P<half>[ap])\.?m\b\.?", _set_time),
    (r"t(?P<h>\d{2})(?P<i>\d{2})(?P<s>\d{2})?(?:[.,](?P<f>\d+))?", _set_time),
    (r"noon\b|midnight\b", _set_word_of_day),
    (rf"{_DAY_NAME}\b\.?", _set_weekday),
    (r"\(?(?P<zone>(?:gmt|utc)?[+-]\d{1,2}:?(?:\d{2})?(?!\d))\)?", _set_zone),
    (r"\(?(?P<zone>[a-z]{1,5})\b(?![/+:\d-])\)?", _set_zone),
]
_GAP: Final = re.compile(r"[ \t\r\n,]*")


@functools.cache
def _pieces() -> list[tuple[re.Pattern[str], Callable[[Reading, re.Match[str]], None]]]:
    return [(re.compile(pattern, re.ASCII | re.IGNORECASE), action) for pattern, action in _PIECES]


def read_words(text: str) -> tuple[datetime, timedelta | None]:
    """The time on the wall clock that a text names, cut to milliseconds, and its offset from UTC if it has one.

    Raises ``ValueError`` when the text cannot be read, or leaves out the day, the month or the year.
    """
    r = Reading()
    at = _end_of_gap(text, 0)
    while at < len(text):
        end = at
        for pattern, action in _pieces():
            found = pattern.match(text, at)
            if found is not None and found.end() > end:
                best, act, end = found, action, found.end()
        if end == at:
            raise ValueError(f"{text[at : at + 20]!r} is no part of a date")
        act(r, best)
        at = _end_of_gap(text, end)
    if r.day is None:
        raise ValueError("the day, the month or the year is missing")
    day = r.day
    if r.weekday is not None:
        day += timedelta(days=(r.weekday - day.weekday()) % 7)
    hour, minute, second, millis = r.time or (0, 0, 0, 0)
    return datetime(day.year, day.month, day.day, hour, minute, second, millis * 1000), r.offset


def _end_of_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at
