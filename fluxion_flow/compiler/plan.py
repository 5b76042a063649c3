"""From a checked definition to a plan: which stages fuse, where state is, what each step is called.

A step that holds state is named after what it is (or by its stage's own name), never after its position, so that stages
may be added around it without losing the state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bytewax.inputs import Source
from bytewax.outputs import Sink

from ..connect.spi import StreamingSink, StreamingSource
from ..core.batch import event_time_of, prepare_streams
from ..core.event_time import EventTime
from ..core.expressions.parse import Parser
from ..core.plan import Segment, segments
from ..core.program import Program
from ..core.query import parse_query
from ..core.stages import Keyed, Stage, Whole, parse_stages
from ..core.stages.in_order import InOrder
from ..core.stages.limit import Slice
from ..core.stages.match import Match
from ..core.stages.stream_join import StreamJoin
from ..core.stages.windowed import WindowStage
from ..core.streams import PreparedStream, check_streams
from ..dsl.check import idle_milliseconds
from ..dsl.model import StreamingPipelineDefinition
from ..errors import Problems, Where, did_you_mean
from ..policy.model import StreamingErrorPolicy
from ..runtime.clocks import Clocks
from ..runtime.windows import WindowPlace
from .stream_shapes import check_shapes, in_stream, orders

PLAN = "_fluxion_plan"
"""The attribute of a compiled dataflow that holds its plan."""


@dataclass(frozen=True)
class FusedStep:
    """Per-document stages in one operator; with a combine in the program, a keyed step stands behind.

    ``ordered``: that step needs to know in which order keys were first seen.
    """

    id: str
    program: Program
    names: tuple[str, ...]
    policies: tuple[StreamingErrorPolicy, ...]
    ordered: bool = False


@dataclass(frozen=True)
class KeyedStep:
    """State by key, in ``partitions`` logical partitions. ``ordered``: its documents must leave in source order."""

    id: str
    stage: Keyed
    emit: str
    partitions: int
    ordered: bool


@dataclass(frozen=True)
class WholeStep:
    """Everything gathered in order; then ``stages`` run, at the completion of the source. None: the order alone."""

    id: str
    stages: tuple[Whole, ...]


@dataclass(frozen=True)
class WindowStep:
    """Open windows, in the place's logical partitions. ``names`` and ``policies`` are those of its one stage."""

    id: str
    place: WindowPlace

    @property
    def names(self) -> tuple[str, ...]:
        return (self.place.name,)

    @property
    def policies(self) -> tuple[StreamingErrorPolicy, ...]:
        return (self.place.policy,)


@dataclass(frozen=True)
class SliceStep:
    """$limit or $skip on an open stream: documents are counted as they arrive."""

    id: str
    stage: Slice


Step = FusedStep | KeyedStep | WholeStep | WindowStep | SliceStep


@dataclass(frozen=True)
class SinkPlan:
    """A sink with its name, its query as a program, and its policy."""

    name: str
    connector: str
    sink: StreamingSink | Sink[Any]
    when: Program | None
    policy: StreamingErrorPolicy
    stored_name: str
    """The name under which a checkpoint knows it."""


@dataclass(frozen=True)
class StreamPlan:
    """A further stream: its source, and the steps that its documents go through before they are joined."""

    name: str
    source: StreamingSource
    source_type: str
    policy: StreamingErrorPolicy
    bounded: bool
    prepared: PreparedStream
    steps: tuple[FusedStep, ...]


