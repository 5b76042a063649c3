"""What a definition must be beyond its form: connectors, stages, queries, policies and names that fit.

Each check adds what it finds to the problems and goes on. Nothing is opened, and no text of a problem holds a secret.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fluxion_flow.connect import registry
from fluxion_flow.connect.connections import Connections, names_in, report_unset
from fluxion_flow.connect.encoding import from_extended
from fluxion_flow.connect.secrets import Reference, UnresolvedReference, holds_reference, redact
from fluxion_flow.connect.spi import StreamingSink, StreamingSource
from fluxion_flow.core.batch import prepare_streams
from fluxion_flow.core.event_time import parse_event_time
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.query import parse_query
from fluxion_flow.core.resources import Resources, Stream
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.core.stages.shapes import check_windows
from fluxion_flow.core.stages.window_stages import parse_span
from fluxion_flow.core.streams import check_streams
from fluxion_flow.dsl.model import ENDPOINT_KEYS, SinkSpec, SourceSpec, StageSpec, StreamingPipelineDefinition
from fluxion_flow.errors import Problem, Problems, Where, did_you_mean
from fluxion_flow.observe.listener import StreamingMetricsListener
from fluxion_flow.policy.fields import FieldError, duration
from fluxion_flow.policy.parse import CheckSink, parse_policy
from fluxion_flow.policy.scope import Scope

SOURCE = Where.at("source")
STAGES = Where.at("stages")
STREAMS = Where.at("streams")
SOURCE_EXAMPLE = "say where documents come from, such as {type: files, path: orders.jsonl}"
SINK_EXAMPLE = "say where documents go, such as {type: files, path: out.jsonl}"
EXTENDED = frozenset(
    ("$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$binary", "$regularExpression")
)
"""The keys of MongoDB's Extended JSON that a definition may write values with."""


@dataclass(frozen=True)
class Places:
    """Where the parts of a definition stand: what a file says in its own way is named in its own words."""

    sinks: tuple[Where, ...]
    policies_checked: bool = False
    """Whether the policies' own sinks were checked when they were read."""

    @classmethod
    def of(cls, definition: StreamingPipelineDefinition) -> Places:
        """The places that ``to_dict`` would give."""
        count = len(definition.sinks)
        return cls((Where.at("sink"),) if count == 1 else tuple(Where.at("sinks", i) for i in range(count)))


def check_definition(definition: StreamingPipelineDefinition, problems: Problems, places: Places | None = None) -> None:
    """Add everything wrong with ``definition`` to ``problems``, section by section."""
    places = places or Places.of(definition)
    if not definition.name:
        problems.add(Where.at("name"), "is missing", "call the pipeline something, such as orders-ltv")
    else:
        check_name(definition.name, Where.at("name"), problems)
    connections = definition.known_connections(os.environ, problems)
    resources = make_resources(replace(definition, connections=connections), problems)
    _check_source(definition.source, SOURCE, problems, connections)
    _check_times(definition.source, problems, resources)
    _check_streams(definition, problems, connections, resources)
    _check_stages(definition.stages, problems, resources)
    _check_sinks(definition.sinks, places.sinks, problems, connections, resources)
    _check_policies(definition, places, problems, connections)
    _check_pipelines(definition.pipelines, problems, resources)
    definition.check_overrides(problems)
    _check_listeners(definition.listeners, problems)
    report_unset(connections, _connections_used(definition), problems)


def _connections_used(definition: StreamingPipelineDefinition) -> list[str]:
    """The names of the connections that the definition refers to, in its order."""
    stages, sinks = definition.stages, definition.sinks
    policies = [definition.on_error, definition.source.on_error]
    policies += [*(stage.on_error for stage in stages), *(sink.on_error for sink in sinks)]
    found = [definition.source.given, *(stage.spec for stage in stages), *(sink.given for sink in sinks)]
    for stream in definition.streams.values():
        found += [stream.source.given, *(stage.spec for stage in stream.stages)]
        policies += [stream.source.on_error, *(stage.on_error for stage in stream.stages)]
    found += [policy.dead_letter_sink for policy in policies if policy is not None]
    return list(names_in(found + list(definition.pipelines.values())))


