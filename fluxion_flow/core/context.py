"""What an operator, a callback or a listener can read of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StreamingContext:
    """The state of a run at one step of one worker (Fluxion: streaming context).

    ``pipeline`` and ``step`` (``source``, ``stages[1].$set``, ``sink``) say where; ``worker`` is the worker's index;
    ``connector`` the type of the source or sink. ``partition`` and ``position`` are the source partition and the
    place in it of the batch at hand, ``attempt`` counts its attempts from 1. ``counters`` belongs to whoever reads the
    context: stages, callbacks and listeners of one step share it. ``metadata`` holds what the user gave the pipeline
    (labels, environment). In ``memory`` a listener may keep, under itself, what it need not find anew at each call.
    """

    pipeline: str
    step: str
    worker: int = 0
    connector: str = ""
    partition: str = ""
    position: int = 0
    attempt: int = 1
    counters: dict[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def count(self, name: str, by: int = 1) -> int:
        """Add to a counter and answer its new value."""
        value = self.counters.get(name, 0) + by
        self.counters[name] = value
        return value
