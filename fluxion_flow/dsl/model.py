"""A pipeline as frozen data: :class:`StreamingPipelineDefinition` and its parts.

A definition says what a pipeline does; nothing is opened by making one. It comes from a builder
(:func:`fluxion_flow.pipeline`), from plain data (``from_dict``), or from a YAML or JSON file (``from_file``), and all
three check it and answer with every problem at once. One made by its constructor is checked by ``check()``.

Values that must not be printed never are: the ``repr`` of every part shows names only.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxion_flow.connect import registry
from fluxion_flow.connect.connections import Connections
from fluxion_flow.core.resources import Resources
from fluxion_flow.dsl.config import PolicyOverrides, StreamingRuntimeConfig, fold_name, replaced
from fluxion_flow.errors import PipelineError, Problem, Problems, Where, did_you_mean
from fluxion_flow.policy.model import StreamingErrorPolicy
from fluxion_flow.policy.scope import PolicySet

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow

COMPILER = "fluxion_flow.compiler"
"""Where ``compile_definition`` lives. A name and no import: this layer stands below the compiler's."""

TIME_KEYS = {"time_field": "timeField", "partition_idle_timeout": "partitionIdleTimeout"}
"""Keys of a source that say what its time is, with their other spelling."""

ENDPOINT_KEYS = ("name", "on_error", "when")
"""Keys of a source or a sink that are no options of its connector; ``name`` goes to connectors that have it too."""


class _Endpoint:
    """What sources and sinks have in common: a connector by its name, or an object."""

    type: str | None
    options: Mapping[str, Any]
    object: Any
    connection_ref: str | None
    name: str | None

    @property
    def given(self) -> Any:
        """What a connector is opened from: the object, or the mapping of ``type``, options and ``name``."""
        if self.object is not None:
            return self.object
        own = {"type": self.type, "connection_ref": self.connection_ref, "name": self.name}
        given = {key: value for key, value in own.items() if value is not None}
        return {**given, **self.options}

    @property
    def title(self) -> str:
        """What to call it: its name, its connector's type, or its class."""
        if self.name or self.object is None:
            return str(self.name or self.type or self.connection_ref or "")
        return type(self.object).__name__

    def __repr__(self) -> str:
        """Names only: an option's value may be secret."""
        named = _named(self)
        if self.object is not None:
            return f"{type(self).__name__}({type(self.object).__name__}{named})"
        via = f", connection_ref={self.connection_ref!r}" if self.connection_ref else ""
        options = f", options: {', '.join(map(str, self.options))}" if self.options else ""
        return f"{type(self).__name__}({self.type!r}{via}{named}{options})"


@dataclass(frozen=True, repr=False)
class SourceSpec(_Endpoint):
    """Where documents come from: a connector by ``type`` or ``connection_ref`` with ``options``, or an ``object``.

    ``object`` is a :class:`~fluxion_flow.connect.spi.StreamingSource` or any ``bytewax.inputs.Source``; the latter may
    have the option ``bounded`` beside it, which says whether it completes some day (default: it does not).

    ``time_field`` is the event time of its documents, a field or an expression (``"$at"``, ``{"$toDate": "$ms"}``);
    ``partition_idle_timeout`` the silence after which a partition holds no window back, ``{size, unit}`` or ``"30s"``.
    """

    type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    object: Any = None
    connection_ref: str | None = None
    name: str | None = None
    on_error: StreamingErrorPolicy | None = None
    time_field: Any = None
    partition_idle_timeout: Any = None

    def __post_init__(self) -> None:
        _set(self, options=dict(self.options), time_field=plain(self.time_field))

    def open(
        self,
        where: Where = Where.at("source"),  # noqa: B008 - frozen
        *,
        connections: Connections | None = None,
        resources: Resources | None = None,
    ) -> Any:
        """The source itself: a :class:`StreamingSource` or a Bytewax source. No file or socket is opened yet.

        Raises :class:`PipelineError` with every problem.
        """
        if self.object is not None:
            return self.object
        return registry.open_source(
            self.given, where, connections=connections, also_known=ENDPOINT_KEYS, resources=resources
        )


