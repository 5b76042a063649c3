"""Types: $type, $isNumber, and the shorthands $toBool $toInt $toLong $toDouble $toDecimal $toString $toDate $toUUID.

(MongoDB: type operators.) The general $convert is in ``convert.py``.
"""

from __future__ import annotations

from typing import Any

from ....errors import Where
from ...values import EvaluationError, is_nullish, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import Operator, form, operator
from . import conversions

_CLASS_NAMES = {str: "string", float: "double", bool: "bool", dict: "object", list: "array", type(None): "null"}


@operator(
    "$type",
    returns=kinds.STRING,
    examples=[
        ({"a": 1}, {"$type": "$a"}, "int"),
        ({"a": 2**40}, {"$type": "$a"}, "long"),
        ({"a": 1.5}, {"$type": "$a"}, "double"),
        ({}, {"$type": "$a"}, "missing"),
    ],
)
def type_(value: Any) -> str:
    """The name of a value's BSON type. An integer is an int when 32 bits hold it, else a long. MongoDB: $type."""
    return type_name(value)


@type_.inline
def _type(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if a.is_only(kinds.INT):
        return None
    names = e.bind(_CLASS_NAMES, "type_names")
    return e.assign(f"{names}.get({a.code}.__class__) or {e.bind(type_name, 'type_name')}({a.code})", kinds.STRING)


@operator(
    "$isNumber",
    returns=kinds.BOOL,
    examples=[({"a": 1.5}, {"$isNumber": "$a"}, True), ({"a": "1"}, {"$isNumber": "$a"}, False)],
)
def is_number_(value: Any) -> bool:
    """Whether a value is an int, long, double or decimal. MongoDB: $isNumber."""
    return is_number(value)


@operator(
    "$toBool",
    returns=kinds.BOOL | kinds.NULL,
    examples=[
        ({"a": 0}, {"$toBool": "$a"}, False),
        ({"a": "false"}, {"$toBool": "$a"}, True),
        ({}, {"$toBool": "$a"}, None),
    ],
)
def to_bool(value: Any) -> Any:
    """A bool: false of zero, true of other numbers and of everything else, the text ``"false"`` too.

    Null if null or missing. MongoDB: $toBool.
    """
    return None if is_nullish(value) else conversions.to_bool(value)


@to_bool.inline
def _to_bool(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    slow = f"{e.bind(to_bool.function, 'to_bool')}({a.code})"
    number = f"({a.code} != 0) if {a.code}.__class__ is int or {a.code}.__class__ is float else {slow}"
    return e.assign(f"{a.code} if {a.code}.__class__ is bool else {number}", to_bool.returns)


@operator(
    "$toInt",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": "42"}, {"$toInt": "$a"}, 42),
        ({"a": -1.9}, {"$toInt": "$a"}, -1),
        ({"a": "4.2"}, {"$toInt": "$a"}, EvaluationError),
        ({}, {"$toInt": "$a"}, None),
    ],
)
def to_int(value: Any) -> Any:
    """A whole number of 32 bits from a number (cut), a bool, or a text in base 10.

    Null if null or missing. Raises for other types, other texts, and what does not fit. MongoDB: $toInt.
    """
    return None if is_nullish(value) else conversions.to_int(value)


@operator(
    "$toLong",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": "4200000000"}, {"$toLong": "$a"}, 4200000000),
        ({"a": "x"}, {"$toLong": "$a"}, EvaluationError),
        ({}, {"$toLong": "$a"}, None),
    ],
)
def to_long(value: Any) -> Any:
    """A whole number of 64 bits from a number (cut), a bool, a text in base 10, or a date (its milliseconds).

    Null if null or missing. Raises for other types, other texts, and what does not fit. MongoDB: $toLong.
    """
    return None if is_nullish(value) else conversions.to_long(value)


def _inline_whole(declared: Operator, limit: str) -> None:
    """Inline source: ints and doubles well inside the bounds, and a few digits; the function does the rest."""

    @declared.inline
    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        (a,) = atoms
        if a.is_only(kinds.INT):
            return None
        slow = f"{e.bind(declared.function, declared.name[1:])}({a.code})"
        test = f"({a.code}.__class__ is float or {a.code}.__class__ is int) and -{limit} < {a.code} < {limit}"
        if a.may_be(kinds.STRING):
            digits = f"{a.code}.isdigit() and len({a.code}) < 10 and {a.code}.isascii()"
            test = f"(({a.code}.__class__ is str and {digits}) or ({test}))"
        return e.assign(f"int({a.code}) if {test} else {slow}", declared.returns)


_inline_whole(to_int, "2147483647")
_inline_whole(to_long, "9007199254740992")


@operator(
    "$toDouble",
    returns=kinds.FLOAT | kinds.NULL,
    examples=[
        ({"a": "-5.5e3"}, {"$toDouble": "$a"}, -5500.0),
        ({"a": True}, {"$toDouble": "$a"}, 1.0),
        ({"a": "five"}, {"$toDouble": "$a"}, EvaluationError),
        ({}, {"$toDouble": "$a"}, None),
    ],
)
def to_double(value: Any) -> Any:
    """A double from a number, a bool, a text in base 10, or a date (its milliseconds).

    Null if null or missing. Raises for other types, other texts, and what does not fit. MongoDB: $toDouble.
    """
    return None if is_nullish(value) else conversions.to_double(value)


