"""Time zones: Olson names and UTC offsets, and the way between a moment and the wall clock of a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from ..errors import did_you_mean
from .values import EvaluationError, type_name

if TYPE_CHECKING:
    import zoneinfo

_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?", re.ASCII)
_OUTSIDE: Final = "a date outside the years 1 to 9999 in its time zone"


@dataclass(frozen=True)
class Zone:
    """A time zone. ``fixed`` is its offset from UTC where that never changes, ``rules`` its rules otherwise."""

    name: str
    fixed: timedelta | None
    rules: zoneinfo.ZoneInfo | None = None

    def wall(self, moment: datetime) -> datetime:
        """What a clock in this zone shows at an aware moment, as a naive datetime.

        Raises :class:`EvaluationError` outside the years 1 to 9999.
        """
        try:
            if self.fixed is not None:
                naive = moment.replace(tzinfo=None)
                return naive + self.fixed if self.fixed else naive
            return moment.astimezone(self.rules).replace(tzinfo=None)
        except OverflowError:
            raise EvaluationError(_OUTSIDE) from None

    def moment(self, wall: datetime) -> datetime:
        """The moment (aware, UTC) when a clock in this zone shows ``wall``.

        Of a time shown twice it is the first; a time that a clock skips is counted on from before the gap.
        Raises :class:`EvaluationError` outside the years 1 to 9999.
        """
        try:
            if self.fixed is not None:
                return (wall - self.fixed if self.fixed else wall).replace(tzinfo=timezone.utc)
            return wall.replace(tzinfo=self.rules).astimezone(timezone.utc)
        except OverflowError:
            raise EvaluationError(_OUTSIDE) from None

    def offset(self, moment: datetime) -> timedelta:
        """The zone's offset from UTC at an aware moment."""
        if self.fixed is not None:
            return self.fixed
        return self.wall(moment) - moment.replace(tzinfo=None)


UTC: Final = Zone("UTC", timedelta(0))


def time_zone(name: object) -> Zone:
    """The zone of an Olson name (``"Europe/Paris"``) or an offset (``"+05:30"``, ``"+0530"``, ``"+03"``).

    Raises :class:`EvaluationError` for an unknown name and for anything that is not a string.
    """
    if name == "UTC":
        return UTC
    if not isinstance(name, str):
        raise EvaluationError(f"a time zone is a string, got {type_name(name)}")
    return _zone(name)


@lru_cache(maxsize=1024)
def _zone(name: str) -> Zone:
    offset = _OFFSET.fullmatch(name)
    if offset is not None:
        sign, hours, minutes = offset.groups()
        distance = timedelta(hours=int(hours), minutes=int(minutes or 0))
        return Zone(name, -distance if sign == "-" else distance)
    if name in ("GMT", "Etc/UTC", "Etc/GMT"):
        return Zone(name, timedelta(0))
    if name[:1].isalpha() and "\0" not in name:
        import zoneinfo

        try:
            return Zone(name, None, zoneinfo.ZoneInfo(name))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise EvaluationError(_unknown(name))


@lru_cache(maxsize=64)
def _unknown(name: str) -> str:
    import zoneinfo

    hint = did_you_mean(name, zoneinfo.available_timezones()) or "use an Olson name or an offset like '+05:30'"
    return f"unknown time zone {name!r}; {hint}"