@dataclass(frozen=True)
class Plan:
    """A pipeline, ready to be lowered or explained.

    ``beside`` names a run that is not the pipeline's own, such as a replay of dead letters: its sinks write beside.
    """

    definition: StreamingPipelineDefinition
    source: StreamingSource | Source[Any]
    source_type: str
    source_policy: StreamingErrorPolicy
    bounded: bool
    emit: str
    stages: tuple[Stage, ...]
    steps: tuple[Step, ...]
    sinks: tuple[SinkPlan, ...]
    problems: Problems = field(default_factory=Problems)
    clocks: Clocks | None = None
    beside: str = ""
    streams: tuple[StreamPlan, ...] = ()

    @property
    def all_stages(self) -> tuple[Stage, ...]:
        """The stages of the further streams, then those of the pipeline itself."""
        return (*(stage for stream in self.streams for stage in stream.prepared.stages), *self.stages)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of the further streams, then those of the pipeline itself."""
        return (*(step for stream in self.streams for step in stream.steps), *self.steps)

    @property
    def transactional(self) -> bool:
        """Whether a transactional sink makes the delivery exactly once.

        Only the source's own batches have a position to be stored, only one sink can say where it stands, and a policy
        that gives documents up at the sink must get to see them again after a crash.
        """
        if len(self.sinks) != 1 or not isinstance(self.source, StreamingSource):
            return False
        only = self.sinks[0]
        stateless = all(isinstance(step, FusedStep) for step in self.steps)
        return stateless and getattr(only.sink, "transactional", False) and only.policy.action == "fail"

    @property
    def needs(self) -> tuple[str, ...] | None:
        """The fields of the source's documents that anything reads; ``None`` where something may need them whole."""
        first = self.steps[0] if self.steps else None
        if not isinstance(first, FusedStep) or self.clocks is not None:
            return None
        if first.program.passes and len(self.steps) > 1:
            return None
        return None if any(policy.breaker for policy in first.policies) else first.program.needs

    @property
    def fingerprints(self) -> dict[str, Any]:
        """What the state of every stateful step means, by step id."""
        found: dict[str, Any] = {}
        for step in self.steps:
            if isinstance(step, KeyedStep):
                found[step.id] = {**step.stage.fingerprint, "partitions": step.partitions}
            elif isinstance(step, WholeStep):
                found[step.id] = {"stage": "gather"}
            elif isinstance(step, SliceStep):
                found[step.id] = {"stage": step.stage.name, "start": step.stage.start, "stop": step.stage.stop}
            elif isinstance(step, WindowStep):
                place, time = step.place, None if self.clocks is None else self.clocks.event_time
                found[step.id] = {
                    **place.stage.fingerprint,
                    "partitions": place.partitions,
                    "spread": place.spread,
                    "time_field": None if time is None else time.spec,
                }
                if isinstance(place.stage, StreamJoin):
                    joined = self.stream(place.stage.stream).prepared.event_time
                    found[step.id]["stream_time_field"] = None if joined is None else joined.spec
        return found

    def stream(self, name: str) -> StreamPlan:
        """The further stream of this name."""
        return next(stream for stream in self.streams if stream.name == name)

    @property
    def windows(self) -> list[WindowPlace]:
        """The window stages."""
        return [step.place for step in self.steps if isinstance(step, WindowStep)]


def make_plan(definition: StreamingPipelineDefinition) -> Plan:
    """Plan a definition that has passed its own checks; what the plan finds wrong is in its ``problems``."""
    problems = Problems()
    policies = definition.policies()
    stages = parse_stages(definition.stage_specs(), Where.at("stages"), problems, definition.resources)
    source = definition.source.open(connections=definition.connections, resources=definition.resources)
    sources = {
        name: stream.source.open(
            Where.at("streams", name, "source"), connections=definition.connections, resources=definition.resources
        )
        for name, stream in definition.streams.items()
    }
    bounded = is_bounded(definition, source) and all(each.bounded for each in sources.values())
    emit = definition.config.emit or ("final" if bounded else "update")
    if not bounded:
        stages = in_stream(stages, definition.source.time_field, problems)
    check_shapes(stages, bounded, emit, definition.source.title, problems)
    resources = definition.resources
    event_time = event_time_of(stages, resources, Where.at("source", "time_field"), problems)
    prepared = prepare_streams(resources, problems, "source")
    check_streams(stages, prepared, Where.at("streams"), problems)
    for stage in (*stages, *(stage for stream in prepared.values() for stage in stream.stages)):
        for asker in stage.asks:
            asker.check(problems)
    making = _Steps(definition, emit, bounded)
    steps = making.make(segments(stages)) if not problems else ()
    streams = [making.stream(name, sources[name], prepared[name]) for name in prepared] if not problems else []
    problems.found += making.problems
    sinks = []
    names = definition.sink_names()
    stored_names = {new: old for old, new in definition.config.state_aliases.items()}
    if not problems:
        check_settings(definition, steps, emit, names, problems)
    for i, (name, spec) in enumerate(zip(names, definition.sinks, strict=True)):
        where = Where.at("sink") if len(names) == 1 else Where.at("sinks", i)
        when = None
        if spec.when is not None:
            query = parse_query(spec.when, where / "when", Parser(problems, definition.resources))
            when = Program((Match(where / "when", query),))
        sink = spec.open(where, connections=definition.connections, resources=definition.resources)
        stored = stored_names.get(f"sink_{name}", f"sink_{name}").removeprefix("sink_")
        sinks.append(SinkPlan(name, spec.type or type(sink).__name__, sink, when, policies.for_sink(name), stored))
    return Plan(
        definition,
        source,
        definition.source.type or type(source).__name__,
        policies.for_source(),
        bounded,
        emit,
        tuple(stages),
        tuple(steps),
        tuple(sinks),
        problems,
        _clocks([step.place for step in steps if isinstance(step, WindowStep)], event_time, streams),
        streams=tuple(streams),
    )


