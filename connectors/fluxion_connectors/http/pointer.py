"""JSON Pointers: ``/items/0/id``. Source: RFC 6901."""

from __future__ import annotations

from typing import Any


class NoSuchValue(LookupError):
    """Nothing stands where a pointer points to."""


def parse_pointer(text: str) -> tuple[str, ...]:
    """The names in a JSON Pointer. Raises :class:`ValueError` when it is none."""
    if text == "":
        return ()
    if not text.startswith("/"):
        raise ValueError(f"is no JSON Pointer: {text!r}; it begins with '/', such as '/items'")
    names = text[1:].split("/")
    for name in names:
        if "~" in name.replace("~0", "").replace("~1", ""):
            raise ValueError(f"is no JSON Pointer: {text!r}; '~' is written '~0'")
    return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)


def value_at(value: Any, names: tuple[str, ...]) -> Any:
    """What stands at a pointer. Raises :class:`NoSuchValue`."""
    for name in names:
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            raise NoSuchValue(name)
    return value


def found_at(value: Any, names: tuple[str, ...]) -> Any:
    """What stands at a pointer; ``None`` where nothing does."""
    try:
        return value_at(value, names)
    except NoSuchValue:
        return None
