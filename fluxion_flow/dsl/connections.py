"""Which connections are in force: those of the definition, and over them those of a file.

The file is the one that ``FLUXION_CONNECTIONS`` names, else ``connections.yaml`` in the working directory, if any.
``FLUXION_CONNECTIONS`` without a value means no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fluxion_flow.connect.connections import Connections, read_connections
from fluxion_flow.dsl.files import read_data_file
from fluxion_flow.errors import PipelineError, Problems, Where

VARIABLE = "FLUXION_CONNECTIONS"
FILE = "connections.yaml"


def connections_in_force(own: Connections, environ: Mapping[str, str], problems: Problems) -> dict[str, Any]:
    """``own`` with the file's connections over them; what is wrong with the file is added to ``problems``."""
    path = environ.get(VARIABLE)
    where = Where.at(VARIABLE if path else FILE)
    if path is None and Path(FILE).is_file():
        path = FILE
    if not path:
        return dict(own)
    try:
        content = read_data_file(path, where)
    except PipelineError as error:
        problems.found += [replace(problem, what=f"{path!r} {problem.what}") for problem in error.problems]
        return dict(own)
    return {**own, **read_connections(content, path, problems)}
