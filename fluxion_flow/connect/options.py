"""The options of a connector: declared once as data, checked all at once, printed as JSON Schema.

==============  ==============================================================  ===================
type            accepts                                                         the connector gets
==============  ==============================================================  ===================
``string``      a string                                                        ``str``
``integer``     a whole number                                                  ``int``
``number``      a number                                                        ``int`` or ``float``
``boolean``     true or false                                                   ``bool``
``duration``    seconds, or a text such as ``"500ms"``, ``"5s"``, ``"2m"``, ``"1h"``  seconds, ``float``
``size``        bytes, or a text such as ``"512KB"``, ``"64MiB"``               bytes, ``int``
``list``        a list (``items`` names the type of its members)                ``list``
``object``      a mapping                                                       ``dict``
``sink``        a mapping with a ``type``: another sink's definition            ``dict``
``expression``  an aggregation expression, or a Python function of a document   ``Expression``
``any``         any value                                                       as given
==============  ==============================================================  ===================

Where an option takes one value, a reference (``env``, ``secret``, ``${NAME}``) may stand instead. It is resolved before
its type is checked if it has a value by then; a text that comes out of a reference may hold a number or a boolean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from fluxion_flow.connect.secrets import Reference, UnresolvedReference, holds_reference, register_secret, resolve
from fluxion_flow.errors import Problems, Where, did_you_mean

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

OptionType = Literal[
    "string", "integer", "number", "boolean", "duration", "size", "list", "object", "sink", "expression", "any"
]


class _Required:
    """The default of an option that must be given."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required()

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}
_SIZE = re.compile(r"\s*(\d+)\s*(?:(?:([KMGT])(i)?)?B)?\s*", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}

_SCHEMAS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "duration": {"type": ["number", "string"], "minimum": 0, "pattern": r"^\s*\d+(\.\d+)?\s*(ms|s|m|h|d)?\s*$"},
    "size": {"type": ["integer", "string"], "minimum": 0, "pattern": r"^\s*\d+\s*(([KkMmGgTt]i?)?[Bb])?\s*$"},
    "list": {"type": "array"},
    "object": {"type": "object"},
    "sink": {"type": "object", "required": ["type"]},
    "expression": {},
    "any": {},
}
_NOUNS = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "duration": 'a duration: seconds, or a text such as "500ms", "5s", "2m", "1h"',
    "size": 'a size: bytes, or a text such as "512KB", "64MiB"',
    "list": "a list",
    "object": "a mapping",
    "sink": "a sink: a mapping with a type",
}


@dataclass(frozen=True)
class Option:
    """One option of a connector.

    ``name`` is snake_case; its camelCase form is accepted too. ``default`` is what the connector gets when the option
    is left out; with the default ``None`` a null is accepted as well. ``secret`` values are never printed.
    ``choices`` lists the only values; ``minimum`` bounds a number, duration or size from below; ``items`` is the type
    of a list's members.
    """

    name: str
    type: OptionType
    doc: str
    default: Any = REQUIRED
    secret: bool = False
    choices: tuple[Any, ...] | None = None
    minimum: float | None = None
    items: OptionType | None = None
    also: tuple[str, ...] = ()
    """Other names that mean the same, such as those of Fluxion's own connectors."""

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def camel_name(self) -> str:
        """The camelCase alias: ``bootstrapServers`` for ``bootstrap_servers``."""
        first, *rest = self.name.split("_")
        return first + "".join(map(str.capitalize, rest))

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that it may be given by."""
        return tuple(dict.fromkeys((self.name, self.camel_name, *self.also)))

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the option's value, without references."""
        schema = dict(_SCHEMAS[self.type])
        if self.items is not None:
            schema["items"] = _SCHEMAS[self.items]
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.choices is not None:
            schema["enum"] = list(self.choices)
        return schema


_REFERENCE_SCHEMA = {
    "anyOf": [
        {"type": "string", "pattern": r"\$\{"},
        {"type": "object", "required": ["$env"], "maxProperties": 1},
        {"type": "object", "required": ["$secret"], "maxProperties": 1},
    ]
}


