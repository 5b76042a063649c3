"""Definition and configuration files: YAML and JSON read alike, mistakes answered with line and column.

How YAML is read is said in :mod:`~fluxion_flow.dsl.yaml_text`. A key that stands twice is a mistake in either language,
because the first value would be lost without a word.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fluxion_flow.errors import PipelineError, Problem, Where

SUFFIXES = {".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}
LARGEST = 1_000_000
"""How many values a file may hold, repeated ones (YAML's ``*alias``) counted each time."""


class NotReadable(ValueError):
    """A text is not YAML or JSON: what is wrong, where the text knows it with line and column."""


def read_data_file(path: str | Path, where: Where | None = None) -> Any:
    """What the YAML or JSON file at ``path`` holds; its suffix says which it is.

    Raises :class:`PipelineError` with one problem at ``where`` (default: the path) when it cannot be read.
    """
    path = Path(path)
    where = where or Where.at(str(path))
    language = SUFFIXES.get(path.suffix.lower())
    if language is None:
        raise PipelineError([Problem(where, "is neither YAML nor JSON by its name", "call it .yaml, .yml or .json")])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PipelineError([Problem(where, f"cannot be read ({error.strerror})", "correct the path")]) from None
    except UnicodeDecodeError as error:
        raise PipelineError([Problem(where, f"is not UTF-8 text (byte {error.start})", "save it as UTF-8")]) from None
    try:
        return read_yaml(text) if language == "YAML" else read_json(text)
    except NotReadable as error:
        raise PipelineError([Problem(where, str(error))]) from None


def read_json(text: str) -> Any:
    """The value of a JSON text. Raises :class:`NotReadable`."""
    try:
        return json.loads(text, object_pairs_hook=_without_repeated_keys)
    except json.JSONDecodeError as error:
        raise NotReadable(f"line {error.lineno}, column {error.colno}: not JSON: {_lower_first(error.msg)}") from None
    except NotReadable:
        raise
    except ValueError:
        raise NotReadable("a number in it has too many digits") from None
    except RecursionError:
        raise NotReadable("is nested too deeply") from None


def read_yaml(text: str) -> Any:
    """The value of a YAML text. Raises :class:`NotReadable`."""
    from fluxion_flow.dsl.yaml_text import value_of

    value = value_of(text)
    try:
        too_large = _count(value, {}) > LARGEST
    except RecursionError:
        raise NotReadable("is nested too deeply") from None
    if too_large:
        raise NotReadable(f"holds more than {LARGEST:,} values")
    return value


def _without_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise NotReadable(f"the key '{key}' stands twice in one object")
        found[key] = value
    return found


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _count(value: Any, known: dict[int, int]) -> int:
    """How many values ``value`` is when every alias is written out. An alias to itself recurses without end."""
    if not isinstance(value, (dict, list)):
        return 1
    found = known.get(id(value))
    if found is None:
        items = value.values() if isinstance(value, dict) else value
        found = known[id(value)] = 1 + sum(_count(item, known) for item in items)
    return found
