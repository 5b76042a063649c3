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
from ..policy.engine import GaveUp
from .items import Letters
from .origins import numbers_among, traced
from .run import Guard, place_of

Entry = tuple[Document, int, int]
"""A document on its way, the index in the batch of the document it came from, and its number among those of that one."""

MakeEnvironment = Callable[[Batch, "list[Entry] | None"], Environment]
Failures = dict[int, DocumentError]
"""The failures of documents by their index."""


class Careful:
    """Takes batches through a program's stages one by one, under their policies. One a worker."""

    def __init__(self, program: Program, guards: Sequence[Guard], environment: MakeEnvironment) -> None:
        self._program = program
        self._guards = guards
        self._environment = environment

    def batch(self, batch: Batch, out: list[Any]) -> tuple[Any, list[int]]:
        """What comes of a batch: documents and the index in the batch of each, or the partial result of a combine.

        Dead letters are added to ``out``. Raises :class:`~fluxion_flow.runtime.failure.RunFailed`.
        """
        entries: list[Entry] = [(document, index, 0) for index, document in enumerate(batch.documents)]
        letters = len(out)
        for k, guard in enumerate(self._guards):
            step = self._program.step(k)
            size_in = len(entries)
            guard.context.partition, guard.context.position = batch.partition, batch.position
            stage = _Combine(self, step, batch) if step.combine is not None else _Stage(self, step, batch)
            entries = self._documents(guard, stage, entries, out) if guard.by_document else self._whole(guard, stage, entries, out)
            tell_stage(guard, size_in, 0 if step.combine is not None else len(entries), None)
            if step.combine is not None:
                return stage.partial(entries), []
        _join(out, letters)
        return [entry[0] for entry in entries], [entry[1] for entry in entries]

    def _whole(self, guard: Guard, stage: _Stage, entries: list[Entry], out: list[Any]) -> list[Entry]:
        def attempt(number: int) -> list[Entry]:
            found, failures = stage.run(entries, first=True)
            if failures:
                raise next(iter(failures.values()))
            return found

        try:
            found: list[Entry] = guard.attempt(attempt)
        except GaveUp as gave_up:
            _give_up(guard, gave_up, stage.batch, entries, out)
            return []
        guard.runner.settled(len(entries), 0)
        return found

    def _documents(self, guard: Guard, stage: _Stage, entries: list[Entry], out: list[Any]) -> list[Entry]:
        if guard.runner.breaker is not None:
            return self._each(guard, stage, entries, out)
        lost: dict[int, GaveUp] = {}
        found, failures = stage.run(entries)
        attempt, now = 1, int(time.time() * 1000)
        again = self._decide(guard, failures, attempt, now, stage.batch, entries, lost)
        while again:
            delay, waiting = again
            guard.wait(delay, attempt, failures[waiting[0]])
            attempt += 1
            more, failed = stage.run([entries[i] for i in waiting])
            failures = {waiting[i]: error for i, error in failed.items()}
            found = _merged(found, more)
            again = self._decide(guard, failures, attempt, now, stage.batch, entries, lost)
        guard.runner.settled(len(entries) - len(lost), 0)
        for index, gave_up in sorted(lost.items()):
            _give_up(guard, gave_up, stage.batch, [entries[index]], out)
        return found

    def _decide(
        self,
        guard: Guard,
        failures: Failures,
        attempt: int,
        since: int,
        batch: Batch,
        entries: list[Entry],
        lost: dict[int, GaveUp],
    ) -> tuple[float, list[int]] | None:
        """What of these failures is to be tried again, after how many seconds; the others go to ``lost``."""
        waiting: list[int] = []
        delay = 0.0
        for index, error in failures.items():
            decision = guard.runner.failed(error, attempt)
            if decision.kind == "retry":
                waiting.append(index)
                delay = max(delay, decision.delay)
                continue
            error.index = 0
            lost[index] = GaveUp(decision, error, attempt, since, step=guard.step)
            if decision.kind == "abort":
                guard.failed(lost[index], batch, [entries[index]], code="stage")
        return (delay, waiting) if waiting else None

    def _each(self, guard: Guard, stage: _Stage, entries: list[Entry], out: list[Any]) -> list[Entry]:
        """Every document is a call of its own, which the breaker counts."""
        found: list[Entry] = []
        for entry in entries:

            def attempt(number: int, entry: Entry = entry) -> list[Entry]:
                made, failures = stage.run([entry])
                if failures:
                    raise failures[0]
                return made

            try:
                made: list[Entry] = guard.attempt(attempt)
            except GaveUp as gave_up:
                _give_up(guard, gave_up, stage.batch, [entry], out)
                continue
            guard.runner.settled(1, 0)
            found += made
        return _merged(found, [])


class _Stage:
    """One stage for the documents of one batch."""

    def __init__(self, careful: Careful, step: Program, batch: Batch) -> None:
        self._environment = careful._environment
        self._step = step
        self.batch = batch

    def run(self, entries: list[Entry], *, first: bool = False) -> tuple[list[Entry], Failures]:
        """What the stage makes of documents, and the failures of those that it cannot take."""
        env = self._environment(self.batch, entries)
        documents, indexes, errors = traced(self._step, [entry[0] for entry in entries], env, first=first)
        origins = [entries[index][1] for index in indexes]
        numbers = numbers_among(origins)
        return list(zip(documents, origins, numbers, strict=True)), {error.index: error for error in errors}

    def partial(self, entries: list[Entry]) -> Any:
        """Only a combine has one."""
        raise TypeError(f"{self._step} has no combine")


class _Combine(_Stage):
    """The combine at the end of a program: it lets documents pass that it can take."""

    def run(self, entries: list[Entry], *, first: bool = False) -> tuple[list[Entry], Failures]:
        good: list[Entry] = []
        failures: Failures = {}
        for index, entry in enumerate(entries):
            try:
                self.partial([entry])
            except DocumentError as error:
                error.index = index
                failures[index] = error
                if first:
                    break
            else:
                good.append(entry)
        return good, failures

    def partial(self, entries: list[Entry]) -> Any:
        return self._step.run([entry[0] for entry in entries], self._environment(self.batch, entries))


def tell_stage(guard: Guard, size_in: int, size_out: int, nanoseconds: int | None) -> None:
    """Tell the listeners how many documents went into a stage and came out."""
    guard.run.listeners.tell(
        "on_stage", guard.context, stage=guard.step, size_in=size_in, size_out=size_out, nanoseconds=nanoseconds
    )


def _merged(one: list[Entry], other: list[Entry]) -> list[Entry]:
    """Both in the order of the batch, numbered anew."""
    both = sorted([*one, *other], key=lambda entry: entry[1]) if other else one
    numbers = numbers_among([entry[1] for entry in both])
    return [(document, index, number) for (document, index, _), number in zip(both, numbers, strict=True)]


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


__all__ = ["Careful", "Entry", "place_of", "tell_stage"]
