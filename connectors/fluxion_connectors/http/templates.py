"""URLs with ``{field}`` in them: each is replaced by the document's value, percent-encoded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from fluxion_flow.connect.spi import Document

_FIELD = re.compile(r"\{([^{}]*)\}")


def fields_in(template: str) -> list[str]:
    """The paths of the fields that a URL takes from a document."""
    return _FIELD.findall(template)


def fill(template: str, document: Document) -> str:
    """The URL of a document. Raises :class:`ValueError` for a field without a value that a URL can hold."""
    return _FIELD.sub(lambda match: _escaped(match[1], document), template)


def _escaped(path: str, document: Document) -> str:
    value: Any = document
    for name in path.removeprefix("$").split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (dict, list, bytes)):
        kind = "no value" if value is None else f"a value of type {type(value).__name__}"
        raise ValueError(f"the url takes field {path!r}, which has {kind}")
    text = str(value)
    if text in ("", ".", ".."):
        # Such a segment of a path would name another place.
        raise ValueError(f"the url takes field {path!r}, whose value {text!r} cannot stand in one")
    return quote(text, safe="")
