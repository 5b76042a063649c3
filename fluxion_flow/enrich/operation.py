"""``$enrich``: an operation of a connector that a manifest declares."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fluxion_flow.connect.http import is_header_name
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.emit import Atom, Emitter
from fluxion_flow.core.expressions.nodes import Ask, Const, Node
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import form
from fluxion_flow.core.stages.inner import InnerPipeline, parse_inner
from fluxion_flow.core.values import MISSING, EvaluationError
from fluxion_flow.enrich.asking import Enrichment
from fluxion_flow.enrich.connections import REFERENCES, call_settings, check_names, read_connection, reference
from fluxion_flow.enrich.custom import FunctionAsker
from fluxion_flow.enrich.extract import extracted, parse_extract
from fluxion_flow.enrich.failures import CallRefused, UnreadableAnswer
from fluxion_flow.enrich.http import OPTIONS, HttpClient, HttpTarget
from fluxion_flow.enrich.http_call import METHODS, SAFE, HttpAsker
from fluxion_flow.enrich.manifests import Operation, find_operation, with_config
from fluxion_flow.enrich.on_error import ON_ERROR, OnError, read_on_error
from fluxion_flow.enrich.opened import FunctionTarget
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.enrich.templates import header_value, host_part, places_in
from fluxion_flow.errors import Where, did_you_mean

ARGUMENTS = ("connectorId", "connector_id", "operationId", "operation_id", "input", *REFERENCES, *ON_ERROR)


@dataclass(frozen=True, eq=False, kw_only=True)
class OperationAsker(HttpAsker):
    """An operation that is an HTTP request: its input fills the template, and is the body, or the query of a GET."""

    operation: Operation

    def question(self, values: tuple[Any, ...]) -> Hashable:
        given = {} if values[0] is MISSING or values[0] is None else values[0]
        if wrong := self.operation.wrong(given):
            raise CallRefused(f"{self.title}: {wrong}")
        named = given if isinstance(given, dict) else {}
        paths = tuple(named.get(name, MISSING) for name in self.in_path)
        if self.method in SAFE:
            rest = {name: value for name, value in named.items() if name not in self.in_path}
            return _plain(self, paths, tuple(rest), tuple(rest.values()), None)
        return _plain(self, paths, (), (), given)

    def perform(self, client: HttpClient, what: Any) -> Any:
        answer = extracted(super().perform(client, what), self.extract)
        if wrong := self.operation.wrong(answer, output=True):
            raise UnreadableAnswer(f"{self.title}: {wrong}")
        return answer

    def taken(self, value: Any) -> Any:
        return value


def _plain(
    asker: OperationAsker, paths: tuple[Any, ...], names: tuple[str, ...], values: tuple[Any, ...], body: Any
) -> Hashable:
    """The request that a plain $httpCall would make of these values."""
    plain = HttpAsker(
        name=asker.name,
        where=asker.where,
        site=asker.site,
        target=asker.target,
        settings=asker.settings,
        method=asker.method,
        template=asker.template,
        in_path=asker.in_path,
        in_query=names,
        constant_headers=asker.constant_headers,
        has_body=body is not None,
    )
    return plain.question((*paths, *values, *(() if body is None else (body,))))


@dataclass(frozen=True, eq=False)
class PipelineCall(Node):
    """The first document that a pipeline makes of the input; null where there is none."""

    operation: Operation
    pipeline: InnerPipeline
    input: Node

    def children(self) -> Iterator[Node]:
        yield self.input

    def emit(self, e: Emitter) -> Atom:
        given = e.value(self.input)
        return e.assign(f"{e.bind(self.call, 'pipeline_call')}({given.code}, env)")

    def call(self, given: Any, env: Environment) -> Any:
        document = {} if given is MISSING or given is None else given
        if not isinstance(document, dict):
            raise EvaluationError("$enrich: the input of a pipeline must be an object")
        if wrong := self.operation.wrong(document):
            raise EvaluationError(f"$enrich: {wrong}")
        found = self.pipeline.run_for([document], env.within())
        return found[0] if found else None


@form(
    "$enrich",
    arity="{connectionRef, connectorId, operationId, input, onError, …}",
    outside=True,
    examples=[
        (
            {"order": {"id": 7}},
            {
                "$enrich": {
                    "connectionRef": "users",
                    "connectorId": "demo.http",
                    "operationId": "ship",
                    "input": {"orderId": "$order.id"},
                }
            },
            {"created": True},
        ),
        (
            {"user": {"name": "Ada"}},
            {"$enrich": {"connectorId": "demo.hello", "operationId": "sayHello", "input": {"name": "$user.name"}}},
            {"greeting": "Hello Ada"},
        ),
    ],
)
def enrich(spec: Any, where: Where, parser: Parser) -> Node:
    """What an operation of a connector answers, as a manifest declares it.

    ``connectorId`` names the manifest, ``operationId`` its operation, ``connectionRef`` the connection that the
    operation uses (an ``http`` operation with a whole address needs none), ``input`` an expression. The manifest's
    ``execution.type`` says what happens: ``http`` sends the input as JSON (of a GET, as query parameters), ``python``
    calls a function with the input, ``pipelineCall`` takes the input through a named pipeline and gives its first
    document. Input and output are checked by the operation's schemas. ``onError`` and the settings of calls are as in
    $httpCall. Fluxion: $enrich.
    """
    if not isinstance(spec, Mapping):
        parser.problems.add(where, "takes an object of named arguments", "give connectorId, operationId and input")
        return Const(where, None)
    before = len(parser.problems.found)
    check_names(spec, ARGUMENTS, where, parser)
    connector = _name(spec, ("connectorId", "connector_id"), where, parser)
    name = _name(spec, ("operationId", "operation_id"), where, parser)
    given = parser.expression(spec.get("input", {}), where / "input")
    on_error = read_on_error(spec, where, parser)
    operation = None
    if connector and name:
        operation = find_operation(parser.resources.manifests, connector, name, where, parser.problems)
    if operation is None or len(parser.problems.found) > before:
        return Const(where, None)
    if operation.type == "pipelineCall":
        return _pipeline(operation, given, where, parser, on_error)
    if operation.type == "python":
        return _function(operation, spec, given, where, parser, on_error)
    return _request(operation, spec, given, where, parser, on_error)


def _name(spec: Mapping[str, Any], keys: tuple[str, ...], where: Where, parser: Parser) -> str:
    value = next((spec[key] for key in keys if key in spec), None)
    if not isinstance(value, str) or not value or value.startswith("$"):
        parser.problems.add(where / keys[0], "required" if value is None else "must be a name")
        return ""
    return value


def _pipeline(operation: Operation, given: Node, where: Where, parser: Parser, on_error: OnError) -> Node:
    execution, place = operation.execution, operation.where / "execution"
    name, version = str(execution.get("targetPipeline", "")), execution.get("version")
    known = parser.resources.pipelines
    full = f"{name}@{version}" if version is not None and f"{name}@{version}" in known else name
    if full not in known:
        hint = did_you_mean(full, known) or "give it under pipelines"
        parser.problems.add(place / "targetPipeline", f"unknown pipeline {name!r}", hint)
        return Const(where, None)
    if on_error.fallback is not None or on_error.dead_letters:
        parser.problems.add(where / "onError", "a pipeline asks nobody by itself", "say it in the pipeline's stages")
    pipeline = parse_inner(known[full], Where.at("pipelines", full), parser, "$enrich")
    return PipelineCall(where, operation, pipeline, given)


def _function(
    operation: Operation, spec: Mapping[str, Any], given: Node, where: Where, parser: Parser, on_error: OnError
) -> Node:
    name = operation.execution.get("function", operation.execution.get("beanName"))
    place = operation.where / "execution" / "function"
    function = parser.resources.functions.get(str(name)) or _imported(name)
    if function is None:
        hint = did_you_mean(str(name), parser.resources.functions) or "register it, or write module:name"
        parser.problems.add(place, f"unknown function {name!r}", hint)
        return Const(where, None)
    found: Callable[..., Any] = function

    def call(*, input: Any) -> Any:
        value = input if input is not None else {}
        if wrong := operation.wrong(value):
            raise CallRefused(f"$enrich: {wrong}")
        answer = found(value)
        if wrong := operation.wrong(answer, output=True):
            raise UnreadableAnswer(f"$enrich: {wrong}")
        return answer

    settings = call_settings(operation.settings, operation.where / "execution", parser.problems, Settings())
    asker = FunctionAsker(
        name="$enrich",
        where=where,
        site=site(where),
        target=FunctionTarget(f"{operation.connector}.{operation.name}"),
        settings=call_settings(spec, where, parser.problems, settings),
        identity=(operation.connector, operation.name),
        dead_letters=on_error.dead_letters,
        function=call,
        names=("input",),
        connected=False,
        may_share=False,
    )
    return _asked(asker, given, on_error, parser)


def _imported(name: Any) -> Callable[..., Any] | None:
    module, colon, attribute = str(name).partition(":")
    if not colon:
        return None
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return None
    return found if callable(found) else None


def _request(
    operation: Operation, spec: Mapping[str, Any], given: Node, where: Where, parser: Parser, on_error: OnError
) -> Node:
    execution, place, problems = operation.execution, operation.where / "execution", parser.problems
    before = len(problems.found)
    name, at = reference(spec, where, parser)
    settings, config, target = Settings(), {}, None
    if name is not None:
        named = read_connection(name, at, parser.resources, problems, ("http",), {"http": OPTIONS})
        if named is not None:
            settings, target = named.settings, HttpTarget(named)
            config = {**named.options, **(named.options.get("config") or {})}
            address = target.url
            config.setdefault("baseUrl", str(address).rstrip("/") if isinstance(address, str) else None)
    template = str(execution.get("urlTemplate", execution.get("url", "")))
    relative = template.removeprefix("{{config.baseUrl}}") if name is not None else template
    template = with_config(relative, config, place / "urlTemplate", problems)
    origin = host_part(template)
    if not template and target is None:
        problems.add(place / "urlTemplate", "required")
    elif origin and target is not None and not str(target.url or origin).startswith(origin):
        problems.add(place / "urlTemplate", f"is another server than that of connection '{name}'")
    elif origin and target is None:
        target = HttpTarget(None, origin)
    elif target is None and name is None:
        problems.add(where / "connectionRef", "required", "the operation's address is not whole")
    method = str(execution.get("method", "POST")).upper()
    if method not in METHODS:
        problems.add(place / "method", f"unknown method {method!r}", f"known are {', '.join(METHODS)}")
    headers = []
    for header, value in (execution.get("headers") or {}).items():
        filled = with_config(str(value), config, place / "headers" / str(header), problems)
        try:
            if not is_header_name(str(header)):
                raise CallRefused("")
            headers.append((str(header), header_value(str(header), filled, "$enrich")))
        except CallRefused:
            problems.add(place / "headers" / str(header), "is no header", "a name, and a text on one line")
    extract: tuple[str, ...] = ()
    if "responsePath" in execution:
        try:
            extract = parse_extract(execution["responsePath"])
        except ValueError as error:
            problems.add(place / "responsePath", str(error))
    settings = call_settings(operation.settings, place, problems, settings)
    settings = call_settings(spec, where, problems, settings)
    if target is None or len(problems.found) > before:
        return Const(where, None)
    asker = OperationAsker(
        name="$enrich",
        where=where,
        site=site(where),
        target=target,
        settings=settings,
        identity=("operation", operation.connector, operation.name),
        dead_letters=on_error.dead_letters,
        method=method,
        template=template,
        in_path=tuple(dict.fromkeys(places_in(template))),
        constant_headers=tuple(headers),
        extract=extract,
        operation=operation,
    )
    return _asked(asker, given, on_error, parser)


def _asked(asker: Enrichment, given: Node, on_error: OnError, parser: Parser) -> Node:
    parser.asks.append(asker)
    return Ask(asker.where, asker, (given,), on_error.fallback)
