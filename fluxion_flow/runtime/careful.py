"""The slow path: a batch in which a stage failed, or whose policies watch every call, goes stage by stage.

Each stage has its own policy here. With batch granularity the batch is one call: it is tried again, or given up, as a
whole. With document granularity only the documents that failed are tried again, all of them together after one wait,
so that a batch of poison costs no more waits than one poison document.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.program import DocumentError, Program
from ..core.tracing import numbers_among, traced
from ..policy.engine import GaveUp
from .items import Letters
from .run import Guard

Entry = tuple[Document, int, int]
"""A document, the index in the batch of the document that it came from, and its number among those of that one."""

Made = list[tuple[Document, int]]
"""Documents that a stage made, each with the index of the entry that it made it of."""

Failures = dict[int, DocumentError]
"""The failures of entries by their index."""

MakeEnvironment = Callable[[Batch, "list[Entry] | None"], Environment]


class Careful:
    """Takes batches through a program's stages one by one, under their policies. One a worker."""

    def __init__(
        self,
        program: Program,
        guards: Sequence[Guard],
        environment: MakeEnvironment,
        again: Callable[[], None],
    ) -> None:
        """``again`` is called before every attempt but the first."""
        self._program = program
        self._guards = guards
        self._environment = environment
        self._again = again

    def batch(self, batch: Batch, out: list[Any]) -> tuple[Any, list[int]]:
        """What comes of a batch: documents, and the index in the batch of each; or what a combine gives.

        Dead letters are added to ``out``. Raises :class:`~fluxion_flow.runtime.failure.RunFailed`.
        """
        entries: list[Entry] = [(document, index, 0) for index, document in enumerate(batch.documents)]
        start = len(out)
        partial: Any = self._program.fresh()
        for k, guard in enumerate(self._guards):
            if not entries:
                break
            step = self._program.step(k)
            size_in = len(entries)
            guard.context.partition, guard.context.position = batch.partition, batch.position
            stage = _Stage(step, batch, self._environment)
            entries = (
                self._documents(guard, stage, entries, out)
                if guard.by_document
                else self._whole(guard, stage, entries, out)
            )
            tell_stage(guard, size_in, 0 if step.combine is not None else len(entries), None)
            if step.combine is not None:
                partial = stage.combined(entries)
        _join(out, start)
        if self._program.combine is not None:
            return partial, []
        return [entry[0] for entry in entries], [entry[1] for entry in entries]

    def _whole(self, guard: Guard, stage: _Stage, entries: list[Entry], out: list[Any]) -> list[Entry]:
        def attempt(number: int) -> Made:
            if number > 1:
                self._again()
            made, failures = stage.run(entries, first=True)
            if failures:
                raise next(iter(failures.values()))
            return made

        try:
            made: Made = guard.attempt(attempt)
        except GaveUp as gave_up:
            _give_up(guard, gave_up, stage.batch, entries, out)
            return []
        guard.runner.settled(len(entries), 0)
        return _entries(made, entries)

    def _documents(self, guard: Guard, stage: _Stage, entries: list[Entry], out: list[Any]) -> list[Entry]:
        lost: dict[int, GaveUp] = {}
        made = (
            self._each(guard, stage, entries, lost)
            if guard.runner.breaker
            else self._rounds(guard, stage, entries, lost)
        )
        guard.runner.settled(len(entries) - len(lost), 0)
        for index, gave_up in sorted(lost.items()):
            _give_up(guard, gave_up, stage.batch, [entries[index]], out)
        return _entries(made, entries)

    def _rounds(self, guard: Guard, stage: _Stage, entries: list[Entry], lost: dict[int, GaveUp]) -> Made:
        """All documents, then again those that failed, while the policy says so. What is given up goes to ``lost``."""
        made, failures = stage.run(entries)
        attempt, since = 1, int(time.time() * 1000)
        while True:
            waiting: list[int] = []
            delay = 0.0
            for index, error in failures.items():
                decision = guard.runner.failed(error, attempt)
                if decision.kind == "retry":
                    waiting.append(index)
                    delay = max(delay, decision.delay)
                    continue
                lost[index] = _of_one(GaveUp(decision, error, attempt, since, step=guard.step))
                if decision.kind == "abort":
                    guard.failed(lost[index], stage.batch, [entries[index]], code="stage")
            if not waiting:
                return sorted(made, key=_entry_of) if attempt > 1 else made
            guard.wait(delay, attempt, failures[waiting[0]])
            attempt += 1
            self._again()
            more, failed = stage.run([entries[index] for index in waiting])
            made += [(document, waiting[at]) for document, at in more]
            failures = {waiting[at]: error for at, error in failed.items()}

    def _each(self, guard: Guard, stage: _Stage, entries: list[Entry], lost: dict[int, GaveUp]) -> Made:
        """Every document is a call of its own, which the breaker counts."""
        made: Made = []
        for index, entry in enumerate(entries):

            def attempt(number: int, entry: Entry = entry) -> Made:
                if number > 1:
                    self._again()
                found, failures = stage.run([entry])
                if failures:
                    raise failures[0]
                return found

            try:
                made += [(document, index) for document, _ in guard.attempt(attempt)]
            except GaveUp as gave_up:
                lost[index] = _of_one(gave_up)
                if gave_up.decision.kind == "abort":
                    break
        return made


