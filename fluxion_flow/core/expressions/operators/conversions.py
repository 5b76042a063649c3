"""From one type to another, as $convert and its shorthands do it. No function here is given null or a missing value."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ...dates import format_iso, parse_date
from ...values import (
    DECIMAL128,
    INT32_MAX,
    INT32_MIN,
    INT64_MAX,
    INT64_MIN,
    EvaluationError,
    decimal128,
    from_millis,
    int64,
    to_millis,
    type_name,
)
from .binary_conversions import base64_of, double_of, integer_of, text_as_binary
from .conversion_error import ConversionError, cannot

_WHOLE: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?|nan)", re.ASCII | re.I
)
_DOUBTFUL: Final = re.compile(r"[0-9]{19}|\\u0000")
"""What stands in every JSON text that holds an integer beyond 64 bits, or a null byte."""
_BOUNDS: Final = {"int": (INT32_MIN, INT32_MAX), "long": (INT64_MIN, INT64_MAX)}
_MODERATE: Final = 1e-300
_SPECIAL: Final = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_DIGITS: Final = {2: "01", 8: "0-7", 16: "0-9a-fA-F"}


def to_bool(value: Any) -> bool:
    """Numbers by whether they are zero; everything else is true. MongoDB: $toBool."""
    if isinstance(value, (bool, int, float, Decimal)):
        return bool(value != 0)
    return True


def to_int(value: Any) -> int:
    """A whole number of 32 bits; doubles and decimals are cut. Raises :class:`ConversionError`. MongoDB: $toInt."""
    return _to_whole(value, "int")


def to_long(value: Any) -> int:
    """A whole number of 64 bits; dates become milliseconds. Raises :class:`ConversionError`. MongoDB: $toLong."""
    return to_millis(value) if isinstance(value, datetime) else _to_whole(value, "long")


def _to_whole(value: Any, target: str) -> int:
    if value.__class__ is str and len(value) < 10 and value.isdigit() and value.isascii():
        return int(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise cannot(value, target, f"it is {value}")
        number = int(value)
    elif isinstance(value, (bool, int)):
        number = int(value)
    elif isinstance(value, str):
        if len(value) > 30 or not ((value.isdigit() and value.isascii()) or _WHOLE.fullmatch(value)):
            raise cannot(value, target, "it is not a whole number in base 10")
        number = int(value)
    elif isinstance(value, bytes):
        number = integer_of(value, "little")
    else:
        raise cannot(value, target)
    least, most = _BOUNDS[target]
    if not least <= number <= most:
        raise cannot(value, target, f"it lies outside {least} to {most}")
    return number


def to_double(value: Any) -> float:
    """A double; dates become milliseconds. Raises :class:`ConversionError`. MongoDB: $toDouble."""
    if value.__class__ is str and len(value) < 300 and _plain_digits(value):
        return float(value)
    if isinstance(value, (bool, int)):
        return float(value)
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        if not (_plain_digits(value) or _NUMBER.fullmatch(value)):
            raise cannot(value, "double", "it is not a number in base 10")
        double = float(value)
        return double if _MODERATE < abs(double) < 1 / _MODERATE else _fitting(value, double, _not_zero(value))
    if isinstance(value, Decimal):
        return _fitting(value, float(value), bool(value))
    if isinstance(value, datetime):
        return float(to_millis(value))
    if isinstance(value, bytes):
        return double_of(value, "little")
    raise cannot(value, "double")


def _plain_digits(text: str) -> bool:
    return text.replace(".", "", 1).isdigit() and text.isascii()


def _not_zero(text: str) -> bool:
    return any(c in "123456789" for c in re.split("[eE]", text)[0])


def _fitting(value: str | Decimal, double: float, not_zero: bool) -> float:
    """The double, unless it became infinite or zero where the value is not."""
    if math.isinf(double) and "inf" not in str(value).lower():
        raise cannot(value, "double", "it is too large")
    if double == 0 and not_zero:
        raise cannot(value, "double", "it is too small")
    return double


def to_decimal(value: Any) -> Decimal:
    """A decimal of 34 digits, a double by its first 15; dates become milliseconds.

    Raises :class:`ConversionError`. MongoDB: $toDecimal.
    """
    if value.__class__ is str and len(value) < DECIMAL128.prec and _plain_digits(value):
        return Decimal(value)
    if isinstance(value, (bool, int)):
        return decimal128(int(value))
    if isinstance(value, (float, Decimal)):
        return value if isinstance(value, Decimal) else decimal128(value)
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise cannot(value, "decimal", "it is not a number in base 10")
        number = DECIMAL128.create_decimal(value)
        if number.is_infinite() and "inf" not in value.lower():
            raise cannot(value, "decimal", "it is too large")
        return number
    if isinstance(value, datetime):
        return Decimal(to_millis(value))
    raise cannot(value, "decimal")


def to_date(value: Any) -> datetime:
    """A date from a text, or from milliseconds since 1970 as a long, double or decimal (cut to whole ones).

    Raises :class:`ConversionError`, also for an int: 32 bits hold only 25 days. MongoDB: $toDate.
    """
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str):
            return parse_date(value)
        if isinstance(value, (float, Decimal)):
            if not math.isfinite(value):
                raise cannot(value, "date", f"it is {value}")
            return from_millis(int(value))
        if isinstance(value, int) and not isinstance(value, bool):
            if INT32_MIN <= value <= INT32_MAX:
                raise cannot(value, "date", "milliseconds are given as a long or a double; use $toDouble first")
            return from_millis(value)
    except ConversionError:
        raise
    except EvaluationError as error:
        raise ConversionError(f"cannot convert {type_name(value)} to date: {error}") from None
    raise cannot(value, "date")


def to_string(value: Any) -> str:
    """A text: numbers and bools as JSON writes them, dates as ISO 8601, binary data in base 64.

    Raises :class:`ConversionError`. MongoDB: $toString.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return format_iso(value)
    if isinstance(value, bytes):
        return base64_of(value)
    raise cannot(value, "string")


