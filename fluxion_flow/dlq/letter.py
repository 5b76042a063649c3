"""A dead letter as it was stored, and which of them are meant."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any

from ..connect.encoding import from_extended, to_extended
from ..connect.options import seconds

_STAGE = re.compile(r"stages\[(\d+)\]\.(\$\w+)")


@dataclass(frozen=True)
class Letter:
    """A dead letter. ``data`` is all of it as plain JSON; ``place`` says where it is stored; ``handle`` removes it."""

    id: str
    data: Mapping[str, Any] = field(repr=False)
    place: str = ""
    handle: Any = field(default=None, repr=False, compare=False)

    @property
    def replays(self) -> int:
        """How often it has been replayed before this letter of it was written."""
        return int(self.data.get("replays") or 0)

    @property
    def step(self) -> str:
        """The step that failed, such as ``stages[1].$set``."""
        return str(self.data.get("operatorName", ""))

    @property
    def stage(self) -> tuple[int, str] | None:
        """Position and name of the stage that failed; ``None`` where no stage did."""
        found = _STAGE.match(self.step)
        return (int(found[1]), found[2]) if found else None

    @property
    def error(self) -> Mapping[str, Any]:
        """``reason``, ``type`` and ``code``."""
        found = self.data.get("errInfo")
        return found if isinstance(found, Mapping) else {}

    @property
    def attempts(self) -> int:
        return int(self.data.get("attempts") or 0)

    @property
    def time(self) -> datetime | None:
        """When it was written."""
        found = from_extended(self.data.get("dlqTime"))
        return found if isinstance(found, datetime) else None

    @property
    def document(self) -> dict[str, Any] | None:
        """The input of the step that failed."""
        found = self.data.get("doc")
        return from_extended(found) if isinstance(found, Mapping) else None

    @property
    def raw(self) -> bytes | None:
        """The record that could not be decoded."""
        found = self.data.get("raw")
        try:
            return base64.b64decode(found, validate=True) if isinstance(found, str) else None
        except binascii.Error:
            return None

    @property
    def source(self) -> dict[str, Any]:
        """What is known of the record's origin."""
        meta = self.data.get("_stream_meta")
        found = meta.get("source") if isinstance(meta, Mapping) else None
        return dict(from_extended(found)) if isinstance(found, Mapping) else {}

    @property
    def position(self) -> int | None:
        """The record's place in its source partition, if one record stands behind the letter."""
        source = self.source
        found = source.get("position", source.get("offset"))
        return found if isinstance(found, int) else None


def read_letter(document: Mapping[str, Any], place: str, handle: Any) -> Letter | None:
    """The letter that a stored document is; ``None`` when it is none."""
    if not isinstance(document.get("id"), str):
        return None
    return Letter(document["id"], to_extended(document), place, handle)


@dataclass(frozen=True)
class Filter:
    """Which letters are meant: those that everything given is true of.

    ``step``, ``type`` and ``code`` may hold ``*`` and ``?``; ``step`` also means what stands within it. ``reason`` is
    a part of the error's text, in any case of letters. ``ids`` are ids or their beginnings.
    """

    ids: tuple[str, ...] = ()
    step: str | None = None
    type: str | None = None
    code: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filter()

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        time = letter.time
        return (
            (not self.ids or any(letter.id.startswith(known) for known in self.ids))
            and (self.step is None or _within(letter.step, self.step))
            and (self.type is None or fnmatchcase(str(letter.error.get("type", "")), self.type))
            and (self.code is None or fnmatchcase(str(letter.error.get("code", "")), self.code))
            and (self.reason is None or self.reason.lower() in str(letter.error.get("reason", "")).lower())
            and (self.since is None or (time is not None and time >= self.since))
            and (self.until is None or (time is not None and time < self.until))
        )


def _within(step: str, wanted: str) -> bool:
    return step == wanted or step.startswith(f"{wanted}.") or fnmatchcase(step, wanted.replace("[", "[[]"))


def moment(text: str, now: datetime | None = None) -> datetime:
    """A moment from text: ``2026-11-25``, ``2026-11-25T10:00:00Z`` (UTC unless it says otherwise), or ``2h`` ago.

    Raises :class:`ValueError`.
    """
    now = now or datetime.now(timezone.utc)
    if re.fullmatch(r"\d+(\.\d+)?\s*(ms|s|m|h|d)", text):
        return now - timedelta(seconds=seconds(text))
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
