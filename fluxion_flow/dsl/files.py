"""Definition and configuration files: YAML and JSON read alike, mistakes answered with line and column.

YAML is read by the scalar rules of YAML 1.2's core schema, so that ``yes``, ``NO`` and ``on`` are texts and ``010`` is
ten, as they are in JSON. One rule more: a date (``2024-05-01``, ``2024-05-01T10:00:00Z``) is a date in UTC. A key that
stands twice is a mistake in either language, because the first value would be lost without a word.
"""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import yaml

from fluxion_flow.errors import PipelineError, Problem, Where

SUFFIXES = {".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}
LARGEST = 1_000_000
"""How many values a file may hold, repeated ones (YAML's ``*alias``) counted each time."""


_TAG = "tag:yaml.org,2002:"


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
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        too_large = _count(value, {}) > LARGEST
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotReadable(f"{place}not YAML: {', '.join(filter(None, (error.context, error.problem)))}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = f"line {before.count(chr(10)) + 1}, column {error.position - before.rfind(chr(10))}"
        raise NotReadable(f"{place}: not YAML: {error.reason}") from None
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


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalar rules above and no repeated keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _TAG + "merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key '{key.value}' stands twice", key.start_mark
                    )
                seen.add(key.value)
        return node


def _read_bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() == "true"


def _read_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    try:
        return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
    except ValueError:
        raise yaml.constructor.ConstructorError(None, None, "the number has too many digits", node.start_mark) from None


def _read_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _read_date(loader: _Loader, node: yaml.ScalarNode) -> datetime.datetime:
    try:
        found = loader.construct_yaml_timestamp(node)
    except ValueError as error:
        raise yaml.constructor.ConstructorError(None, None, f"{error}", node.start_mark) from None
    if not isinstance(found, datetime.datetime):
        found = datetime.datetime(found.year, found.month, found.day)
    if found.tzinfo is None:
        return found.replace(tzinfo=datetime.timezone.utc)
    return found.astimezone(datetime.timezone.utc)


_SCALARS: tuple[tuple[str, str, str, Any], ...] = (
    # tag, pattern, first characters, reader (None: PyYAML's own)
    ("null", r"~|null|Null|NULL|", "~nN", None),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF", _read_bool),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _read_int),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
        _read_float,
    ),
    (
        "timestamp",
        r"\d{4}-\d\d-\d\d"
        r"|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?",
        "0123456789",
        _read_date,
    ),
    ("merge", "<<", "<", None),
)

for _tag, _pattern, _first, _read in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _tag, re.compile(f"(?:{_pattern})$"), ["", *_first])
    if _read is not None:
        _Loader.add_constructor(_TAG + _tag, _read)
