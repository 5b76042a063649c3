"""What the compiler knows of a value before it has seen one: a set of kinds, held as bits.

An operator that declares ``returns=NUMBER | NULL`` spares its callers the guards against everything else.
"""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

from ..values import MISSING

ABSENT = 1
NULL = 2
INT = 4
FLOAT = 8
DECIMAL = 16
BOOL = 32
STRING = 64
OBJECT = 128
ARRAY = 256
DATE = 512
OTHER = 1024

NUMBER = INT | FLOAT | DECIMAL
NULLISH = ABSENT | NULL
ANY = 2047
PRESENT = ANY & ~ABSENT

_CLASSES: dict[type, int] = {
    type(None): NULL,
    int: INT,
    float: FLOAT,
    decimal.Decimal: DECIMAL,
    bool: BOOL,
    str: STRING,
    dict: OBJECT,
    list: ARRAY,
    datetime.datetime: DATE,
    bytes: OTHER,
    re.Pattern: OTHER,
}


def kind_of(value: Any) -> int:
    """The kind of a constant: one bit of the constants above."""
    return ABSENT if value is MISSING else _CLASSES.get(value.__class__, OTHER)
