"""Arguments that must be whole numbers: indexes, counts, decimal places."""

from __future__ import annotations

from typing import Any

from ...values import INT32_MAX, INT32_MIN, EvaluationError, is_number, type_name


def whole_number(operator: str, role: str, value: Any, least: int = INT32_MIN, most: int = INT32_MAX) -> int:
    """``value`` as an int, when it is a number without a fraction from ``least`` to ``most``.

    Raises :class:`EvaluationError` naming the operator and the argument's role otherwise.
    """
    if not is_number(value):
        raise EvaluationError(f"{operator} takes a whole number as {role}, got {type_name(value)}")
    if value.__class__ is not int:
        try:
            whole = int(value)
        except (ValueError, OverflowError):
            raise EvaluationError(f"{operator} takes a whole number as {role}, got {value}") from None
        if whole != value:
            raise EvaluationError(f"{operator} takes a whole number as {role}, got {value}")
        value = whole
    if not least <= value <= most:
        bounds = f"of at least {least}" if most == INT32_MAX and least > INT32_MIN else f"from {least} to {most}"
        raise EvaluationError(f"{operator} takes a whole number {bounds} as {role}, got {value}")
    return int(value)