@dataclass(frozen=True, repr=False)
class SinkSpec(_Endpoint):
    """Where documents go: a connector by ``type`` or ``connection_ref`` with ``options``, or an ``object``.

    ``object`` is a :class:`~fluxion_flow.connect.spi.StreamingSink` or any ``bytewax.outputs.Sink``. ``when``: a
    query; only the documents that it matches go there.
    """

    type: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    object: Any = None
    connection_ref: str | None = None
    name: str | None = None
    when: Mapping[str, Any] | None = None
    on_error: StreamingErrorPolicy | None = None

    def __post_init__(self) -> None:
        _set(self, options=dict(self.options), when=None if self.when is None else plain(self.when))

    def open(
        self,
        where: Where = Where.at("sink"),  # noqa: B008 - frozen
        *,
        connections: Connections | None = None,
        resources: Resources | None = None,
    ) -> Any:
        """The sink itself: a :class:`StreamingSink` or a Bytewax sink. No file or socket is opened yet.

        Raises :class:`PipelineError` with every problem.
        """
        if self.object is not None:
            return self.object
        return registry.open_sink(
            self.given, where, connections=connections, also_known=ENDPOINT_KEYS, resources=resources
        )


@dataclass(frozen=True, repr=False)
class StageSpec:
    """One stage as data, such as ``{"$match": {"status": "PAID"}}``, with a name and an error policy of its own."""

    spec: Mapping[str, Any]
    name: str | None = None
    on_error: StreamingErrorPolicy | None = None

    def __post_init__(self) -> None:
        _set(self, spec=plain(self.spec))

    @property
    def operator(self) -> str:
        """The stage's MongoDB name, such as ``$match``."""
        return str(next(iter(self.spec), ""))

    def __repr__(self) -> str:
        return f"StageSpec({self.operator!r}{_named(self)})"


@dataclass(frozen=True, repr=False)
class StreamSpec:
    """A further stream, which ``$streamJoin`` and ``$lookup`` join by its name: a source, and stages of its own.

    The stages are per-document ones; its documents go through them before they are joined.
    """

    source: SourceSpec
    stages: tuple[StageSpec, ...] = ()

    def __post_init__(self) -> None:
        _set(self, stages=tuple(self.stages))

    def __repr__(self) -> str:
        return f"StreamSpec(source={self.source.title!r}, stages={[s.name or s.operator for s in self.stages]})"


