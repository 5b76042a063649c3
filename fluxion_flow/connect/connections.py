"""Named connections: endpoints, credentials and resilience kept out of pipelines.

A file of connections maps a name to a connector's options, as they would stand in a source or a sink::

    main-kafka:
      type: kafka
      bootstrap_servers: ${KAFKA_BOOTSTRAP}
      sasl_password: {$secret: KAFKA_PASSWORD}

A source or sink that says ``connection_ref: main-kafka`` has these options, and its own win over them. One file serves
many pipelines, so a reference without a value is a problem of the pipelines that use its connection, and of no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fluxion_flow.connect.secrets import Reference, UnresolvedReference, interpolate
from fluxion_flow.errors import Problems, Where, did_you_mean

Connections = Mapping[str, Mapping[str, Any]]
"""Name of a connection → ``type`` (may be left out) and options."""

CONNECTIONS = Where.at("connections")

CALL_OPTIONS = (
    *("retry", "circuit_breaker", "rate_limit", "cache", "record", "concurrency", "max_concurrent_calls"),
    *("connect_timeout", "read_timeout", "timeout", "collections", "config"),
)
"""Options of a connection that say how enrichments call it. A source or a sink on the connection passes them over."""


def call_option_names() -> frozenset[str]:
    """Every way to write :data:`CALL_OPTIONS`: snake_case, camelCase, and with milliseconds at the end."""
    names = set(CALL_OPTIONS)
    for first, *rest in (name.split("_") for name in CALL_OPTIONS):
        names.add(first + "".join(map(str.capitalize, rest)))
    return frozenset({*names, *(f"{n}Ms" for n in names if n.lower().endswith("timeout")), *(f"{n}_ms" for n in names)})


REFERENCE_KEYS = ("connection_ref", "connectionRef", "connection")
"""The keys under which sources, sinks and enrichments name a connection."""


def read_connections(content: Any, file: str, problems: Problems) -> dict[str, dict[str, Any]]:
    """The connections in the content of ``file``, with their references; a top-level ``connections:`` is optional.

    What is wrong is added to ``problems``; what is not wrong is in the answer.
    """
    if isinstance(content, Mapping) and set(content) == {"connections"}:
        content = content["connections"]
    loaded: dict[str, dict[str, Any]] = {}
    if content is None:
        return loaded
    if not isinstance(content, Mapping):
        problems.add(CONNECTIONS, f"{file!r} must map names to options", "write main: {type: kafka, ...}")
        return loaded
    for name, options in content.items():
        if isinstance(options, Mapping):
            loaded[str(name)] = interpolate(options, CONNECTIONS / str(name), problems, unset=False)
        else:
            problems.add(CONNECTIONS / str(name), "must be a mapping of options", "write {type: kafka, ...}")
    return loaded


def names_in(value: Any) -> Iterator[str]:
    """The names of connections that a definition's data refers to, however deep."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in REFERENCE_KEYS and isinstance(item, str):
                yield item
            else:
                yield from names_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from names_in(item)


def report_unset(connections: Connections, names: Iterable[str], problems: Problems) -> None:
    """Add every reference without a value in the connections of these names to ``problems``."""
    for name in dict.fromkeys(names):
        if name in connections:
            _report_unset(connections[name], CONNECTIONS / name, problems)


def _report_unset(value: Any, where: Where, problems: Problems) -> None:
    if isinstance(value, Reference):
        try:
            value.resolve()
        except UnresolvedReference as error:
            problems.add(where, error.what, error.hint)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _report_unset(item, where / str(key), problems)
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            _report_unset(item, where / position, problems)


def named_connection(
    spec: Mapping[str, Any], where: Where, problems: Problems, connections: Connections
) -> tuple[str, Mapping[str, Any]] | None:
    """Name and options of the connection that ``spec`` refers to; ``None`` when it refers to none, or to an unknown one
    (a problem).
    """
    key = "connectionRef" if "connectionRef" in spec else "connection_ref"
    name = spec.get(key)
    if name is None:
        return None
    if not isinstance(name, str):
        problems.add(where / key, "must be the name of a connection")
        return None
    connection = connections.get(name)
    if connection is None:
        known = f"known: {', '.join(sorted(connections))}" if connections else "no connections are given"
        problems.add(where / key, f"unknown connection '{name}'", did_you_mean(name, connections) or known)
        return None
    return name, connection
