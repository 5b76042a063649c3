"""URL templates: ``/users/{id}`` with values put in, percent-encoded, so that a value never names another place."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

from fluxion_flow.core.values import MISSING, type_name
from fluxion_flow.enrich.failures import CallRefused

_PLACE = re.compile(r"\{([^{}]*)\}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def places_in(template: str) -> list[str]:
    """The names in braces, in order."""
    return _PLACE.findall(template)


def host_part(template: str) -> str:
    """Everything of a URL template that stands before its path."""
    parts = urlsplit(template)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def filled(template: str, values: Mapping[str, Any], title: str) -> str:
    """The template with its values. Raises :class:`CallRefused` for one that cannot stand in a URL."""

    def escaped(match: re.Match[str]) -> str:
        text = value_text(values.get(match[1], MISSING), f"{title}: '{match[1]}' in the URL")
        if text in ("", ".", ".."):
            raise CallRefused(f"{title}: '{match[1]}' in the URL is {text!r}, which would name another place")
        return quote(text, safe="")

    return _PLACE.sub(escaped, template)


def value_text(value: Any, what: str) -> str:
    """A value as a URL or a header holds it. Raises :class:`CallRefused` for none, arrays, objects and bytes."""
    if value.__class__ is str:
        return str(value)
    if value is True or value is False:
        return "true" if value else "false"
    if value.__class__ in (int, float, Decimal):
        return str(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    kind = "missing" if value is MISSING else "null" if value is None else f"of type {type_name(value)}"
    raise CallRefused(f"{what} is {kind}")


def query_pairs(name: str, value: Any, title: str) -> list[tuple[str, str]]:
    """The query parameters that a value makes: none for null and missing, one for each item of an array."""
    if value is None or value is MISSING:
        return []
    items = value if value.__class__ is list else [value]
    return [(name, value_text(item, f"{title}: query parameter '{name}'")) for item in items]


def header_value(name: str, value: Any, title: str) -> str:
    """A header's value. Raises :class:`CallRefused` for one that would break out of its line, without showing it."""
    text = value_text(value, f"{title}: header '{name}'").strip(" \t")
    if not _HEADER_VALUE.fullmatch(text):
        raise CallRefused(f"{title}: header '{name}' would hold a line break or a character that headers cannot")
    return text
