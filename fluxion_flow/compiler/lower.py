"""From a plan to a Bytewax dataflow. This is the only place that names Bytewax's operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.outputs import DynamicSink, Sink, StatelessSinkPartition

from ..connect import registry
from ..connect.spi import Batch, StreamingSink, StreamingSource
from ..core.program import Program
from ..core.stages.in_order import InOrder
from ..core.stages.stream_join import StreamJoin
from ..core.streams import is_of
from ..dsl.config import StreamingRuntimeConfig
from ..errors import Where
from ..observe.listener import Listeners, StreamingMetricsListener
from ..observe.prometheus import default_listeners
from ..policy.dead_letter import fingerprint
from ..policy.model import StreamingErrorPolicy
from ..runtime import window_state
from ..runtime.chunks import SLOTS, ChunkStep, Vault, is_chunk
from ..runtime.committed import Committed
from ..runtime.deliver import DeliverStep, RouteStep
from ..runtime.drain import Drain
from ..runtime.entry import enter, entry, tune_garbage_collector
from ..runtime.folding import Folds, FoldStep
from ..runtime.foreign import foreign_input
from ..runtime.foreign_sink import foreign_sink
from ..runtime.gather import GatherStep, route_to_gather
from ..runtime.items import Letters
from ..runtime.keyed import GroupStep
from ..runtime.limits import Limits
from ..runtime.manifest import Manifest
from ..runtime.order_state import OrderStep
from ..runtime.run import STRICT, Run
from ..runtime.slice_state import SliceLogicStep
from ..runtime.source import Input, SourceInput
from ..runtime.steps import CombineStep, StageStep
from ..runtime.windows import DivideStep
from .graph import graph_of
from .guarantee import guarantee
from .plan import PLAN, FusedStep, KeyedStep, Plan, SinkPlan, SliceStep, WindowStep

if TYPE_CHECKING:
    from ..enrich.record import Record
    from ..runtime.observed import Observed


def lower(plan: Plan) -> Dataflow:
    """Build the dataflow of a plan. Under `python -m bytewax.run` the process is prepared for the run, too.

    Raises :class:`~fluxion_flow.runtime.lease.StoreInUse`, :class:`~fluxion_flow.runtime.store.StoreUnreadable` and
    :class:`~fluxion_flow.runtime.manifest.IncompatibleCheckpoint`.
    """
    flow = _Lowering(plan).dataflow()
    warm_up = plan.source.partitions if isinstance(plan.source, StreamingSource) else None
    enter(manifest_of(plan), standby=plan.definition.config.standby, warm_up=warm_up)
    object.__setattr__(flow, PLAN, plan)  # a dataflow that can be explained
    return flow


def manifest_of(plan: Plan) -> Manifest:
    """What a checkpoint remembers of a plan, and compares a stored one with."""
    definition = plan.definition
    return Manifest(
        definition.name,
        plan.source_type,
        plan.fingerprints,
        {sink.stored_name: sink.connector for sink in plan.sinks},
        {stream.name: stream.source_type for stream in plan.streams},
        definition=version_of(plan),
        start_empty=definition.config.start_empty,
    )


def version_of(plan: Plan) -> str:
    """The fingerprint of a pipeline's stages, those of its further streams included."""
    definition = plan.definition
    specs = [stage.spec for stream in definition.streams.values() for stage in stream.stages]
    return fingerprint([*(stage.spec for stage in definition.stages), *specs])[:12]


