"""Inline source means what the operator's function means, for values of every type, given as fields or written out."""

from __future__ import annotations

import datetime
import itertools
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import Operator, all_operators
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.errors import Problems, Where

VALUES = [
    MISSING,
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    2**31,
    -(2**63),
    2**63 - 1,
    0.0,
    -0.0,
    1.0,
    -2.5,
    2.345,
    1e300,
    math.inf,
    -math.inf,
    math.nan,
    Decimal("2.50"),
    Decimal("NaN"),
    "",
    "a",
    "12",
    [],
    [1, 2.5, 3],
    [0.1, 0.2, 0.3],
    [3, 1, 2],
    ["a", None, 1],
    {},
    {"a": 1},
    datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc),
    b"ab",
    re.compile("a"),
]

INLINE = sorted(
    (name, entry)
    for name, entry in all_operators().items()
    if isinstance(entry, Operator) and (entry.fast is not None or entry.symbol) and not entry.uses_env
)


def _outcome(function: Any, *arguments: Any) -> Any:
    try:
        return _exactly(function(*arguments))
    except EvaluationError as error:
        return f"raises {type(error).__name__}"


def _exactly(value: Any) -> Any:
    """A value that tells 1 from 1.0 and True, 0.0 from -0.0, and takes NaN for NaN."""
    if isinstance(value, list):
        return [_exactly(item) for item in value]
    if isinstance(value, dict):
        return {name: _exactly(item) for name, item in value.items()}
    return type(value).__name__, repr(value)


def _arguments(entry: Operator) -> Iterator[tuple[Any, ...]]:
    most = entry.most if entry.most is not None else max(entry.least, 2)
    for count in range(max(entry.least, 1), min(most, 2) + 1):
        yield from itertools.product(VALUES, repeat=count)
    if most >= 3:
        yield from itertools.product([None, [1, 2, 3], "a", 5], [0, -1, 1.0, 2.5, "a"], [1, 0, -1, None])


@pytest.mark.parametrize(("name", "entry"), INLINE, ids=[name for name, _ in INLINE])
def test_inline_source_means_what_the_function_means(name: str, entry: Operator) -> None:
    compiled: dict[int, Any] = {}
    for arguments in _arguments(entry):
        count = len(arguments)
        if count < entry.least:
            continue
        if count not in compiled:
            problems = Problems()
            node = Parser(problems).expression({name: [f"$f{i}" for i in range(count)]}, Where.at(name))
            problems.raise_if_any()
            compiled[count] = compile_expression(node)
        document = {f"f{i}": value for i, value in enumerate(arguments) if value is not MISSING}
        expected = _outcome(entry.function, *arguments)
        assert _outcome(compiled[count], document, Environment()) == expected, arguments


@pytest.mark.parametrize(("name", "entry"), INLINE, ids=[name for name, _ in INLINE])
def test_inline_source_takes_constants_of_every_type(name: str, entry: Operator) -> None:
    most = entry.most if entry.most is not None else 2
    for constant in VALUES[1:]:
        for count in range(max(entry.least, 1), most + 1):
            for place in range(count):
                spec: list[Any] = [f"$f{i}" for i in range(count)]
                spec[place] = {"$literal": constant}
                problems = Problems()
                node = Parser(problems).expression({name: spec}, Where.at(name))
                if problems:  # a call of nothing but constants that always fails
                    with pytest.raises(EvaluationError):
                        entry.function(constant)
                    continue
                function = compile_expression(node)
                for other in (MISSING, 1, 2.5, "a", [1, 2, 3], {"a": 1}):
                    arguments = [other] * count
                    arguments[place] = constant
                    document = {} if other is MISSING else {f"f{i}": other for i in range(count)}
                    expected = _outcome(entry.function, *arguments)
                    assert _outcome(function, document, Environment()) == expected, arguments
