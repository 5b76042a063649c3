"""The compiler: check, plan, lower. A definition goes in, a Bytewax dataflow comes out."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from ..dsl.model import StreamingPipelineDefinition
from .lower import lower
from .plan import Plan, make_plan

__all__ = ["Plan", "compile_definition", "make_plan"]


def compile_definition(definition: StreamingPipelineDefinition) -> Dataflow:
    """The Bytewax dataflow of a definition that has passed its own checks.

    Raises :class:`~fluxion_flow.errors.PipelineError` for what only the whole shows, such as a stage that needs every
    document of a source that never completes.
    """
    plan = make_plan(definition)
    plan.problems.raise_if_any()
    return lower(plan)
