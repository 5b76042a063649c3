"""Dates as ISO text and from text without a format: what ``$toDate``, ``$toString`` and the date operators share."""

from __future__ import annotations

from datetime import datetime, timezone

from .date_words import read_words
from .values import EvaluationError
from .zones import UTC, Zone

_LENGTHS = (20, 24)
"""Of ``2024-01-02T03:04:05Z`` and the same with milliseconds, which are read the short way."""


def format_iso(moment: datetime) -> str:
    """A date as ``2024-01-02T03:04:05.678Z``: UTC, milliseconds. A naive date is taken as UTC."""
    if moment.tzinfo is not timezone.utc and moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_date(text: str, zone: Zone = UTC) -> datetime:
    """The date that a text names, in UTC, cut to milliseconds; without an offset of its own it is a time of ``zone``.

    Takes ISO 8601 and the other ways that people write dates (see :mod:`date_words`). Raises
    :class:`EvaluationError` for any other text, one that leaves out the day, the month or the year, and one with an
    offset of its own when ``zone`` is not UTC. MongoDB: $dateFromString without a format, $toDate.
    """
    if zone is UTC and len(text) in _LENGTHS and text[10] == "T" and text[-1] == "Z":
        try:
            return datetime.fromisoformat(text[:-1] + "+00:00")
        except ValueError:
            pass
    try:
        wall, offset = read_words(text)
        if offset is None:
            return zone.moment(wall)
        if zone.fixed is None or zone.fixed:
            raise ValueError("it has an offset of its own; leave out 'timezone'")
        return Zone(text, offset).moment(wall)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"no date in the text {text!r}: {error}") from None
