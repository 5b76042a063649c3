"""The JSON Schema of definition files, from the registries of stages, operators, accumulators and connectors.

It catches what a schema can: unknown keys, stages, operators, connectors and options, wrong types, missing options.
What hangs together over several places is left to ``fluxion check``. References (``${NAME}``, ``{$env: NAME}``) are
allowed wherever a value is taken.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..connect.options import to_json_schema
from ..connect.registry import ConnectorUnavailable, Kind, connector_types, find_connector
from ..core.expressions.registry import all_operators
from ..core.stages.registry import all_stages
from ..policy.model import CircuitBreaker, FailureBudget, Retry
from ..policy.parse import BREAKER_ALSO, RETRY_ALSO
from .config import StreamingRuntimeConfig
from .model import TIME_KEYS
from .parse import SECTIONS

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ANY_OF_POLICY = {"$ref": "#/$defs/policy"}
_TEXT: Schema = {"type": "string"}
NAME = "^[A-Za-z0-9_-]+$"
_REFERENCE: Schema = {
    "anyOf": [
        {"type": "string", "pattern": r"\$\{"},
        {"type": "object", "required": ["$env"], "maxProperties": 1},
        {"type": "object", "required": ["$secret"], "maxProperties": 1},
    ]
}


def definition_schema() -> Schema:
    """The schema of a definition file. Connectors that cannot be imported here are left open."""
    return {
        "$schema": DIALECT,
        "title": "Fluxion Flow pipeline",
        "type": "object",
        "properties": {
            **dict.fromkeys(SECTIONS, True),
            "name": {
                "anyOf": [{**_TEXT, "pattern": NAME}, _REFERENCE],
                "description": "The pipeline's name; the file's unless given.",
            },
            "source": {"$ref": "#/$defs/source", "description": "Where documents come from."},
            "stages": {"type": ["array", "null"], "items": {"$ref": "#/$defs/stage"}},
            "sink": {"$ref": "#/$defs/sink", "description": "Where documents go."},
            "sinks": {
                "description": "Several sinks: a list, or a mapping of names.",
                "anyOf": [
                    {"type": "array", "items": {"$ref": "#/$defs/sink"}, "minItems": 1},
                    {"type": "object", "additionalProperties": {"$ref": "#/$defs/sink"}, "minProperties": 1},
                ],
            },
            "on_error": ANY_OF_POLICY,
            "config": {"$ref": "#/$defs/config"},
            "connections": {"type": "object", "additionalProperties": {"type": "object"}},
            "collections": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}},
            "functions": {"type": "object", "additionalProperties": _TEXT},
            "pipelines": {
                "type": "object",
                "additionalProperties": {"type": "array", "items": {"$ref": "#/$defs/stage"}},
            },
            "streams": {
                "description": "Further streams by name, for $streamJoin and $lookup.",
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {
                        "source": {"$ref": "#/$defs/source", "description": "Where its documents come from."},
                        "stages": {"type": ["array", "null"], "items": {"$ref": "#/$defs/stage"}},
                    },
                    "required": ["source"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["source"],
        "oneOf": [{"required": ["sink"]}, {"required": ["sinks"]}],
        "additionalProperties": False,
        "$defs": {
            "source": _endpoint("source"),
            "sink": _endpoint("sink"),
            "stage": _stage(),
            "policy": _policy(),
            "config": _config(),
        },
    }


def _endpoint(kind: Kind) -> Schema:
    """A source or a sink: its own keys, and its connector's options by its type."""
    own: Schema = {
        "type": {"enum": []},
        "connection_ref": _TEXT,
        "connectionRef": _TEXT,
        "name": _TEXT,
        "on_error": ANY_OF_POLICY,
    }
    if kind == "source":
        own |= {name: {} for pair in TIME_KEYS.items() for name in pair}
    else:
        own["when"] = {"type": "object", "description": "Only documents that this query matches go there."}
    cases: list[Schema] = []
    for type_ in connector_types():
        try:
            connector = find_connector(type_)
        except ConnectorUnavailable:
            own["type"]["enum"].append(type_)
            continue
        if kind not in connector.kinds:
            continue
        own["type"]["enum"].append(type_)
        options = to_json_schema(connector.options(kind))
        properties = dict(options["properties"])
        for option in connector.options(kind):
            for alias in _aliases(option):
                properties.setdefault(alias, properties[option.name])
        case: Schema = {
            "properties": {**dict.fromkeys(own, True), **properties},
            "additionalProperties": False,
        }
        required = [
            {"anyOf": [{"required": [name]} for name in (o.name, *_aliases(o))]}
            for o in connector.options(kind)
            if o.required
        ]
        if required:
            referred = {"anyOf": [{"required": ["connection_ref"]}, {"required": ["connectionRef"]}]}
            case |= {"if": {"not": referred}, "then": {"allOf": required}}
        cases.append(
            {"if": {"properties": {"type": {"const": type_}}, "required": ["type"]}, "then": case},
        )
    own["type"] = {"anyOf": [own["type"], _REFERENCE], "description": "The connector."}
    return {
        "type": "object",
        "properties": own,
        "anyOf": [{"required": [name]} for name in ("type", "connection_ref", "connectionRef")],
        "allOf": cases,
    }