def double_text(number: float) -> str:
    """A double as MongoDB prints it: the shortest digits that give it back, without ``.0``."""
    text = repr(number)
    if text in _SPECIAL:
        return _SPECIAL[text]
    return text[:-2] if text[-2:] == ".0" else text


def to_uuid(value: Any) -> bytes:
    """The 16 bytes of a UUID's text. Raises :class:`ConversionError`. MongoDB: $toUUID."""
    if not isinstance(value, str):
        raise cannot(value, "UUID")
    return text_as_binary(value, "uuid", 4)


def from_base(text: str, base: int, target: str) -> Any:
    """The number that a text writes in base 2, 8 or 16. MongoDB: $convert, ``base``."""
    if not re.fullmatch(f"[+-]?[{_DIGITS[base]}]+", text, re.ASCII) or len(text) > 80:
        raise cannot(text, target, f"it is not a whole number in base {base}")
    number = int(text, base)
    if target == "double":
        return float(number)
    if target == "decimal":
        return decimal128(number)
    return _to_whole(number, target)


def in_base(number: Any, base: int) -> str:
    """A whole number as text in base 2, 8 or 16. MongoDB: $convert, ``base``."""
    if not math.isfinite(number) or number != int(number):
        raise cannot(number, "string", f"only whole numbers can be written in base {base}")
    return format(int(number), {2: "b", 8: "o", 16: "X"}[base])


def to_array(value: Any) -> list[Any]:
    """The array that a JSON text holds. Raises :class:`ConversionError`, for an array too. MongoDB: $toArray."""
    return _from_json(value, list, "array")  # type: ignore[no-any-return]


def to_object(value: Any) -> dict[str, Any]:
    """The document that a JSON text holds. Raises :class:`ConversionError`, for a document too. MongoDB: $toObject."""
    return _from_json(value, dict, "object")  # type: ignore[no-any-return]


def _from_json(value: Any, wanted: type, target: str) -> Any:
    """What a JSON text holds; Extended JSON in it stays as it is written."""
    if not isinstance(value, str):
        raise cannot(value, target)
    try:
        found = msgspec.json.decode(value)
    except (ValueError, msgspec.DecodeError):
        raise cannot(value, target, "it is not JSON") from None
    except RecursionError:
        raise cannot(value, target, "it is nested too deep") from None
    if not isinstance(found, wanted):
        raise cannot(value, target, f"it holds {type_name(found)}")
    return _fitted(value, target, found) if _DOUBTFUL.search(value) else found


def _fitted(text: str, target: str, value: Any) -> Any:
    """Decoded JSON as a document holds it: integers beyond 64 bits as doubles, no null bytes in names."""
    if value.__class__ is dict:
        if any("\0" in name for name in value):
            raise cannot(text, target, "a name in it has a null byte")
        return {name: _fitted(text, target, item) for name, item in value.items()}
    if value.__class__ is list:
        return [_fitted(text, target, item) for item in value]
    return int64(value) if value.__class__ is int else value
