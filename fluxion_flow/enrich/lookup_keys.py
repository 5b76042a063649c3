"""The values that documents are looked up by: which kinds can be asked for, and when two are the same."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

Key = tuple[str, Any]
"""A kind and a value. Numbers of all types are of one kind, so that 1 and 1.0 are the same key, and true is not."""

NOTHING: Key = ("nothing", None)
"""The key of what no column holds: arrays and objects."""


def key_of(value: Any) -> Key:
    """The key of a document's value."""
    kind = value.__class__
    if value is None:
        return ("null", None)
    if kind is bool:
        return ("bool", value)
    if kind in (int, float, Decimal):
        return ("number", value) if value == value else ("nan", None)
    if kind is str:
        return ("string", value)
    if isinstance(value, datetime.datetime):
        return ("date", value)
    if kind is bytes:
        return ("bytes", value)
    return NOTHING