class _Lowering:
    def __init__(self, plan: Plan) -> None:
        definition, config = plan.definition, plan.definition.config
        self._plan = plan
        self._flow = Dataflow(definition.name)
        self._dead: list[Stream[Any]] = []
        self._joined: dict[str, Stream[Any]] = {}
        self._folds: Folds | None = None
        """Those of the keyed step that follows."""
        metadata = {"environment": config.environment, "labels": dict(config.labels)}
        listeners = _listeners(plan)
        self._observed = _observed(config, listeners)
        self._run = Run(
            pipeline=definition.name,
            version=version_of(plan),
            source_type=plan.source_type,
            batch_size=config.batch_size,
            flush_interval=config.flush_interval,
            seed=config.seed,
            metadata=metadata,
            listeners=Listeners([*listeners, *(self._observed.listeners if self._observed is not None else ())]),
            drain=Drain(config.drain_timeout),
            clocks=plan.clocks,
            resources=definition.resources,
            record=_record(plan),
            needs=plan.needs,
            streams={stream.name: stream.source_type for stream in plan.streams},
        )
        if plan.transactional and isinstance(plan.sinks[0].sink, StreamingSink):
            plan.sinks[0].sink.owner = f"{definition.name}.{plan.sinks[0].stored_name}"
        self._plan = plan = replace(plan, sinks=tuple(replace(s, sink=self._beside(s.sink)) for s in plan.sinks))
        if plan.transactional and isinstance(plan.sinks[0].sink, StreamingSink):
            self._run.committed = Committed(plan.sinks[0].sink)
        for policy in self._policies():
            if policy.action == "dead_letter":
                self._run.letter_sink(policy)

    def _beside(self, sink: Any) -> Any:
        """The sink itself; in a run beside the pipeline's own, one that does not disturb it."""
        return sink.beside(self._plan.beside) if self._plan.beside and isinstance(sink, StreamingSink) else sink

    def _policies(self) -> list[StreamingErrorPolicy]:
        found = [self._plan.source_policy, *(stream.policy for stream in self._plan.streams)]
        for step in self._plan.all_steps:
            if isinstance(step, (FusedStep, WindowStep)):
                found += step.policies
        return found + [sink.policy for sink in self._plan.sinks]

    def dataflow(self) -> Dataflow:
        policies = (self._plan.source_policy, *(stream.policy for stream in self._plan.streams))
        stream = self._letters_apart("source", op.input("source", self._flow, self._source()), *policies)
        stream = self._streams_apart(stream)
        for step in self._plan.steps:
            if isinstance(step, FusedStep):
                stream = self._fused(step, stream)
            elif isinstance(step, KeyedStep):
                stream = self._keyed(step, stream)
            elif isinstance(step, WindowStep):
                stream = self._windows(step, stream)
            elif isinstance(step, SliceStep):
                counted = op.flat_map_batch(f"{step.id}_route", stream, route_to_gather)
                stream = op.stateful_batch(step.id, counted, SliceLogicStep(step.id, step.stage))
            else:
                gathered = op.flat_map_batch(f"{step.id}_route", stream, route_to_gather)
                logic = GatherStep(self._run, step.id, step.stages, self._limits)
                stream = self._chunks(step.id, op.stateful_batch(step.id, gathered, logic), logic.vault)
        ends = [*(self._sink(sink, stream) for sink in self._plan.sinks), *self._dead_letters()]
        merged = ends[0] if len(ends) == 1 else op.merge("ends", *ends) if ends else stream
        op.output("delivered", merged, _End(self._run, self._begins))
        return self._flow

    def _begins(self) -> None:
        """The workers are being built: begin to serve the status page."""
        if self._observed is not None:
            plan = self._plan
            unit = getattr(plan.source, "lag_unit", "")
            self._observed.begin(self._run, graph_of(plan), str(guarantee(plan)), unit)

    def _source(self) -> Any:
        plan = self._plan
        manifest = manifest_of(plan)
        if isinstance(plan.source, StreamingSource):
            further = [Input(stream.source, stream.policy, stream.name) for stream in plan.streams]
            return SourceInput(self._run, plan.source, plan.source_policy, manifest, further)
        return foreign_input(self._run, plan.source, plan.source_policy, manifest)

    def _streams_apart(self, stream: Stream[Any]) -> Stream[Any]:
        """Take the further streams through their own stages, up to where they are joined; the pipeline's own goes on.

        What a partition gives, and what is told of it, stays in order on the way.
        """
        for plan in self._plan.streams:
            branches = op.branch(f"stream_{plan.name}", stream, _belongs_to(plan.name))
            own = branches.trues
            for step in plan.steps:
                own = self._fused(step, own)
            self._joined[plan.name] = own
            stream = branches.falses
        return stream

    def _letters_apart(self, name: str, stream: Stream[Any], *policies: StreamingErrorPolicy) -> Stream[Any]:
        """Branch the dead letters off, where the policies make any."""
        if not any(p.action == "dead_letter" for p in (policies or (self._plan.source_policy,))):
            return stream
        branches = op.branch(f"{name}_dead_letters", stream, _is_letters)
        self._dead.append(branches.trues)
        return branches.falses

    def _fused(self, step: FusedStep, stream: Stream[Any]) -> Stream[Any]:
        config = self._plan.definition.config
        combine = step.program.combine
        self._folds = None
        if combine is None:
            mapper: StageStep = StageStep(self._run, step.program, step.names, step.policies)
        elif combine.folds and not step.ordered and config.ttl is None:
            self._folds = Folds(self._run, combine, config.state_partitions)
            eager = self._plan.emit == "update" or config.max_keys is not None
            program = step.program.sharing
            mapper = FoldStep(self._run, program, step.names, step.policies, self._folds, eager=eager)
        else:
            mapper = CombineStep(
                self._run,
                step.program,
                step.names,
                step.policies,
                config.state_partitions,
                step.ordered,
                timed=config.ttl is not None,
            )
        return self._letters_apart(step.id, op.flat_map_batch(step.id, stream, mapper), *step.policies)

    def _windows(self, step: WindowStep, stream: Stream[Any]) -> Stream[Any]:
        divided_id = f"{step.id}_divide"
        if isinstance(step.place.stage, StreamJoin):
            stream = op.merge(f"{step.id}_streams", stream, self._joined[step.place.stage.stream])
        divided = op.flat_map_batch(divided_id, stream, DivideStep(self._run, step.place))
        divided = self._letters_apart(divided_id, divided, *step.policies)
        ordered = isinstance(step.place.stage, InOrder)
        make: Any = OrderStep if ordered else window_state.WindowStep
        logic = make(self._run, step.place, self._limits)
        closed = op.stateful_batch(step.id, divided, logic)
        return self._letters_apart(step.id, op.map(f"{step.id}_out", closed, _value), *step.policies)

    @property
    def _limits(self) -> Limits:
        config = self._plan.definition.config
        return Limits(config.max_keys, config.max_bytes)

    def _keyed(self, step: KeyedStep, stream: Stream[Any]) -> Stream[Any]:
        logic = GroupStep(
            self._run,
            step.id,
            step.stage,
            emit=step.emit,
            partitions=step.partitions,
            ordered=step.ordered,
            limits=self._limits,
            ttl=self._plan.definition.config.ttl,
            folds=self._folds,
        )
        return self._chunks(step.id, op.stateful_batch(step.id, stream, logic), logic.vault)

    def _chunks(self, step_id: str, stream: Stream[Any], vault: Vault) -> Stream[Any]:
        """Send the chunks of a step's state to the steps that keep them; the rest goes on."""
        branches = op.branch(f"{step_id}_chunks", stream, is_chunk)
        for slot in range(SLOTS):
            keeper = ChunkStep(vault, slot)
            own = op.flat_map_batch(f"{step_id}_chunks_{slot}", branches.trues, keeper.wanted)
            op.stateful_batch(f"{step_id}_chunk_{slot}", own, keeper)
        return branches.falses

    def _when(self, name: str, when: Program | None) -> StageStep | None:
        return None if when is None else StageStep(self._run, when, (f"{name}.when",), (STRICT,))

    def _sink(self, plan: SinkPlan, stream: Stream[Any]) -> Stream[Any]:
        name = "sink" if len(self._plan.definition.sinks) == 1 else f"sinks.{plan.name}"
        step_id = f"sink_{plan.stored_name}"
        when = self._when(name, plan.when)
        sink = foreign_sink(self._run, step_id, plan.sink) if isinstance(plan.sink, Sink) else plan.sink
        routed = op.flat_map_batch(f"{step_id}_route", stream, RouteStep(self._run, sink, when))
        deliver = DeliverStep(self._run, name, plan.connector, sink, plan.policy)
        delivered = op.stateful_batch(step_id, routed, deliver)
        return self._letters_apart(step_id, op.map(f"{step_id}_out", delivered, _value), plan.policy)

    def _dead_letters(self) -> list[Stream[Any]]:
        if not self._dead:
            return []
        letters = self._dead[0] if len(self._dead) == 1 else op.merge("dead_letters", *self._dead)
        ends: list[Stream[Any]] = []
        for number, spec in enumerate(self._run.letter_sinks):
            step_id = self._run.letter_step(number)
            where = Where.at("on_error", "dead_letter")
            sink: StreamingSink = (
                foreign_sink(self._run, step_id, spec)
                if isinstance(spec, Sink)
                else self._beside(
                    registry.open_sink(
                        spec,
                        where,
                        connections=self._plan.definition.connections,
                        also_known=("name",),
                        resources=self._plan.definition.resources,
                    )
                )
            )
            if sink.wants_records:
                self._run.record_sinks.add(number)
            routed = op.flat_map_batch(f"{step_id}_route", letters, RouteStep(self._run, sink, letters=number))
            connector = spec.get("type", "") if isinstance(spec, dict) else type(sink).__name__
            deliver = DeliverStep(self._run, "dead_letter sink", connector, sink, STRICT)
            ends.append(op.map(f"{step_id}_out", op.stateful_batch(step_id, routed, deliver), _value))
        return ends


