"""What holds for every registered operator: its examples are true, it is documented, and both tiers mean the same."""

from __future__ import annotations

import contextlib
import copy
import datetime
import functools
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import all_operators
from fluxion_flow.core.program import ENOUGH, DocumentError, Program
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.errors import PipelineError, Problems, Where

OPERATORS = dict(sorted(all_operators().items()))
EXAMPLES = [
    pytest.param(*example, id=f"{name} {i}")
    for name, entry in OPERATORS.items()
    if not getattr(entry, "outside", False)  # those are tried in tests/enrich, where there is somebody to ask
    for i, example in enumerate(entry.examples)
]

WITHOUT_EXAMPLES = {
    "$rand": "another number for every document",
    "$createObjectId": "another id for every document",
    "$encStrContains": "always refused, with what to use instead",
    "$encStrEndsWith": "always refused, with what to use instead",
    "$encStrNormalizedEq": "always refused, with what to use instead",
    "$encStrStartsWith": "always refused, with what to use instead",
    "$toObjectId": "always refused, with what to use instead",
}


def exactly(value: Any) -> Any:
    """A value that tells 1 from 1.0 and True, 0.0 from -0.0, and takes NaN for NaN."""
    if isinstance(value, list):
        return [exactly(item) for item in value]
    if isinstance(value, dict):
        return {name: exactly(item) for name, item in value.items()}
    return type(value).__name__, repr(value)


def outcome(function: Any, *arguments: Any) -> Any:
    """The value, or the class of the error that a run would report."""
    try:
        return exactly(function(*arguments))
    except EvaluationError as error:
        return f"raises {type(error).__name__}"


def parsed(expression: Any) -> Any:
    """The node of an expression; one that fails for constants raises what it would raise for a document."""
    problems = Problems()
    node = Parser(problems).expression(expression, Where.at("x"))
    for problem in problems:
        if problem.what.startswith("always fails: "):
            raise EvaluationError(problem.what.removeprefix("always fails: "))
    problems.raise_if_any()
    return node


@pytest.mark.parametrize(("document", "expression", "expected"), EXAMPLES)
def test_examples_are_true(document, expression, expected):
    before = copy.deepcopy(document), repr(expression)
    if isinstance(expected, (type, BaseException)):
        with pytest.raises(expected if isinstance(expected, type) else type(expected)) as raised:
            compile_expression(parsed(expression))(document, Environment())
        if isinstance(expected, BaseException):
            assert str(raised.value) == str(expected)
    else:
        assert exactly(compile_expression(parsed(expression))(document, Environment())) == exactly(expected)
    assert (document, repr(expression)) == before


@pytest.mark.parametrize(("document", "expression", "expected"), EXAMPLES)
def test_examples_are_true_in_the_speculative_tier(document, expression, expected):
    """There it is free to be surprised by a document, but not to answer something else."""
    try:
        value = compile_expression(parsed(expression), speculative=True)(document, Environment())
    except Exception:  # noqa: BLE001 - whatever it is, the general tier answers
        return
    assert exactly(value) == exactly(expected)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_is_documented_and_has_examples(name):
    entry = OPERATORS[name]
    assert re.search(r"(MongoDB|Fluxion): ", entry.doc)
    assert bool(entry.examples) != (name in WITHOUT_EXAMPLES)


# -- both tiers, on documents of every type -------------------------------------------------------------------------

DAY = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.timezone.utc)
SCALARS = st.one_of(
    st.sampled_from([None, True, False, 0, 1, -1, 2, 0.0, -0.0, 1.5, math.nan, math.inf, 2**31, 2**63 - 1, 1e300]),
    st.sampled_from(["", "a", "ab", "12", "é", "2024-02-29", "UTC", "day", "$a"]),
    st.sampled_from([Decimal("2.50"), Decimal("NaN"), DAY, b"ab", re.compile("a", re.IGNORECASE)]),
    st.integers(-100, 100),
    st.floats(-100, 100),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "x", "k", "v"]), inner, max_size=3)
        | st.lists(st.integers(-5, 5), max_size=4)
        | st.lists(st.floats(-5, 5), max_size=4)
    ),
    max_leaves=6,
)