def to_json_schema(options: Iterable[Option]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a mapping of these options, for editors: references are allowed for every value."""
    properties: dict[str, Any] = {}
    required = []
    for option in options:
        schema = option.json_schema()
        entry: dict[str, Any] = {"anyOf": [schema, _REFERENCE_SCHEMA]} if schema else {}
        entry["description"] = option.doc
        if option.required:
            required.append(option.name)
        elif option.default is None and schema:
            entry["anyOf"].append({"type": "null"})
        elif option.default is not None:
            entry["default"] = option.default
        if option.secret:
            entry["writeOnly"] = True
        properties[option.name] = entry
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def validate(
    options: Sequence[Option],
    given: Mapping[str, Any],
    where: Where,
    problems: Problems,
    owner: str,
    *,
    also_known: Collection[str] = (),
    inherited: Mapping[str, Any] | None = None,
    must_resolve: bool = False,
) -> dict[str, Any]:
    """The options as the connector gets them: one entry for each of ``options``, converted, defaults filled in.

    Everything wrong with ``given`` is added to ``problems`` at its path below ``where``; ``owner`` names whose options
    they are (``connector 'files'``). Names in ``also_known`` belong to somebody else and are passed over. ``inherited``
    holds values that :func:`validate_given` has passed and that stand where ``given`` says nothing.

    A reference without a value stays a reference in the result; with ``must_resolve`` it is a problem. What comes out
    of a secret option is registered with the redactor.
    """
    own = validate_given(options, given, where, problems, owner, also_known=also_known, must_resolve=must_resolve)
    result: dict[str, Any] = {}
    for option in options:
        for values in (own, inherited or {}):
            if option.name in values:
                result[option.name] = values[option.name]
                break
        else:
            if option.required:
                problems.add(where / option.name, f"required by {owner}")
            else:
                result[option.name] = option.default
    return result


def validate_given(
    options: Sequence[Option],
    given: Mapping[str, Any],
    where: Where,
    problems: Problems,
    owner: str,
    *,
    also_known: Collection[str] = (),
    must_resolve: bool = False,
) -> dict[str, Any]:
    """Like :func:`validate`, for a part of the options: nothing is required and no default is filled in."""
    by_name = {option.name: option for option in options}
    aliases = {other: option.name for option in options for other in option.names}
    result: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for key, value in given.items():
        name = aliases.get(key, key)
        option = by_name.get(name)
        if option is None:
            if key not in also_known:
                hint = _known_options(str(key), [*by_name, *also_known])
                problems.add(where / str(key), f"unknown option of {owner}", hint)
        elif name in seen:
            problems.add(where / key, f"the same option as '{seen[name]}'", "give one of the two")
        else:
            seen[name] = key
            result[name] = _check_value(option, value, where / key, problems, must_resolve)
    return result


def _known_options(key: str, known: Sequence[str]) -> str:
    return did_you_mean(key, known) or (f"it has {', '.join(sorted(known))}" if known else "it has no options")


def _check_value(option: Option, value: Any, where: Where, problems: Problems, must_resolve: bool) -> Any:
    if isinstance(value, tuple):
        value = list(value)
    given = value
    if holds_reference(value):
        came_as_text = isinstance(value, Reference)
        try:
            value = resolve(value)
        except UnresolvedReference as error:
            if must_resolve:
                problems.add(where, error.what, error.hint)
            return value
        if came_as_text:
            value = _from_text(option, value)
    if option.secret:
        _register_texts(value)
    if value is None and option.default is None:
        return None
    if not plainly_fits(option, value):
        wrong = _wrong(option, value)
        for path, found in wrong.items():
            what, hint = _wording(option, found, given)
            problems.add(Where((*where.parts, *path)), what, hint)
        if wrong:
            return value
    converted = _convert(option, value)
    if option.type in ("duration", "size") and not converted >= (option.minimum or 0):
        problems.add(where, f"must be at least {option.minimum or 0:g}, got {_got(option, value, given, ())}")
    return converted


_PLAIN: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: value.__class__ is int,
    "number": lambda value: value.__class__ is int or value.__class__ is float,
    "boolean": lambda value: value.__class__ is bool,
    "duration": lambda value: isinstance(value, str) and _DURATION.fullmatch(value) is not None,
    "size": lambda value: isinstance(value, str) and _SIZE.fullmatch(value) is not None,
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "sink": lambda value: isinstance(value, dict) and "type" in value,
    "expression": lambda value: True,
    "any": lambda value: True,
}


def plainly_fits(option: Option, value: Any) -> bool:
    """Whether a value keeps to the option's schema, seen at a glance; false also where the glance does not tell.

    It spares most pipelines the loading of :mod:`jsonschema`, which takes longer than all the rest of their check.
    """
    if not _PLAIN[option.type](value):
        return False
    if option.choices is not None and not (isinstance(value, str) and value in option.choices):
        return False
    if option.minimum is not None and option.type in ("integer", "number") and not value >= option.minimum:
        return False
    return option.items is None or all(map(_PLAIN[option.items], value))


def _wrong(option: Option, value: Any) -> dict[tuple[str | int, ...], ValidationError]:
    """What of a value breaks the option's schema, by its path in the value."""
    from jsonschema import Draft202012Validator

    wrong: dict[tuple[str | int, ...], ValidationError] = {}
    for found in Draft202012Validator(option.json_schema()).iter_errors(value):
        wrong.setdefault(tuple(found.absolute_path), found)
    return wrong


def _from_text(option: Option, text: str) -> Any:
    """What a text from a reference means for the option's type; the text itself where it means nothing."""
    if option.type in ("integer", "number", "boolean", "list", "object"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _convert(option: Option, value: Any) -> Any:
    if option.type == "duration":
        return seconds(value)
    if option.type == "size":
        return byte_count(value)
    if option.type == "integer":
        return int(value)
    return value


def seconds(value: float | str) -> float:
    """A duration in seconds, from a number or a text such as ``"500ms"``, ``"5s"``, ``"2m"``, ``"1h"``, ``"1d"``.

    Raises :class:`ValueError` for any other text.
    """
    if not isinstance(value, str):
        return float(value)
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"not a duration: {value!r}")
    return float(match[1]) * _SECONDS[match[2]]


def byte_count(value: int | str) -> int:
    """A size in bytes, from a number or a text such as ``"512KB"`` (1000s) or ``"64MiB"`` (1024s).

    Raises :class:`ValueError` for any other text.
    """
    if not isinstance(value, str):
        return int(value)
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError(f"not a size: {value!r}")
    base = 1024 if match[3] else 1000
    power: int = _POWERS[(match[2] or "").lower()]
    return int(int(match[1]) * base**power)


def _register_texts(value: Any) -> None:
    """Have the redactor know every string in the value of a secret option."""
    if isinstance(value, str):
        register_secret(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            _register_texts(item)
    elif isinstance(value, list):
        for item in value:
            _register_texts(item)


def _wording(option: Option, error: ValidationError, given: Any) -> tuple[str, str]:
    """What is wrong with a value, and what to do, in our words."""
    got = _got(option, error.instance, given, error.absolute_path)
    if option.choices is not None:
        value = error.instance
        shown = isinstance(value, str) and got == _shown(value)
        hint = did_you_mean(str(value), map(str, option.choices)) if shown else ""
        return f"must be one of {', '.join(map(_shown, option.choices))}, got {got}", hint
    if error.validator == "minimum":
        return f"must be at least {option.minimum or 0:g}, got {got}", ""
    named: str = option.items or "any" if error.absolute_path else option.type
    return f"must be {_NOUNS.get(named, 'another value')}, got {got}", ""


def _got(option: Option, value: Any, given: Any, path: Iterable[str | int]) -> str:
    """How a wrong value is named. What is secret, or came out of a reference, is not shown: only what kind it is."""
    if option.secret:
        return _kind(value)
    for part in path:
        if isinstance(given, Reference):
            break
        given = given[part]
    if isinstance(given, Reference):
        return f"{_kind(value)} from {given!r}"
    return _kind(value) if holds_reference(given) else _shown(value)


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    nouns = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return nouns.get(type(value), f"a value of type {type(value).__name__}")