def _listeners(plan: Plan) -> list[StreamingMetricsListener]:
    definition, config = plan.definition, plan.definition.config
    found = [*definition.listeners, *default_listeners(config, definition.listeners)]
    if config.alerts:
        from ..observe.alerts import Alerts

        found.append(Alerts(config.alerts.rules, config.alerts.notify))
    return found


def _is_letters(item: Any) -> bool:
    return item.__class__ is Letters


def _belongs_to(stream: str) -> Callable[[Any], bool]:
    """Whether what comes from the source step is of a further stream."""

    def belongs(item: Any) -> bool:
        return is_of(stream, item.partition if item.__class__ is Batch else item.part)

    return belongs


def _value(pair: tuple[str, Any]) -> Any:
    return pair[1]


class _End(DynamicSink[Any]):
    """The end of a dataflow; nothing but it tells a worker its number, and that before anything runs."""

    def __init__(self, run: Run, begins: Callable[[], None]) -> None:
        self._run = run
        self._begins = begins

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        self._run.workers.enter(worker_index, worker_count)
        self._begins()
        if worker_index == 0:
            tune_garbage_collector()
        self._run.listeners.tell("on_start", self._run.context("start"))
        return _Nothing(self._run)


def _observed(config: StreamingRuntimeConfig, listeners: Sequence[StreamingMetricsListener]) -> Observed | None:
    if config.status_port is None:
        return None
    from ..runtime.observed import Observed

    return Observed(config, listeners)


def _record(plan: Plan) -> Record | None:
    """Where answers are kept for a replay: beside the checkpoint store, if there is one and a call wants it."""
    found = entry()
    wanted = any(asker.recorded for stage in plan.all_stages for asker in stage.asks)
    if not wanted or found is None or found.store is None or not found.store.is_dir():
        return None
    from ..enrich.record import FILE, Record

    return Record(found.store / FILE)


class _Nothing(StatelessSinkPartition[Any]):
    def __init__(self, run: Run) -> None:
        self._run = run

    def close(self) -> None:
        self._run.listeners.tell("on_end", self._run.context("end"))
        self._run.close_outside()

    def write_batch(self, items: list[Any]) -> None:
        """What arrives here has been delivered."""
