"""Ours: the definition, compiled and run by Bytewax in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bytewax.testing import run_main
from flow_jobs import STAGES

from fluxion_flow import StreamingPipelineDefinition


def definition(job: str, source: Path, target: Path, **config: Any) -> StreamingPipelineDefinition:
    """The job as a definition."""
    data: dict[str, Any] = {
        "name": "measured",
        "source": {"type": "files", "path": str(source)},
        "stages": STAGES[job],
        "sink": {"type": "files", "path": str(target)},
    }
    return StreamingPipelineDefinition.from_dict({**data, "config": config} if config else data)


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    run_main(definition(job, source, target).compile())
