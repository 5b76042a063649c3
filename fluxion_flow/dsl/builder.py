"""The fluent builder of pipelines: ``pipeline("orders")``.

>>> from fluxion_flow.dsl.builder import pipeline
>>> definition = (
...     pipeline("lifetime-value")
...     .source("memory", name="orders")
...     .match({"status": "PAID"})
...     .group({"_id": "$customerId", "total": {"$sum": "$amount"}}, name="by-customer")
...     .sink("memory", name="totals")
...     .build()
... )
>>> definition
StreamingPipelineDefinition('lifetime-value', source='orders', stages=['$match', 'by-customer'], sinks=['totals'])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fluxion_flow.dsl.config import StreamingRuntimeConfig
from fluxion_flow.dsl.model import StreamingPipelineDefinition, plain
from fluxion_flow.dsl.parse import read_definition
from fluxion_flow.dsl.stage_methods import StageMethods

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow
    from bytewax.inputs import Source
    from bytewax.outputs import Sink

    from fluxion_flow.connect.spi import StreamingSink, StreamingSource
    from fluxion_flow.observe.listener import StreamingMetricsListener


def pipeline(name: str) -> PipelineBuilder:
    """A builder of a pipeline with this name. Letters, digits, ``-`` and ``_`` may be in it."""
    return PipelineBuilder({"name": name})


class PipelineBuilder(StageMethods):
    """Collects the parts of a pipeline. Every method returns a new builder and leaves this one as it was.

    Nothing is checked before :meth:`build`, which then reports everything at once. A text in Python is what it says:
    references are written ``env("NAME")`` and ``secret("NAME")``, not ``${NAME}``.
    """

    def __init__(self, parts: Mapping[str, Any], listeners: tuple[Any, ...] = ()) -> None:
        self._parts = dict(parts)
        self._listeners = listeners

    def source(
        self,
        source: str | StreamingSource | Source[Any] | None = None,
        /,
        *,
        connection_ref: str | None = None,
        name: str | None = None,
        on_error: Any = None,
        **options: Any,
    ) -> PipelineBuilder:
        """Where documents come from: a connector's type with its options, or an object of a source.

        ``connection_ref`` names a connection to take further options from. A later call replaces an earlier one.
        """
        return self._with(source=_endpoint(source, connection_ref, name, on_error, options))

    def sink(
        self,
        sink: str | StreamingSink | Sink[Any] | None = None,
        /,
        *,
        when: Mapping[str, Any] | None = None,
        connection_ref: str | None = None,
        name: str | None = None,
        on_error: Any = None,
        **options: Any,
    ) -> PipelineBuilder:
        """Where documents go: a connector's type with its options, or an object of a sink. Each call adds a sink.

        ``when``: a query; only the documents that it matches go there.
        """
        made = _endpoint(sink, connection_ref, name, on_error, options)
        if when is not None:
            made["when"] = _copied(when)
        return self._with(sinks=[*self._parts.get("sinks", []), made])

    def stream(
        self,
        stream: str,
        source: str | StreamingSource | None = None,
        /,
        *,
        stages: Sequence[Mapping[str, Any]] = (),
        connection_ref: str | None = None,
        name: str | None = None,
        on_error: Any = None,
        **options: Any,
    ) -> PipelineBuilder:
        """A further stream, which ``$streamJoin`` and ``$lookup`` join under the name ``stream``.

        Its source is given as to :meth:`source`, ``time_field`` among the options. ``stages`` are per-document stages
        that its documents go through before they are joined.
        """
        made: dict[str, Any] = {"source": _endpoint(source, connection_ref, name, on_error, options)}
        if stages:
            made["stages"] = [*map(_stage, stages)] if isinstance(stages, (list, tuple)) else stages
        return self._named("streams", stream, made)

    def stage(self, operator: str, spec: Any, *, name: str | None = None, on_error: Any = None) -> PipelineBuilder:
        """Add the stage ``operator``, such as ``"$match"``."""
        beside = {"name": name, "on_error": on_error}
        made = {operator: _copied(spec), **{key: value for key, value in beside.items() if value is not None}}
        return self._with(stages=[*self._parts.get("stages", []), made])

    def stages(self, stages: Sequence[Mapping[str, Any]]) -> PipelineBuilder:
        """Add stages as data, such as ``[{"$match": {...}}, {"$set": {...}, "name": "totals"}]``."""
        if not isinstance(stages, (list, tuple)):
            return self._with(stages=stages)
        return self._with(stages=[*self._parts.get("stages", []), *map(_stage, stages)])

    def on_error(self, policy: Any) -> PipelineBuilder:
        """The error policy of the whole pipeline: a ``StreamingErrorPolicy``, or one as data."""
        return self._with(on_error=policy)

    def config(self, config: StreamingRuntimeConfig | None = None, /, **fields: Any) -> PipelineBuilder:
        """Settings of the run, by name or as a whole: the fields of :class:`StreamingRuntimeConfig`."""
        whole = {} if config is None else {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
        return self._with(config={**self._parts.get("config", {}), **whole, **fields})

    def listen(self, listener: StreamingMetricsListener) -> PipelineBuilder:
        """Tell ``listener`` what happens in a run."""
        return PipelineBuilder(self._parts, (*self._listeners, listener))

    def function(self, name: str, function: Callable[..., Any] | str) -> PipelineBuilder:
        """A Python function that ``$function`` finds under ``name``; or where it is, as ``"module:name"``."""
        return self._named("functions", name, function)

    def collection(self, name: str, documents: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> PipelineBuilder:
        """Documents that ``$lookup`` and ``$unionWith`` find under ``name``; or where ``$lookup`` finds them outside,
        such as ``{"connection": "db", "table": "customers"}``.
        """
        return self._named("collections", name, documents)

    def pipeline(self, name: str, stages: Sequence[Mapping[str, Any]]) -> PipelineBuilder:
        """Stages that ``$subPipeline`` finds under ``name``, or ``name@version``."""
        return self._named("pipelines", name, _copied(stages))

    def connection(self, name: str, /, **options: Any) -> PipelineBuilder:
        """Options that a source or a sink takes with ``connection_ref=name``; ``type`` may be among them."""
        return self._named("connections", name, options)

    def manifest(self, manifest: Mapping[str, Any]) -> PipelineBuilder:
        """A connector's manifest, which ``$enrich`` finds by its ``id``."""
        return self._named("manifests", str(manifest.get("id", "")), _copied(manifest))

    def build(self) -> StreamingPipelineDefinition:
        """The definition. Raises :class:`~fluxion_flow.errors.PipelineError` with everything that is wrong."""
        parts = dict(self._parts)
        sinks = parts.pop("sinks", [])
        if sinks:
            parts |= {"sink": sinks[0]} if len(sinks) == 1 else {"sinks": sinks}
        return read_definition(_ordered(parts), listeners=self._listeners)

    def compile(self) -> Dataflow:
        """The pipeline as a Bytewax dataflow. Raises :class:`~fluxion_flow.errors.PipelineError`."""
        return self.build().compile()

    def _with(self, **parts: Any) -> PipelineBuilder:
        return PipelineBuilder({**self._parts, **parts}, self._listeners)

    def _named(self, section: str, name: str, value: Any) -> PipelineBuilder:
        return self._with(**{section: {**self._parts.get(section, {}), name: value}})

    def __repr__(self) -> str:
        stages = self._parts.get("stages", [])
        names = [next(iter(stage), "") if isinstance(stage, Mapping) else "" for stage in stages]
        return f"PipelineBuilder({self._parts['name']!r}, stages={names})"


def _endpoint(
    given: Any, connection_ref: str | None, name: str | None, on_error: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    what = {"type": given} if given is None or isinstance(given, str) else {"object": given}
    made = {**what, "connection_ref": connection_ref, "name": name, **options, "on_error": on_error}
    return {key: value for key, value in made.items() if value is not None or key in options}


def _copied(value: Any) -> Any:
    """A copy of data; what is nested too deeply to copy is answered by ``build``."""
    try:
        return plain(value)
    except RecursionError:
        return value


def _stage(given: Any) -> Any:
    """A stage's data, copied; what stands beside the stage may be an object and stays."""
    if not isinstance(given, Mapping):
        return given
    return {key: _copied(value) if str(key).startswith("$") else value for key, value in given.items()}


_ORDER = ("name", "source", "stages", "sink", "sinks", "on_error", "config")


def _ordered(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts in the order in which a definition has them, so that problems are told in it."""
    return {key: parts[key] for key in (*_ORDER, *parts) if key in parts}
