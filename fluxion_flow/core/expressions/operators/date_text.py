"""Dates from text and as text: $dateFromString and $dateToString (MongoDB: date operators)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ...date_formats import check_format, date_writer, read_date, reader, write_date
from ...dates import format_iso, parse_date
from ...values import EvaluationError, is_nullish, type_name
from ...zones import UTC, time_zone
from .. import kinds
from ..emit import Atom, Emitter
from ..literals import Fallback, checked_operator
from .date_arithmetic import a_date, zone_of

ON_NULL = Fallback("onNull")
ON_ERROR = Fallback("onError")
_ISO = "%Y-%m-%dT%H:%M:%S.%LZ"
_FOURTH = datetime.datetime(2024, 7, 4, 12, 30, 5, 250_000, tzinfo=datetime.timezone.utc)


@checked_operator(
    "$dateFromString",
    checks={"format": reader, "timezone": time_zone},
    fallbacks=[ON_NULL, ON_ERROR],
    returns=kinds.DATE | kinds.NULL,
    examples=[
        ({"t": "2024-07-04T12:30:05.250Z"}, {"$dateFromString": {"dateString": "$t"}}, _FOURTH),
        (
            {"t": "4.7.2024"},
            {"$dateFromString": {"dateString": "$t", "format": "%d.%m.%Y", "timezone": "+02:00"}},
            datetime.datetime(2024, 7, 3, 22, tzinfo=datetime.timezone.utc),
        ),
        ({"t": "soon"}, {"$dateFromString": {"dateString": "$t", "onError": "unknown"}}, "unknown"),
        ({"t": "soon"}, {"$dateFromString": {"dateString": "$t"}}, EvaluationError),
    ],
)
def date_from_string(
    *, date_string: Any, format: Any = _ISO, timezone: Any = "UTC", on_null: bool = False, on_error: bool = False
) -> Any:
    """The date that a text names.

    Without a format it takes ISO 8601 and the other common ways to write a date. Null (or ``onNull``) if the text is
    null or missing, null if the format or the time zone is. A text that is no date, or no text, raises (or gives
    ``onError``); an unknown zone or letter always raises. MongoDB: $dateFromString.
    """
    ready = None if format is _ISO or is_nullish(format) else reader(format)
    zone = None if is_nullish(timezone) else time_zone(timezone)
    if is_nullish(date_string):
        return ON_NULL if on_null else None
    try:
        if not isinstance(date_string, str):
            raise EvaluationError(f"$dateFromString takes a string, got {type_name(date_string)}")
        if zone is None or is_nullish(format):
            return None
        return parse_date(date_string, zone) if ready is None else read_date(date_string, ready, zone)
    except EvaluationError:
        if on_error:
            return ON_ERROR
        raise


@checked_operator(
    "$dateToString",
    checks={"format": check_format, "timezone": time_zone},
    fallbacks=[ON_NULL],
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"d": _FOURTH}, {"$dateToString": {"date": "$d"}}, "2024-07-04T12:30:05.250Z"),
        (
            {"d": _FOURTH},
            {"$dateToString": {"date": "$d", "format": "%d %b %Y %H:%M %z", "timezone": "Asia/Kolkata"}},
            "04 Jul 2024 18:00 +0530",
        ),
        ({}, {"$dateToString": {"date": "$d", "onNull": "never"}}, "never"),
        ({"d": "2024-07-04"}, {"$dateToString": {"date": "$d"}}, EvaluationError),
    ],
)
def date_to_string(*, date: Any, format: Any = _ISO, timezone: Any = "UTC", on_null: bool = False) -> Any:
    """A date as text, in a format (``%Y-%m-%dT%H:%M:%S.%LZ`` unless given) and on the wall clock of a time zone.

    Null if any argument is null or missing; ``onNull`` if only the date is. Raises for what is no date, an unknown zone
    and an unknown letter. MongoDB: $dateToString.
    """
    if not is_nullish(format) and format is not _ISO:
        check_format(format)
    if is_nullish(timezone) or is_nullish(format):
        return None
    zone = time_zone(timezone)
    if is_nullish(date):
        return ON_NULL if on_null else None
    moment = a_date("$dateToString", date)
    if format is _ISO and not zone.rules and not zone.fixed:
        return format_iso(moment)
    return write_date(moment, format, zone)


@date_to_string.inline_named
def _date_to_string(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """A literal format and zone are made ready once."""
    date, format, zone = atoms["date"], literals.get("format", _ISO), zone_of(literals.get("timezone", "UTC"))
    given = {"format", "timezone"} & atoms.keys()
    if zone is None or not isinstance(format, str) or given - literals.keys() or not date.may_be(kinds.DATE):
        return None
    try:
        write = format_iso if format == _ISO and zone is UTC else date_writer(format, zone)
    except EvaluationError:
        return None
    arguments = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
    slow = f"{e.bind(date_to_string.function, 'date_to_string')}({arguments})"
    fast = f"{e.bind(write, 'write_date')}({date.code})"
    guard = f"{date.code}.__class__ is {e.bind(datetime.datetime, 'datetime')}"
    return e.guarded([guard], lambda: e.assign(fast, kinds.STRING), slow, kinds.ANY)


@date_from_string.inline_named
def _date_from_string(e: Emitter, atoms: Mapping[str, Atom], literals: Mapping[str, Any]) -> Atom | None:
    """Without a format, a zone and a fallback for errors, a text goes straight to the parser."""
    text = atoms["date_string"]
    if not text.may_be(kinds.STRING) or atoms.keys() - {"date_string", "on_null"}:
        return None
    arguments = ", ".join(f"{name}={atom.code}" for name, atom in atoms.items())
    slow = f"{e.bind(date_from_string.function, 'date_from_string')}({arguments})"
    fast = f"{e.bind(parse_date, 'parse_date')}({text.code})"
    return e.guarded([f"{text.code}.__class__ is str"], lambda: e.assign(fast, kinds.DATE), slow, kinds.ANY)
