"""One expression, checked and evaluated: what the tests of this folder do most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.values import EvaluationError
from fluxion_flow.errors import PipelineError, Problems, Where


def _evaluate(spec: Any, document: dict[str, Any] | None = None, **functions: Callable[..., Any]) -> Any:
    problems = Problems()
    node = Parser(problems, Resources(functions=functions)).expression(spec, Where.at("x"))
    for problem in problems:
        if problem.what.startswith("always fails: "):  # what fails for constants is found while checking
            raise EvaluationError(problem.what.removeprefix("always fails: "))
    problems.raise_if_any()
    return compile_expression(node)(document or {}, Environment())


@pytest.fixture
def evaluate() -> Callable[..., Any]:
    """``evaluate(spec, document, **functions)``: the value of an expression that stands at ``x``."""
    return _evaluate


@pytest.fixture
def problems_of() -> Callable[..., str]:
    """``problems_of(spec, **functions)``: the whole text of what is wrong with an expression at ``x``."""

    def problems(spec: Any, **functions: Callable[..., Any]) -> str:
        with pytest.raises(PipelineError) as raised:
            _evaluate(spec, {}, **functions)
        return str(raised.value)

    return problems