def fields_of(expression: Any) -> set[str]:
    """The top-level fields that an expression may read."""
    if isinstance(expression, str):
        return {expression[1:].split(".")[0]} if re.match(r"\$[^$]", expression) else set()
    if isinstance(expression, dict):
        return set().union(*(fields_of(item) for item in expression.values()))
    if isinstance(expression, (list, tuple)):
        return set().union(*(fields_of(item) for item in expression))
    return set()


def with_fields(expression: Any) -> tuple[Any, dict[str, Any]]:
    """An example's expression with fields in the place of its first few plain literals, and what they held."""
    held: dict[str, Any] = {}

    def replaced(spec: Any) -> Any:
        if isinstance(spec, dict) and len(spec) == 1 and next(iter(spec)) in OPERATORS and "$literal" not in spec:
            ((name, body),) = spec.items()
            if isinstance(body, list):
                return {name: [operand(item) for item in body]}
            return {name: operand(body) if not isinstance(body, dict) else replaced(body)}
        return spec

    def operand(spec: Any) -> Any:
        literal = isinstance(spec, (int, float, bool, type(None), list)) or (
            isinstance(spec, str) and not spec.startswith("$")
        )
        if literal and fields_of(spec) == set() and len(held) < 3:
            name = f"lit{len(held)}"
            held[name] = spec
            return f"${name}"
        return replaced(spec)

    return replaced(expression), held


@dataclass(frozen=True)
class Pair:
    """An expression's programs: two try the speculative tier first, of which one expects documents like the example's;
    the third never does; and what fields held."""

    speculative: Program
    expecting: Program
    general: Program
    fields: tuple[str, ...]
    held: dict[str, Any]


@functools.cache
def pairs(name: str) -> list[Pair]:
    """The programs of an operator's examples, as they are written and with fields for literals, where that can be."""
    found = []
    for document, example, _ in OPERATORS[name].examples:
        for expression, held in ((example, {}), with_fields(example)):
            problems = Problems()
            stages = parse_stages([{"$project": {"_id": 0, "r": expression}}], Where.at("stages"), problems)
            if not problems:
                expecting = Program(stages)
                with contextlib.suppress(DocumentError):
                    expecting.run([{**document, **held}] * ENOUGH, Environment(partition="0"))
                fields = tuple(sorted(fields_of(expression)))
                found.append(Pair(Program(stages), expecting, Program(stages), fields, held))
    return found


def result_of(program: Program, document: Any, speculative: bool) -> Any:
    program.trusted = speculative
    try:
        return [exactly(found) for found in program.run([document], Environment(partition="0"))]
    except DocumentError as error:
        if isinstance(error.cause, EvaluationError) or "$function" in str(error):
            return str(error)
        raise


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_both_tiers_mean_the_same_on_documents_of_every_type(name, data):
    for pair in pairs(name):
        document = {}
        for field in pair.fields:
            value = data.draw(st.one_of(st.just(pair.held.get(field, MISSING)), st.just(MISSING), VALUES), label=field)
            if value is not MISSING:
                document[field] = value
        expected = result_of(pair.general, document, False)
        assert result_of(pair.speculative, document, True) == expected
        assert result_of(pair.expecting, document, True) == expected


def test_every_problem_of_an_expression_is_told_before_anything_runs():
    with pytest.raises(PipelineError) as raised:
        parsed({"$add": [{"$nope": 1}, {"$divide": [1]}, {"$dateAdd": {"startDate": "$d"}}]})
    assert str(raised.value).splitlines() == [
        "x.$add[0].$nope: unknown operator '$nope'; did you mean '$ne'?",
        "x.$add[1].$divide: takes 2 arguments, got 1",
        "x.$add[2].$dateAdd.unit: required argument is missing",
        "x.$add[2].$dateAdd.amount: required argument is missing",
    ]
