"""Whether a field is there, and of which type: $exists, $type (MongoDB: Element Query Operators)."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ....errors import Where, did_you_mean
from ...expressions import kinds
from ...expressions.emit import Emitter
from ...expressions.parse import Parser
from ...values import MISSING, truthy, type_name
from ..condition import Condition, Never, Not
from ..parse import shown
from ..paths import Reading, Several
from ..registry import field_operator


@dataclass(frozen=True, eq=False)
class Exists(Condition):
    """The path reaches something, null included."""

    def holds(self, value: Any) -> bool:
        return value is not MISSING

    def source(self, e: Emitter, value: Reading) -> str:
        there = f"{value.code} is not M"
        if value.several:
            return f"({there} if {value.code}.__class__ is not {e.bind(Several, 'Several')} else {self.slow(e, value)})"
        return f"({there})" if value.may_be(kinds.ABSENT) else "True"

    @property
    def careful(self) -> bool:
        return True


@field_operator(
    "$exists", examples=[({"a": None}, {"a": {"$exists": True}}, True), ({}, {"a": {"$exists": False}}, True)]
)
def exists(spec: Any, where: Where, parser: Parser) -> Condition:
    """The field is there, null included; with false, it is not. MongoDB: $exists."""
    return Exists(where) if truthy(spec) else Not(where, Exists(where))


TYPE_CODES: Final[Mapping[int, str]] = {
    1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 6: "undefined", 7: "objectId", 8: "bool",
    9: "date", 10: "null", 11: "regex", 12: "dbPointer", 13: "javascript", 14: "symbol",
    15: "javascriptWithScope", 16: "int", 17: "timestamp", 18: "long", 19: "decimal", -1: "minKey", 127: "maxKey",
}  # fmt: skip
"""BSON type names by their codes; those that no document here holds are known and match nothing."""

TYPE_NAMES: Final = frozenset(TYPE_CODES.values())
NUMBERS: Final = frozenset({"int", "long", "double", "decimal"})

_CLASSES: Final = {"string": str, "object": dict, "bool": bool, "decimal": decimal.Decimal, "binData": bytes}
"""Types that one Python class stands for, and nothing else."""


@dataclass(frozen=True, eq=False)
class OfType(Condition):
    """A value of one of several BSON types."""

    names: frozenset[str]

    def holds(self, value: Any) -> bool:
        return type_name(value) in self.names

    def source(self, e: Emitter, value: Reading) -> str:
        if len(self.names) != 1 or next(iter(self.names)) not in _CLASSES:
            return self.slow(e, value)
        fast = f"{value.code}.__class__ is {e.bind(_CLASSES[next(iter(self.names))], 'Class')}"
        many = value.many(e, self.slow(e, value))
        return f"({fast} or {many})" if many else f"({fast})"


def type_names(spec: Any, where: Where, parser: Parser) -> frozenset[str]:
    """The BSON type names that a name, a code, or an array of them stands for; problems are reported."""
    given = list(enumerate(spec)) if isinstance(spec, (list, tuple)) else [(None, spec)]
    if not given:
        parser.problems.add(where, "takes at least one type, got an empty array")
    found: set[str] = set()
    for i, item in given:
        place = where if i is None else where / i
        if isinstance(item, str):
            if item == "number":
                found |= NUMBERS
            elif item in TYPE_NAMES:
                found.add(item)
            else:
                hint = did_you_mean(item, [*TYPE_NAMES, "number"])
                if item == "missing":
                    hint = "use {$exists: false}"
                parser.problems.add(
                    place, f"unknown type {shown(item)}", hint or "known are number, " + ", ".join(sorted(TYPE_NAMES))
                )
        elif isinstance(item, bool) or not isinstance(item, (int, float, decimal.Decimal)):
            parser.problems.add(place, f"takes the name or the code of a type, got {shown(item)}")
        elif item not in TYPE_CODES:
            hint = "use {$exists: false}" if item == 0 else "codes are 1 to 19, -1 and 127; names say it better"
            parser.problems.add(place, f"unknown type code {shown(item)}", hint)
        else:
            found.add(TYPE_CODES[int(item)])
    return frozenset(found)


@field_operator(
    "$type",
    examples=[
        ({"a": 1.5}, {"a": {"$type": "number"}}, True),
        ({"a": ["x", 1]}, {"a": {"$type": "string"}}, True),
        ({"a": [1]}, {"a": {"$type": ["array", "null"]}}, True),
        ({}, {"a": {"$type": 10}}, False),
    ],
)
def type_(spec: Any, where: Where, parser: Parser) -> Condition:
    """A value of a BSON type, by name or code, or of one of an array of them; ``number`` is any number.

    Whole numbers are ``int`` within 32 bits, ``long`` within 64. MongoDB: $type.
    """
    names = type_names(spec, where, parser)
    return OfType(where, names) if names else Never(where)
