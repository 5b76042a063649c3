"""One expression, compiled and by its operator's function: both tiers must say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.compile import compile_expression
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.errors import Problems, Where


def function_of(expression: Any) -> Any:
    """The compiled expression: a function of a document and an environment. Raises ``PipelineError``."""
    problems = Problems()
    node = Parser(problems).expression(expression, Where.at("x"))
    problems.raise_if_any()
    return compile_expression(node)


def assert_inline_source_agrees(expression: Any, **fields: Any) -> None:
    """The compiled expression gives what its operator's function gives, errors included. ``MISSING`` leaves a field
    out.
    """
    document = {name: value for name, value in fields.items() if value is not MISSING}
    compiled = _outcome(lambda: function_of(expression)(document, Environment()))
    assert compiled == _outcome(lambda: _by_function(expression, document))


def _by_function(expression: Any, document: dict[str, Any]) -> Any:
    """The value from the operator's function, called without any inline source."""
    problems = Problems()
    call: Any = Parser(problems).expression(expression, Where.at("x"))
    assert not problems

    def argument(node: Any) -> Any:
        return compile_expression(node)(document, Environment())

    keywords = {name: argument(node) for name, node in call.keywords}
    return call.operator.function(*[argument(node) for node in call.arguments], **keywords)


def _outcome(compute: Callable[[], Any]) -> Any:
    try:
        return compute()
    except EvaluationError as error:
        return str(error)
