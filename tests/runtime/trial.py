"""Real runs of small pipelines, and what they ended with: deliveries, dead letters, what listeners heard, the error."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main, run_main
from fluxion_connectors.memory import collected

from fluxion_flow import PipelineBuilder, StreamingContext, StreamingErrorPolicy, StreamingMetricsListener
from fluxion_flow.errors import FluxionError

Policy = StreamingErrorPolicy

DEAD = {"type": "memory", "name": "dead"}


def numbered(count: int, *bad: int) -> list[dict[str, Any]]:
    """Documents with ``_id`` and ``n`` from 0; the ``bad`` ones have a text for ``n``."""
    return [{"_id": i, "n": "bad" if i in bad else i} for i in range(count)]


def retry(attempts: int, **options: Any) -> StreamingErrorPolicy:
    """A retry that hardly waits."""
    return Policy.retry(attempts, backoff=0.001, **options)


class Recorder(StreamingMetricsListener):
    """Remembers what it hears: (hook, step, facts)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, dict[str, Any]]] = []
        self.contexts: list[StreamingContext] = []
        self._lock = threading.Lock()

    def _hear(self, hook: str, context: StreamingContext, facts: dict[str, Any]) -> None:
        with self._lock:
            self.heard.append((hook, context.step, facts))
            self.contexts.append(context)

    def all(self, hook: str, step: str | None = None) -> list[dict[str, Any]]:
        """The facts of every call of a hook, of one step or of all."""
        return [facts for name, at, facts in self.heard if name == hook and step in (None, at)]

    def transitions(self) -> list[dict[str, Any]]:
        """Every change of a circuit breaker's state; that it is there is told too, and is none."""
        return [facts for facts in self.all("on_breaker") if facts["before"] != facts["after"]]

    def total(self, hook: str, fact: str = "documents", step: str | None = None) -> int:
        """The sum of one fact over all calls of a hook."""
        return sum(facts[fact] for facts in self.all(hook, step))


def _hook(name: str) -> Callable[..., None]:
    def hear(self: Recorder, context: StreamingContext, **facts: Any) -> None:
        self._hear(name, context, facts)

    return hear


for _name in vars(StreamingMetricsListener):
    if _name.startswith("on_") and _name != "on_traced":
        setattr(Recorder, _name, _hook(_name))


@dataclass
class Outcome:
    """What a run ended with. ``error`` is its message, without the engine's own words; "" for a good end."""

    recorder: Recorder
    error: str = ""
    letters: list[dict[str, Any]] = field(default_factory=lambda: collected("dead"))

    @property
    def dead(self) -> list[Any]:
        """The ``_id`` of every document in a dead letter."""
        return [letter["doc"]["_id"] for letter in self.letters]

    @property
    def skipped(self) -> int:
        return self.recorder.total("on_skipped")

    def failures(self, step: str | None = None) -> Counter[str]:
        """How often each decision was taken."""
        return Counter(facts["decision"] for facts in self.recorder.all("on_failure", step))


def ids(documents: list[dict[str, Any]]) -> list[Any]:
    return [document["_id"] for document in documents]


def run(
    flow: PipelineBuilder,
    *,
    workers: int = 1,
    store: Path | None = None,
    epoch: float = 0.0,
    batch_size: int = 4,
    **config: Any,
) -> Outcome:
    """Run a pipeline to its end, however it ends. ``epoch`` is in seconds; 0 ends one after every activation."""
    recorder = Recorder()
    built = flow.config(batch_size=batch_size, metrics=False, **config).listen(recorder)
    recovery = None
    if store is not None:
        if not store.exists():
            store.mkdir()
            init_db_dir(store, 1)
        recovery = RecoveryConfig(store, timedelta(0))
    try:
        compiled = built.compile()
        if workers == 1:
            run_main(compiled, epoch_interval=timedelta(seconds=epoch), recovery_config=recovery)
        else:
            cluster_main(
                compiled,
                [],
                0,
                epoch_interval=timedelta(seconds=epoch),
                recovery_config=recovery,
                worker_count_per_proc=workers,
            )
    except (BytewaxRuntimeError, FluxionError) as error:
        return Outcome(recorder, str(ours(error)))
    return Outcome(recorder)


def ours(error: BaseException) -> BaseException:
    """The error of ours behind an engine's error."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, FluxionError):
        found = found.__cause__
    return found or error