class _Stage:
    """One stage, or the combine at the end, for the documents of one batch."""

    def __init__(self, step: Program, batch: Batch, environment: MakeEnvironment) -> None:
        self._step = step
        self._environment = environment
        self.batch = batch

    def run(self, entries: list[Entry], *, first: bool = False) -> tuple[Made, Failures]:
        """What the stage makes of entries, and the failures of those that it cannot take (``first``: the first one).

        A combine lets the documents pass that it can take.
        """
        if self._step.combine is not None:
            return self._takes(entries, first)
        env = self._environment(self.batch, entries)
        documents, indexes, errors = traced(self._step, [entry[0] for entry in entries], env, first=first)
        return list(zip(documents, indexes, strict=True)), {error.index: error for error in errors}

    def _takes(self, entries: list[Entry], first: bool) -> tuple[Made, Failures]:
        made: Made = []
        failures: Failures = {}
        for index, entry in enumerate(entries):
            try:
                self.combined([entry])
            except DocumentError as error:
                error.index = index
                failures[index] = error
                if first:
                    break
            else:
                made.append((entry[0], index))
        return made, failures

    def combined(self, entries: list[Entry]) -> Any:
        """What the combine gives for documents that it can take."""
        return self._step.run([entry[0] for entry in entries], self._environment(self.batch, entries))


def tell_stage(guard: Guard, size_in: int, size_out: int, nanoseconds: int | None) -> None:
    """Tell the listeners how many documents went into a stage and came out."""
    guard.run.listeners.tell(
        "on_stage", guard.context, stage=guard.step, size_in=size_in, size_out=size_out, nanoseconds=nanoseconds
    )


def _entries(made: Made, entries: list[Entry]) -> list[Entry]:
    """What a stage made of entries, numbered among those of the same record."""
    origins = [entries[at][1] for _, at in made]
    numbers = numbers_among(origins)
    return [(document, origin, number) for (document, _), origin, number in zip(made, origins, numbers, strict=True)]


def _entry_of(pair: tuple[Document, int]) -> int:
    return pair[1]


def _of_one(gave_up: GaveUp) -> GaveUp:
    """The same, when the one document at hand is all that was given up."""
    if isinstance(gave_up.error, DocumentError):
        gave_up.error.index = 0
    return gave_up


def _give_up(guard: Guard, gave_up: GaveUp, batch: Batch, entries: Sequence[Entry], out: list[Any]) -> None:
    letters = guard.failed(gave_up, batch, entries, code="stage")
    if letters is not None:
        out.append(letters)


def _join(out: list[Any], start: int) -> None:
    """Make one item of the letters to one sink that stand next to each other."""
    joined: list[Any] = []
    for item in out[start:]:
        if joined and item.__class__ is Letters and joined[-1].sink == item.sink:
            joined[-1].documents.extend(item.documents)
        else:
            joined.append(item)
    out[start:] = joined
