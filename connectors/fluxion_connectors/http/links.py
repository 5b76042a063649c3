"""The page that follows this one, from a ``Link`` header. Source: RFC 8288 (Web Linking)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_PARAMETER = rf"\s*;\s*([^;,\"=\s]+)(?:\s*=\s*(?:{_QUOTED}|([^;,\s]*)))?"
_EACH_PARAMETER = re.compile(_PARAMETER)
_LINK = re.compile(rf"\s*<(?P<target>[^>]*)>(?P<parameters>(?:{_PARAMETER})*)\s*(?:,|$)")


def links(header: str) -> Iterator[tuple[str, list[str]]]:
    """Target and relation types of every link of a header. What is malformed ends the list."""
    at = 0
    while at < len(header):
        match = _LINK.match(header, at)
        if match is None or match.end() == at:
            return
        at = match.end()
        relations: list[str] | None = None
        for name, quoted, token in _EACH_PARAMETER.findall(match["parameters"]):
            if name.lower() == "rel" and relations is None:
                value = re.sub(r"\\(.)", r"\1", quoted) or token
                relations = value.lower().split()
        yield match["target"], relations or []


def next_page(header: str) -> str | None:
    """The target of the link with the relation ``next``."""
    return next((target for target, relations in links(header) if "next" in relations), None)
