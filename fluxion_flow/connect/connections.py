"""Named connections: endpoints, credentials and resilience kept out of pipelines.

A file of connections maps a name to a connector's options, as they would stand in a source or a sink::

    main-kafka:
      type: kafka
      bootstrap_servers: ${KAFKA_BOOTSTRAP}
      password: {$secret: KAFKA_PASSWORD}

A source or sink that says ``connection_ref: main-kafka`` has these options, and its own win over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fluxion_flow.connect.secrets import interpolate
from fluxion_flow.errors import PipelineError, Problem, Problems, Where, did_you_mean

Connections = Mapping[str, Mapping[str, Any]]
"""Name of a connection → ``type`` (may be left out) and options."""

CONNECTIONS = Where.at("connections")


def load_connections(path: str | Path) -> dict[str, dict[str, Any]]:
    """The connections of a YAML (or JSON) file, with their references; a top-level ``connections:`` is optional.

    Raises :class:`PipelineError` with every problem, :class:`OSError` when the file cannot be read.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" at line {mark.line + 1}" if mark is not None else ""
        raise PipelineError([Problem(CONNECTIONS, f"{str(path)!r} is not YAML{line}", "correct the file")]) from None
    if isinstance(content, Mapping) and set(content) == {"connections"}:
        content = content["connections"]
    problems = Problems()
    loaded: dict[str, dict[str, Any]] = {}
    if content is None:
        return loaded
    if not isinstance(content, Mapping):
        what = f"{str(path)!r} must map names to options"
        raise PipelineError([Problem(CONNECTIONS, what, "write main: {type: kafka, ...}")])
    for name, options in content.items():
        if isinstance(options, Mapping):
            loaded[str(name)] = interpolate(options, CONNECTIONS / str(name), problems)
        else:
            problems.add(CONNECTIONS / str(name), "must be a mapping of options", "write {type: kafka, ...}")
    problems.raise_if_any()
    return loaded


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