def check_name(name: str, where: Where, problems: Problems) -> None:
    """A name that identifiers, files and metrics can hold."""
    if not re.fullmatch(r"\w[\w-]*", name):
        problems.add(where, f"cannot be called {redact(repr(name))}", "use letters, digits, '-' and '_'")


def sink_checker(connections: Connections) -> CheckSink:
    """What checks the sink of a dead-letter policy."""

    def check(spec: Any, where: Where, problems: Problems) -> None:
        registry.check_sink(spec, where, problems, connections=connections, also_known=("name",))

    return check


def with_values(value: Any, where: Where, problems: Problems) -> Any:
    """``value`` with its references' values of this moment, and Extended JSON objects as Python values.

    A reference without a value is a problem at its path below ``where``.
    """
    if isinstance(value, Reference):
        try:
            return value.resolve()
        except UnresolvedReference as error:
            problems.add(where, error.what, error.hint)
            return None
    if isinstance(value, Mapping):
        found = {key: with_values(item, where / str(key), problems) for key, item in value.items()}
        return read_extended(found, where, problems)
    if isinstance(value, (list, tuple)):
        return [with_values(item, where / i, problems) for i, item in enumerate(value)]
    return value


def read_extended(value: dict[str, Any], where: Where, problems: Problems) -> Any:
    """The Python value of an Extended JSON object such as ``{"$date": ...}``; any other mapping as it is."""
    if len(value) != 1 or next(iter(value)) not in EXTENDED:
        return value
    try:
        return from_extended(value)
    except ValueError as error:
        problems.add(where, str(error), "see MongoDB's Extended JSON")
        return None


def make_resources(definition: StreamingPipelineDefinition, problems: Problems) -> Resources:
    """What the stages of ``definition`` find by name."""
    functions: dict[str, Callable[..., Any]] = {}
    for name, function in definition.functions.items():
        found = _function(function, Where.at("functions", name), problems)
        functions[name] = found or _no_function
    return Resources(
        collections={
            name: with_values(documents, Where.at("collections", name), problems)
            if holds_reference(documents)
            else documents
            for name, documents in definition.collections.items()
        },
        functions=functions,
        pipelines=with_values(definition.pipelines, Where.at("pipelines"), problems),
        seed=definition.config.seed,
        time_field=with_values(definition.source.time_field, SOURCE / "time_field", problems),
        connections=definition.connections,
        manifests=definition.manifests,
        streams={
            name: Stream(
                with_values(stream.source.time_field, STREAMS / name / "source" / "time_field", problems),
                [
                    with_values(stage.spec, STREAMS / name / "stages" / i, problems)
                    for i, stage in enumerate(stream.stages)
                ],
            )
            for name, stream in definition.streams.items()
        },
    )


def _no_function(*_: Any) -> None:
    """Stands for a function that cannot be found, so that the rest is still checked."""


def _function(function: Any, where: Where, problems: Problems) -> Callable[..., Any] | None:
    if callable(function):
        return function  # type: ignore[no-any-return]
    module_name, colon, name = function.partition(":") if isinstance(function, str) else ("", "", "")
    if not colon or not module_name or not name:
        problems.add(where, "must be a function", "give the callable, or 'module:name'")
        return None
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - somebody's module may fail in any way
        what = f"module '{module_name}' cannot be imported ({type(error).__name__}: {redact(str(error))})"
        problems.add(where, what, "correct the name, or install it")
        return None
    for part in name.split("."):
        if not hasattr(found, part):
            public = [known for known in vars(found) if not known.startswith("_")] if hasattr(found, "__dict__") else []
            problems.add(where, f"module '{module_name}' has no '{name}'", did_you_mean(part, public))
            return None
        found = getattr(found, part)
    if not callable(found):
        problems.add(where, f"'{function}' is not callable", "name a function")
        return None
    return found  # type: ignore[no-any-return]


def is_source(value: Any) -> bool:
    """Whether ``value`` is a source object: ours, or Bytewax's."""
    return isinstance(value, StreamingSource) or _is_bytewax(value, "bytewax.inputs", "Source")