def _clocks(
    places: Sequence[WindowPlace], event_time: EventTime | None, streams: Sequence[StreamPlan]
) -> Clocks | None:
    """What the source must know of time for these window stages."""
    if not places:
        return None
    if all(place.stage.processing_time for place in places):
        return Clocks(None)
    idle = [
        span
        for place in places
        for span in (place.partition_idle, place.stage.idle_timeout, *place.streams_idle.values())
        if span is not None
    ]
    times = {stream.name: time for stream in streams if (time := stream.prepared.event_time) is not None}
    return Clocks(event_time, min(idle, default=None), times)


def is_bounded(definition: StreamingPipelineDefinition, source: Any) -> bool:
    """Whether the source completes some day. A Bytewax source says so with the option ``bounded``."""
    if isinstance(source, StreamingSource):
        return source.bounded
    return bool(definition.source.options.get("bounded", False))


def steps_of(definition: StreamingPipelineDefinition, stages: Sequence[Stage], emit: str) -> list[Step]:
    """The steps that run ``stages``, some or all of a definition's, under its policies, over documents that end."""
    return _Steps(definition, emit, bounded=True).make(segments(stages))


def check_settings(
    definition: StreamingPipelineDefinition,
    steps: Sequence[Step],
    emit: str,
    sinks: Sequence[str],
    problems: Problems,
) -> None:
    """Report the settings of state that do not fit the steps."""
    config, where = definition.config, Where.at("config")
    keyed = [step for step in steps if isinstance(step, KeyedStep)]
    if config.ttl is not None and emit == "final" and keyed:
        hint = "leave ttl out, or set emit to 'update'"
        problems.add(where / "ttl", "keys that are forgotten would be missing from final results", hint)
    elif config.ttl is not None and not keyed and any(isinstance(step, WindowStep) for step in steps):
        what = "no step has keys for it to forget: windows, joins and $dedupe forget by event time anyway"
        problems.add(where / "ttl", what, "leave ttl out")
    aliases = config.state_aliases
    known = {step.id: step.id for step in steps if not isinstance(step, FusedStep)}
    known |= {f"sink_{name}": f"sink_{name}" for name in sinks}
    now = {aliases.get(name, name) for name in known}
    for old, new in aliases.items():
        if new not in now or (old not in known and not old.startswith("sink_")):
            hint = did_you_mean(new, now) or f"known are {', '.join(sorted(now))}"
            problems.add(where / "state_aliases" / old, f"there is no stateful step '{new}'", hint)
    if len(set(aliases.values())) < len(aliases):
        problems.add(where / "state_aliases", "two steps cannot have the same name now")
    fields = {f"{step.id}.{name}" for step in keyed for name in step.stage.fingerprint.get("fields", ())}
    for name in config.start_empty:
        if name not in fields:
            hint = did_you_mean(name, fields) or f"known are {', '.join(sorted(fields)) or 'none'}"
            problems.add(where / "start_empty", f"there is no field '{name}' of a step with state", hint)


