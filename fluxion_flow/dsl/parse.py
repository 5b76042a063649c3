"""From plain data to a definition: form first, meaning next, every problem in one answer in the order of the data.

A definition file says this (``*`` must be there)::

    name *         the pipeline's name; a file's own name stands in for it
    source *       {type: ..., options}; also connection_ref, name, on_error, time_field, partition_idle_timeout
    stages         a list of {$stage: ...}; also name and on_error beside the stage
    sink *         {type: ..., options}; also connection_ref, name, when, on_error
    sinks          several: a list of them, or a mapping of names to them
    on_error       an error policy
    config         settings of the run
    connections    named options for connection_ref
    collections    documents by name, for $lookup and $unionWith
    functions      'module:name' by name, for $function
    pipelines      lists of stages by name, for $subPipeline
    manifests      connector manifests by id, for $enrich
    streams        further streams by name, for $streamJoin and $lookup: {source: ..., stages: [...]}

``${NAME}``, ``{$env: NAME}`` and ``{$secret: NAME}`` are references to the environment in every value, and
``{$date: ...}`` and its like are values of MongoDB's Extended JSON.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fluxion_flow.connect.secrets import Reference, SecretReference, UnresolvedReference, interpolate
from fluxion_flow.core.stages import all_stages
from fluxion_flow.dsl.check import (
    SINK_EXAMPLE,
    SOURCE_EXAMPLE,
    Places,
    check_definition,
    is_sink,
    is_source,
    kind,
    read_extended,
    sink_checker,
)
from fluxion_flow.dsl.config import CONFIG, SECRET_SETTINGS, StreamingRuntimeConfig, read_config
from fluxion_flow.dsl.connections import connections_in_force
from fluxion_flow.dsl.files import read_data_file
from fluxion_flow.dsl.model import TIME_KEYS, SinkSpec, SourceSpec, StageSpec, StreamingPipelineDefinition, StreamSpec
from fluxion_flow.errors import PipelineError, Problem, Problems, Where, did_you_mean
from fluxion_flow.policy.fields import shown
from fluxion_flow.policy.model import StreamingErrorPolicy
from fluxion_flow.policy.parse import CheckSink, parse_policy

SECTIONS = (
    *("name", "source", "stages", "sink", "sinks", "on_error", "config"),
    *("connections", "collections", "functions", "pipelines", "manifests", "streams"),
)
OUTSIDE = frozenset(("connection", "connectionRef", "connection_ref", "file"))
"""One of these says where a collection stands that is not given by its documents."""
STAGE_EXAMPLE = "such as {$match: {status: PAID}}"


def definition_from_file(path: str | Path) -> StreamingPipelineDefinition:
    """The definition in a YAML or JSON file. Raises :class:`PipelineError` with every problem."""
    data = read_data_file(path)
    if isinstance(data, Mapping) and data.get("name") is None:
        data = {
            "name": re.sub(r"[^\w-]+", "-", Path(path).stem).strip("-"),
            **{k: data[k] for k in data if k != "name"},
        }
    return definition_from_data(data)


def definition_from_data(data: Any) -> StreamingPipelineDefinition:
    """The definition in plain data, with its references. Raises :class:`PipelineError` with every problem."""
    problems = Problems()
    with _depth_checked():
        data = _with_extended(interpolate(data, Where(), problems), Where(), problems)
    return read_definition(data, problems)


def read_definition(
    data: Any, problems: Problems | None = None, *, listeners: Sequence[Any] = ()
) -> StreamingPipelineDefinition:
    """The definition in data whose references are objects already; other Python objects may stand in it too.

    ``problems`` holds what was found before. Raises :class:`PipelineError` with everything, in the order of ``data``.
    """
    problems = Problems() if problems is None else problems
    if not isinstance(data, Mapping):
        problems.add(Where(), f"must be a mapping, got {kind(data)}", "with name, source, stages and sink")
        raise PipelineError(problems)
    with _depth_checked():
        reader = _Reader(data, problems)
        definition = reader.read(tuple(listeners))
        found = Problems()
        check_definition(definition, found, Places(tuple(reader.sink_places), policies_checked=True))
    problems.found += [p for p in found if not any(_is_below(p.where, where) for where in reader.unreadable)]
    if problems:
        in_order = sorted(dict.fromkeys(problems), key=lambda problem: _position(data, problem.where))
        raise PipelineError(in_order)
    return definition


@contextmanager
def _depth_checked() -> Iterator[None]:
    """Answers data that is nested deeper than Python can follow."""
    try:
        yield
    except RecursionError:
        raise PipelineError([Problem(Where(), "is nested too deeply", "split it over several stages")]) from None


def _is_below(where: Where, outer: Where) -> bool:
    return where.parts[: len(outer.parts)] == outer.parts


def _position(data: Any, where: Where) -> tuple[int, ...]:
    """Where a path stands in the data: what is missing stands after what is there."""
    place: list[int] = []
    for part in where.parts:
        if isinstance(data, Mapping):
            keys = list(map(str, data))
            place.append(keys.index(str(part)) if str(part) in keys else len(keys))
            data = next((value for key, value in data.items() if str(key) == str(part)), None)
        elif isinstance(data, (list, tuple)) and isinstance(part, int):
            place.append(part)
            data = data[part] if part < len(data) else None
        else:
            place.append(0)
            data = None
    return tuple(place)


def _with_extended(value: Any, where: Where, problems: Problems) -> Any:
    """``value`` with Extended JSON objects as Python values; those that hold a reference wait until it has a value."""
    if isinstance(value, Mapping):
        found = {key: _with_extended(item, where / str(key), problems) for key, item in value.items()}
        holds_value = not any(isinstance(item, Reference) for item in found.values())
        return read_extended(found, where, problems) if holds_value else found
    if isinstance(value, list):
        return [_with_extended(item, where / i, problems) for i, item in enumerate(value)]
    return value


class _Reader:
    """Reads the sections of one definition. What cannot be read leaves an empty part behind, and a problem."""

    def __init__(self, data: Mapping[Any, Any], problems: Problems) -> None:
        self.data = data
        self.problems = problems
        self.sink_places: list[Where] = []
        self.unreadable: list[Where] = []
        """Where a part is broken in form, so that nothing further is said about what stands in for it."""
        self.check_sink: CheckSink | None = None

    def read(self, listeners: tuple[Any, ...]) -> StreamingPipelineDefinition:
        for key in self.data:
            if key not in SECTIONS:
                hint = did_you_mean(str(key), SECTIONS) or f"known are {', '.join(SECTIONS)}"
                self.problems.add(Where.at(str(key)), "unknown key of a definition", hint)
        connections = self._mapping("connections", "names to options")
        for name, options in list(connections.items()):
            if not isinstance(options, Mapping):
                self._broken(Where.at("connections", name), f"must be a mapping of options, got {kind(options)}")
                connections[name] = {}
        self.check_sink = sink_checker(connections_in_force(connections, os.environ, Problems()))
        return StreamingPipelineDefinition(
            name=self._name(self.data.get("name"), Where.at("name")) or "",
            source=self._source(self.data.get("source"), Where.at("source")),
            stages=tuple(self._stages(self.data.get("stages"), Where.at("stages"))),
            sinks=tuple(self._sinks()),
            on_error=self._policy(self.data.get("on_error"), Where.at("on_error")),
            config=self._config(),
            listeners=listeners,
            connections=connections,
            collections=self._collections(),
            functions=self._mapping("functions", "names to functions"),
            pipelines=self._mapping("pipelines", "names to lists of stages"),
            manifests=self._mapping("manifests", "ids to manifests"),
            streams={
                name: self._stream(given, Where.at("streams", name))
                for name, given in self._mapping("streams", "names to streams").items()
            },
        )

    def _broken(self, where: Where, what: str, hint: str = "") -> None:
        self.problems.add(where, what, hint)
        self.unreadable.append(where)

    def _mapping(self, section: str, of: str) -> dict[str, Any]:
        given = self.data.get(section)
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self._broken(Where.at(section), f"must map {of}, got {kind(given)}")
            return {}
        return {str(name): value for name, value in given.items()}

    def _value(self, value: Any, where: Where) -> Any:
        """``value`` with its references' values; a secret may not become part of what is printed."""
        if isinstance(value, Reference):
            if isinstance(value, SecretReference) or "${secret:" in str(value):
                self._broken(where, "cannot be a secret, for it is printed", "use env or write it out")
                return None
            try:
                return value.resolve()
            except UnresolvedReference as error:
                self._broken(where, error.what, error.hint)
                return None
        if isinstance(value, Mapping):
            return {key: self._value(item, where / str(key)) for key, item in value.items()}
        return value

    def _name(self, given: Any, where: Where) -> str | None:
        value = self._value(given, where)
        if value is None or (isinstance(value, str) and value):
            return value
        self._broken(where, f"must be a name, got {shown(value)}")
        return None

    def _policy(self, given: Any, where: Where) -> StreamingErrorPolicy | None:
        if given is None:
            return None
        return parse_policy(given, where, self.problems, check_sink=self.check_sink)

    def _stream(self, given: Any, where: Where) -> StreamSpec:
        if not isinstance(given, Mapping):
            hint = "such as {source: {type: files, path: payments.jsonl}}"
            self._broken(where, f"must be a mapping with a source, got {kind(given)}", hint)
            return StreamSpec(SourceSpec())
        for key in given:
            if key not in ("source", "stages"):
                hint = did_you_mean(str(key), ("source", "stages")) or "known are source, stages"
                if key in ("type", "connection_ref", "connectionRef", *TIME_KEYS, *TIME_KEYS.values()):
                    hint = f"put it into {where / 'source'}"
                self.problems.add(where / str(key), "unknown key of a stream", hint)
        source = self._source(given.get("source"), where / "source")
        return StreamSpec(source, tuple(self._stages(given.get("stages"), where / "stages")))

    def _source(self, given: Any, where: Where) -> SourceSpec:
        if is_source(given):
            return SourceSpec(object=given)
        if given is None:
            return SourceSpec()
        if not isinstance(given, Mapping):
            self._broken(where, f"must be a mapping with a type, got {kind(given)}", SOURCE_EXAMPLE)
            return SourceSpec()
        times = {}
        for name, other in TIME_KEYS.items():
            if name in given and other in given:
                self._broken(where / other, f"given beside {name}", "keep one of the two")
            times[name] = given.get(name, given.get(other))
        both = {*TIME_KEYS, *TIME_KEYS.values()}
        return SourceSpec(**self._endpoint({k: v for k, v in given.items() if k not in both}, where), **times)

    def _sinks(self) -> list[SinkSpec]:
        one, several = self.data.get("sink"), self.data.get("sinks")
        if several is None:
            return [] if one is None else [self._sink(one, Where.at("sink"))]
        where = Where.at("sinks")
        if one is not None:
            self._broken(where, "given beside sink", "keep one of the two")
            return [self._sink(one, Where.at("sink"))]
        if isinstance(several, Mapping):
            return [self._sink(given, where / str(name), str(name)) for name, given in several.items()]
        if isinstance(several, (list, tuple)):
            if several:
                return [self._sink(given, where / i) for i, given in enumerate(several)]
            self.problems.add(where, "is empty", SINK_EXAMPLE)
        else:
            self.problems.add(where, f"must be a list of sinks, got {kind(several)}", SINK_EXAMPLE)
        self.unreadable.append(Where.at("sink"))
        return []

    def _sink(self, given: Any, where: Where, name: str | None = None) -> SinkSpec:
        self.sink_places.append(where)
        if is_sink(given):
            return SinkSpec(object=given, name=name)
        if not isinstance(given, Mapping):
            self._broken(where, f"must be a mapping with a type, got {kind(given)}", SINK_EXAMPLE)
            return SinkSpec(name=name)
        fields = self._endpoint({key: value for key, value in given.items() if key != "when"}, where)
        if name is not None and fields["name"] not in (None, name):
            self._broken(where / "name", f"is called '{name}' already", "leave one of the two names out")
        return SinkSpec(**{**fields, "name": name or fields["name"]}, when=given.get("when"))

    def _endpoint(self, given: Mapping[Any, Any], where: Where) -> dict[str, Any]:
        """The fields that a source and a sink have in common; what is none of them is an option of the connector."""
        reference = "connectionRef" if "connectionRef" in given else "connection_ref"
        own = ("type", "object", reference, "name", "on_error")
        return {
            "type": self._value(given.get("type"), where / "type"),
            "options": {str(key): value for key, value in given.items() if key not in own},
            "object": given.get("object"),
            "connection_ref": self._value(given.get(reference), where / reference),
            "name": self._name(given.get("name"), where / "name"),
            "on_error": self._policy(given.get("on_error"), where / "on_error"),
        }

    def _stages(self, given: Any, where: Where) -> list[StageSpec]:
        if given is None:
            return []
        if not isinstance(given, (list, tuple)):
            self._broken(where, f"must be a list of stages, got {kind(given)}")
            return []
        return [self._stage(stage, where / i) for i, stage in enumerate(given)]

    def _stage(self, given: Any, where: Where) -> StageSpec:
        if not isinstance(given, Mapping):
            self._broken(where, f"must be a mapping with a stage, got {kind(given)}", STAGE_EXAMPLE)
            return StageSpec({"$match": {}})
        operators = [key for key in given if str(key).startswith("$")]
        for key in given:
            if key not in operators and key not in ("name", "on_error"):
                candidates = ["name", "on_error"] if operators else all_stages()
                wanted = str(key) if operators else f"${key}"
                hint = did_you_mean(wanted, candidates) or "beside a stage stand only name and on_error"
                self.problems.add(where / str(key), "unknown key of a stage", hint)
                self.unreadable += [where] if not operators else []
        name = self._name(given.get("name"), where / "name")
        policy = self._policy(given.get("on_error"), where / "on_error")
        if len(operators) == 1:
            return StageSpec({operators[0]: given[operators[0]]}, name, policy)
        if operators:
            listed = " and ".join(f"'{operator}'" for operator in operators)
            self._broken(where, f"holds {len(operators)} stages, {listed}", "give each an entry of its own")
        elif where not in self.unreadable:
            self._broken(where, "holds no stage", STAGE_EXAMPLE)
        return StageSpec({"$match": {}}, name, policy)

    def _config(self) -> StreamingRuntimeConfig:
        given = self.data.get("config")
        if isinstance(given, Mapping):
            raw = ("on_error", *SECRET_SETTINGS)
            read = {k: v if k in raw else self._value(v, CONFIG / str(k)) for k, v in given.items()}
            given = {key: value for key, value in read.items() if CONFIG / str(key) not in self.unreadable}
        return read_config(given, CONFIG.__truediv__, self.problems, check_sink=self.check_sink)

    def _collections(self) -> dict[str, Any]:
        found = self._mapping("collections", "names to lists of documents")
        for name, documents in list(found.items()):
            where = Where.at("collections", name)
            if isinstance(documents, Mapping) and OUTSIDE & set(documents):
                continue  # it stands outside: $lookup checks what it says
            if not isinstance(documents, (list, tuple)):
                self._broken(where, f"must be a list of documents, got {kind(documents)}")
                found[name] = []
                continue
            for i, document in enumerate(documents):
                if not isinstance(document, Mapping):
                    self._broken(where / i, f"must be a document, got {kind(document)}")
        return found
