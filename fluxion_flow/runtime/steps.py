"""A run of per-document stages as one Bytewax step: the fused fast path, and behind it the policies, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.program import DocumentError, Program
from ..policy.engine import GaveUp
from ..policy.model import StreamingErrorPolicy
from .items import Completed, Partial, to_part
from .run import Guard, PerWorker, Run, place_of

TIME_EVERY = 64
"""One batch in so many is run stage by stage with a clock between the stages."""

Entry = tuple[Document, int, int]
"""A document on its way, the index in the batch of the document it came from, and its number among those of that one."""


class StageStep:
    """Maps the items of a stream through a program. Called by all workers of a process, it keeps state by worker."""

    def __init__(
        self, run: Run, program: Program, names: Sequence[str], policies: Sequence[StreamingErrorPolicy]
    ) -> None:
        """``names`` and ``policies`` hold one entry a stage; a combine at the end has one too."""
        self._run = run
        self.program = program
        self._names = list(names)
        self._policies = list(policies)
        self._worker = PerWorker(self._make_worker)

    def _make_worker(self) -> _StageWorker:
        return _StageWorker(self._run, self.program, self._names, self._policies)

    def __call__(self, items: list[Any]) -> list[Any]:
        worker: _StageWorker = self._worker()
        out: list[Any] = []
        together: list[Batch] = []
        for item in items:
            if item.__class__ is tuple:
                item = item[1]
            if item.__class__ is Batch:
                if together and (not self.program.accumulates or together[0].partition != item.partition):
                    worker.batches(together, out)
                    together = []
                together.append(item)
            else:
                worker.batches(together, out)
                together = []
                out.append(item)
        worker.batches(together, out)
        return out


class CombineStep(StageStep):
    """A program that ends in a keyed stage's combine: batches become partial results for its partitions."""

    def __init__(
        self,
        run: Run,
        program: Program,
        names: Sequence[str],
        policies: Sequence[StreamingErrorPolicy],
        partitions: int,
    ) -> None:
        super().__init__(run, program, names, policies)
        self._partitions = partitions

    def __call__(self, items: list[Any]) -> list[Any]:
        assert self.program.combine is not None
        out: list[Any] = []
        for item in super().__call__(items):
            if item.__class__ is Completed:
                out += [to_part(str(number), item) for number in range(self._partitions)]
            elif item.__class__ is Partial:
                parts = self.program.combine.split(item.groups, self._partitions)
                for n, groups in parts.items():
                    out.append(to_part(str(n), Partial(groups, item.origin, item.position, item.timestamp)))
            else:
                out.append(item)
        return out


