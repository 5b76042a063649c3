"""Dates as text and in time zones: what ``$toDate``, ``$dateToString`` and the other date operators share."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from .values import EvaluationError

_ISO: Final = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt ] *(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?)?"
    r" *(Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)


def format_iso(moment: datetime) -> str:
    """A date as ``2024-01-02T03:04:05.678Z``: UTC, milliseconds. A naive date is taken as UTC."""
    if moment.tzinfo is not timezone.utc and moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_date(text: str) -> datetime:
    """The date that an ISO 8601 text names, in UTC, cut to milliseconds; without an offset it is taken as UTC.

    Raises :class:`EvaluationError` for any other text. MongoDB: $dateFromString without a format, $toDate.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise EvaluationError(f"no date in the text {text!r}")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    millis = int(((fraction or "") + "000")[:3])
    offset = 0
    if zone and zone[0] in "+-":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
                          millis * 1000, timezone.utc)  # fmt: skip
        return moment - timedelta(minutes=offset)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"no date in the text {text!r}: {error}") from None
