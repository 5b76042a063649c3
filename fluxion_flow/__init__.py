"""Fluxion Flow: streaming pipelines as data, compiled into Bytewax dataflows.

>>> from fluxion_flow import pipeline, run_batch
>>> run_batch([{"n": 1}, {"n": 5}], [{"$match": {"n": {"$gt": 2}}}])
[{'n': 5}]

Names are imported when they are first used, so that ``import fluxion_flow`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxion_flow.connect.secrets import env, secret
    from fluxion_flow.connect.spi import StreamingSink, StreamingSource
    from fluxion_flow.core.batch import run_batch
    from fluxion_flow.core.context import StreamingContext
    from fluxion_flow.dsl.builder import PipelineBuilder, pipeline
    from fluxion_flow.dsl.config import StreamingRuntimeConfig
    from fluxion_flow.dsl.model import StreamingPipelineDefinition
    from fluxion_flow.errors import FluxionError, PipelineError, Problem
    from fluxion_flow.observe.listener import StreamingMetricsListener
    from fluxion_flow.policy.model import StreamingErrorPolicy

__all__ = [
    "FluxionError",
    "PipelineBuilder",
    "PipelineError",
    "Problem",
    "StreamingContext",
    "StreamingErrorPolicy",
    "StreamingMetricsListener",
    "StreamingPipelineDefinition",
    "StreamingRuntimeConfig",
    "StreamingSink",
    "StreamingSource",
    "env",
    "pipeline",
    "run_batch",
    "secret",
]

_HOMES = {
    "fluxion_flow.connect.secrets": ("env", "secret"),
    "fluxion_flow.connect.spi": ("StreamingSink", "StreamingSource"),
    "fluxion_flow.core.batch": ("run_batch",),
    "fluxion_flow.dsl.builder": ("PipelineBuilder", "pipeline"),
    "fluxion_flow.dsl.config": ("StreamingRuntimeConfig",),
    "fluxion_flow.dsl.model": ("StreamingPipelineDefinition",),
    "fluxion_flow.errors": ("FluxionError", "PipelineError", "Problem"),
    "fluxion_flow.core.context": ("StreamingContext",),
    "fluxion_flow.observe.listener": ("StreamingMetricsListener",),
    "fluxion_flow.policy.model": ("StreamingErrorPolicy",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'fluxion_flow' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
