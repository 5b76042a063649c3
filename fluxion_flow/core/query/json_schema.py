"""Schemas of documents in MongoDB's dialect: JSON Schema draft 4 with ``bsonType``, without references and formats.

A keyword asks only of values of the type that it is about: ``minimum`` of numbers, ``required`` of documents.
MongoDB: $jsonSchema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import Where, did_you_mean
from ..expressions.parse import Parser
from ..ordering import canonical, sort_key
from ..values import DECIMAL128, decimal128, is_number, type_name
from .operators.element import NUMBERS, type_names
from .operators.numbers import whole_number
from .parse import deeper, literal, shown
from .pattern import compile_pattern

Check = Callable[[Any], bool]
Keyword = Callable[[Any, Where, Parser, Mapping[str, Any]], "Check | None"]


@dataclass(frozen=True)
class Schema:
    """A parsed schema: what a value must pass, all of it."""

    checks: tuple[Check, ...]

    def fits(self, value: Any) -> bool:
        """Whether a value is as the schema says."""
        return all(check(value) for check in self.checks)


def parse_schema(spec: Any, where: Where, parser: Parser) -> Schema:
    """Parse a schema; problems go to ``parser.problems``, and what cannot be parsed lets every value pass."""
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes a schema (an object), got {shown(spec)}")
        return Schema(())
    checks: list[Check] = []
    with deeper(parser, where) as shallow:
        for name, value in spec.items() if shallow else ():
            keyword = _KEYWORDS.get(name)
            if keyword is not None:
                check = keyword(value, where / name, parser, spec)
                if check is not None:
                    checks.append(check)
            elif name in _REMARKS:
                if not isinstance(value, str):
                    parser.problems.add(where / name, f"takes a text, got {shown(value)}")
            else:
                hint = _ELSEWHERE.get(str(name)) or did_you_mean(str(name), [*_KEYWORDS, *_REMARKS])
                parser.problems.add(where / str(name), "unknown keyword of a schema", hint)
    return Schema(tuple(checks))


_REMARKS: Final = ("title", "description")

_ELSEWHERE: Final = {
    "$ref": "write the schema out where it is used",
    "$schema": "leave it out: the dialect is draft 4 with bsonType",
    "definitions": "write the schemas out where they are used",
    "default": "set defaults with $set and $ifNull",
    "format": "use pattern",
    "id": "leave it out",
    "$id": "leave it out",
    "const": "use enum with one value",
}
"""Keywords of JSON Schema that MongoDB's dialect has not, with what to do instead."""

_JSON_TYPES: Final = {
    "object": frozenset({"object"}), "array": frozenset({"array"}), "string": frozenset({"string"}), "number": NUMBERS,
    "boolean": frozenset({"bool"}), "null": frozenset({"null"}),
}  # fmt: skip