class _StageWorker:
    """The step on one worker."""

    def __init__(self, run: Run, program: Program, names: list[str], policies: list[StreamingErrorPolicy]) -> None:
        self._run = run
        self._program = program
        self._names = names
        self._context = run.context(names[0] if names else "stages")
        self._guards = [
            Guard(run, name, policy, run.context(name)) for name, policy in zip(names, policies, strict=True)
        ]
        self._resumable = program.combine is None and all(g.by_document for g in self._guards)
        self._count = 0

    def batches(self, batches: list[Batch], out: list[Any]) -> None:
        """Run batches of one partition; where the program combines, they give one partial result."""
        if len(batches) > 1:
            with contextlib.suppress(DocumentError):  # a document fails: each batch by itself then
                self._combined(batches, out)
                return
        for batch in batches:
            self.batch(batch, out)

    def _combined(self, batches: list[Batch], out: list[Any]) -> None:
        started = time.perf_counter()
        partial: dict[Any, Any] = {}
        passed = []
        for batch in batches:
            env = self._environment(batch)
            self._program.run(batch.documents, env, partial)
            passed.append((len(batch.documents), env.changes))
        for size, changes in passed:
            self._tell_stages(size, changes)
            self._settled(size)
        size_in = sum(size for size, _ in passed)
        size_out = self._pass_on(partial, batches[0], out)
        seconds = time.perf_counter() - started
        self._context.partition, self._context.position = batches[0].partition, batches[0].position
        self._run.listeners.tell("on_batch", self._context, seconds=seconds, size_in=size_in, size_out=size_out)

    def batch(self, batch: Batch, out: list[Any]) -> None:
        """Run a batch; what comes of it, and dead letters, are added to ``out``."""
        started = time.perf_counter()
        self._context.partition, self._context.position = batch.partition, batch.position
        self._count += 1
        timed = self._count % TIME_EVERY == 0 and self._run.listeners.wants("on_stage")
        size_in = len(batch.documents)
        env = self._environment(batch)
        try:
            if timed:
                result = self._timed(batch)
            else:
                result = self._program.run(batch.documents, env)
                self._tell_stages(size_in, env.changes)
            self._settled(size_in)
        except DocumentError:
            result = self._carefully(batch, out)
        size_out = self._pass_on(result, batch, out)
        seconds = time.perf_counter() - started
        self._run.listeners.tell("on_batch", self._context, seconds=seconds, size_in=size_in, size_out=size_out)

    def _pass_on(self, result: Any, batch: Batch, out: list[Any]) -> int:
        if self._program.combine is not None:
            if result:
                out.append(Partial(result, batch.partition, batch.position, batch.timestamp))
            return len(result)
        if result:
            made = result is not batch.documents
            out.append(
                Batch(result, batch.partition, batch.position, (), batch.timestamp, [], batch.meta) if made else batch
            )
        return len(result)

    def _environment(self, batch: Batch, entries: list[Entry] | None = None) -> Environment:
        positions: Sequence[int] = batch.positions
        if entries is not None:
            places = [place_of(batch, index) for _, index, _ in entries]
            positions = [batch.position if place is None else place for place in places]
        return Environment(
            partition=batch.partition,
            position=batch.position,
            positions=positions,
            timestamp=batch.timestamp,
            seed=self._run.seed,
            meta={"stream": {"source": batch.meta.get("source", {})}},
        )

    def _settled(self, documents: int) -> None:
        for guard in self._guards:
            guard.runner.settled(documents, 0)

    def _tell_stages(self, size: int, changes: list[int]) -> None:
        if not self._run.listeners.wants("on_stage"):
            return
        for guard, change in zip(self._guards, changes, strict=False):
            after = size + change
            self._run.listeners.tell(
                "on_stage", guard.context, stage=guard.step, size_in=size, size_out=after, nanoseconds=None
            )
            size = after

    def _timed(self, batch: Batch) -> Any:
        """The same result, stage by stage, with the time of each."""
        documents: Any = batch.documents
        entries: list[Entry] = [(d, i, 0) for i, d in enumerate(documents)]
        for k, guard in enumerate(self._guards):
            started = time.perf_counter_ns()
            step = self._program.step(k)
            if step.combine is not None:
                result: Any = step.run([e[0] for e in entries], self._environment(batch, entries))
                after = len(result)
            else:
                result = entries = self._one_by_one(step, entries, batch)
                after = len(entries)
            spent = time.perf_counter_ns() - started
            self._run.listeners.tell(
                "on_stage", guard.context, stage=guard.step, size_in=len(documents), size_out=after, nanoseconds=spent
            )
            documents = result
        return documents if self._program.combine is not None else [e[0] for e in entries]

    def _one_by_one(self, step: Program, entries: list[Entry], batch: Batch) -> list[Entry]:
        """One stage over documents, keeping track of the record that each document came from.

        Raises :class:`DocumentError` whose index counts ``entries``.
        """
        env = self._environment(batch, entries)
        env.start([e[0] for e in entries], 1)
        found: list[Entry] = []
        numbers: Counter[int] = Counter()
        for i, (document, index, _) in enumerate(entries):
            env.at(i)
            out: list[Document] = []
            step.one(document, out, env)
            for made in out:
                found.append((made, index, numbers[index]))
                numbers[index] += 1
        return found

    # -- the slow path: a batch in which a stage failed ---------------------------------------------------------

    def _carefully(self, batch: Batch, out: list[Any]) -> Any:
        entries: list[Entry] = [(d, i, 0) for i, d in enumerate(batch.documents)]
        for k, guard in enumerate(self._guards):
            step = self._program.step(k)
            guard.context.partition, guard.context.position = batch.partition, batch.position
            if step.combine is not None:
                return self._combine(guard, step, entries, batch, out)
            if guard.by_document:
                entries = self._documents(guard, step, entries, batch, out)
            else:
                entries = self._whole_batch(guard, step, entries, batch, out)
        return [e[0] for e in entries]

    def _whole_batch(
        self, guard: Guard, step: Program, entries: list[Entry], batch: Batch, out: list[Any]
    ) -> list[Entry]:
        try:
            found: list[Entry] = guard.attempt(lambda attempt: self._one_by_one(step, entries, batch))
        except GaveUp as gave_up:
            self._give_up(guard, gave_up, batch, entries, out)
            return []
        guard.runner.settled(len(entries), 0)
        return found

    def _documents(
        self, guard: Guard, step: Program, entries: list[Entry], batch: Batch, out: list[Any]
    ) -> list[Entry]:
        found: list[Entry] = []
        for entry in entries:
            one = [entry]
            try:
                made = self._one_by_one(step, one, batch)
            except DocumentError:
                try:
                    made = guard.attempt(lambda attempt, one=one: self._one_by_one(step, one, batch))
                except GaveUp as gave_up:
                    self._give_up(guard, gave_up, batch, one, out)
                    continue
            guard.runner.settled(1, 0)
            found += made
        return found

    def _combine(self, guard: Guard, step: Program, entries: list[Entry], batch: Batch, out: list[Any]) -> Any:
        def combined(chosen: list[Entry]) -> Any:
            return step.run([e[0] for e in chosen], self._environment(batch, chosen))

        if not guard.by_document:
            try:
                result = guard.attempt(lambda attempt: combined(entries))
            except GaveUp as gave_up:
                self._give_up(guard, gave_up, batch, entries, out)
                return {}
            guard.runner.settled(len(entries), 0)
            return result
        good: list[Entry] = []
        for entry in entries:
            one = [entry]
            try:
                guard.attempt(lambda attempt, one=one: combined(one))
            except GaveUp as gave_up:
                self._give_up(guard, gave_up, batch, one, out)
                continue
            guard.runner.settled(1, 0)
            good.append(entry)
        return combined(good)

    def _give_up(self, guard: Guard, gave_up: GaveUp, batch: Batch, entries: list[Entry], out: list[Any]) -> None:
        letters = guard.failed(gave_up, batch, entries, code="stage")
        if letters is not None:
            out.append(letters)