def is_sink(value: Any) -> bool:
    """Whether ``value`` is a sink object: ours, or Bytewax's."""
    return isinstance(value, StreamingSink) or _is_bytewax(value, "bytewax.outputs", "Sink")


def kind(value: Any) -> str:
    """What a value is, without showing it."""
    nouns = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return "null" if value is None else nouns.get(type(value), f"a {type(value).__name__}")


def _is_bytewax(value: Any, module: str, name: str) -> bool:
    """Without importing Bytewax: whoever made the object has done so."""
    base = getattr(sys.modules.get(module), name, None)
    return base is not None and isinstance(value, base)


def _check_source(source: SourceSpec, where: Where, problems: Problems, connections: Connections) -> None:
    if source.name:
        check_name(source.name, where / "name", problems)
    if source.object is not None:
        allowed = () if isinstance(source.object, StreamingSource) else ("bounded",)
        _check_object(source, is_source, "a StreamingSource or a bytewax.inputs.Source", where, problems, allowed)
    elif not source.given:
        problems.add(where, "is missing", SOURCE_EXAMPLE)
    else:
        registry.check_source(source.given, where, problems, connections=connections, also_known=ENDPOINT_KEYS[:2])


def _check_streams(
    definition: StreamingPipelineDefinition, problems: Problems, connections: Connections, resources: Resources
) -> None:
    """Check the further streams, each with its source, its stages and their policies."""
    policies = definition.policies()
    for name, stream in definition.streams.items():
        where = STREAMS / name
        check_name(name, where, problems)
        if name in definition.collections:
            problems.add(where, "a collection has the same name", "give each a name of its own")
        _check_source(stream.source, where / "source", problems, connections)
        for place, source in ((where / "source", stream.source), (SOURCE, definition.source)):
            if (
                source.object is not None
                and is_source(source.object)
                and not isinstance(source.object, StreamingSource)
            ):
                problems.add(place, "a Bytewax source cannot be joined with another stream", "use a connector")
        idle_milliseconds(stream.source, problems, where / "source")
        own = {where / "source": stream.source.on_error}
        own |= {where / "stages" / i: stage.on_error for i, stage in enumerate(stream.stages)}
        for place, policy in own.items():
            resolved = policies.for_stream(policy)
            if policy is not None and resolved.action == "dead_letter" and resolved.dead_letter_sink is None:
                hint = "say where to, such as {dead_letter: {type: files, path: dead.jsonl}}"
                problems.add(place / "on_error", "dead_letter without a sink", hint)
    found = Problems()
    prepare_streams(resources, found, "source")
    problems.found += map(_redacted, found)


def _check_times(source: SourceSpec, problems: Problems, resources: Resources) -> None:
    found = Problems()
    if resources.time_field is not None:
        parse_event_time(resources.time_field, SOURCE / "time_field", found, resources)
    idle_milliseconds(source, found)
    problems.found += map(_redacted, found)


def idle_milliseconds(source: SourceSpec, problems: Problems, where: Where = SOURCE) -> int | None:
    """The silence after which a partition of ``source`` holds no window back; ``None``: it always does."""
    where = where / "partition_idle_timeout"
    given = with_values(source.partition_idle_timeout, where, problems)
    if given is None:
        return None
    if isinstance(given, Mapping):
        return parse_span(given, where, Parser(problems))
    try:
        seconds: float = duration(zero=False)(given)
        return round(seconds * 1000)
    except FieldError as error:
        problems.add(where, error.what, error.hint or "or {size: 30, unit: second}")
        return None


def _check_sinks(
    sinks: Sequence[SinkSpec],
    places: Sequence[Where],
    problems: Problems,
    connections: Connections,
    resources: Resources,
) -> None:
    if not sinks:
        problems.add(Where.at("sink"), "is missing", SINK_EXAMPLE)
    for sink, where in zip(sinks, places, strict=True):
        if sink.name:
            check_name(sink.name, where / "name", problems)
        if sink.object is not None:
            _check_object(sink, is_sink, "a StreamingSink or a bytewax.outputs.Sink", where, problems)
        elif not sink.given:
            problems.add(where, "is missing", SINK_EXAMPLE)
        else:
            registry.check_sink(
                sink.given, where, problems, connections=connections, also_known=ENDPOINT_KEYS, resources=resources
            )
        if sink.when is not None:
            _check_query(sink.when, where / "when", problems, resources)
    _check_unique(((sink.name, where / "name") for sink, where in zip(sinks, places, strict=True)), "sink", problems)


