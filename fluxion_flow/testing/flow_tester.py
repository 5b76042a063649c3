"""Runs a pipeline on the real engine with a mocked source and mocked sinks, and answers what came of it.

>>> from fluxion_flow.testing import FlowTester
>>> tester = FlowTester({
...     "name": "paid",
...     "source": {"type": "files", "path": "orders.jsonl"},
...     "stages": [{"$match": {"status": "PAID"}}],
...     "sink": {"type": "stdio"},
... })
>>> tester.run([{"n": 1, "status": "PAID"}, {"n": 2, "status": "NEW"}]).output
[{'n': 1, 'status': 'PAID'}]
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main, run_main

from fluxion_flow.connect.spi import Document
from fluxion_flow.core.values import to_millis
from fluxion_flow.dsl.config import PolicyOverrides
from fluxion_flow.dsl.model import SinkSpec, SourceSpec, StageSpec, StreamingPipelineDefinition, StreamSpec
from fluxion_flow.errors import FluxionError
from fluxion_flow.observe.recording import RecordingListener
from fluxion_flow.policy.model import StreamingErrorPolicy
from fluxion_flow.runtime.ending import ours_behind
from fluxion_flow.testing.mocks import EnrichmentRule, MockSink, MockSource, Record, SinkRules, mocked_outside

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
"""The clock of a test that sets none."""

PARTITION = "00000"
Source = Sequence[Record] | Mapping[str, Sequence[Record] | Sequence[Sequence[Record]]]


@dataclass
class FlowResult:
    """What a run ended with.

    ``outputs``: what each sink was given, by its name; ``dead_letters`` in the order of writing; ``counters``:
    ``read``, ``delivered``, ``dead_lettered``, ``skipped``, ``retries``, ``failures``, of the last run where others
    were killed before it; ``error``: why the run failed, ``""`` when it did not; ``crashes``: how many there were.
    """

    outputs: dict[str, list[Document]]
    dead_letters: list[Document]
    counters: dict[str, int]
    error: str = ""
    crashes: int = 0
    listener: RecordingListener = field(default_factory=RecordingListener, repr=False)

    @property
    def output(self) -> list[Document]:
        """What the only sink was given. Raises :class:`ValueError` when there are several."""
        if len(self.outputs) != 1:
            raise ValueError(f"there are several sinks, {', '.join(self.outputs)}; use outputs[name]")
        return next(iter(self.outputs.values()))


class FlowTester:
    """A pipeline under test: a definition, as an object or as data. ``now`` is the clock, ``seed`` that of ``$rand``.

    Sources, sinks and dead-letter sinks are replaced; stages, error policies and settings are the pipeline's own.
    Waits of retries are cut to a millisecond. Raises :class:`PipelineError` with every problem of the definition.
    """

    def __init__(
        self,
        definition: StreamingPipelineDefinition | Mapping[str, Any],
        *,
        now: datetime = NOW,
        seed: int | None = None,
    ) -> None:
        from fluxion_flow.compiler.plan import make_plan

        if not isinstance(definition, StreamingPipelineDefinition):
            definition = StreamingPipelineDefinition.from_dict(definition)
        self.definition = definition.resolved()
        plan = make_plan(self.definition)
        plan.problems.raise_if_any()
        self._emit: Any = plan.emit
        self.now = to_millis(now)
        """The clock, in milliseconds since the epoch."""
        self._seed = seed

    def run(
        self,
        source: Source,
        *,
        sinks: Mapping[str, SinkRules] | None = None,
        batch_size: int = 100,
        workers: int = 1,
        fail_reads: Sequence[int] = (),
        crash_after: Sequence[int] = (),
        enrichments: Mapping[str, Sequence[EnrichmentRule]] | None = None,
        streams: Mapping[str, Source] | None = None,
    ) -> FlowResult:
        """Run it to the end of ``source``: a list of records, or lists (of batches, if wanted) by partition.

        ``crash_after``: for each crash, how many records its run reads before its process is killed with SIGKILL; the
        next run resumes from the checkpoint. ``enrichments`` are the answers of the outside, by the connection's or the
        operator's name; a question without one fails. ``streams``: what further streams give, by name, as ``source``;
        nothing unless given. Raises :class:`ValueError` for a stream that the pipeline has not.
        """
        unknown = [name for name in streams or {} if name not in self.definition.streams]
        if unknown:
            raise ValueError(f"the pipeline has no stream {unknown[0]!r}")
        partitions = _batched(source, batch_size)
        further = {name: _batched((streams or {}).get(name, ()), batch_size) for name in self.definition.streams}
        listener = RecordingListener()
        with mocked_outside(enrichments or {}), tempfile.TemporaryDirectory(prefix="fluxion-test-") as name:
            folder = Path(name)
            dead = MockSink(folder / "dead_letters.jsonl")
            outputs = {
                sink: MockSink(folder / f"sink-{number}.jsonl", (sinks or {}).get(sink, SinkRules()))
                for number, sink in enumerate(self.definition.sink_names())
            }
            store = folder / "store" if crash_after else None
            crashes = 0
            for records in crash_after:
                mock = MockSource(partitions, now=self.now, crash_after=records)
                flow = self.mocked(mock, outputs, dead, self._mocked_streams(further)).compile()
                crashes += _killed(flow, workers, store)
            mock = MockSource(partitions, now=self.now, fail_reads=fail_reads)
            mocked = self.mocked(mock, outputs, dead, self._mocked_streams(further))
            flow = replace(mocked, listeners=(listener,)).compile()
            error = ""
            try:
                _run(flow, workers, store)
            except Exception as failed:  # noqa: BLE001 - how a run may end is what is tested
                found = ours_behind(failed)
                error = str(found) if isinstance(found, FluxionError) else f"{type(failed).__name__}: {failed}"
            given = {sink: written.documents() for sink, written in outputs.items()}
            return FlowResult(given, dead.documents(), _counters(listener), error, crashes, listener)

    def _mocked_streams(self, streams: Mapping[str, dict[str, list[list[Record]]]]) -> dict[str, MockSource]:
        return {name: MockSource(partitions, now=self.now) for name, partitions in streams.items()}

    def mocked(
        self,
        source: MockSource,
        sinks: Mapping[str, MockSink],
        dead: MockSink,
        streams: Mapping[str, MockSource] | None = None,
    ) -> StreamingPipelineDefinition:
        """The definition with this source, these sinks and further streams by name, and ``dead`` for all dead letters.

        A further stream that is not given has no documents.
        """
        definition = self.definition
        overrides = definition.config.on_error
        config = replace(
            definition.config,
            emit=self._emit,
            metrics=False,
            seed=definition.config.seed if self._seed is None else self._seed,
            on_error=PolicyOverrides(
                _quick(overrides.pipeline, dead),
                _quick(overrides.source, dead),
                _quick(overrides.sink, dead),
                {name: policy for name, p in overrides.stages.items() if (policy := _quick(p, dead))},
            ),
        )
        named = zip(definition.sink_names(), definition.sinks, strict=True)
        return replace(
            definition,
            source=_replaced(definition.source, source, dead),
            stages=_quick_stages(definition.stages, dead),
            streams={
                name: StreamSpec(
                    _replaced(stream.source, (streams or {}).get(name) or MockSource({}, now=self.now), dead),
                    _quick_stages(stream.stages, dead),
                )
                for name, stream in definition.streams.items()
            },
            sinks=tuple(
                SinkSpec(object=sinks[name], name=name, when=sink.when, on_error=_quick(sink.on_error, dead))
                for name, sink in named
            ),
            on_error=_quick(definition.on_error, dead),
            config=config,
        )


def _replaced(spec: SourceSpec, source: MockSource, dead: MockSink) -> SourceSpec:
    """A source's description with a mock in its place; its times stay."""
    on_error = _quick(spec.on_error, dead)
    return replace(spec, object=source, type=None, options={}, connection_ref=None, on_error=on_error)


