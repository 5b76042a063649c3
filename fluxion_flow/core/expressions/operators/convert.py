"""The general conversion: $convert, with ``onError`` and ``onNull`` (MongoDB: $convert)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ....errors import Where, did_you_mean
from ...values import EvaluationError, is_nullish, is_number, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form
from . import binary_conversions, conversions
from .conversion_error import ConversionError, cannot
from .whole_numbers import whole_number

_CONVERSIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "double": conversions.to_double,
    "string": conversions.to_string,
    "bool": conversions.to_bool,
    "date": conversions.to_date,
    "int": conversions.to_int,
    "long": conversions.to_long,
    "decimal": conversions.to_decimal,
    "array": conversions.to_array,
    "object": conversions.to_object,
}
_KINDS: Final = {
    "double": kinds.FLOAT,
    "string": kinds.STRING,
    "bool": kinds.BOOL,
    "date": kinds.DATE,
    "int": kinds.INT,
    "long": kinds.INT,
    "decimal": kinds.DECIMAL,
    "array": kinds.ARRAY,
    "object": kinds.OBJECT,
}
_CODES: Final = {
    1: "double", 2: "string", 3: "object", 4: "array", 5: "binData", 6: "undefined", 7: "objectId", 8: "bool",
    9: "date", 10: "null", 11: "regex", 12: "dbPointer", 13: "javascript", 14: "symbol", 15: "javascriptWithScope",
    16: "int", 17: "timestamp", 18: "long", 19: "decimal", -1: "minKey", 127: "maxKey", 0: "missing",
}  # fmt: skip
_NAMES: Final = (*_CONVERSIONS, "binData")
_BASES: Final = (2, 8, 10, 16)
_OPTIONS: Final = ("subtype", "format", "byteOrder", "base")


def target_type(to: Any) -> str:
    """The name of the type that ``to`` names or numbers. Raises :class:`EvaluationError` when there is none."""
    if isinstance(to, str) and to in _CODES.values():
        return to
    if is_number(to) and to == to and to in _CODES:
        return _CODES[int(to)]
    shown = repr(to) if isinstance(to, str) or is_number(to) else type_name(to)
    raise EvaluationError(f"$convert knows no type {shown}; known are {', '.join(_NAMES)}")


def convert_value(
    value: Any, to: Any, subtype: Any = None, format_: Any = None, byte_order: Any = None, base: Any = None
) -> Any:
    """``value``, which is not null, as the type that ``to`` names; null when an argument that is given is null.

    Raises :class:`ConversionError` when it cannot be converted, and :class:`EvaluationError` for arguments that do not
    exist.
    """
    if is_nullish(to):
        return None
    target = target_type(to)
    binary_subtype = whole_number("$convert", "its subtype", 0 if is_nullish(subtype) else subtype, 0, 255)
    form_ = _one_of("format", format_, binary_conversions.FORMATS)
    order = _one_of("byteOrder", byte_order, binary_conversions.BYTE_ORDERS) or "little"
    radix = None if is_nullish(base) else whole_number("$convert", "its base", base)
    if radix is not None and radix not in _BASES:
        raise EvaluationError(f"$convert takes the base 2, 8, 10 or 16, got {radix}")
    if target == "binData":
        return _to_binary(value, binary_subtype, form_, order)
    if isinstance(value, bytes):
        return _from_binary(value, target, form_, order)
    if radix not in (None, 10):
        if isinstance(value, str) and target in ("int", "long", "double", "decimal"):
            return conversions.from_base(value, radix, target)
        if is_number(value) and target == "string":
            return conversions.in_base(value, radix)
    conversion = _CONVERSIONS.get(target)
    if conversion is None:
        raise cannot(value, target)
    return conversion(value)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    if is_nullish(value):
        return None
    if value not in known:
        shown = repr(value) if isinstance(value, str) else type_name(value)
        raise EvaluationError(f"$convert takes {', '.join(known)} as its {name}, got {shown}")
    return value


def _to_binary(value: Any, subtype: int, format_: str | None, byte_order: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        if format_ is None:
            raise cannot(value, "binData", "give a format")
        return binary_conversions.text_as_binary(value, format_, subtype)
    if is_number(value) and isinstance(value, (int, float)) and format_ is None:
        return binary_conversions.number_as_binary(value, byte_order)
    raise cannot(value, "binData", "a format is for strings" if format_ else "")


def _from_binary(value: bytes, target: str, format_: str | None, byte_order: str) -> Any:
    if target == "string":
        if format_ is None:
            raise cannot(value, "string", "give a format")
        return binary_conversions.binary_as_text(value, format_)
    if target in ("int", "long"):
        number = binary_conversions.integer_of(value, byte_order)
        return conversions.to_int(number) if target == "int" else number
    if target == "double":
        return binary_conversions.double_of(value, byte_order)
    if target == "bool":
        return True
    raise cannot(value, target)


@dataclass(frozen=True, eq=False)
class Convert(Node):
    """``function`` is the conversion where it is known while compiling, ``options`` are the arguments of the general
    one otherwise (``to``, subtype, format, byte order, base)."""

    input: Node
    function: Callable[[Any], Any] | None
    returns: int
    options: tuple[Node, ...] = field(default=())
    on_error: Node | None = None
    on_null: Node | None = None

    def children(self) -> Iterator[Node]:
        yield self.input
        yield from self.options
        for node in (self.on_error, self.on_null):
            if node is not None:
                yield node

    def emit(self, e: Emitter) -> Atom:
        value = e.value(self.input)
        result = e.temp()
        found = self.returns
        if value.may_be(kinds.NULLISH):
            with e.block(f"if {value.code} is None or {value.code} is M:"):
                atom = e.value(self.on_null) if self.on_null is not None else Atom("None", kinds.NULL)
                e.line(f"{result} = {atom.code}")
                found |= atom.kinds
            e.open("else:")
        else:
            e.open("if True:")
        codes = [value.code, *(e.value(node).code for node in self.options)]
        call = f"{e.bind(self.function or convert_value, 'convert')}({', '.join(codes)})"
        if self.on_error is None:
            e.line(f"{result} = {call}")
        else:
            failure = e.bind(ConversionError, "conversion_error")
            failed = e.temp("failed")
            e.line(f"{failed} = False")
            with e.block("try:"):
                e.line(f"{result} = {call}")
            with e.block(f"except {failure}:"):
                e.line(f"{failed} = True")
            with e.block(f"if {failed}:"):
                atom = e.value(self.on_error)
                e.line(f"{result} = {atom.code}")
                found |= atom.kinds
        e.close()
        return Atom(result, found)


@form(
    "$convert",
    arity="{input, to, onError, onNull, format, byteOrder, base}",
    examples=[
        ({"a": "12"}, {"$convert": {"input": "$a", "to": "int"}}, 12),
        ({"a": "twelve"}, {"$convert": {"input": "$a", "to": "int", "onError": -1}}, -1),
        ({}, {"$convert": {"input": "$a", "to": "int", "onNull": 0}}, 0),
        ({"a": "ff"}, {"$convert": {"input": "$a", "to": "int", "base": 16}}, 255),
        ({"a": "twelve"}, {"$convert": {"input": "$a", "to": "int"}}, EvaluationError),
    ],
)
def convert(spec: Any, where: Where, parser: Parser) -> Node:
    """A value as another type: double, string, binData, bool, date, int, long, decimal, array or object.

    ``to`` is its name or BSON number. A text becomes the array or object that it holds as JSON.

    ``onNull`` stands in for null and missing (null without it), ``onError`` for what cannot be converted. ``to`` may
    also be ``{type, subtype}``. Binary data and texts convert by ``format`` (base64, base64url, hex, utf8, uuid),
    binary data and numbers by ``byteOrder`` (little, big), texts and numbers in base 2, 8, 10 or 16 by ``base``.
    Null when ``to`` is null. Raises for what cannot be converted, without ``onError``. MongoDB: $convert.
    """
    given = parser.arguments(spec, where, ("input", "to"), ("onError", "onNull", "format", "byteOrder", "base"))
    if given is None:
        return Const(where, None)
    parts = {name: parser.expression(given[name], where / name) for name in given if name not in ("to", *_OPTIONS)}
    to, place = given["to"], where / "to"
    options = {name: parser.expression(given[name], where / name) for name in _OPTIONS if name in given}
    if isinstance(to, Mapping) and not any(str(name).startswith("$") for name in to):
        detailed = parser.arguments(to, place, ("type",), ("subtype",))
        if detailed is None:
            return Const(where, None)
        if "subtype" in detailed:
            options["subtype"] = parser.expression(detailed["subtype"], place / "subtype")
        to, place = detailed["type"], place / "type"
    target = parser.expression(to, place)
    _check(target, place, options, where, parser)
    on_error, on_null = parts.get("onError"), parts.get("onNull")
    if isinstance(target, Const) and not options and not is_nullish(target.value):
        name = target_type_or_none(target.value)
        if name in _CONVERSIONS and name != "string":
            return Convert(where, parts["input"], _CONVERSIONS[name], _KINDS[name], (), on_error, on_null)
    arguments = [target, *(options.get(name, Const(where, None)) for name in _OPTIONS)]
    return Convert(where, parts["input"], None, kinds.ANY, tuple(arguments), on_error, on_null)


def target_type_or_none(to: Any) -> str | None:
    """As :func:`target_type`, ``None`` when there is no such type."""
    try:
        return target_type(to)
    except EvaluationError:
        return None


def _check(target: Node, place: Where, options: Mapping[str, Node], where: Where, parser: Parser) -> None:
    """Report constants that name no type, no format, no byte order or no base."""
    if isinstance(target, Const) and not is_nullish(target.value):
        name = target_type_or_none(target.value)
        if name is None:
            shown = repr(target.value) if isinstance(target.value, (str, int, float)) else type_name(target.value)
            close = did_you_mean(target.value, _NAMES) if isinstance(target.value, str) else ""
            parser.problems.add(place, f"unknown type {shown}", close or f"known are {', '.join(_NAMES)}")
        elif name == "objectId":
            parser.problems.add(place, "documents hold no ObjectId", "keep its 24 hexadecimal digits as a string")
    choices = {"format": binary_conversions.FORMATS, "byteOrder": binary_conversions.BYTE_ORDERS, "base": _BASES}
    for name, known in choices.items():
        node = options.get(name)
        if isinstance(node, Const) and not is_nullish(node.value) and node.value not in known:
            hint = did_you_mean(str(node.value), map(str, known)) or f"known are {', '.join(map(str, known))}"
            parser.problems.add(where / name, f"unknown {name} {node.value!r}", hint)
