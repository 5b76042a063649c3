"""A plan for people: what runs where, what holds state, what happens to failures, what is guaranteed.

:func:`explain` gives an :class:`Explanation`, which is plain data; :mod:`~fluxion_flow.compiler.explain_text` and
:mod:`~fluxion_flow.compiler.explain_mermaid` draw it. No value of a secret is in it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bytewax.dataflow import Dataflow

from ..connect.encoding import to_extended
from ..connect.registry import ConnectorUnavailable, Kind, find_connector
from ..connect.secrets import Reference, redact, to_data
from ..connect.spi import StreamingSink
from ..core.stages.in_order import InOrder
from ..core.stages.look_back import LookBack
from ..core.stages.stream_join import StreamJoin
from ..dsl.model import SinkSpec, SourceSpec
from ..policy.fields import readers
from ..policy.model import Retry, StreamingErrorPolicy
from .guarantee import DeadLetterSink, Guarantee, dead_letter_sinks, guarantee, is_source, letter_title, policies_of
from .plan import PLAN, FusedStep, KeyedStep, Plan, SliceStep, Step, StreamPlan, WholeStep, WindowStep


@dataclass(frozen=True)
class Endpoint:
    """A source or a sink: what it is called, its connector, and its options as far as they may be shown.

    ``dead_letters`` is the name of the dead-letter sink that its failures go to, or empty.
    """

    name: str
    connector: str
    options: Mapping[str, Any]
    facts: tuple[str, ...]
    on_error: str
    when: Any = None
    dead_letters: str = ""


@dataclass(frozen=True)
class StepView:
    """An operator of the dataflow. ``kind``: ``fused``, ``keyed``, ``windows`` or ``whole``.

    ``stages`` are places in the definition; ``on_error`` holds one policy for each of the stages of a fused step,
    ``dead_letters`` the names of the dead-letter sinks that their failures go to; ``state`` is the step id that the
    state is found under.
    """

    id: str
    kind: str
    stages: tuple[str, ...]
    facts: tuple[str, ...]
    on_error: tuple[str, ...] = ()
    state: str | None = None
    dead_letters: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class StreamView:
    """A further stream: its source, and the steps up to where it is joined, in the step with the id ``joined``."""

    source: Endpoint
    steps: tuple[StepView, ...]
    joined: str


@dataclass(frozen=True)
class Explanation:
    """Everything there is to say of a pipeline before it runs.

    ``on_error`` is the policy that most of its steps have; ``changed`` names the settings that are not the defaults.
    """

    name: str
    source: Endpoint
    steps: tuple[StepView, ...]
    sinks: tuple[Endpoint, ...]
    dead_letters: tuple[Endpoint, ...]
    on_error: str
    guarantee: Guarantee
    settings: Mapping[str, Any]
    changed: tuple[str, ...]
    warnings: tuple[str, ...]
    streams: tuple[StreamView, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As data that JSON can hold."""
        found: dict[str, Any] = _plain(dataclasses.asdict(self))
        return found


def plan_of(flow: Dataflow) -> Plan | None:
    """The plan that a dataflow was lowered from; ``None`` for one that was made by hand."""
    found = getattr(flow, PLAN, None)
    return found if isinstance(found, Plan) else None


def explain(plan: Plan, *, code: bool = False) -> Explanation:
    """Explain a plan without problems. ``code``: with the generated source of the fused steps.

    Opens no file and no socket. Raises :class:`~fluxion_flow.errors.PipelineError` for a plan with problems.
    """
    plan.problems.raise_if_any()
    definition = plan.definition
    settings = {name: getattr(definition.config, name) for name in readers(type(definition.config))}
    letters = dead_letter_sinks(plan)
    return Explanation(
        name=definition.name,
        source=_source(plan, letters),
        steps=tuple(_step(step, letters, code) for step in plan.steps),
        sinks=tuple(_sink(plan, i, letters) for i in range(len(plan.sinks))),
        dead_letters=tuple(map(_dead_letters, letters)),
        on_error=_usual(plan, letters),
        guarantee=guarantee(plan),
        settings={**settings, "emit": plan.emit},
        changed=tuple(definition.config.changed()),
        warnings=tuple(_warnings(plan)),
        streams=tuple(_stream(plan, stream, letters, code) for stream in plan.streams),
    )


