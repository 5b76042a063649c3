"""Replaying dead letters: a run of the pipeline's own stages and sinks, beside the pipeline's own run.

A letter enters where it failed: at its stage with that stage's input, at its sink with what could not be delivered, or
at the front with its raw record. ``source`` lets all enter at the front. The run has a checkpoint store of its own in
the journal, so a replay that is killed goes on where it was, under the guarantee of its sinks.

State is the limit. A keyed stage's memory belongs to the pipeline's own run: a replay beside it would deliver totals of
the replayed letters alone. Such letters are refused; ``resend`` writes them to where the pipeline reads.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..compiler.guarantee import Guarantee, guarantee
from ..compiler.lower import lower
from ..compiler.plan import FusedStep, KeyedStep, Plan, steps_of
from ..connect.stored import BESIDE
from ..errors import FluxionError, PipelineError, Problem, Where
from ..observe.listener import StreamingMetricsListener
from ..runtime.drain import install_signal_handlers
from ..runtime.ending import ours_behind
from .journal import Journal
from .letter import Letter
from .source import LettersSource

STEP, SOURCE, RESEND = "step", "source", "resend"
MODES = (STEP, SOURCE, RESEND)
"""Where letters enter: at the step that failed; at the front; or at no step, to be written as they are."""

EPOCH = timedelta(seconds=1)
"""How often a replay makes a checkpoint."""


class ReplayFailed(FluxionError):
    """A replay has not come to its end. The next one goes on where it was."""


@dataclass
class Refused:
    """Letters that cannot be replayed this way: how many, the first of them, why, and what to do instead."""

    letters: int
    first: Letter
    why: str
    hint: str


@dataclass(frozen=True)
class _Entry:
    """Where letters enter: at a stage (all stages behind it run), or at a sink (``None``: at all)."""

    stage: int
    sink: str | None = None

    def __str__(self) -> str:
        return f"sink {self.sink}" if self.sink is not None else f"stages {self.stage}"


class Replay:
    """Replays letters through a plan. ``force`` lets through what is refused only because it may be out of date."""

    def __init__(
        self, plan: Plan, mode: str = STEP, *, force: bool = False, listeners: Sequence[StreamingMetricsListener] = ()
    ) -> None:
        self._plan = plan
        self._mode = mode
        self._force = force
        self._listeners = tuple(listeners)

    def sort(self, letters: Sequence[Letter]) -> tuple[list[tuple[str, Letter]], list[Refused]]:
        """The letters that can be replayed, each with where it enters; and those that cannot, by reason."""
        good: list[tuple[str, Letter]] = []
        bad: dict[tuple[str, str], Refused] = {}
        for letter in letters:
            try:
                good.append((str(self._entry(letter)), letter))
            except PipelineError as error:
                problem = error.problems[0]
                refused = bad.setdefault((problem.what, problem.hint), Refused(0, letter, problem.what, problem.hint))
                refused.letters += 1
        return good, list(bad.values())

    def run(self, journal: Journal, number: int) -> Iterator[int]:
        """Bring a run of the journal to its end; gives the number of letters after each part of it.

        Raises :class:`ReplayFailed`, or what ended the run. Ends early when the process is asked to drain.
        """
        begun = journal.begun(number)
        for entry, letters in journal.entries(number).items():
            part = entry.replace(" ", "-")
            folder = journal.folder / f"run-{number}-{part}"
            if not self._part(entry, letters, folder, f"{BESIDE}{begun:%Y%m%dT%H%M%S}-{part}"):
                return
            journal.done(number, entry)
            shutil.rmtree(folder, ignore_errors=True)
            yield len(letters)
        journal.done(number, None)

    # -- where letters enter -----------------------------------------------------------------------------------------

    def _entry(self, letter: Letter) -> _Entry:
        """Raises :class:`PipelineError` with one problem."""
        if letter.document is None and letter.raw is None:
            raise _refusal(letter, "holds neither 'doc' nor 'raw'", "store both in the dead-letter sink")
        if self._mode == RESEND:
            return self._resent(letter)
        if letter.error.get("code") == "late":
            raise _refusal(
                letter,
                "came after its window had closed, and the window's state is gone",
                "compute the window anew with `fluxion batch`",
            )
        entry = _Entry(0)
        if self._mode == STEP and letter.step.startswith("sink"):
            entry = self._at_sink(letter)
        elif self._mode == STEP and letter.stage is not None:
            entry = _Entry(self._stage(letter, *letter.stage))
        elif letter.step.startswith("sink"):
            raise _refusal(
                letter, "is a result, and not what a stage takes", "leave --at out: it is delivered to its sink"
            )
        self._stateless(letter, entry)
        return entry

    def _resent(self, letter: Letter) -> _Entry:
        if letter.document is None:
            raise _refusal(letter, "holds a raw record, which is no document", "repair the record where it came from")
        if letter.step.startswith("sink"):
            raise _refusal(letter, "is a result, and not what the pipeline reads", "leave --at out")
        if letter.stage is not None and letter.stage[0] > 0 and not self._force:
            raise _refusal(
                letter,
                "is no record of the source: stages before the one that failed have changed it",
                "use --force where these stages change nothing that they have changed already",
            )
        return _Entry(len(self._plan.stages))

    def _at_sink(self, letter: Letter) -> _Entry:
        names = [sink.name for sink in self._plan.sinks]
        name = letter.step.removeprefix("sinks.") if letter.step.startswith("sinks.") else names[0]
        if name not in names and len(names) > 1:
            raise _refusal(letter, f"there is no sink {name!r} any more", "say where to deliver with --to")
        if self._plan.emit == "update" and not self._force and any(isinstance(s, KeyedStep) for s in self._plan.steps):
            raise _refusal(
                letter,
                "is a value that its group had then, and a newer one may have been delivered since",
                "the next change of the group delivers its value; purge the letter, or use --force",
            )
        return _Entry(len(self._plan.stages), name if name in names else names[0])

    def _stage(self, letter: Letter, index: int, operator: str) -> int:
        stages = self._plan.definition.stages
        if index >= len(stages) or stages[index].operator != operator:
            now = f"stages[{index}] is {stages[index].operator} now" if index < len(stages) else "there is none now"
            raise _refusal(
                letter,
                f"failed at stages[{index}].{operator}, and {now}: the pipeline has changed since",
                "replay through the whole pipeline with --at source",
            )
        return index

    def _stateless(self, letter: Letter, entry: _Entry) -> None:
        """Raises :class:`PipelineError` where a stage with state stands at or behind an entry."""
        behind = [stage for stage in self._plan.stages if _index(stage) >= entry.stage]
        for step in steps_of(self._plan.definition, behind, self._plan.emit):
            if not isinstance(step, FusedStep) or step.program.combine is not None:
                stage = step.names[-1] if isinstance(step, FusedStep) else step.id
                raise _refusal(
                    letter,
                    f"would go through {stage}, whose state belongs to the pipeline's own run: "
                    "a replay would deliver totals of the replayed letters alone",
                    "write the letters to where the pipeline reads: --at resend --to type=kafka,topic=...",
                )

    # -- running -------------------------------------------------------------------------------------------------------

    def guarantee(self) -> Guarantee:
        """What holds for a replay that is killed and goes on."""
        return guarantee(replace(self._plan, source=LettersSource([]), bounded=True, stages=(), steps=(), streams=()))

    def _part(self, entry: str, letters: list[Letter], folder: Path, name: str) -> bool:
        """Run the letters of one entry to their end; whether it was reached, and not a drain."""
        import bytewax.run
        from bytewax.recovery import RecoveryConfig

        options = self._plan.definition.source.options
        source = LettersSource(letters, extended=options.get("extended_json") is True)
        plan = self._cut(_read_entry(entry), source, name)
        flow = lower(plan)
        install_signal_handlers()
        try:
            recovery = RecoveryConfig(_store(folder), timedelta(0))  # type: ignore[no-untyped-call]
            bytewax.run.cli_main(flow, epoch_interval=EPOCH, recovery_config=recovery)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 - the engine wraps whatever ended the run
            found = ours_behind(error)
            raise (found or ReplayFailed(f"{type(error).__name__}: {error}")) from None
        return source.completed == set(source.partitions())

    def _cut(self, entry: _Entry, source: LettersSource, name: str) -> Plan:
        """The plan from an entry on, with letters as its source."""
        plan = self._plan
        stages = [] if entry.sink is not None else [stage for stage in plan.stages if _index(stage) >= entry.stage]
        sinks = plan.sinks
        if entry.sink is not None:
            sinks = tuple(replace(sink, when=None) for sink in plan.sinks if sink.name == entry.sink)
        steps = steps_of(plan.definition, stages, plan.emit)
        listeners = (*plan.definition.listeners, *self._listeners)
        definition = replace(
            plan.definition, listeners=listeners, config=replace(plan.definition.config, metrics=False)
        )
        return replace(
            plan,
            definition=definition,
            source=source,
            bounded=True,
            stages=tuple(stages),
            steps=tuple(steps),
            sinks=sinks,
            beside=name,
            clocks=None,
            streams=(),
        )


def _refusal(letter: Letter, what: str, hint: str) -> PipelineError:
    return PipelineError([Problem(Where.at(letter.step or letter.id), what, hint)])


def _index(stage: Any) -> int:
    return next(part for part in stage.where.parts if isinstance(part, int))


def _read_entry(text: str) -> _Entry:
    kind, _, name = text.partition(" ")
    return _Entry(0, name) if kind == "sink" else _Entry(int(name))


def _store(folder: Path) -> Path:
    """The checkpoint store of a run, made when it is missing; a kill while it is made leaves no half of one."""
    from bytewax.recovery import init_db_dir

    if not folder.exists():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        init_db_dir(fresh, 1)  # type: ignore[no-untyped-call]
        os.replace(fresh, folder)
    return folder
