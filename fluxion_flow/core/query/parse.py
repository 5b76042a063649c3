"""From a query as data to predicates: names, types and nesting are checked here, all problems collected."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...errors import Where, did_you_mean
from ..expressions.parse import MAX_DEPTH, Parser
from ..expressions.registry import all_operators
from ..values import EvaluationError, utc
from .condition import Condition, Every, Never
from .predicate import Always, FieldTest, Predicate, both
from .registry import field_operators, query_operators

__all__ = ["Predicate", "conditions_of", "is_operators", "literal", "parse_query", "shown"]

_NOT_HERE = {
    "$where": "write the condition as an expression under $expr",
    "$text": "use $regex on the field",
    **dict.fromkeys(
        ("$near", "$nearSphere", "$geoWithin", "$geoIntersects", "$within"),
        "compare coordinates with $gte and $lte, or compute the distance under $expr",
    ),
}
"""Operators of MongoDB that need an index or a server, with what to do instead."""


def parse_query(spec: Any, where: Where, parser: Parser) -> Predicate:
    """Parse a query document; problems go to ``parser.problems``, and what cannot be parsed matches everything."""
    if not isinstance(spec, Mapping):
        parser.problems.add(where, f"takes a query document, got {shown(spec)}", "give {field: condition, …}")
        return Always(where, True)
    with deeper(parser, where) as shallow:
        if not shallow:
            return Always(where, True)
        parts: list[Predicate] = []
        for name, value in spec.items():
            if not isinstance(name, str):
                parser.problems.add(where, f"field names are strings, got {shown(name)}", "put it in quotes")
            elif name.startswith("$"):
                parts.append(_query_operator(name, value, where / name, parser))
            elif "\0" in name:
                parser.problems.add(where, "a field name cannot hold a null byte")
            else:
                place = where / name
                parts.append(FieldTest(place, tuple(name.split(".")), conditions_of(value, place, parser)))
        return both(where, parts)


def conditions_of(spec: Any, where: Where, parser: Parser) -> tuple[Condition, ...]:
    """Parse what stands under a field: operators, a regular expression, or a value to equal. Never empty."""
    if is_operators(spec):
        return _operators(spec, where, parser)
    implicit = "$regex" if isinstance(spec, re.Pattern) else "$eq"
    return (field_operators()[implicit].parse({implicit: spec} if implicit == "$regex" else spec, where, parser),)


def is_operators(spec: Any) -> bool:
    """Whether ``spec`` is an object of operators: its first name starts with ``$``, and it is no database reference."""
    if not isinstance(spec, Mapping) or not spec:
        return False
    first = next(iter(spec))
    return isinstance(first, str) and first.startswith("$") and not (first == "$ref" and "$id" in spec)


def _operators(spec: Mapping[str, Any], where: Where, parser: Parser) -> tuple[Condition, ...]:
    known = field_operators()
    owners = {companion: entry.name for entry in known.values() for companion in entry.companions}
    found: list[Condition] = []
    with deeper(parser, where) as shallow:
        for name, value in spec.items() if shallow else ():
            entry = known.get(name)
            if entry is not None:
                given = {n: spec[n] for n in (name, *entry.companions) if n in spec} if entry.companions else value
                condition = entry.parse(given, where if entry.companions else where / name, parser)
                found += condition.parts if isinstance(condition, Every) else (condition,)
            elif name in owners:
                if owners[name] not in spec:
                    parser.problems.add(where / name, f"needs {owners[name]!r} beside it")
            elif isinstance(name, str) and name.startswith("$"):
                _unknown(name, where / name, parser, under_field=True)
            else:
                hint = "use $eq to compare with a whole document"
                parser.problems.add(where, f"{shown(name)} is no operator and stands beside operators", hint)
    return tuple(found) or (Never(where),)


def _query_operator(name: str, spec: Any, where: Where, parser: Parser) -> Predicate:
    entry = query_operators().get(name)
    if entry is None:
        _unknown(name, where, parser, under_field=False)
        return Always(where, True)
    return entry.parse(spec, where, parser)


def _unknown(name: str, where: Where, parser: Parser, under_field: bool) -> None:
    here, there = query_operators(), field_operators()
    if under_field:
        here, there = there, here  # type: ignore[assignment]
    if name in _NOT_HERE:
        parser.problems.add(where, f"{name!r} is not available in a stream", _NOT_HERE[name])
        return
    if name in there:
        what = f"{name!r} cannot stand {'under a field' if under_field else 'at the top of a query'}"
        hint = f"write it beside the fields: {{{name}: …}}" if under_field else f"write {{field: {{{name}: …}}}}"
    else:
        what, hint = f"unknown query operator {name!r}", did_you_mean(name, here)
        if name in all_operators():
            hint = "expressions stand under $expr"
        elif not hint:
            hint = "see `fluxion operators`" if under_field else "field names in a query are written without '$'"
    parser.problems.add(where, what, hint)


@contextmanager
def deeper(parser: Parser, where: Where) -> Iterator[bool]:
    """One level of nesting further down; false, with a problem reported, beyond the limit."""
    if parser.depth >= MAX_DEPTH:
        parser.problems.add(where, f"nested deeper than {MAX_DEPTH} levels", "split it over several stages")
        yield False
        return
    parser.depth += 1
    try:
        yield True
    finally:
        parser.depth -= 1


def literal(spec: Any, where: Where, parser: Parser) -> Any:
    """A value in a query as documents hold it: plain dicts and lists, dates in UTC. Problems are reported."""
    if spec is None or spec.__class__ in (str, int, float, bool):
        return spec
    if isinstance(spec, datetime.datetime):
        try:
            return utc(spec)
        except EvaluationError as error:
            parser.problems.add(where, str(error))
            return None
    if isinstance(spec, (bool, int, float, str, decimal.Decimal, bytes, re.Pattern)):
        return spec
    if isinstance(spec, (Mapping, list, tuple)):
        with deeper(parser, where) as shallow:
            if not shallow:
                return None
            if isinstance(spec, Mapping):
                for name in spec:
                    if not isinstance(name, str):
                        parser.problems.add(where, f"field names are strings, got {shown(name)}", "put it in quotes")
                return {str(name): literal(value, where / str(name), parser) for name, value in spec.items()}
            return [literal(value, where / i, parser) for i, value in enumerate(spec)]
    parser.problems.add(
        where, f"a {type(spec).__name__} is not a value of a query", "give a value that a document can hold"
    )
    return None


def shown(value: Any) -> str:
    """A value of a definition in the text of a problem: short, and in the words of a definition."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if isinstance(value, (list, tuple)):
        return "an array" if value else "an empty array"
    if isinstance(value, re.Pattern):
        return "a regular expression"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…" + text[-1]