class _Steps:
    """Names and makes the steps of a plan."""

    def __init__(self, definition: StreamingPipelineDefinition, emit: str, bounded: bool) -> None:
        self._definition = definition
        self._bounded = bounded
        self._policies = definition.policies()
        self._emit = emit
        self._taken = {"source", "delivered", "dead_letters"}
        self._stored = {new: old for old, new in definition.config.state_aliases.items()}
        self.problems = Problems()

    def make(self, plan: Sequence[Segment]) -> list[Step]:
        steps: list[Step] = []
        for number, segment in enumerate(plan):
            keyed = isinstance(segment.end, Keyed)
            ordered = keyed and self._emit == "final" and _order_matters(plan[number + 1 :])
            if len(segment.program) or keyed:
                steps.append(self._fused(segment, ordered))
            if isinstance(segment.end, Keyed):
                partitions = self._definition.config.state_partitions
                step = KeyedStep(self._state_id(segment.end), segment.end, self._emit, partitions, ordered)
                steps.append(step)
                if ordered:
                    steps.append(WholeStep(self._free(f"{step.id}-order"), ()))
            elif isinstance(segment.end, (WindowStage, InOrder)):
                steps.append(self._window(segment.end, plan[number + 1 :]))
            elif isinstance(segment.end, Slice) and not self._bounded:
                steps.append(SliceStep(self._state_id(segment.end), segment.end))
            elif isinstance(segment.end, Whole):
                last = steps[-1] if steps else None
                if isinstance(last, WholeStep):
                    steps[-1] = WholeStep(last.id, (*last.stages, segment.end))
                else:
                    steps.append(WholeStep(self._state_id(segment.end), (segment.end,)))
        return steps

    def _window(self, stage: WindowStage | InOrder, rest: Sequence[Segment]) -> WindowStep:
        spread = isinstance(stage, WindowStage) and stage.spreads and not _order_matters(rest)
        ordered = isinstance(stage, WindowStage) and stage.combined is not None and not spread
        step_id = self._state_id(stage)
        partitions = self._definition.config.state_partitions
        idle = idle_milliseconds(self._definition.source, Problems())
        silent = {
            name: idle_milliseconds(stream.source, Problems(), Where.at("streams", name, "source"))
            for name, stream in self._definition.streams.items()
        }
        place = WindowPlace(step_id, stage, self._policy(stage), partitions, spread, ordered, idle, silent)
        return WindowStep(step_id, place)

    def stream(self, name: str, source: Any, prepared: PreparedStream) -> StreamPlan:
        """Plan a further stream."""
        spec = self._definition.streams[name]
        return StreamPlan(
            name,
            source,
            spec.source.type or type(source).__name__,
            self._policies.for_stream(spec.source.on_error),
            source.bounded,
            prepared,
            tuple(self._fused(part, False, name) for part in segments(prepared.stages) if len(part.program)),
        )

    def _fused(self, segment: Segment, ordered: bool, stream: str = "") -> FusedStep:
        stages: list[Stage] = list(segment.program.stages)
        if isinstance(segment.end, Keyed):
            stages.append(segment.end)
        names = tuple(str(stage.where) for stage in stages)
        first, last = _index(stages[0]), _index(stages[-1])
        span = f"stages_{first}" if first == last else f"stages_{first}_{last}"
        policies = tuple(self._policy(stage, stream) for stage in stages)
        return FusedStep(self._free(f"{stream}_{span}" if stream else span), segment.program, names, policies, ordered)

    def _policy(self, stage: Stage, stream: str = "") -> StreamingErrorPolicy:
        index = _index(stage)
        if stream:
            policy = self._policies.for_stream(self._definition.streams[stream].stages[index].on_error)
        else:
            policy = self._policies.for_stage(self._definition.stages[index].name, index)
        if not any(asker.fails_to_dead_letters for asker in stage.asks):
            return policy
        if policy.dead_letter_sink is None:
            hint = "give one, such as on_error: {dead_letter: {type: files, path: dead.jsonl}}"
            self.problems.add(stage.where, "onError: deadLetter, but there is no dead-letter sink", hint)
        return replace(policy, action="dead_letter", granularity="document")

    def _state_id(self, stage: Stage) -> str:
        """The id of a step with state; one that was renamed keeps the id that its state is stored under."""
        own = self._definition.stages[_index(stage)].name
        name = own or stage.name.lstrip("$")
        return self._free(self._stored.get(name, name))

    def _free(self, name: str) -> str:
        free, number = name, 1
        while free in self._taken:
            number += 1
            free = f"{name}-{number}"
        self._taken.add(free)
        return free


def _index(stage: Stage) -> int:
    """The stage's position in the definition: ``stages[2].$group`` is 2."""
    return next(part for part in stage.where.parts if isinstance(part, int))


def _order_matters(rest: Sequence[Segment]) -> bool:
    """Whether a later step's result depends on the order of its input."""
    return any(isinstance(segment.end, (Keyed, Whole)) and orders(segment.end) for segment in rest)
