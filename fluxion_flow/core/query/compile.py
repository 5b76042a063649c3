"""From a predicate to a function over documents."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import Problems, Where
from ..environment import Environment
from ..expressions.compile import build
from ..expressions.emit import Doc, Emitter
from ..expressions.parse import Parser
from ..resources import Resources
from ..values import to_millis
from .parse import parse_query
from .predicate import Predicate


def compile_query(
    predicate: Predicate, *, speculative: bool = False, variables: Mapping[str, Any] | None = None
) -> Callable[[dict[str, Any], Environment], bool]:
    """A function ``(document, env) -> bool`` of one predicate; ``variables`` are the values of ``$$name`` in it.

    With ``speculative`` the function is the fast tier alone: it raises on whatever surprises it.
    """
    e = Emitter(speculative)
    e.set_document(Doc("d"))
    e.variables = {name: e.const(value) for name, value in (variables or {}).items()}
    with e.at(predicate.where):
        predicate.require(e, lambda: e.line("return False"))
    e.line("return True")
    return build("matches", "d, env", e)


def matches(spec: Mapping[str, Any], resources: Resources | None = None) -> Callable[[dict[str, Any]], bool]:
    """A function that says whether a document matches a query.

    Raises :class:`~fluxion_flow.errors.PipelineError` with every problem of the query. ``$$NOW`` is ``resources.now``,
    or else the time of this call; ``$sampleRate`` draws by ``resources.seed``.
    """
    resources = resources or Resources()
    problems = Problems()
    predicate = parse_query(spec, Where.at("query"), Parser(problems, resources))
    problems.raise_if_any()
    test = compile_query(predicate, variables=resources.variables)
    now = resources.now or datetime.datetime.now(datetime.timezone.utc)
    env = Environment(timestamp=to_millis(now), seed=resources.seed)
    return lambda document: test(document, env)
