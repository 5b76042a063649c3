"""From a definition to plain data, as JSON and YAML hold it: what ``to_dict`` gives and ``from_dict`` reads.

Secrets that were written out in a definition do not leave it: the value of an option that its connector declares
secret, and an address with a password in it, become references to an environment variable named after their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from fluxion_flow.connect.encoding import to_extended
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import ConnectorUnavailable, find_connector
from fluxion_flow.connect.secrets import Reference, redact, secret, to_data
from fluxion_flow.dsl.config import CONFIG
from fluxion_flow.dsl.model import TIME_KEYS, SinkSpec, SourceSpec, StageSpec, StreamingPipelineDefinition, StreamSpec
from fluxion_flow.errors import PipelineError, Problems, Where
from fluxion_flow.policy.model import StreamingErrorPolicy
from fluxion_flow.policy.parse import policy_to_dict

Kind = Literal["source", "sink"]
NOT_DATA = "data cannot hold it: add it in Python"


def definition_to_data(definition: StreamingPipelineDefinition) -> dict[str, Any]:
    """The definition as plain data. Raises :class:`PipelineError` with everything that data cannot hold."""
    writer = _Writer(definition)
    data = writer.write()
    writer.problems.raise_if_any()
    return data


class _Writer:
    """Writes one definition. What data cannot hold is left out, and is a problem."""

    def __init__(self, definition: StreamingPipelineDefinition) -> None:
        self.definition = definition
        self.problems = Problems()

    def write(self) -> dict[str, Any]:
        definition = self.definition
        data: dict[str, Any] = {
            "name": _data(definition.name),
            "source": self._endpoint("source", definition.source, Where.at("source")),
            "stages": [self._stage(stage, Where.at("stages", i)) for i, stage in enumerate(definition.stages)],
            **self._sinks(),
            "on_error": self._policy(definition.on_error, Where.at("on_error")),
            "config": self._config(),
            "connections": {
                name: self._options(options, Where.at("connections", name), _secrets_of_connection(options))
                for name, options in definition.connections.items()
            },
            "collections": _data(definition.collections),
            "functions": {name: self._function(name, function) for name, function in definition.functions.items()},
            "pipelines": _data(definition.pipelines),
            "manifests": _data(definition.manifests),
            "streams": {
                name: self._stream(stream, Where.at("streams", name)) for name, stream in definition.streams.items()
            },
        }
        for i, listener in enumerate(definition.listeners):
            self.problems.add(Where.at("listeners", i), f"is a Python object ({type(listener).__name__})", NOT_DATA)
        return {key: value for key, value in data.items() if value not in (None, {}, [])}

    def _sinks(self) -> dict[str, Any]:
        sinks = self.definition.sinks
        if len(sinks) == 1:
            return {"sink": self._endpoint("sink", sinks[0], Where.at("sink"))}
        return {"sinks": [self._endpoint("sink", sink, Where.at("sinks", i)) for i, sink in enumerate(sinks)]}

    def _stream(self, stream: StreamSpec, where: Where) -> dict[str, Any]:
        stages = [self._stage(stage, where / "stages" / i) for i, stage in enumerate(stream.stages)]
        source = self._endpoint("source", stream.source, where / "source")
        return {"source": source, **({"stages": stages} if stages else {})}

    def _endpoint(self, kind: Kind, spec: SourceSpec | SinkSpec, where: Where) -> dict[str, Any]:
        if spec.object is not None:
            self.problems.add(where, f"is a Python object ({type(spec.object).__name__})", NOT_DATA)
        own = {
            "type": _data(spec.type),
            "connection_ref": _data(spec.connection_ref),
            "name": _data(spec.name),
            "when": _data(spec.when) if isinstance(spec, SinkSpec) else None,
            "on_error": self._policy(spec.on_error, where / "on_error"),
        }
        if isinstance(spec, SourceSpec):
            own |= {key: _data(getattr(spec, key)) for key in TIME_KEYS}
        options = self._options(spec.options, where, _secret_options(self._type_of(spec.given), kind))
        head = {key: own[key] for key in ("type", "connection_ref", "name") if own[key] is not None}
        tail = {key: own[key] for key in (*TIME_KEYS, "when", "on_error") if own.get(key) is not None}
        return {**head, **options, **tail}

    def _type_of(self, given: Any) -> Any:
        """The connector's type of a source or sink as data, its own or its connection's."""
        if not isinstance(given, Mapping):
            return None
        reference = given.get("connection_ref", given.get("connectionRef"))
        return given.get("type", self.definition.connections.get(str(reference), {}).get("type"))

    def _stage(self, stage: StageSpec, where: Where) -> dict[str, Any]:
        policy = self._policy(stage.on_error, where / "on_error")
        own = {"name": _data(stage.name), "on_error": policy}
        return {**_data(stage.spec), **{key: value for key, value in own.items() if value is not None}}

    def _policy(self, policy: StreamingErrorPolicy | None, where: Where) -> dict[str, Any] | None:
        if policy is None:
            return None
        sink = policy.dead_letter_sink
        if isinstance(sink, Mapping):
            names = _secret_options(self._type_of(sink), "sink")
            safe = {
                key: _without_secrets(sink[key], where / "dead_letter" / str(key), str(key) in names) for key in sink
            }
            policy = replace(policy, dead_letter_sink=to_extended(safe))
        try:
            return policy_to_dict(policy, where)
        except PipelineError as error:
            self.problems.found += error.problems
            return None

    def _config(self) -> dict[str, Any]:
        config, where = self.definition.config, CONFIG / "on_error"
        overrides = config.on_error
        scopes = {"pipeline": overrides.pipeline, "source": overrides.source, "sink": overrides.sink}
        written: dict[str, Any] = {
            scope: self._policy(policy, where / scope) for scope, policy in scopes.items() if policy is not None
        }
        if overrides.stages:
            stages = where / "stages"
            written["stages"] = {name: self._policy(p, stages / name) for name, p in overrides.stages.items()}
        alerts = {"alerts": to_data(config.alerts.to_data())} if config.alerts else {}
        return {**to_data(to_extended(config.changed())), **alerts, **({"on_error": written} if written else {})}

    def _options(self, options: Mapping[str, Any], where: Where, secret_options: frozenset[str]) -> dict[str, Any]:
        written = {}
        for name, value in options.items():
            safe = _without_secrets(value, where / name, name in secret_options)
            try:
                written[name] = _checked(_data(safe))
            except TypeError as error:
                self.problems.add(where / name, f"is a Python object ({error})", NOT_DATA)
        return written

    def _function(self, name: str, function: Any) -> str:
        if isinstance(function, str):
            return function
        module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
        if not module or "<" in path or module == "__main__":
            hint = "define it by name in a module"
            self.problems.add(Where.at("functions", name), "is a Python object that cannot be named", hint)
        return f"{module}:{path}"


def _data(value: Any) -> Any:
    return to_data(to_extended(value))


def _checked(value: Any) -> Any:
    """``value``, if it holds nothing but data. Raises :class:`TypeError` with the name of the class that is none."""
    if isinstance(value, dict):
        for item in value.values():
            _checked(item)
    elif isinstance(value, list):
        for item in value:
            _checked(item)
    elif value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(type(value).__name__)
    return value


def _secret_options(type_: Any, kind: Kind | None = None) -> frozenset[str]:
    """The names, snake_case and camelCase, of the options that a connector keeps secret."""
    try:
        connector = find_connector(str(type_))
    except ConnectorUnavailable:
        return frozenset()
    kinds: tuple[Kind, ...] = ("source", "sink") if kind is None else (kind,)
    options: list[Option] = [option for k in kinds for option in connector.options(k) if option.secret]
    return frozenset(name for option in options for name in option.names)


def _secrets_of_connection(options: Mapping[str, Any]) -> frozenset[str]:
    """The names of a connection's secret options: those of its connector, and those for enrichments."""
    from fluxion_flow.enrich.connections import kind_of
    from fluxion_flow.enrich.opened import secret_names

    return _secret_options(options.get("type")) | secret_names(kind_of(options))


def _without_secrets(value: Any, where: Where, is_secret: bool) -> Any:
    """``value`` with references in place of the secrets that are written out in it."""
    if isinstance(value, Reference) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, where / str(key), is_secret) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_secrets(item, where / i, is_secret) for i, item in enumerate(value)]
    if is_secret or (isinstance(value, str) and "://" in value and redact(value) != value):
        return secret(re.sub(r"[^A-Z0-9]+", "_", str(where).upper()).strip("_"))
    return value
