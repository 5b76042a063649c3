"""What a pipeline guarantees about delivery across crashes, derived from its plan.

====================  ====================================================  ======================================
level                 after a crash                                         because
====================  ====================================================  ======================================
``exactly once``      nothing is lost, nothing is there twice               the sink takes back what it wrote
                                                                            after the checkpoint, or keeps the
                                                                            source's position with the documents
``effectively once``  nothing is lost, what is written twice changes        the sink writes by key
                      nothing
``at least once``     nothing is lost, some documents are there twice       the source is read again from its
                                                                            cursor
``at most once``      what was read and not yet delivered is lost           the source cannot be read again
====================  ====================================================  ======================================

All but the last need a checkpoint store: without one a run that is started again begins at the beginning. Exactly once
into a transactional sink needs none: the run begins at the beginning and passes over what the sink holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bytewax.inputs import DynamicSource
from bytewax.outputs import Sink

from ..connect import registry
from ..connect.spi import StreamingSink, StreamingSource
from ..core.stages.look_back import LookBack
from ..errors import Where
from ..policy.model import StreamingErrorPolicy
from ..runtime.windows import WindowPlace
from .plan import FusedStep, KeyedStep, Plan, SliceStep, WindowStep

Level = Literal["at most once", "at least once", "effectively once", "exactly once"]
LEVELS: tuple[Level, ...] = ("at most once", "at least once", "effectively once", "exactly once")
"""From the weakest to the strongest."""

STORE = "a checkpoint store (-r)"


@dataclass(frozen=True)
class SinkGuarantee:
    """What holds for one sink, why, and what would make it stronger (empty: nothing would)."""

    sink: str
    level: Level
    reason: str
    raised_by: str = ""


@dataclass(frozen=True)
class Guarantee:
    """What holds for a pipeline: the weakest of its sinks, with that sink's reason.

    ``needs`` is what the run must be given for it. ``notes`` say what comes more than once, or not at all, by the
    definition's own wish. ``dead_letters`` are the sinks of dead letters; they do not count for ``level``.
    """

    level: Level
    reason: str
    raised_by: str
    needs: str
    sinks: tuple[SinkGuarantee, ...]
    dead_letters: tuple[SinkGuarantee, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.level}, with {self.needs}" if self.needs else self.level


def guarantee(plan: Plan) -> Guarantee:
    """The delivery guarantee of a plan without problems. Opens no file and no socket.

    Raises :class:`~fluxion_flow.errors.PipelineError` for a dead-letter sink that cannot be made.
    """
    again = _read_again(plan)
    sinks = tuple(_of_sink(plan, sink.name, sink.sink, again, delivers=True) for sink in plan.sinks)
    letters = tuple(_of_sink(plan, letters.name, letters.sink, again) for letters in dead_letter_sinks(plan))
    weakest = min(sinks, key=lambda sink: LEVELS.index(sink.level))
    needs = STORE if again and not plan.transactional else ""
    return Guarantee(weakest.level, weakest.reason, weakest.raised_by, needs, sinks, letters, tuple(_notes(plan)))


def policies_of(plan: Plan) -> list[tuple[str, StreamingErrorPolicy]]:
    """Every step that can fail, with its policy: the source and those of further streams, each stage, each sink."""
    found = [("source", plan.source_policy)]
    found += [(f"streams.{stream.name}.source", stream.policy) for stream in plan.streams]
    for step in plan.all_steps:
        if isinstance(step, (FusedStep, WindowStep)):
            found += zip(step.names, step.policies, strict=True)
    single = len(plan.sinks) == 1
    return found + [("sink" if single else f"sinks.{sink.name}", sink.policy) for sink in plan.sinks]


@dataclass(frozen=True)
class DeadLetterSink:
    """A sink that dead letters go to: what to call it, what the definition says of it, and the sink itself."""

    name: str
    spec: Any
    sink: StreamingSink | Sink[Any]


def dead_letter_sinks(plan: Plan) -> list[DeadLetterSink]:
    """The different sinks of dead letters, in the order of the steps. Opens no file and no socket.

    Raises :class:`~fluxion_flow.errors.PipelineError` for one that cannot be made.
    """
    found: list[DeadLetterSink] = []
    for _, policy in policies_of(plan):
        spec = policy.dead_letter_sink
        if policy.action != "dead_letter" or any(known.spec is spec or known.spec == spec for known in found):
            continue
        title = letter_title(spec)
        same = sum(letter_title(known.spec) == title for known in found)
        found.append(DeadLetterSink(f"{title}-{same + 1}" if same else title, spec, _opened(plan, spec)))
    return found


def letter_title(spec: Any) -> str:
    """What to call a sink of dead letters: its name, its connector's type, or its class."""
    if isinstance(spec, Mapping):
        return str(spec.get("type") or spec.get("connection_ref") or spec.get("connectionRef") or "")
    return type(spec).__name__


def _opened(plan: Plan, spec: Any) -> StreamingSink | Sink[Any]:
    if isinstance(spec, Sink):
        return spec
    where = Where.at("on_error", "dead_letter")
    definition = plan.definition
    return registry.open_sink(
        spec, where, connections=definition.connections, also_known=("name",), resources=definition.resources
    )


