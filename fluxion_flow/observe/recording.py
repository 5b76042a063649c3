"""``RecordingListener``: keeps what a run tells, for tests.

>>> from fluxion_flow.core.context import StreamingContext
>>> listener = RecordingListener()
>>> listener.on_delivered(StreamingContext("orders", "sink"), documents=3, seconds=0.1)
>>> listener.on_delivered(StreamingContext("orders", "sink", worker=1), documents=4, seconds=0.1)
>>> listener.total("on_delivered", "documents")
7
>>> [told.worker for told in listener.told("on_delivered", step="sink")]
[0, 1]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.context import StreamingContext
from ..errors import did_you_mean
from .listener import HOOKS, StreamingMetricsListener


@dataclass(frozen=True)
class Told:
    """One call of a hook: what the context said at that moment, and the facts."""

    hook: str
    pipeline: str
    step: str
    worker: int
    connector: str
    partition: str
    position: int
    attempt: int
    facts: Mapping[str, Any]

    def __getitem__(self, fact: str) -> Any:
        return self.facts[fact]


class RecordingListener(StreamingMetricsListener):
    """Keeps every call of every hook, of all workers, in order. ``calls`` holds them."""

    def __init__(self) -> None:
        self.calls: list[Told] = []

    def told(self, hook: str, *, step: str | None = None) -> list[Told]:
        """The calls of one hook, such as ``on_retry``; ``step`` narrows them.

        Raises :class:`ValueError` when there is no such hook.
        """
        if hook not in HOOKS:
            hint = did_you_mean(hook, HOOKS) or f"known are {', '.join(HOOKS)}"
            raise ValueError(f"unknown hook {hook!r}; {hint}")
        return [told for told in list(self.calls) if told.hook == hook and step in (None, told.step)]

    def total(self, hook: str, fact: str, *, step: str | None = None) -> Any:
        """The sum of one fact over the calls of a hook."""
        return sum(told[fact] for told in self.told(hook, step=step))

    def steps(self, hook: str) -> list[str]:
        """The steps that have called a hook, each once, in order of their first call."""
        return list(dict.fromkeys(told.step for told in self.told(hook)))

    def clear(self) -> None:
        """Forget all calls."""
        self.calls.clear()


def _recorder(hook: str) -> Callable[..., None]:
    def record(self: RecordingListener, context: StreamingContext, **facts: Any) -> None:
        place = (context.pipeline, context.step, context.worker, context.connector)
        batch = (context.partition, context.position, context.attempt)
        self.calls.append(Told(hook, *place, *batch, facts))

    record.__name__ = hook
    record.__qualname__ = f"{RecordingListener.__qualname__}.{hook}"
    return record


for _hook in HOOKS:
    setattr(RecordingListener, _hook, _recorder(_hook))