def _source(plan: Plan, letters: Sequence[DeadLetterSink]) -> Endpoint:
    spec, policy = plan.definition.source, plan.source_policy
    return Endpoint(
        spec.title,
        plan.source_type,
        _shown(spec, "source"),
        ("completes" if _completes(plan) else "never completes",),
        policy_text(policy, _name_of(policy, letters), "what cannot be decoded"),
        dead_letters=_name_of(policy, letters),
    )


def _completes(plan: Plan) -> bool:
    """Whether the pipeline's own source does; a further stream beside it may not."""
    return bool(getattr(plan.source, "bounded", plan.bounded)) if plan.streams else plan.bounded


def _stream(plan: Plan, stream: StreamPlan, letters: Sequence[DeadLetterSink], code: bool) -> StreamView:
    spec, name = plan.definition.streams[stream.name].source, _name_of(stream.policy, letters)
    source = Endpoint(
        stream.name,
        stream.source_type,
        _shown(spec, "source"),
        ("completes" if stream.bounded else "never completes",),
        policy_text(stream.policy, name, "what cannot be decoded"),
        dead_letters=name,
    )
    joined = next(
        step.id
        for step in plan.steps
        if isinstance(step, WindowStep)
        and isinstance(stage := step.place.stage, StreamJoin)
        and stage.stream == stream.name
    )
    return StreamView(source, tuple(_step(step, letters, code) for step in stream.steps), joined)


def _sink(plan: Plan, index: int, letters: Sequence[DeadLetterSink]) -> Endpoint:
    sink, spec = plan.sinks[index], plan.definition.sinks[index]
    return Endpoint(
        sink.name,
        sink.connector,
        _shown(spec, "sink"),
        _writers(sink.sink),
        policy_text(sink.policy, _name_of(sink.policy, letters)),
        None if spec.when is None else _masked(to_data(to_extended(spec.when))),
        _name_of(sink.policy, letters),
    )


def _usual(plan: Plan, letters: Sequence[DeadLetterSink]) -> str:
    """The policy that most stages and sinks have."""
    texts = Counter(policy_text(p, _name_of(p, letters)) for step, p in policies_of(plan) if not is_source(step))
    return texts.most_common(1)[0][0]


def _name_of(policy: StreamingErrorPolicy, letters: Sequence[DeadLetterSink]) -> str:
    """The name of the sink that a policy's dead letters go to; empty when it makes none."""
    if policy.action != "dead_letter":
        return ""
    spec = policy.dead_letter_sink
    return next(known.name for known in letters if known.spec is spec or known.spec == spec)


def _writers(sink: Any) -> tuple[str, ...]:
    if not isinstance(sink, StreamingSink):
        return ("a Bytewax sink, one document an item",)
    return ("one writer for all workers" if sink.single_writer else "one writer for each worker",)


def _dead_letters(letters: DeadLetterSink) -> Endpoint:
    title = letter_title(letters.spec)
    shown = _visible(letters.spec, title, "sink") if isinstance(letters.spec, Mapping) else {}
    return Endpoint(letters.name, title, shown, _writers(letters.sink), policy_text(StreamingErrorPolicy()))


def _step(step: Step, letters: Sequence[DeadLetterSink], code: bool) -> StepView:
    if isinstance(step, FusedStep):
        facts = ["one function over a batch, on every worker"]
        if step.program.asks:
            facts = ["asks the outside for the documents of a batch together, on every worker"]
            facts += [fact for stage in step.program.stages for asker in stage.asks for fact in asker.facts()]
        if step.program.combine is not None:
            facts.append(f"{step.program.combine.name} combines within the batch")
        return StepView(
            step.id,
            "fused",
            step.names,
            tuple(facts),
            tuple(policy_text(policy, _name_of(policy, letters)) for policy in step.policies),
            dead_letters=tuple(dict.fromkeys(name for p in step.policies if (name := _name_of(p, letters)))),
            code=redact(step.program.source()) if code else "",
        )
    if isinstance(step, KeyedStep):
        sends = "sends every document once, at completion"
        if step.emit == "update":
            sends = "sends each changed document after every batch"
        parts = f"{step.partitions} partition{'s' if step.partitions > 1 else ''}"
        return StepView(step.id, "keyed", (str(step.stage.where),), (f"state by key in {parts}", sends), state=step.id)
    if isinstance(step, WindowStep):
        return _window(step, letters)
    if isinstance(step, SliceStep):
        facts = ["counts documents on one worker, as they arrive"]
        return StepView(step.id, "keyed", (str(step.stage.where),), tuple(facts), state=step.id)
    facts = ["gathers every document on one worker, in source order, until the source completes"]
    return StepView(step.id, "whole", tuple(str(stage.where) for stage in step.stages), tuple(facts), state=step.id)


