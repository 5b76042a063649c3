"""What listeners show of an error: its class, and its text without secrets."""

from __future__ import annotations

from ..connect.secrets import redact
from ..errors import FluxionError

LONGEST_TEXT = 500


def error_class(error: BaseException) -> str:
    """The class of what went wrong, underneath our own errors that only say where; dead letters name the same one."""
    seen: set[int] = set()
    while isinstance(error, FluxionError) and error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return type(error).__qualname__


def error_text(error: BaseException) -> str:
    """What an error says, without secrets, and cut where it is very long. Never raises."""
    try:
        text = redact(str(error))
    except Exception:  # noqa: BLE001 - an error that cannot be printed must not hide itself
        return "(its text cannot be read)"
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