def _bson_type(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    if "type" in schema:
        parser.problems.add(where, "stands beside 'type'", "leave one of them out")
    names = type_names(spec, where, parser)
    return lambda value: type_name(value) in names


def _type(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    names: frozenset[str] = frozenset()
    if spec == [] or spec == ():
        parser.problems.add(where, "takes at least one type, got an empty array")
    for i, item in enumerate(spec) if isinstance(spec, (list, tuple)) else [(None, spec)]:
        place = where if i is None else where / i
        if isinstance(item, str) and item in _JSON_TYPES:
            names |= _JSON_TYPES[item]
        else:
            hint = f"known are {', '.join(_JSON_TYPES)}; bsonType knows more"
            if item == "integer":
                hint = "use bsonType: [int, long]"
            parser.problems.add(place, f"takes the name of a JSON type, got {shown(item)}", hint)
    return lambda value: type_name(value) in names


def _limit(compare: Callable[[Any, Any], bool], or_equal: bool, exclusive: str) -> Keyword:
    def keyword(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
        if not is_number(spec):
            parser.problems.add(where, f"takes a number, got {shown(spec)}")
            return None
        limit, equal_fits = sort_key(spec), or_equal and schema.get(exclusive) is not True

        def check(value: Any) -> bool:
            if not is_number(value):
                return True
            key = sort_key(value)
            return compare(key, limit) or (equal_fits and key == limit)

        return check

    return keyword


def _exclusive(beside: str) -> Keyword:
    def keyword(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> None:
        if not isinstance(spec, bool):
            parser.problems.add(where, f"takes true or false, got {shown(spec)}", f"give the limit as {beside!r}")
        elif beside not in schema:
            parser.problems.add(where, f"needs {beside!r} beside it")

    return keyword


def _multiple_of(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    if not is_number(spec) or not spec > 0:
        parser.problems.add(where, f"takes a number greater than 0, got {shown(spec)}")
        return None
    step = decimal128(spec)

    def check(value: Any) -> bool:
        if not is_number(value):
            return True
        number = decimal128(value)
        if not number.is_finite():
            return False
        if isinstance(spec, int) and isinstance(value, int):
            return value % spec == 0
        rest = DECIMAL128.remainder(number, step)
        return rest.is_finite() and not rest

    return check


def _count(kind: type[str | list[Any] | dict[str, Any]], compare: Callable[[int, int], bool]) -> Keyword:
    def keyword(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
        limit = whole_number(spec)
        if limit is None or limit < 0:
            parser.problems.add(where, f"takes a whole number from 0 on, got {shown(spec)}")
            return None
        return lambda value: value.__class__ is not kind or compare(len(value), limit)

    return keyword


def _pattern(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    pattern = _compiled(spec, where, parser)
    if pattern is None:
        return None
    return lambda value: not isinstance(value, str) or pattern.search(value) is not None


def _compiled(spec: Any, where: Where, parser: Parser) -> re.Pattern[str] | None:
    if not isinstance(spec, str):
        parser.problems.add(where, f"takes a regular expression as text, got {shown(spec)}")
        return None
    try:
        return compile_pattern(spec)
    except ValueError as error:
        parser.problems.add(where, f"is no regular expression: {error}")
        return None


def _enum(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    if not isinstance(spec, (list, tuple)) or not spec:
        parser.problems.add(where, f"takes an array of at least one value, got {shown(spec)}")
        return None
    keys = {canonical(_sorted(literal(item, where / i, parser))) for i, item in enumerate(spec)}
    return lambda value: canonical(_sorted(value)) in keys


def _sorted(value: Any) -> Any:
    """The value with the fields of its documents in order of name: in a schema their order does not count."""
    if value.__class__ is dict:
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if value.__class__ is list else value


def _unique_items(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    if not isinstance(spec, bool):
        parser.problems.add(where, f"takes true or false, got {shown(spec)}")
    if spec is not True:
        return None
    return lambda value: value.__class__ is not list or len({canonical(_sorted(item)) for item in value}) == len(value)


def _names(spec: Any, where: Where, parser: Parser) -> tuple[str, ...]:
    if not isinstance(spec, (list, tuple)) or not spec or not all(isinstance(name, str) for name in spec):
        parser.problems.add(where, f"takes an array of at least one field name, got {shown(spec)}")
        return ()
    return tuple(spec)


def _required(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    names = _names(spec, where, parser)
    return lambda value: value.__class__ is not dict or all(name in value for name in names)


def _schemas_by_name(spec: Any, where: Where, parser: Parser) -> dict[str, Schema]:
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes an object of schemas, got {shown(spec)}")
        return {}
    return {str(name): parse_schema(value, where / str(name), parser) for name, value in spec.items()}


def _properties(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    schemas = _schemas_by_name(spec, where, parser)

    def check(value: Any) -> bool:
        return value.__class__ is not dict or all(s.fits(value[name]) for name, s in schemas.items() if name in value)

    return check


def _pattern_properties(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    schemas = _schemas_by_name(spec, where, parser)
    patterns = [(p, s) for name, s in schemas.items() if (p := _compiled(name, where / name, parser)) is not None]

    def check(value: Any) -> bool:
        if value.__class__ is not dict:
            return True
        return all(s.fits(item) for name, item in value.items() for p, s in patterns if p.search(name))

    return check


def _allowed(spec: Any, where: Where, parser: Parser) -> Schema | None:
    """``true`` (``None``), ``false`` (a schema that nothing fits) or a schema."""
    if isinstance(spec, bool):
        return None if spec else Schema((lambda value: False,))
    return parse_schema(spec, where, parser)


def _additional_properties(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    rest = _allowed(spec, where, parser)
    if rest is None:
        return None
    named = schema.get("properties")
    known = frozenset(named) if isinstance(named, Mapping) else frozenset()
    patterns: list[re.Pattern[str]] = []
    given = schema.get("patternProperties")
    for name in given if isinstance(given, Mapping) else ():
        try:
            patterns.append(compile_pattern(str(name)))
        except ValueError:
            continue  # patternProperties reports it

    def check(value: Any) -> bool:
        return value.__class__ is not dict or all(
            name in known or any(p.search(name) for p in patterns) or rest.fits(item) for name, item in value.items()
        )

    return check


def _dependencies(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes an object of field names or schemas, got {shown(spec)}")
        return None
    needs: dict[str, Check] = {}
    for name, value in spec.items():
        place = where / str(name)
        if isinstance(value, Mapping):
            needs[str(name)] = parse_schema(value, place, parser).fits
        else:
            needs[str(name)] = _required(value, place, parser, schema)
    return lambda value: value.__class__ is not dict or all(n(value) for name, n in needs.items() if name in value)


def _items(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    if isinstance(spec, (list, tuple)):
        each = [parse_schema(item, where / i, parser) for i, item in enumerate(spec)]
        return lambda value: (
            value.__class__ is not list or all(s.fits(item) for s, item in zip(each, value, strict=False))
        )
    every = parse_schema(spec, where, parser)
    return lambda value: value.__class__ is not list or all(map(every.fits, value))


def _additional_items(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
    rest = _allowed(spec, where, parser)
    items = schema.get("items")
    if rest is None or not isinstance(items, (list, tuple)):
        return None
    start = len(items)
    return lambda value: value.__class__ is not list or all(map(rest.fits, value[start:]))


def _several(decide: Callable[[list[Schema], Any], bool]) -> Keyword:
    def keyword(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check | None:
        if not isinstance(spec, (list, tuple)) or not spec:
            parser.problems.add(where, f"takes an array of at least one schema, got {shown(spec)}")
            return None
        schemas = [parse_schema(item, where / i, parser) for i, item in enumerate(spec)]
        return lambda value: decide(schemas, value)

    return keyword


def _not(spec: Any, where: Where, parser: Parser, schema: Mapping[str, Any]) -> Check:
    refused = parse_schema(spec, where, parser)
    return lambda value: not refused.fits(value)


def _at_least(a: int, b: int) -> bool:
    return a >= b


def _at_most(a: int, b: int) -> bool:
    return a <= b


_KEYWORDS: Final[dict[str, Keyword]] = {
    "bsonType": _bson_type,
    "type": _type,
    "enum": _enum,
    "minimum": _limit(lambda a, b: bool(a > b), True, "exclusiveMinimum"),
    "maximum": _limit(lambda a, b: bool(a < b), True, "exclusiveMaximum"),
    "exclusiveMinimum": _exclusive("minimum"),
    "exclusiveMaximum": _exclusive("maximum"),
    "multipleOf": _multiple_of,
    "minLength": _count(str, _at_least),
    "maxLength": _count(str, _at_most),
    "pattern": _pattern,
    "minItems": _count(list, _at_least),
    "maxItems": _count(list, _at_most),
    "uniqueItems": _unique_items,
    "items": _items,
    "additionalItems": _additional_items,
    "minProperties": _count(dict, _at_least),
    "maxProperties": _count(dict, _at_most),
    "required": _required,
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "dependencies": _dependencies,
    "allOf": _several(lambda schemas, value: all(s.fits(value) for s in schemas)),
    "anyOf": _several(lambda schemas, value: any(s.fits(value) for s in schemas)),
    "oneOf": _several(lambda schemas, value: sum(s.fits(value) for s in schemas) == 1),
    "not": _not,
}