def _quick_stages(stages: Sequence[StageSpec], dead: MockSink) -> tuple[StageSpec, ...]:
    return tuple(replace(stage, on_error=_quick(stage.on_error, dead)) for stage in stages)


def _quick(policy: StreamingErrorPolicy | None, dead: MockSink) -> StreamingErrorPolicy | None:
    """The policy with short waits, and its dead letters for the mock."""
    if policy is None:
        return None
    retries, breaker = policy.retries, policy.breaker
    if retries is not None:
        retries = replace(retries, backoff=min(retries.backoff, 0.001), max_backoff=min(retries.max_backoff, 0.001))
    if breaker is not None:
        breaker = replace(breaker, wait_duration_in_open_state=min(breaker.wait_duration_in_open_state, 0.01))
    sink = None if policy.dead_letter_sink is None else dead
    return replace(policy, retries=retries, breaker=breaker, dead_letter_sink=sink)


def _batched(source: Source, size: int) -> dict[str, list[list[Record]]]:
    by_partition = source if isinstance(source, Mapping) else {PARTITION: source}
    found: dict[str, list[list[Record]]] = {}
    for name, given in by_partition.items():
        records: Any = given
        if records and isinstance(records[0], (list, tuple)):
            found[name] = [list(batch) for batch in records]
        else:
            found[name] = [list(records[start : start + size]) for start in range(0, len(records), size)]
    return found


def _run(flow: Any, workers: int, store: Path | None) -> None:
    recovery = None
    if store is not None:
        if not store.exists():
            store.mkdir()
            init_db_dir(store, 1)  # type: ignore[no-untyped-call]
        recovery = RecoveryConfig(store, timedelta(0))  # type: ignore[no-untyped-call]
    epoch = timedelta(0) if store is not None else timedelta(seconds=10)
    if workers == 1:
        run_main(flow, epoch_interval=epoch, recovery_config=recovery)  # type: ignore[no-untyped-call]
    else:
        cluster_main(  # type: ignore[no-untyped-call]
            flow, [], 0, worker_count_per_proc=workers, epoch_interval=epoch, recovery_config=recovery
        )


def _killed(flow: Any, workers: int, store: Path | None) -> bool:
    """Run in a process of its own; whether it was killed on the way, and did not come to its end."""
    child = os.fork()
    if child == 0:
        try:
            _run(flow, workers, store)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _counters(listener: RecordingListener) -> dict[str, int]:
    delivered = sum(t["documents"] for t in listener.told("on_delivered") if t.step != "dead_letter sink")
    from_source = sum(
        t["documents"] for hook in ("on_dead_letter", "on_skipped") for t in listener.told(hook, step="source")
    )
    return {
        "read": listener.total("on_fetched", "documents") + from_source,
        "delivered": delivered,
        "dead_lettered": listener.total("on_dead_letter", "documents"),
        "skipped": listener.total("on_skipped", "documents"),
        "retries": len(listener.told("on_retry")),
        "failures": len(listener.told("on_failure")),
    }