def _window(step: WindowStep, letters: Sequence[DeadLetterSink]) -> StepView:
    place, stage = step.place, step.place.stage
    parts = f"{place.partitions} partition{'s' if place.partitions > 1 else ''}"
    behind = f", {_span(stage.lateness)} behind the newest event time," if stage.lateness else ""
    if isinstance(stage, StreamJoin):
        facts = _join(stage, parts, behind)
    elif isinstance(stage, InOrder):
        facts = [
            f"documents by key in {parts}, until the watermark has passed them",
            f"sends documents in the order of event time, when the watermark of every source partition{behind} passes",
        ]
    else:
        combined = "groups of open windows, combined within the batch"
        facts = [f"{'documents of open windows' if stage.combined is None else combined}, in {parts}"]
        if stage.processing_time:
            facts.append("closes a window when the clock has passed its end")
        else:
            facts.append(f"closes a window when the watermark of every source partition{behind} has passed its end")
    if place.partition_idle is not None:
        facts.append(f"a source partition that is silent for {_span(place.partition_idle)} holds nothing back")
    if stage.idle_timeout is not None:
        facts.append(f"closes windows by the clock when the source is silent for {_span(stage.idle_timeout)}")
    if stage.early is not None:
        every = f"{stage.early.count} documents" if stage.early.count else _span(stage.early.interval or 0)
        facts.append(f"sends an early result every {every}")
    if stage.corrects:
        facts.append(f"sends a corrected result for documents up to {_span(stage.corrects)} late")
    if not stage.processing_time:
        name = _name_of(place.policy, letters)
        lost = f"go to the dead letters ({name})" if name and stage.on_late != "drop" else "are left out"
        facts.append(f"late documents {lost}")
    policy = policy_text(place.policy, _name_of(place.policy, letters))
    name = _name_of(place.policy, letters)
    return StepView(
        step.id, "windows", step.names, tuple(facts), (policy,), step.id, dead_letters=(name,) if name else ()
    )


def _join(stage: StreamJoin, parts: str, behind: str) -> list[str]:
    reach = f"up to {_span(stage.before)} before" if stage.before else "at its own time"
    if stage.latest:
        kept = f"for {_span(stage.before)}" if stage.before else "until another takes its place"
        facts = [
            f"documents of both streams by key in {parts}: the last one of {stage.stream!r} is kept {kept}",
            f"looks for the last one of {stage.stream!r}{'' if stage.before is None else ' ' + reach}",
        ]
        passed = ""
    else:
        kept = _span(stage.before + stage.after) if stage.before is not None and stage.before + stage.after else ""
        reach += f", up to {_span(stage.after)} after" if stage.after else ""
        passed = f" by {_span(stage.after)}" if stage.after else ""
        facts = [
            f"documents of both streams by key in {parts}{f', those of {stage.stream!r} for {kept}' if kept else ''}",
            f"looks for those of {stage.stream!r} {reach}",
        ]
    facts.append(
        "sends documents in the order of event time, when the watermark of every partition of both streams"
        f"{behind} has passed them{passed}"
    )
    return facts


def _span(milliseconds: int) -> str:
    """A span of time in its largest whole unit."""
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if milliseconds % size == 0 and milliseconds:
            amount = milliseconds // size
            return f"{amount} {unit}{'s' if amount > 1 else ''}"
    return f"{milliseconds} ms"


# -- what may be shown ---------------------------------------------------------------------------------------------


def _shown(spec: SourceSpec | SinkSpec, kind: Kind) -> dict[str, Any]:
    options: dict[str, Any] = {} if spec.connection_ref is None else {"connection_ref": spec.connection_ref}
    if spec.object is not None or spec.type is None:
        return options
    return options | _visible(spec.options, spec.type, kind)


def _visible(options: Mapping[str, Any], connector: str, kind: Kind) -> dict[str, Any]:
    """The options that are one value and no secret; references as they were written."""
    try:
        declared = find_connector(connector).options(kind)
    except ConnectorUnavailable:
        return {}
    secret = {name for option in declared if option.secret for name in option.names}
    known = {name for option in declared for name in option.names} - secret
    simple = (str, int, float, bool, Reference)
    return {k: _masked(to_data(v)) for k, v in options.items() if k in known and isinstance(v, simple)}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else redact(str(value))


