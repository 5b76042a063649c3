"""YAML by the scalar rules of YAML 1.2's core schema: ``yes``, ``NO`` and ``on`` are texts, ``010`` is ten, as in JSON.

One rule more: a date (``2024-05-01``, ``2024-05-01T10:00:00Z``) is a date in UTC.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import yaml

from fluxion_flow.dsl.files import NotReadable

_TAG = "tag:yaml.org,2002:"


def value_of(text: str) -> Any:
    """The value of a YAML text. Raises :class:`NotReadable`."""
    try:
        loader = _Loader(text)
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
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
    return value


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
