"""What a pipeline's stages may refer to by name, given from outside the definition."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Stream:
    """A further stream that a pipeline joins: when its documents happened, and stages that they go through first.

    ``time_field`` is a field or an expression, as at a source; ``stages`` are per-document stages as data.
    """

    time_field: Any = None
    stages: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Resources:
    """Everything that stages find by name.

    ``collections``: documents by collection name (``$lookup``, ``$unionWith``); ``functions``: Python callables by
    name (``$function``); ``pipelines``: lists of stages by ``name`` or ``name@version`` (``$subPipeline``);
    ``variables``: values of ``$$name``; ``now``: the value of ``$$NOW`` in an offline run (default: the clock, once);
    ``seed``: for ``$rand`` and ``$sampleRate``; ``time_field``: the field or expression of a document's event time;
    ``connections``: options by name, and ``manifests`` by id, for operators that ask the outside, which alone know what
    is in them; ``streams``: the further streams of the pipeline (``$streamJoin``, ``$lookup``).
    """

    collections: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    pipelines: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    now: datetime.datetime | None = None
    seed: int = 0
    time_field: Any = None
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    streams: Mapping[str, Stream] = field(default_factory=dict)
