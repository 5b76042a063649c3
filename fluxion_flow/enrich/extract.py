"""Which part of an answer is meant: a JSON Pointer (RFC 6901), or a path such as ``$.data.items[0]``."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")


def parse_extract(text: Any) -> tuple[str, ...]:
    """The names on the way. Raises :class:`ValueError` for neither form."""
    if not isinstance(text, str):
        raise ValueError("must be a JSON Pointer such as '/data', or a path such as '$.data'")
    if text in ("", "$"):
        return ()
    if text.startswith("/"):
        names = text[1:].split("/")
        for name in names:
            if "~" in name.replace("~0", "").replace("~1", ""):
                raise ValueError(f"is no JSON Pointer: {text!r}; '~' is written '~0'")
        return tuple(name.replace("~1", "/").replace("~0", "~") for name in names)
    if text.startswith("$"):
        steps, at = [], 1
        while at < len(text):
            match = _STEP.match(text, at)
            if match is None:
                raise ValueError(f"is no path: {text!r}; write '$.data' or '$.items[0].id'")
            steps.append(next(group for group in match.groups() if group is not None))
            at = match.end()
        return tuple(steps)
    raise ValueError(f"is neither a JSON Pointer nor a path: {text!r}; write '/data' or '$.data'")


def extracted(value: Any, names: tuple[str, ...]) -> Any:
    """What stands there; ``None`` where nothing does."""
    for name in names:
        if value.__class__ is dict and name in value:
            value = value[name]
        elif value.__class__ is list and name.isascii() and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