def _read_again(plan: Plan) -> bool:
    """Whether the source goes on from a cursor, so that what was not yet delivered is read again."""
    if isinstance(plan.source, StreamingSource):
        return plan.source.replays and all(stream.source.replays for stream in plan.streams)
    return not isinstance(plan.source, DynamicSource)


def _once(plan: Plan) -> str:
    """The type of the source that cannot be read again."""
    further = [stream.source_type for stream in plan.streams if not stream.source.replays]
    own = not isinstance(plan.source, StreamingSource) or not plan.source.replays
    return plan.source_type if own or not further else further[0]


def _of_sink(
    plan: Plan, name: str, sink: StreamingSink | Sink[Any], again: bool, *, delivers: bool = False
) -> SinkGuarantee:
    """What holds for one sink: one that ``delivers`` the pipeline's documents, or one of dead letters."""
    if not again:
        return SinkGuarantee(
            name,
            "at most once",
            f"source '{_once(plan)}' cannot be read again: what was read and not yet delivered is lost",
            "a source that goes on from a cursor, such as files",
        )
    if not isinstance(sink, StreamingSink):
        return SinkGuarantee(
            name,
            "at least once",
            f"what a Bytewax sink ({type(sink).__name__}) wrote after the checkpoint is written again",
            _STRONGER,
        )
    if delivers and plan.transactional:
        reason = "the sink stores the source's position with the documents, and what it holds is not delivered again"
        return SinkGuarantee(name, "exactly once", reason)
    if sink.replays:
        return SinkGuarantee(name, "exactly once", "the sink takes back what it wrote after the checkpoint")
    way = _way_to_transactions(plan) if delivers and sink.transactional else ""
    if sink.keyed:
        reason = "the sink writes by key: a document that is written again changes nothing"
        return SinkGuarantee(
            name, "effectively once", reason, way or "a sink that takes back what it wrote, such as files"
        )
    return SinkGuarantee(
        name,
        "at least once",
        "what was written after the checkpoint is written again",
        f"{way}, or a sink that writes by key" if way else _STRONGER,
    )


_STRONGER = "a sink that takes back what it wrote (files), or one that writes by key"


def _way_to_transactions(plan: Plan) -> str:
    """What would let a transactional sink store the source's position; empty: nothing here."""
    stateful = [step.id for step in plan.steps if not isinstance(step, FusedStep)]
    if stateful or not isinstance(plan.source, StreamingSource):
        return ""
    if len(plan.sinks) > 1:
        return "a pipeline for this sink alone, so that it can say where the source stands"
    return "no policy at the sink that gives documents up (skip, dead_letter), so that the sink can say where it stands"


_LEFT_OUT = {"skip": "nothing tells which", "dead_letter": "the dead letters tell which"}
_SUBJECTS = {"document": "documents that fail", "batch": "batches in which a document fails"}


def _notes(plan: Plan) -> Iterable[str]:
    for step in plan.steps:
        if isinstance(step, KeyedStep) and step.emit == "update":
            yield f"{step.id} sends a document again whenever it changes{_kept(plan)}: the last one of an _id counts"
        if isinstance(step, SliceStep):
            yield f"{step.id} counts documents as they arrive: which of several partitions come first may differ"
        if isinstance(step, WindowStep):
            yield from _window_notes(plan, step.place)
    policies = policies_of(plan)
    if plan.transactional and any(policy.action == "dead_letter" for _, policy in policies):
        yield f"without {STORE} dead letters come again when a run is started again"
    for action, known in _LEFT_OUT.items():
        for granularity, subject in _SUBJECTS.items():
            chosen = [step for step, p in policies if p.action == action and _granularity(step, p) == granularity]
            if chosen:
                places = "any step" if len(chosen) == len(policies) else ", ".join(chosen)
                yield f"{subject} in {places} are left out, and {known}"


def _window_notes(plan: Plan, place: WindowPlace) -> Iterable[str]:
    stage = place.stage
    if stage.processing_time:
        yield f"{place.step} goes by the time of the fetch: what is read again may fall into another window"
    if place.partition_idle is not None or stage.idle_timeout is not None:
        yield f"{place.step} closes windows by the clock when the source is silent: what is late may then differ"
    if isinstance(stage, LookBack):
        yield f"{place.step} leaves late documents out, which an offline run takes in"
    if stage.early or stage.corrects:
        yield f"{place.step} sends a window again{_kept(plan)}: its last result counts"


def _kept(plan: Plan) -> str:
    """Which sinks keep every version of a document that changes."""
    names = [sink.name for sink in plan.sinks if not getattr(sink.sink, "keyed", False)]
    if not names:
        return ""
    return (
        f", and sink {names[0]} keeps them all" if len(names) == 1 else f", and sinks {', '.join(names)} keep them all"
    )


def is_source(step: str) -> bool:
    """Whether a step of :func:`policies_of` reads a source."""
    return step == "source" or (step.startswith("streams.") and step.endswith(".source"))


def _granularity(step: str, policy: StreamingErrorPolicy) -> str:
    """A source gives up single records: what it cannot decode is known one by one."""
    return "document" if is_source(step) else policy.granularity or "batch"
