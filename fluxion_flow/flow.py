"""Run a definition file as it is: ``python -m bytewax.run "fluxion_flow.flow:load('orders.yaml')"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxion_flow.dsl.model import StreamingPipelineDefinition

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow


def load(path: str) -> Dataflow:
    """The dataflow of the YAML or JSON definition at ``path``.

    Raises :class:`~fluxion_flow.errors.PipelineError` with every problem of the file, before anything runs.
    """
    return StreamingPipelineDefinition.from_file(path).compile()
