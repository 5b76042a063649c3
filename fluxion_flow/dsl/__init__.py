"""Pipelines as data: the model, the fluent builder, definition files, and the settings of a run."""

from fluxion_flow.dsl.builder import PipelineBuilder, pipeline
from fluxion_flow.dsl.config import VARIABLES, PolicyOverrides, StreamingRuntimeConfig
from fluxion_flow.dsl.model import SinkSpec, SourceSpec, StageSpec, StreamingPipelineDefinition

__all__ = [
    "VARIABLES",
    "PipelineBuilder",
    "PolicyOverrides",
    "SinkSpec",
    "SourceSpec",
    "StageSpec",
    "StreamingPipelineDefinition",
    "StreamingRuntimeConfig",
    "pipeline",
]
