"""Extended JSON as values: $serializeEJSON, $deserializeEJSON (MongoDB: the same)."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from ....errors import Where
from ...extended_json import from_extended, to_canonical, to_extended
from ...values import EvaluationError
from .. import kinds
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form
from .conversion_error import ConversionError
from .convert import Convert

_DATE = datetime.datetime(2021, 1, 1, tzinfo=datetime.timezone.utc)


def deserialized(value: Any) -> Any:
    """The value that Extended JSON stands for. Raises :class:`ConversionError` for what is malformed."""
    try:
        return from_extended(value)
    except ValueError as error:
        raise ConversionError(f"the Extended JSON {error}") from None


def _convert(
    spec: Any, where: Where, parser: Parser, option: str, function: Callable[[Any], Callable[[Any], Any]]
) -> Node:
    given = parser.arguments(spec, where, ("input",), (*([option] if option else []), "onError"))
    if given is None:
        return Const(where, None)
    flag = given.get(option, False)
    if not isinstance(flag, bool):
        parser.problems.add(where / option, f"takes true or false, got {flag!r}")
    value = parser.expression(given["input"], where / "input")
    on_error = parser.expression(given["onError"], where / "onError") if "onError" in given else None
    return Convert(where, value, function(flag), kinds.ANY, (), on_error)


@form(
    "$serializeEJSON",
    arity="{input, relaxed, onError}",
    examples=[
        (
            {"a": [42, 4.5, "x"]},
            {"$serializeEJSON": {"input": "$a"}},
            [{"$numberInt": "42"}, {"$numberDouble": "4.5"}, "x"],
        ),
        (
            {"a": {"b": 42, "d": _DATE}},
            {"$serializeEJSON": {"input": "$a", "relaxed": True}},
            {"b": 42, "d": {"$date": "2021-01-01T00:00:00.000Z"}},
        ),
        ({}, {"$serializeEJSON": {"input": "$a"}}, None),
    ],
)
def serialize_ejson(spec: Any, where: Where, parser: Parser) -> Node:
    """A value in Extended JSON: canonical, in which all numbers tell their types, or ``relaxed``.

    Null if null or missing. A whole number is an int where 32 bits hold it, else a long. MongoDB: $serializeEJSON.
    """
    return _convert(spec, where, parser, "relaxed", lambda relaxed: to_extended if relaxed else to_canonical)


@form(
    "$deserializeEJSON",
    arity="{input, onError}",
    examples=[
        (
            {"a": {"b": {"$numberLong": "7"}, "d": {"$date": {"$numberLong": "1609459200000"}}}},
            {"$deserializeEJSON": {"input": "$a"}},
            {"b": 7, "d": _DATE},
        ),
        ({"a": {"$date": "soon"}}, {"$deserializeEJSON": {"input": "$a", "onError": "no date"}}, "no date"),
        ({"a": {"$numberInt": "x"}}, {"$deserializeEJSON": {"input": "$a"}}, EvaluationError),
        ({}, {"$deserializeEJSON": {"input": "$a"}}, None),
    ],
)
def deserialize_ejson(spec: Any, where: Where, parser: Parser) -> Node:
    """The value that Extended JSON stands for; what documents cannot hold, such as ``{"$oid": …}``, stays as it is.

    Null if null or missing. Raises for malformed Extended JSON, without ``onError``. MongoDB: $deserializeEJSON.
    """
    return _convert(spec, where, parser, "", lambda _: deserialized)
