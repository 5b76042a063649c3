"""Functions of the user's own: $function, in Python or JavaScript (MongoDB: $function)."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from ....errors import Where, did_you_mean
from ...values import MISSING, EvaluationError, type_name, utc
from ..nodes import Const, Node
from ..parse import Parser
from ..registry import form
from . import javascript, python_lambda
from .applied import Applied

LANGUAGES = ("python", "js")


@form(
    "$function",
    arity="{body, args: [expression, …], lang}",
    examples=[
        (
            {"price": 100},
            {"$function": {"body": "lambda price: price * 2", "args": ["$price"], "lang": "python"}},
            200,
        ),
        (
            {"name": "ada"},
            {"$function": {"body": str.title, "args": ["$name"], "lang": "python"}},
            "Ada",
        ),
    ],
)
def function(spec: Any, where: Where, parser: Parser) -> Node:
    """The result of a function of one's own, given the values of ``args``.

    ``body`` is the name of a registered Python function, a Python callable, the text of a Python lambda over its
    parameters, or, for ``lang: "js"`` and with the extra ``js`` installed, the text of a JavaScript function. Missing
    arguments arrive as ``None``; arrays and documents as copies. What a function raises fails the document. It should
    depend on its arguments alone: it may be called again for the same document. A Python function with a parameter
    called ``context`` gets the run's :class:`~fluxion_flow.core.context.StreamingContext`. MongoDB: $function.
    """
    given = parser.arguments(spec, where, ("body", "args"), ("lang",))
    if given is None:
        return Const(where, None)
    language = given.get("lang", "python")
    if language not in LANGUAGES:
        parser.problems.add(where / "lang", f"unknown language {language!r}", "known are python and js")
    arguments = given["args"]
    if not isinstance(arguments, (list, tuple)):
        parser.problems.add(where / "args", "takes an array of expressions", 'such as ["$price"]')
        return Const(where, None)
    nodes = tuple(parser.expression(argument, where / "args" / i) for i, argument in enumerate(arguments))
    body = _body(given["body"], language, where / "body", parser)
    if body is None:
        return Const(where, None)
    wanted = wants_context(body)
    return Applied(where, "$function", calling(body, context=wanted), nodes, uses_env=wanted)


def _body(body: Any, language: Any, where: Where, parser: Parser) -> Callable[..., Any] | None:
    """The function that ``body`` stands for; ``None`` after reporting why there is none."""
    registered = parser.resources.functions
    if callable(body):
        return body  # type: ignore[no-any-return]
    if not isinstance(body, str):
        parser.problems.add(where, "takes the name of a registered function", "register it with @function")
        return None
    if body in registered:
        return registered[body]
    if python_lambda.is_lambda(body):
        try:
            return python_lambda.function_of(body)
        except python_lambda.LambdaError as error:
            parser.problems.add(where, str(error), "register a Python function and give its name")
            return None
    if language == "js" and not body.isidentifier():
        if not javascript.available():
            hint = f"{javascript.INSTALL}, or register a Python function and give its name"
            parser.problems.add(where, "JavaScript needs an engine that is not installed", hint)
            return None
        wrong = javascript.check(body)
        if wrong:
            parser.problems.add(where, wrong, "write it as function(a, b) { return …; }")
            return None
        return javascript.function_of(body)
    hint = did_you_mean(body, registered) or "register it as a function of this pipeline"
    parser.problems.add(where, f"unknown function {body[:60]!r}", hint)
    return None


def wants_context(body: Callable[..., Any]) -> bool:
    """Whether a function has a parameter called ``context``."""
    try:
        return "context" in inspect.signature(body).parameters
    except (TypeError, ValueError):  # some callables of C have no signature
        return False


def calling(body: Callable[..., Any], *, context: bool = False) -> Callable[..., Any]:
    """``body`` with arguments that it may keep and change, and a result that a document can hold.

    With ``context``, the last argument is the run's environment, and ``body`` gets its context by name.
    """

    def call(*arguments: Any) -> Any:
        value = body(*[argument if argument.__class__ in _SCALARS else _own(argument) for argument in arguments])
        return value if value.__class__ in _SCALARS else document_value(value)

    def call_with_context(*arguments: Any) -> Any:
        *values, env = arguments
        return document_value(body(*[_own(value) for value in values], context=env.context))

    return call_with_context if context else call


_SCALARS = frozenset({str, int, float, bool, type(None)})
"""Classes whose values pass in and out of functions as they are."""


def _own(value: Any) -> Any:
    if value.__class__ is list or value.__class__ is dict:
        return copy.deepcopy(value)
    return None if value is MISSING else value


def document_value(value: Any) -> Any:
    """A function's result as a document holds it: tuples as arrays, dates in UTC.

    Raises :class:`EvaluationError` for what a document cannot hold.
    """
    if value is None or value.__class__ in (str, int, float, bool):
        return value
    if isinstance(value, (list, tuple)):
        return [document_value(item) for item in value]
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise EvaluationError(
                    f"$function gave an object with a name of type {type(name).__name__}, not a string"
                )
        return {name: document_value(item) for name, item in value.items()}
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, date):
        return utc(datetime(value.year, value.month, value.day))
    type_name(value)
    return value
