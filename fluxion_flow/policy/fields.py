"""What each field of a policy accepts: one reader a kind, used by the constructors and by the parser alike.

A reader takes a value as a person or a definition file gives it, and returns it as the field holds it; it raises
:class:`FieldError` with what is wrong and what to do. A field carries its reader in its metadata:
``backoff: float = field(default=0.2, metadata=reads(duration()))``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from fluxion_flow.connect.options import seconds
from fluxion_flow.errors import Problems, Where, did_you_mean
from fluxion_flow.policy.matching import ErrorClass

Reader = Callable[[Any], Any]

LARGEST = 10**9
"""No number or span of seconds in a policy is larger: what is, is a mistake, and no clock could wait for it."""


class FieldError(ValueError):
    """A value that a field cannot hold: what is wrong, and what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(f"{what}; {hint}" if hint else what)


def reads(reader: Reader) -> dict[str, Any]:
    """The metadata of a field whose values ``reader`` reads."""
    return {"reader": reader}


def lasts(reader: Reader) -> dict[str, Any]:
    """The metadata of a field that holds a span of time, so that a definition may give it in milliseconds too."""
    return {"reader": reader, "span": True}


def readers(cls: type) -> dict[str, Reader]:
    """The fields of a dataclass that have a reader, in order, each with it."""
    return {f.name: f.metadata["reader"] for f in dataclasses.fields(cls) if "reader" in f.metadata}


def read_fields(item: Any, where: Where) -> None:
    """Read every field of a frozen dataclass instance in place.

    Raises :class:`PipelineError` with the problems of all its fields.
    """
    problems = Problems()
    for name, reader in readers(type(item)).items():
        try:
            object.__setattr__(item, name, reader(getattr(item, name)))
        except FieldError as error:
            problems.add(where / name, error.what, error.hint)
    problems.raise_if_any()


def whole_number(at_least: int) -> Reader:
    """A whole number; text that spells one, as the environment gives it, is one too."""

    def read(value: Any) -> int:
        number = _number(value)
        if number is None or number != number // 1 or number < at_least:
            raise FieldError(f"must be a whole number from {at_least} up, got {shown(value)}")
        return int(number)

    return read


def attempts(value: Any) -> int | None:
    """A number of attempts, from 1; ``None`` or ``unlimited``: any number."""
    found = _number(value)
    if value is None or (isinstance(value, str) and value.strip().lower() == "unlimited"):
        return None
    if found is None or found != found // 1 or found < 1:
        raise FieldError(f"must be a whole number from 1 up, or unlimited, got {shown(value)}")
    return int(found)


def number(at_least: float) -> Reader:
    """A number, not below ``at_least``."""

    def read(value: Any) -> float:
        found = _number(value)
        if found is None or found < at_least:
            raise FieldError(f"must be a number from {at_least:g} up, got {shown(value)}")
        return float(found)

    return read


def percentage(value: Any) -> float:
    """A percentage above 0 and up to 100: ``5``, ``2.5``, ``"5 %"``."""
    found = _number(value.strip().removesuffix("%") if isinstance(value, str) else value)
    if found is None or not 0 < found <= 100:
        raise FieldError(f"must be a percentage above 0 and up to 100, got {shown(value)}")
    return float(found)


def duration(*, zero: bool = True) -> Reader:
    """A span of time in seconds: a number, or text such as ``500ms``, ``5s``, ``2m``. Without ``zero``: more than 0."""

    def read(value: Any) -> float:
        try:
            found = seconds(value) if isinstance(value, str) else _number(value)
        except ValueError:
            found = None
        if found is None or not 0 <= found <= LARGEST:
            form = 'seconds, or a text such as "500ms", "5s", "2m", "1h"'
            raise FieldError(f"must be a duration: {form}, got {shown(value)}")
        if found == 0 and not zero:
            raise FieldError(f"must be longer than 0, got {shown(value)}")
        return float(found)

    return read


def choice(*allowed: str, aliases: Mapping[str, str] = MappingProxyType({})) -> Reader:
    """One of a few names, in any case. ``aliases`` maps other spellings, in lower case, to them."""
    spellings = {**{name.lower(): name for name in allowed}, **aliases}

    def read(value: Any) -> str:
        found = None if isinstance(value, bool) else spellings.get(str(value).lower())
        if found is None:
            raise FieldError(
                f"must be {', '.join(allowed[:-1])} or {allowed[-1]}, got {shown(value)}",
                did_you_mean(str(value), allowed),
            )
        return found

    return read


def optional(reader: Reader) -> Reader:
    """As ``reader``, or ``None``."""

    def read(value: Any) -> Any:
        return None if value is None else reader(value)

    return read


def text(value: Any) -> str:
    """A name: text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise FieldError(f"must be a name, got {shown(value)}")
    return value


def error_classes(value: Any) -> tuple[ErrorClass, ...]:
    """Exception classes, or their names: one, or a list of them."""
    entries = value if isinstance(value, (list, tuple, set, frozenset)) else (value,)
    return tuple(_error_class(entry) for entry in entries)


def callables(value: Any) -> tuple[Callable[..., Any], ...]:
    """Functions to call: any number of them."""
    for entry in value:
        if not callable(entry):
            raise FieldError(f"must be callable, got {shown(entry)}")
    return tuple(value)


_CLASS_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def _error_class(entry: Any) -> ErrorClass:
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return entry
    if not isinstance(entry, str) or not _CLASS_NAME.fullmatch(entry):
        raise FieldError(f"must name exception classes, such as [ConnectionError], got {shown(entry)}")
    if entry.startswith(("java.", "javax.")):
        raise FieldError(f"{entry!r} is a Java class", "name the Python exception, such as ConnectionError")
    return entry


def shown(value: Any) -> str:
    """A value in an error's text: short, and on one line."""
    try:
        text = "null" if value is None else repr(value).lower() if isinstance(value, bool) else repr(value)
    except (ValueError, RecursionError):
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _number(value: Any) -> int | float | None:
    """The number that ``value`` is or spells, or ``None``."""
    if isinstance(value, str):
        try:
            value = float(value) if not value.strip().lstrip("+-").isdigit() else int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) <= LARGEST else None


def field_meant(key: str, cls: type, also: Mapping[str, str]) -> tuple[str, bool] | None:
    """The field of ``cls`` that a definition's ``key`` means, and whether it gives milliseconds; ``None``: none.

    A key is the field's own name, or that name as Fluxion and Resilience4j write it: in camelCase, and with ``Ms``
    at its end (``_ms``) when it gives milliseconds. ``also`` maps further names, in snake_case, to fields.
    """
    spans = {f.name: bool(f.metadata.get("span")) for f in dataclasses.fields(cls)}
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()
    name = also.get(snake, snake)
    if name in spans:
        return name, False
    span = snake.removesuffix("_ms")
    name = also.get(span, span)
    return (name, True) if span != snake and spans.get(name) else None