def _check_object(
    spec: SourceSpec | SinkSpec,
    good: Callable[[Any], bool],
    noun: str,
    where: Where,
    problems: Problems,
    allowed: Collection[str] = (),
) -> None:
    """``allowed`` are options that may stand beside an object."""
    beside = [spec.type, spec.connection_ref, *(name for name in spec.options if name not in allowed)]
    if any(beside):
        given = ", ".join(map(str, filter(None, beside)))
        problems.add(where, f"is an object, but is given {given} beside it", "give options to the object itself")
    if not good(spec.object):
        is_class = isinstance(spec.object, type)
        got = f"the class {spec.object.__name__}" if is_class else kind(spec.object)
        problems.add(where, f"must be {noun}, got {got}", "make an object of it" if is_class else "")


def _check_stages(stages: Sequence[StageSpec], problems: Problems, resources: Resources) -> None:
    _check_parsed(
        [with_values(stage.spec, STAGES / i, problems) for i, stage in enumerate(stages)], STAGES, problems, resources
    )
    for i, stage in enumerate(stages):
        if stage.name:
            check_name(stage.name, STAGES / i / "name", problems)
    _check_unique(((stage.name, STAGES / i / "name") for i, stage in enumerate(stages)), "stage", problems)


def _check_pipelines(
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]], problems: Problems, resources: Resources
) -> None:
    for name in pipelines:
        _check_parsed(resources.pipelines[name], Where.at("pipelines", name), problems, resources)


def _check_parsed(stages: Sequence[Mapping[str, Any]], where: Where, problems: Problems, resources: Resources) -> None:
    found = Problems()
    built = parse_stages(stages, where, found, resources)
    check_windows(built, found)
    if where == STAGES:
        check_streams(built, resources.streams, STREAMS, found)
    problems.found += map(_redacted, found)


def _check_query(query: Any, where: Where, problems: Problems, resources: Resources) -> None:
    found = Problems()
    parser = Parser(found, resources)
    parse_query(with_values(query, where, found), where, parser)
    if parser.asks:
        found.add(where, f"{parser.asks[0].title} cannot be asked by a sink", "ask in a $set in front of it")
    problems.found += map(_redacted, found)


def _redacted(problem: Problem) -> Problem:
    """The problem without values of secrets, which stages hold once their references have values."""
    return Problem(problem.where, redact(problem.what), redact(problem.hint))


def _check_unique(names: Iterable[tuple[str | None, Where]], noun: str, problems: Problems) -> None:
    seen: set[str] = set()
    for name, where in names:
        if name and name in seen:
            problems.add(where, f"another {noun} is called '{name}' too", "give each a name of its own")
        seen.add(name or "")


def _check_policies(
    definition: StreamingPipelineDefinition, places: Places, problems: Problems, connections: Connections
) -> None:
    sinks = dict(zip(definition.sink_names(), places.sinks, strict=True))

    def place(scope: Scope) -> Where:
        return sinks[str(scope.key)] / "on_error" if scope.kind == "sink" else scope.where

    policies = definition.policies()
    if not places.policies_checked:
        check_sink = sink_checker(connections)
        for scope, policy in policies.scopes():
            parse_policy(policy, place(scope), problems, check_sink=check_sink)
    policies.check(problems, place)


def _check_listeners(listeners: Sequence[Any], problems: Problems) -> None:
    for i, listener in enumerate(listeners):
        if not isinstance(listener, StreamingMetricsListener):
            got = f"the class {listener.__name__}" if isinstance(listener, type) else f"a {type(listener).__name__}"
            problems.add(Where.at("listeners", i), f"must be a StreamingMetricsListener, got {got}")
