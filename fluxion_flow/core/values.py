"""The values that documents hold, and what MongoDB calls them.

=================  ===================================================================
BSON type name     Python value
=================  ===================================================================
``missing``        :data:`MISSING`: the field is not there
``null``           ``None``
``int``/``long``   ``int``, by magnitude: 32 or 64 bits
``double``         ``float``; also an ``int`` beyond 64 bits
``decimal``        :class:`decimal.Decimal`, 34 significant digits
``string``         ``str``
``object``         ``dict``; the order of its fields counts
``array``          ``list``
``bool``           ``bool``; never a number
``date``           :class:`datetime.datetime`, aware, UTC, whole milliseconds
``binData``        ``bytes``
``regex``          :class:`re.Pattern`
=================  ===================================================================

MongoDB: BSON types.
"""

from __future__ import annotations

import decimal
import re
from datetime import datetime, timedelta, timezone
from typing import Any, Final, final

from ..errors import FluxionError

INT32_MIN: Final = -(2**31)
INT32_MAX: Final = 2**31 - 1
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""The zero of MongoDB's dates."""

DECIMAL128: Final = decimal.Context(
    prec=34,
    rounding=decimal.ROUND_HALF_EVEN,
    Emin=-6143,
    Emax=6144,
    capitals=1,
    clamp=1,
    flags=[],
    traps=[],
)
"""The arithmetic of BSON's decimal128: 34 digits, infinities and NaN instead of exceptions."""


class EvaluationError(FluxionError):
    """A stage or an expression cannot be computed for a document: a wrong type, a division by zero, an overflow."""


@final
class Missing:
    """The type of :data:`MISSING`. There is one instance, also after copying and pickling."""

    __slots__ = ()
    _only: Missing | None = None

    def __new__(cls) -> Missing:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __copy__(self) -> Missing:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Missing:
        return self

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""The value of a field that is not there. Test with ``is``."""

_TYPE_NAMES: Final[dict[type, str]] = {
    Missing: "missing",
    type(None): "null",
    bool: "bool",
    float: "double",
    decimal.Decimal: "decimal",
    str: "string",
    dict: "object",
    list: "array",
    datetime: "date",
    bytes: "binData",
    re.Pattern: "regex",
}


def type_name(value: Any) -> str:
    """The BSON type name of ``value``, as ``$type`` gives it.

    Raises :class:`EvaluationError` for a Python value that is no document value. MongoDB: $type.
    """
    name = _TYPE_NAMES.get(value.__class__)
    if name is not None:
        return name
    if isinstance(value, int):
        if INT32_MIN <= value <= INT32_MAX:
            return "int"
        return "long" if INT64_MIN <= value <= INT64_MAX else "double"
    for known, name in _TYPE_NAMES.items():
        if isinstance(value, known):
            return name
    raise EvaluationError(not_a_value(value))


def not_a_value(value: Any) -> str:
    """The message for a Python value that no document can hold. It names the type, never the value."""
    return (
        f"a document cannot hold a Python '{type(value).__name__}'; use None, bool, int, float, Decimal, str, dict, "
        "list, datetime, bytes or a compiled regular expression"
    )


def is_number(value: Any) -> bool:
    """Whether ``value`` is an int, double or decimal. A bool is none."""
    kind = value.__class__
    if kind is int or kind is float:
        return True
    return isinstance(value, (int, float, decimal.Decimal)) and kind is not bool


def is_nullish(value: Any) -> bool:
    """Whether ``value`` is null or missing."""
    return value is None or value is MISSING


def truthy(value: Any) -> bool:
    """The value as a condition: false for missing, null, ``False`` and zero, true for everything else.

    NaN, the empty string and the empty array are true. MongoDB: $and, "Evaluates to true".
    """
    if value is True:
        return True
    if value is None or value is MISSING or value is False:
        return False
    if isinstance(value, (int, float, decimal.Decimal)):
        return bool(value != 0)
    return True


def int64(number: int) -> int | float:
    """The integer itself, or the nearest double when it does not fit in 64 bits.

    Beyond the doubles as well: an infinity.
    """
    if INT64_MIN <= number <= INT64_MAX:
        return number
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def decimal128(value: int | float | decimal.Decimal) -> decimal.Decimal:
    """A number as decimal128, rounded half to even to 34 digits.

    A double is taken at 15 significant digits, as MongoDB converts it: ``0.1`` is ``0.100000000000000``.
    MongoDB: $toDecimal.
    """
    if isinstance(value, float):
        if value == value and value not in (float("inf"), float("-inf")):
            return DECIMAL128.create_decimal(f"{value:.14e}")
        return decimal.Decimal(value)
    return DECIMAL128.create_decimal(value)


def utc(moment: datetime) -> datetime:
    """A date as documents hold it: aware, in UTC, cut to whole milliseconds. A naive date is taken as UTC.

    Raises :class:`EvaluationError` when the date leaves the years 1 to 9999 in UTC.
    """
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    elif moment.tzinfo is not timezone.utc:
        try:
            moment = moment.astimezone(timezone.utc)
        except OverflowError:
            raise EvaluationError(f"the date {moment.isoformat()} is outside the years 1 to 9999 in UTC") from None
    rest = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - rest) if rest else moment


def to_millis(moment: datetime) -> int:
    """Whole milliseconds since 1970-01-01T00:00:00Z, rounded down. A naive date is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    since = moment - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def from_millis(millis: int | float) -> datetime:
    """The date that many milliseconds after 1970-01-01T00:00:00Z, rounded down to whole milliseconds.

    Raises :class:`EvaluationError` outside the years 1 to 9999, and for NaN and infinities.
    """
    try:
        return EPOCH + timedelta(milliseconds=int(millis // 1))
    except (OverflowError, ValueError):
        raise EvaluationError(
            f"{millis} milliseconds since 1970 is no date; dates lie in the years 1 to 9999"
        ) from None