def _aliases(option: Any) -> list[str]:
    names = [option.camel_name, *getattr(option, "aliases", ()), *getattr(option, "also", ())]
    return [name for name in dict.fromkeys(names) if name != option.name]


def _stage() -> Schema:
    stages = {
        name: {**_spec(name), "description": f"{_summary(entry.doc)} Shape: {entry.shape}."}
        for name, entry in sorted(all_stages().items())
    }
    return {
        "type": "object",
        "properties": {**stages, "name": _TEXT, "on_error": ANY_OF_POLICY},
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in stages],
        "$comment": f"expressions know {len(all_operators())} operators; see `fluxion operators`",
    }


def _spec(name: str) -> Schema:
    """What is known of a stage's own value."""
    objects = {
        *("$addFields", "$bucket", "$bucketAuto", "$facet", "$graphLookup", "$group", "$lookup", "$match"),
        *("$project", "$set", "$setWindowFields", "$densify", "$fill", "$replaceRoot"),
        "$streamJoin",
    }
    if name in objects:
        return {"anyOf": [{"type": "object"}, _REFERENCE]}
    return {}


def _summary(doc: str) -> str:
    return " ".join(doc.partition("\n\n")[0].split())


def _policy() -> Schema:
    sink = {"anyOf": [{"$ref": "#/$defs/sink"}, {"type": ["null", "boolean"]}, {"type": "object", "maxProperties": 0}]}
    nothing = {"anyOf": [{"type": ["null", "boolean"]}, {"type": "object", "maxProperties": 0}]}
    final = {
        "dead_letter": sink,
        "deadLetter": sink,
        "skip_and_continue": nothing,
        "skip": nothing,
        "fail_fast": nothing,
    }
    parts = {
        **final,
        "skipAndContinue": nothing,
        "failFast": nothing,
        "retry": {"anyOf": [{"type": ["integer", "string"]}, _fields(Retry, *RETRY_ALSO)]},
        "then": {"$ref": "#/$defs/policy"},
        "circuit_breaker": {
            "anyOf": [{"type": ["null", "boolean"]}, _fields(CircuitBreaker, "enabled", *BREAKER_ALSO)]
        },
        "circuitBreaker": {"anyOf": [{"type": ["null", "boolean"]}, _fields(CircuitBreaker, "enabled", *BREAKER_ALSO)]},
        "budget": _fields(FailureBudget),
        "dead_letter_sink": sink,
        "deadLetterSink": sink,
        "granularity": {"anyOf": [{"enum": ["batch", "document"]}, _REFERENCE]},
    }
    names = ["fail_fast", "skip_and_continue", "skip", "dead_letter", "failFast", "skipAndContinue", "deadLetter"]
    return {
        "description": "What happens when a batch fails.",
        "anyOf": [
            {"enum": names},
            _REFERENCE,
            {"type": "object", "properties": parts, "additionalProperties": False},
            {"type": "null"},
        ],
    }


def _fields(cls: type, *also: str) -> Schema:
    """An object with the fields of a part of a policy: in snake_case or camelCase, durations with ``Ms`` too."""
    properties: Schema = {}
    durations = {field.name for field in dataclasses.fields(cls) if field.metadata.get("span")}
    for name in [*(field.name for field in dataclasses.fields(cls)), *also]:
        first, *rest = name.split("_")
        for spelling in (name, first + "".join(map(str.capitalize, rest))):
            properties[spelling] = True
            if name in durations or name in also:
                properties[f"{spelling}{'_ms' if '_' in spelling or spelling == name else 'Ms'}"] = True
                properties[f"{spelling}Ms"] = True
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _config() -> Schema:
    kinds = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}
    properties: Schema = {}
    for field in dataclasses.fields(StreamingRuntimeConfig):
        kind = kinds.get(str(field.type))
        if field.name == "emit":
            entry: Schema = {"anyOf": [{"enum": ["update", "final", None]}, _REFERENCE]}
        elif field.name == "granularity":
            entry = {"anyOf": [{"enum": ["batch", "document", None]}, _REFERENCE]}
        elif kind is None:
            entry = {}
        else:
            entry = {"type": [kind, "string"] if kind != "string" else "string"}
        properties[field.name] = entry
    return {"type": "object", "properties": properties, "additionalProperties": False}