@dataclass(frozen=True, repr=False)
class StreamingPipelineDefinition:
    """A pipeline as data: a source, stages, sinks, error policies and the settings of its run.

    ``collections``, ``functions`` and ``pipelines`` are what stages refer to by name (``$lookup``, ``$function``,
    ``$subPipeline``); a function may be given as ``"module:name"``. ``connections`` maps names to the options that a
    source or sink takes with ``connection_ref``. ``listeners`` are told what happens in a run. ``streams`` are further
    streams by name, for ``$streamJoin`` and ``$lookup``.

    >>> definition = StreamingPipelineDefinition.from_dict({
    ...     "name": "paid-orders",
    ...     "source": {"type": "memory", "name": "orders"},
    ...     "stages": [{"$match": {"status": "PAID"}}],
    ...     "sink": {"type": "memory", "name": "paid"},
    ... })
    >>> definition
    StreamingPipelineDefinition('paid-orders', source='orders', stages=['$match'], sinks=['paid'])
    >>> StreamingPipelineDefinition.from_dict(definition.to_dict()) == definition
    True
    """

    name: str
    source: SourceSpec
    stages: tuple[StageSpec, ...] = ()
    sinks: tuple[SinkSpec, ...] = ()
    on_error: StreamingErrorPolicy | None = None
    config: StreamingRuntimeConfig = field(default_factory=StreamingRuntimeConfig)
    listeners: tuple[Any, ...] = ()
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    collections: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any] | str] = field(default_factory=dict)
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    streams: Mapping[str, StreamSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, stages=tuple(self.stages), sinks=tuple(self.sinks), listeners=tuple(self.listeners))
        for name in ("connections", "collections", "functions", "pipelines", "manifests", "streams"):
            _set(self, **{name: dict(getattr(self, name))})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StreamingPipelineDefinition:
        """The definition that ``data`` holds, as a definition file would; ``${NAME}`` in its texts is a reference.

        Raises :class:`PipelineError` with every problem, in the order of ``data``.
        """
        from fluxion_flow.dsl.parse import definition_from_data

        return definition_from_data(data)

    @classmethod
    def from_file(cls, path: str | Path) -> StreamingPipelineDefinition:
        """The definition in a YAML or JSON file; its name is the file's unless it says another.

        Raises :class:`PipelineError` with every problem: of the file's syntax with line and column, of the definition
        in the order of the file.
        """
        from fluxion_flow.dsl.parse import definition_from_file

        return definition_from_file(path)

    def to_dict(self) -> dict[str, Any]:
        """The definition as plain data that JSON and YAML can hold; ``from_dict`` gives an equal one back.

        References stay references. A secret that was written out becomes a reference to an environment variable that
        is named after its place (``SOURCE_PASSWORD``). Raises :class:`PipelineError` for what data cannot hold:
        Python objects, callbacks, listeners.
        """
        from fluxion_flow.dsl.as_data import definition_to_data

        return definition_to_data(self)

    def check(self) -> list[Problem]:
        """Everything wrong with the definition, in its order. Nothing is opened."""
        from fluxion_flow.dsl.check import check_definition

        problems = Problems()
        check_definition(self, problems)
        return list(dict.fromkeys(problems))

    def resolved(self, environ: Mapping[str, str] | None = None) -> StreamingPipelineDefinition:
        """The definition as it runs here: settings, policies and connections overridden by the environment, and the
        queries of its sinks with the values of their references.

        ``environ`` is :data:`os.environ` unless given. Doing it twice changes nothing more. Raises
        :class:`PipelineError` with every problem of the environment.
        """
        from fluxion_flow.dsl.check import Places, sink_checker, with_values

        environ = os.environ if environ is None else environ
        problems = Problems()
        definition = replace(self, connections=self.known_connections(environ, problems))
        try:
            config = self.config.resolved(environ, check_sink=sink_checker(definition.connections))
        except PipelineError as error:
            raise PipelineError([*problems, *error.problems]) from None
        definition = replace(definition, config=config)
        definition.check_overrides(problems)
        sinks = [
            replace(sink, when=with_values(sink.when, where / "when", problems))
            for sink, where in zip(self.sinks, Places.of(self).sinks, strict=True)
        ]
        problems.raise_if_any()
        return replace(definition, sinks=tuple(sinks))._overridden()

    def compile(self) -> Dataflow:
        """The pipeline as a Bytewax dataflow, with the settings and policies of the environment.

        Raises :class:`PipelineError` with every problem, before anything runs.
        """
        definition, problems = self, Problems()
        try:
            definition = self.resolved()
        except PipelineError as error:
            problems.found += error.problems
        problems.found += definition.check()
        problems.raise_if_any()
        dataflow: Dataflow = importlib.import_module(COMPILER).compile_definition(definition)
        return dataflow

    def sink_names(self) -> tuple[str, ...]:
        """A name for every sink: its own, else its connector's type or its class, numbered where that is taken.

        Name the sinks of a pipeline whose order may change: progress is kept under these names.
        """
        taken = {sink.name for sink in self.sinks if sink.name}
        names: list[str] = []
        for sink in self.sinks:
            name, number = sink.title, 1
            while not sink.name and name in taken:
                number += 1
                name = f"{sink.title}-{number}"
            taken.add(name)
            names.append(name)
        return tuple(names)

    @cached_property
    def resources(self) -> Resources:
        """What stages find by name, with functions imported and references filled in.

        Raises :class:`PipelineError` when one cannot be.
        """
        from fluxion_flow.dsl.check import make_resources

        problems = Problems()
        resources = make_resources(self, problems)
        problems.raise_if_any()
        return resources

    def stage_specs(self) -> list[dict[str, Any]]:
        """The stages as data, each with one ``$`` key, with the values of references in them.

        Raises :class:`PipelineError` for references without a value.
        """
        from fluxion_flow.dsl.check import with_values

        problems = Problems()
        specs = [with_values(stage.spec, Where.at("stages", i), problems) for i, stage in enumerate(self.stages)]
        problems.raise_if_any()
        return specs

    def policies(self) -> PolicySet:
        """The error policies by scope: stages by position, sinks by their names in :meth:`sink_names`."""
        definition = self._overridden()
        pipeline, granularity = definition.on_error, definition.config.granularity
        if granularity is not None:
            pipeline = (pipeline or StreamingErrorPolicy()).within(StreamingErrorPolicy(granularity=granularity))
        return PolicySet(
            pipeline=pipeline,
            source=definition.source.on_error,
            stages={i: s.on_error for i, s in enumerate(definition.stages) if s.on_error is not None},
            sinks={
                name: s.on_error
                for name, s in zip(definition.sink_names(), definition.sinks, strict=True)
                if s.on_error is not None
            },
        )

    def known_connections(self, environ: Mapping[str, str], problems: Problems) -> dict[str, Mapping[str, Any]]:
        """The definition's connections, and over them those of the file of connections, if there is one."""
        from fluxion_flow.dsl.connections import connections_in_force

        return connections_in_force(self.connections, environ, problems)

    def check_overrides(self, problems: Problems) -> None:
        """Add to ``problems`` every policy of the config that is for a stage which is not there."""
        overrides = self.config.on_error
        names = [stage.name for stage in self.stages if stage.name]
        for key in overrides.stages:
            if not self._stages_meant(key):
                shown = [fold_name(name) for name in names] if key.isupper() else names
                known = f"named stages: {', '.join(shown)}" if shown else "no stage has a name"
                where = overrides.origins.get(key, Where.at("config", "on_error", "stages", key))
                problems.add(where, f"there is no stage '{key}'", did_you_mean(key, shown) or known)

    def _stages_meant(self, key: str) -> list[int]:
        """The positions of the stages that ``key`` means: a name, a name as the environment has it, or a position."""
        named = {i: stage.name for i, stage in enumerate(self.stages) if stage.name}
        found = [i for i, name in named.items() if name == key]
        found = found or [i for i, name in named.items() if fold_name(name) == key]
        return found or [i for i in range(len(self.stages)) if str(i) == key]

    def _overridden(self) -> StreamingPipelineDefinition:
        """The definition with the policies of its config in the places they are for."""
        overrides = self.config.on_error
        if not overrides:
            return self
        stages = list(self.stages)
        for key, policy in overrides.stages.items():
            for i in self._stages_meant(key):
                stages[i] = replace(stages[i], on_error=replaced(stages[i].on_error, policy))
        return replace(
            self,
            on_error=replaced(self.on_error, overrides.pipeline),
            source=replace(self.source, on_error=replaced(self.source.on_error, overrides.source)),
            stages=tuple(stages),
            sinks=tuple(replace(s, on_error=replaced(s.on_error, overrides.sink)) for s in self.sinks),
            config=replace(self.config, on_error=PolicyOverrides()),
        )

    def __repr__(self) -> str:
        stages = [stage.name or stage.operator for stage in self.stages]
        sinks = list(self.sink_names())
        return (
            f"StreamingPipelineDefinition({self.name!r}, source={self.source.title!r}, stages={stages}, sinks={sinks})"
        )


def plain(value: Any) -> Any:
    """A copy of ``value`` down to its leaves, with plain dicts and lists."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _set(item: Any, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(item, name, value)


def _named(spec: _Endpoint | StageSpec) -> str:
    return f", name={spec.name!r}" if spec.name else ""