@to_double.inline
def _to_double(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if a.is_only(kinds.INT):
        return None
    slow = f"{e.bind(to_double.function, 'to_double')}({a.code})"
    small = f"float({a.code}) if {a.code}.__class__ is int and -9007199254740992 < {a.code} < 9007199254740992"
    return e.assign(f"{a.code} if {a.code}.__class__ is float else {small} else {slow}", to_double.returns)


@operator(
    "$toDecimal",
    returns=kinds.DECIMAL | kinds.NULL,
    examples=[({"a": "x"}, {"$toDecimal": "$a"}, EvaluationError), ({}, {"$toDecimal": "$a"}, None)],
)
def to_decimal(value: Any) -> Any:
    """A decimal from a number (a double by its first 15 digits), a bool, a text in base 10, or a date.

    Null if null or missing. Raises for other types, other texts, and what does not fit. MongoDB: $toDecimal.
    """
    return None if is_nullish(value) else conversions.to_decimal(value)


@operator(
    "$toString",
    returns=kinds.STRING | kinds.NULL,
    examples=[
        ({"a": 2.0}, {"$toString": "$a"}, "2"),
        ({"a": True}, {"$toString": "$a"}, "true"),
        ({"a": [1]}, {"$toString": "$a"}, EvaluationError),
        ({}, {"$toString": "$a"}, None),
    ],
)
def to_string(value: Any) -> Any:
    """A text from a number, a bool, a date (ISO 8601) or binary data (base 64).

    Null if null or missing. Raises for other types. MongoDB: $toString.
    """
    return None if is_nullish(value) else conversions.to_string(value)


@to_string.inline
def _to_string(e: Emitter, atoms: list[Atom]) -> Atom | None:
    (a,) = atoms
    if a.is_only(kinds.INT):
        return e.assign(f"str({a.code})", kinds.STRING)
    slow = f"{e.bind(to_string.function, 'to_string')}({a.code})"
    double = f"{e.bind(conversions.double_text, 'double_text')}({a.code}) if {a.code}.__class__ is float else {slow}"
    whole = f"str({a.code}) if {a.code}.__class__ is int else {double}"
    return e.assign(f"{a.code} if {a.code}.__class__ is str else {whole}", to_string.returns)


@operator(
    "$toDate",
    returns=kinds.DATE | kinds.NULL,
    examples=[({"a": "Friday"}, {"$toDate": "$a"}, EvaluationError), ({}, {"$toDate": "$a"}, None)],
)
def to_date(value: Any) -> Any:
    """A date from a text (ISO 8601), or from milliseconds since 1970 as a long, double or decimal.

    Null if null or missing. Raises for other types, ints too, and other texts. MongoDB: $toDate.
    """
    return None if is_nullish(value) else conversions.to_date(value)


@operator(
    "$toUUID",
    returns=kinds.OTHER | kinds.NULL,
    examples=[({"a": "no-uuid"}, {"$toUUID": "$a"}, EvaluationError), ({}, {"$toUUID": "$a"}, None)],
)
def to_uuid(value: Any) -> Any:
    """The 16 bytes of a UUID from its text.

    Null if null or missing. Raises for anything else. MongoDB: $toUUID.
    """
    return None if is_nullish(value) else conversions.to_uuid(value)


@operator(
    "$toArray",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": '[1, {"b": null}]'}, {"$toArray": "$a"}, [1, {"b": None}]),
        ({"a": "{}"}, {"$toArray": "$a"}, EvaluationError),
        ({}, {"$toArray": "$a"}, None),
    ],
)
def to_array(value: Any) -> Any:
    """The array that a text holds as JSON. Extended JSON in the text stays as it is written.

    Null if null or missing. Raises for anything else. MongoDB: $toArray.
    """
    return None if is_nullish(value) else conversions.to_array(value)


@operator(
    "$toObject",
    returns=kinds.OBJECT | kinds.NULL,
    examples=[
        ({"a": '{"b": 1, "c": 2, "b": 3}'}, {"$toObject": "$a"}, {"b": 3, "c": 2}),
        ({"a": '{"big": 18446744073709551615}'}, {"$toObject": "$a"}, {"big": 18446744073709551615.0}),
        ({"a": "[]"}, {"$toObject": "$a"}, EvaluationError),
        ({}, {"$toObject": "$a"}, None),
    ],
)
def to_object(value: Any) -> Any:
    """The object that a text holds as JSON. Of repeated names the last value counts.

    Null if null or missing. Raises for anything else. MongoDB: $toObject.
    """
    return None if is_nullish(value) else conversions.to_object(value)


@operator(
    "$subtype",
    returns=kinds.INT | kinds.NULL,
    examples=[
        ({"a": b"\x01"}, {"$subtype": "$a"}, 0),
        ({"a": "text"}, {"$subtype": "$a"}, EvaluationError),
        ({}, {"$subtype": "$a"}, None),
    ],
)
def subtype(value: Any) -> Any:
    """The subtype of binary data: 0, the only one that documents hold.

    Null if null or missing. Raises for anything else. MongoDB: $subtype.
    """
    if is_nullish(value):
        return None
    if isinstance(value, bytes):
        return 0
    raise EvaluationError(f"$subtype takes binary data, got {type_name(value)}")


@form("$toObjectId", arity="expression")
def to_object_id(spec: Any, where: Where, parser: Parser) -> Node:
    """Not supported: documents hold no ObjectId, keep its 24 hexadecimal digits as a string. MongoDB: $toObjectId."""
    parser.problems.add(where, "documents hold no ObjectId", "keep its 24 hexadecimal digits as a string")
    return Const(where, None)
