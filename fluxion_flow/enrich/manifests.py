"""Connector manifests: what operations a connector has, and how each is executed.

A manifest is data, as Fluxion's are: ``id``, ``version``, ``operations`` (name → the name of a definition, or
``{$ref: '#/operationDefs/name'}``), ``operationDefs`` with ``kind: action``, ``inputSchema``, ``outputSchema`` and
``execution``, whose ``type`` is ``http``, ``python`` (Fluxion's ``javaBean``) or ``pipelineCall``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fluxion_flow.connect.secrets import UnresolvedReference, resolve
from fluxion_flow.enrich.settings import is_setting
from fluxion_flow.errors import Problems, Where, did_you_mean

MANIFEST_KEYS = (
    *("schemaVersion", "id", "version", "displayName", "category", "auth", "configSchema", "operations"),
    "operationDefs",
)
OPERATION_KEYS = ("operationId", "kind", "inputSchema", "outputSchema", "execution", "displayName", "description")
EXECUTIONS = {
    "http": ("method", "urlTemplate", "url", "headers", "responsePath", "timeoutMs"),
    "python": ("function", "beanName"),
    "javaBean": ("function", "beanName"),
    "pipelineCall": ("targetPipeline", "version"),
}
TRIGGERS = ("webhook", "polling", "streaming", "timer")


@dataclass(frozen=True)
class Operation:
    """One action of a connector."""

    connector: str
    name: str
    type: str
    execution: Mapping[str, Any]
    settings: Mapping[str, Any]
    where: Where
    input_schema: Any = None
    output_schema: Any = None
    _validators: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def wrong(self, value: Any, *, output: bool = False) -> str:
        """What is wrong with an input (or an output) by its schema, without its value; empty when nothing is."""
        schema = self.output_schema if output else self.input_schema
        if schema is None:
            return ""
        from jsonschema import Draft202012Validator

        side = "output" if output else "input"
        validator = self._validators.setdefault(side, Draft202012Validator(schema))
        found = next(iter(validator.iter_errors(value)), None)
        if found is None:
            return ""
        place = "/".join(map(str, found.absolute_path))
        said = f"'{found.validator}' of its schema does not hold"
        if found.validator == "required":
            said = found.message
        return f"the {side}{f' at {place}' if place else ''}: {said}"


def find_operation(
    manifests: Mapping[str, Mapping[str, Any]], connector: str, name: str, where: Where, problems: Problems
) -> Operation | None:
    """An operation of a connector; ``None`` after reporting what is wrong with the manifest or the names."""
    manifest = manifests.get(connector)
    if manifest is None:
        known = f"known: {', '.join(sorted(manifests))}" if manifests else "no manifests are given"
        hint = did_you_mean(connector, manifests) or known
        problems.add(where / "connectorId", f"there is no manifest '{connector}'", hint)
        return None
    place = Where.at("manifests", connector)
    if not isinstance(manifest, Mapping):
        problems.add(place, "must be a mapping", "with id, operations and operationDefs")
        return None
    before = len(problems.found)
    _known(manifest, MANIFEST_KEYS, place, problems)
    operations, definitions = manifest.get("operations", {}), manifest.get("operationDefs", {})
    if not isinstance(operations, Mapping) or not isinstance(definitions, Mapping):
        problems.add(place, "operations and operationDefs must be mappings")
        return None
    if name not in operations and name not in definitions:
        names = sorted({*operations, *definitions})
        hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
        problems.add(where / "operationId", f"manifest '{connector}' has no operation '{name}'", hint)
        return None
    target = operations.get(name, name)
    if isinstance(target, Mapping):
        target = str(target.get("$ref", "")).removeprefix("#/operationDefs/")
    definition = definitions.get(target)
    if not isinstance(definition, Mapping):
        problems.add(place / "operations" / name, f"there is no operationDefs.{target}")
        return None
    found = _operation(connector, name, definition, place / "operationDefs" / str(target), problems)
    return found if len(problems.found) == before else None


def _operation(
    connector: str, name: str, definition: Mapping[str, Any], where: Where, problems: Problems
) -> Operation | None:
    _known(definition, OPERATION_KEYS, where, problems)
    execution = definition.get("execution")
    if not isinstance(execution, Mapping):
        problems.add(where / "execution", "required", "such as {type: http, method: POST, urlTemplate: https://…}")
        return None
    kind = str(execution.get("type"))
    if definition.get("kind", "action") != "action" or kind in TRIGGERS:
        problems.add(where, "is a trigger, which $enrich cannot call", "name an action")
        return None
    if kind not in EXECUTIONS:
        hint = did_you_mean(kind, EXECUTIONS) or f"known are {', '.join(EXECUTIONS)}"
        problems.add(where / "execution" / "type", f"unknown execution type {kind!r}", hint)
        return None
    settings = {k: v for k, v in execution.items() if is_setting(str(k))}
    rest = {k: v for k, v in execution.items() if k != "type" and k not in settings}
    _known(rest, EXECUTIONS[kind], where / "execution", problems)
    for side in ("inputSchema", "outputSchema"):
        if side in definition:
            from jsonschema import Draft202012Validator
            from jsonschema.exceptions import SchemaError

            try:
                Draft202012Validator.check_schema(definition[side])
            except SchemaError as error:
                problems.add(where / side, f"is no JSON Schema: {error.message}")
    kind = "python" if kind == "javaBean" else kind
    return Operation(
        connector, name, kind, rest, settings, where, definition.get("inputSchema"), definition.get("outputSchema")
    )


def _known(given: Mapping[str, Any], names: tuple[str, ...], where: Where, problems: Problems) -> None:
    for key in given:
        if key not in names:
            hint = did_you_mean(str(key), names) or f"known are {', '.join(names)}"
            problems.add(where / str(key), "unknown key", hint)


_MUSTACHE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


def with_config(text: str, config: Mapping[str, Any], where: Where, problems: Problems) -> str:
    """A text of a manifest with ``{{config.name}}`` replaced by the connection's option of that name, and
    ``{{input.name}}`` as ``{name}``, a place for a value of the input.
    """

    def value(match: re.Match[str]) -> str:
        section, _, name = match[1].partition(".")
        if section == "input" and name:
            return f"{{{name}}}"
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        for key in (name, snake):
            if section == "config" and config.get(key) is not None:
                try:
                    return str(resolve(config[key]))
                except UnresolvedReference as error:
                    problems.add(where, error.what, error.hint)
                    return ""
        problems.add(where, f"{match[0]} has no value", "give it as an option of the connection")
        return ""

    return _MUSTACHE.sub(value, text)
