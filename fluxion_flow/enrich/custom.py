"""Enrichment operators of one's own: a Python function that asks something, with the engine around it.

The decorated function gets the values of its keyword-only parameters, which are the operator's named arguments. It is
called on a thread of calls, many at the same time, with cache, retry, circuit breaker and limits as connection and call
say. A first parameter called ``connection`` gets the opened connection that the call names: a
:class:`~fluxion_flow.enrich.opened.HttpConnection`, a :class:`~fluxion_flow.enrich.opened.SqlConnection`, or for
another type a mapping of its options.

A package offers its operators by an entry point that names their module::

    [project.entry-points."fluxion_flow.operators"]
    my-operators = "my_package.operators"
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from fluxion_flow.core.expressions.nodes import Ask, Const, Node
from fluxion_flow.core.expressions.operators.functions import document_value
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import Example, form
from fluxion_flow.core.values import MISSING
from fluxion_flow.enrich.asking import Enrichment, Target
from fluxion_flow.enrich.connections import REFERENCES, call_settings, check_names, reference
from fluxion_flow.enrich.on_error import ON_ERROR, read_on_error
from fluxion_flow.enrich.opened import FunctionTarget, Opened, target_of
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.errors import Where
from fluxion_flow.policy.dead_letter import fingerprint

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Arguments:
    """The values that a function is called with. Equal are those of the same values of the same types."""

    key: str
    values: tuple[Any, ...]

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arguments) and self.key == other.key


@dataclass(frozen=True, eq=False, kw_only=True)
class FunctionAsker(Enrichment):
    """Asks by calling a function with the arguments ``names``; with ``connected`` it gets the opened connection."""

    function: Callable[..., Any]
    names: tuple[str, ...]
    connected: bool
    may_share: bool

    @property
    def shared(self) -> bool:
        return self.may_share or self.settings.cache is not None

    def question(self, values: tuple[Any, ...]) -> Hashable:
        given = tuple(None if value is MISSING else value for value in values)
        return Arguments(fingerprint(given), given)

    def perform(self, client: Opened, what: Any) -> Any:
        given = {name: copy.deepcopy(value) for name, value in zip(self.names, what.values, strict=True)}
        with client.used(self.settings) as connection:
            found = self.function(connection, **given) if self.connected else self.function(**given)
            if inspect.isawaitable(found):
                found = asyncio.run(_awaited(found))
        return document_value(found)


async def _awaited(found: Any) -> Any:
    return await found


def enrich_operator(name: str, *, examples: Iterable[Example] = (), shared: bool = True) -> Callable[[F], F]:
    """Declare an operator that asks the outside: the decorated function, plain or ``async``, gives the answer.

    ``shared=False``: it changes something, so documents with equal arguments do not share a call. What it raises fails
    the document or is tried again, as the settings say; an error whose ``retryable`` is false is not tried again.

    Raises ``ValueError`` when the name is taken, and for a function whose parameters are not as said above.
    """

    def declare(function: F) -> F:
        parameters = list(inspect.signature(function).parameters.values())
        connected = bool(parameters) and parameters[0].name == "connection"
        own = parameters[connected:]
        if any(p.kind is not p.KEYWORD_ONLY for p in own):
            raise ValueError(f"operator {name!r}: its arguments must be keyword-only parameters, behind a *")
        required = [p.name.rstrip("_") for p in own if p.default is p.empty]
        names = {p.name.rstrip("_"): p.name for p in own}
        shown = ", ".join([*(["connection"] if connected else []), *names])

        def parse(spec: Any, where: Where, parser: Parser) -> Node:
            return _parsed(spec, where, parser, name, function, names, required, connected, shared)

        parse.__doc__ = inspect.getdoc(function)
        form(name, arity=f"{{{shown}, …}}", examples=examples, outside=True)(parse)
        return function

    return declare


def _parsed(
    spec: Any,
    where: Where,
    parser: Parser,
    name: str,
    function: Callable[..., Any],
    names: Mapping[str, str],
    required: list[str],
    connected: bool,
    shared: bool,
) -> Node:
    if not isinstance(spec, Mapping):
        parser.problems.add(where, "takes an object of named arguments", f"such as {', '.join(names)}")
        return Const(where, None)
    before = len(parser.problems.found)
    references = REFERENCES if connected else ()
    check_names(spec, (*names, *references, *ON_ERROR), where, parser)
    target: Target = FunctionTarget(name)
    settings = Settings()
    if connected:
        wanted, place = reference(spec, where, parser)
        if wanted is not None:
            target, settings = target_of(wanted, place, parser, target, settings)
        elif place.parts[-1] not in spec:
            parser.problems.add(where / "connection", "required", "name a connection")
    for argument in required:
        if argument not in spec:
            parser.problems.add(where / argument, "required argument is missing")
    given = {n: parser.expression(spec[n], where / n) for n in names if n in spec}
    settings = call_settings(spec, where, parser.problems, settings)
    on_error = read_on_error(spec, where, parser)
    if len(parser.problems.found) > before:
        return Const(where, None)
    asker = FunctionAsker(
        name=name,
        where=where,
        site=site(where),
        target=target,
        settings=settings,
        identity=name,
        dead_letters=on_error.dead_letters,
        function=function,
        names=tuple(names[n] for n in given),
        connected=connected,
        may_share=shared,
    )
    parser.asks.append(asker)
    return Ask(where, asker, tuple(given.values()), on_error.fallback)
