"""The error of a conversion that is not possible: what ``onError`` of $convert replaces."""

from __future__ import annotations

from typing import Any

from ...values import EvaluationError, type_name


class ConversionError(EvaluationError):
    """A value cannot be converted to the type that was asked for."""


def cannot(value: Any, target: str, why: str = "") -> ConversionError:
    """The error for one value; a text is shown by its beginning, anything else by its type."""
    shown = f"the string {value[:40]!r}" if isinstance(value, str) else type_name(value)
    return ConversionError(f"cannot convert {shown} to {target}" + (f": {why}" if why else ""))
