"""Values taken from a document: constants and field paths.

``$customer.id`` is the field ``id`` of the field ``customer``; ``$$ROOT`` the document itself; any other value stands
for itself. A function of a document is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fluxion_flow.connect.encoding import encode_document
from fluxion_flow.connect.spi import Document

Field = Callable[[Document], Any]
"""The value of a document's field; ``None`` where it has none."""

_PATH = re.compile(r"\$[^$.\s][^.$]*(\.[^$.\s][^.$]*)*")


def is_constant(given: Any) -> bool:
    """Whether every document gets this same value."""
    return not callable(given) and not (isinstance(given, str) and given.startswith("$"))


def why_no_field(given: Any) -> str | None:
    """What is wrong with a constant or a path; ``None``: nothing."""
    if isinstance(given, (dict, list)):
        return "must be a constant or a field path such as '$customer.id'"
    if isinstance(given, str) and given.startswith("$") and given != "$$ROOT" and not _PATH.fullmatch(given):
        return f"is no field path: {given!r}"
    return None


def field_of(given: Any) -> Field:
    """The function that takes the value from a document. Raises :class:`ValueError` for what is no field."""
    wrong = why_no_field(given)
    if wrong is not None:
        raise ValueError(wrong)
    if callable(given):
        return given  # type: ignore[no-any-return]
    if is_constant(given):
        return lambda _: given
    if given == "$$ROOT":
        return lambda document: document
    first, *rest = given[1:].split(".")
    if not rest:
        return lambda document: document.get(first)

    def at(document: Document) -> Any:
        value = document.get(first)
        for name in rest:
            if value.__class__ is not dict:
                return None
            value = value.get(name)
        return value

    return at


def to_bytes(value: Any) -> bytes | None:
    """A key's or header's bytes: text in UTF-8, bytes as they are, anything else as JSON. ``None`` stays.

    Raises :class:`ValueError` for what JSON cannot hold.
    """
    if value.__class__ is str:
        return value.encode()
    if value is None or value.__class__ is bytes:
        return value
    text = encode_document({"": value})[4:-1]
    return text[1:-1] if text.startswith(b'"') else text