# -- policies in words ---------------------------------------------------------------------------------------------


def policy_text(policy: StreamingErrorPolicy, letters: str = "", what: str = "") -> str:
    """A policy in a few words: ``up to 5 attempts, then ends the run``.

    ``letters`` is the name of its dead-letter sink, ``what`` is what it gives up.
    """
    what = what or ("the failing document" if policy.granularity == "document" else "the whole batch")
    action = {
        "fail": "ends the run",
        "skip": f"skips {what}",
        "dead_letter": f"sends {what} to the dead letters ({letters})",
    }[policy.action]
    parts = [action if policy.retries is None else _retried(policy.retries, action)]
    if policy.breaker is not None:
        name = f" {policy.breaker.name!r}" if policy.breaker.name else ""
        parts.append(f"behind circuit breaker{name}")
    if policy.budget is not None and policy.action != "fail":
        parts.append(f"ends the run when {policy.budget} fail")
    return "; ".join(parts)


def _retried(retries: Retry, action: str) -> str:
    if retries.max_attempts is None:
        picky = retries.retry_on or retries.ignore
        return "retries for as long as it takes" + (f"; what it does not retry {action}" if picky else "")
    return f"up to {retries.max_attempts} attempts, then {action}"


# -- warnings ------------------------------------------------------------------------------------------------------


def _warnings(plan: Plan) -> Iterable[str]:
    yield from _unnamed(plan)
    for step in plan.steps:
        if isinstance(step, KeyedStep) and not plan.bounded:
            yield f"{step.id}: its state grows with every new key; nothing is ever forgotten"
        elif isinstance(step, WindowStep):
            stage = step.place.stage
            if not stage.processing_time and stage.on_late != "drop" and step.place.policy.action != "dead_letter":
                yield (
                    f"{step.id}: late documents are counted and left out, for there are no dead letters; "
                    "give on_error a dead_letter sink, or say onLate: drop"
                )
            if isinstance(stage, StreamJoin) and stage.keeps_every_key:
                yield (
                    f"{step.id}: its state grows with every new key of {stage.stream!r}; "
                    "say within: {before} for how long the last one counts, or set max_keys or max_bytes"
                )
            if isinstance(stage, LookBack) and stage.keeps_every_key:
                yield (
                    f"{step.id}: its state grows with every new key: what it looks back to by number of documents is "
                    "never forgotten; look back by a range with a unit, or set max_keys or max_bytes"
                )
        elif isinstance(step, WholeStep):
            yield f"{step.id}: all its documents are held in the memory of one worker"
    size = plan.definition.config.batch_size
    whole = [step for step, p in policies_of(plan) if _gives_up_batches(step, p)]
    if whole and size > 1:
        steps = whole[0] if len(whole) == 1 else f"{whole[0]} and {len(whole) - 1} more"
        yield (
            f"{steps}: one failing document takes its whole batch with it, up to {size} documents; "
            "set granularity: document"
        )
    endless = [step for step, p in policies_of(plan) if p.action == "skip" and p.budget is None]
    if endless:
        steps = endless[0] if len(endless) == 1 else f"{endless[0]} and {len(endless) - 1} more"
        yield f"{steps}: skips without limit; set a budget"


def _gives_up_batches(step: str, policy: StreamingErrorPolicy) -> bool:
    return policy.action != "fail" and policy.granularity != "document" and not is_source(step)


def _unnamed(plan: Plan) -> Iterable[str]:
    """Steps whose ids depend on their order, because several of a kind have no name."""
    named = {stage.name for stage in plan.definition.stages if stage.name}
    for step in plan.steps:
        base, _, number = step.id.rpartition("-")
        if not isinstance(step, FusedStep) and number.isdigit() and base and step.id not in named:
            yield f"{step.id}: is found by its order among the {base} stages; name the stage to keep its state"
    own = {sink.name for sink in plan.definition.sinks if sink.name}
    for sink in plan.sinks:
        base, _, number = sink.name.rpartition("-")
        if number.isdigit() and base and sink.name not in own:
            yield f"sink {sink.name}: is found by its order among the {base} sinks; name it to keep its progress"
