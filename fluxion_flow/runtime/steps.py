"""A run of per-document stages as one Bytewax step: the fused fast path, and behind it the policies, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..connect.expressions import environment
from ..connect.spi import Batch
from ..core.environment import Environment
from ..core.outside import Answers
from ..core.program import DocumentError, Program
from ..core.rows import Rows
from ..core.tracing import Origins, traced
from ..policy.engine import Interrupted
from ..policy.model import StreamingErrorPolicy
from .careful import Careful, Entry, tell_stage
from .items import Completed, Partial, Shares, to_part
from .run import Guard, PerWorker, Run, position_in

TIME_EVERY = 64
"""One batch in so many is run stage by stage with a clock between the stages."""

FIRST_TIMED = 4
"""The first batch that is: the ones before it are slow, because everything is new."""


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
        self._joins = program.accumulates
        """Whether batches of one partition that come together give one result together."""
        self._worker = PerWorker(self._make_worker)

    def _make_worker(self) -> _StageWorker:
        return _StageWorker(self._run, self.program, self._names, self._policies)

    def __call__(self, items: list[Any]) -> list[Any]:
        worker: _StageWorker = self._worker()
        out: list[Any] = []
        try:
            self._run_items(worker, items, out)
        finally:
            worker.tell_stages()
        return out

    def _run_items(self, worker: _StageWorker, items: list[Any], out: list[Any]) -> None:
        together: list[Batch] = []
        for item in items:
            if item.__class__ is tuple:
                item = item[1]
            if item.__class__ is Batch:
                if together and (not self._joins or together[0].partition != item.partition):
                    worker.batches(together, out)
                    together = []
                together.append(item)
            else:
                worker.batches(together, out)
                together = []
                out.append(item)
        worker.batches(together, out)


class CombineStep(StageStep):
    """A program that ends in a keyed stage's combine: batches become partial results for its partitions."""

    def __init__(
        self,
        run: Run,
        program: Program,
        names: Sequence[str],
        policies: Sequence[StreamingErrorPolicy],
        partitions: int,
        ordered: bool,
        *,
        timed: bool = False,
    ) -> None:
        """``timed``: the time of each batch matters, so that no two may be joined."""
        super().__init__(run, program, names, policies)
        self._joins = self._joins and not timed
        self._partitions = partitions
        self._ordered = ordered

    def __call__(self, items: list[Any]) -> list[Any]:
        assert self.program.combine is not None
        out: list[Any] = []
        for item in super().__call__(items):
            if item.__class__ is Completed:
                out += [to_part(str(number), item) for number in range(self._partitions)]
            elif item.__class__ is Partial:
                index = {key: i for i, key in enumerate(item.groups)} if self._ordered else {}
                for n, groups in self.program.combine.split(item.groups, self._partitions).items():
                    indexes = [index[key] for key in groups] if self._ordered else None
                    part = Partial(groups, item.origin, item.position, item.timestamp, indexes)
                    out.append(to_part(str(n), part))
            else:
                out.append(item)
        return out


class _StageWorker:
    """The step on one worker."""

    def __init__(self, run: Run, program: Program, names: list[str], policies: list[StreamingErrorPolicy]) -> None:
        self._run = run
        self._program = program
        self._shares = program.combine is not None and program.shares
        self._names = names
        self._context = run.context(names[0] if names else "stages")
        self._guards = [
            Guard(run, name, policy, run.context(name)) for name, policy in zip(names, policies, strict=True)
        ]
        self._careful = Careful(program, self._guards, self._environment, self._again)
        self._watched = any(guard.runner.breaker is not None for guard in self._guards)
        """Whether a circuit breaker counts every call and may hold one back, so that all batches go stage by stage."""
        self._multiplies = program.multiplies
        self._count = TIME_EVERY - FIRST_TIMED
        self._counted = run.listeners.wants("on_stage")
        self._passed = [[0, 0] for _ in names]
        """Documents into and out of each stage that the listeners have not been told of yet."""
        self._answers: Answers | None = None
        """What the outside has answered for the batch at hand, where the program asks it."""

    def batches(self, batches: list[Batch], out: list[Any]) -> None:
        """Run batches of one partition; where the program combines, they give one result."""
        timed = self._counted and (self._count + len(batches)) // TIME_EVERY > self._count // TIME_EVERY
        if len(batches) > 1 and not self._watched and not timed:
            with contextlib.suppress(DocumentError):  # a document fails: each batch by itself then
                self._combined(batches, out)
                return
        for batch in batches:
            self.batch(batch, out)

    def _combined(self, batches: list[Batch], out: list[Any]) -> None:
        started = time.perf_counter()
        partial = self._program.fresh()
        passed = []
        for batch in batches:
            env = self._environment(batch)
            self._program.run(batch.documents, env, partial)
            passed.append((len(batch.documents), env.changes))
        self._count += len(batches)
        for size, changes in passed:
            self._count_stages(size, changes)
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
        size_in = len(batch.documents)
        self._answers = self._run.answers(self._context) if self._program.asks else None
        try:
            result, indexes = self._careful.batch(batch, out) if self._watched else self._fast(batch)
        except DocumentError:
            result, indexes = self._careful.batch(batch, out)
        except Interrupted as error:
            raise self._guards[0].interrupted(error) from None
        whole: Any = batch.documents
        if whole.__class__ is Rows and result.__class__ is list and indexes is not None and self._program.passes:
            result = whole.taken(indexes)
        size_out = self._pass_on(result, batch, out, indexes)
        seconds = time.perf_counter() - started
        self._run.listeners.tell("on_batch", self._context, seconds=seconds, size_in=size_in, size_out=size_out)

    def _fast(self, batch: Batch) -> tuple[Any, Sequence[int] | None]:
        """All stages at once, one batch in so many stage by stage. Raises :class:`DocumentError`.

        What comes of the batch, and the index in it of each; ``None`` where every document came out in its place.
        """
        if self._program.asks:
            return self._asked(batch)
        size = len(batch.documents)
        indexes: Sequence[int] | None = None
        if self._counted and self._count % TIME_EVERY == 0:
            result, indexes = self._timed(batch)
        else:
            env = self._environment(batch)
            if batch.clock is not None and self._program.combine is None and not self._program.keeps:
                pairs = self._program.indexed.run(batch.documents, env)
                result, indexes = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            else:
                result = self._program.run(batch.documents, env)
                if result.__class__ is Rows:
                    indexes = result.indexes
                elif self._multiplies or len(result) != size:
                    indexes = Origins(len(result), lambda: self._origins(batch, len(result)))
            self._count_stages(size, env.changes)
        self._settled(size)
        return result, indexes

    def _asked(self, batch: Batch) -> tuple[Any, Sequence[int] | None]:
        """Through a stage that asks the outside. Raises :class:`DocumentError`; the answers so far are kept."""
        started = time.perf_counter_ns()
        size = len(batch.documents)
        result, indexes, failures = traced(self._program, batch.documents, self._environment(batch))
        if failures:
            raise failures[0]
        if self._run.listeners.wants("on_stage"):
            tell_stage(self._guards[0], size, len(result), time.perf_counter_ns() - started)
        self._settled(size)
        return result, indexes

    def _again(self) -> None:
        """A further attempt begins: what had no answer is asked again."""
        if self._answers is not None:
            self._answers.forget_failures()

    def _origins(self, batch: Batch, size: int) -> list[int]:
        """The indexes of the documents that the program made those of a batch of, found by running it again."""
        documents, indexes, _ = traced(self._program, batch.documents, self._environment(batch))
        if len(documents) != size:  # a function that does not depend on its arguments alone
            return [0] * size
        return indexes

    def _pass_on(self, result: Any, batch: Batch, out: list[Any], indexes: Sequence[int] | None = None) -> int:
        if self._program.combine is not None:
            if result:
                kind = Shares if self._shares else Partial
                out.append(kind(result, batch.partition, batch.position, batch.timestamp))
        elif result or batch.clock is not None:  # an empty batch still tells how far its partition has come
            if indexes is None:
                out.append(replace(batch, documents=result))
            else:
                places: Sequence[int] = indexes
                positions = Origins(len(result), lambda: [position_in(batch, index) for index in places])
                clock = None if batch.clock is None else batch.clock.at(places)
                out.append(replace(batch, documents=result, positions=positions, clock=clock))
        return len(result)

    def _environment(self, batch: Batch, entries: list[Entry] | None = None) -> Environment:
        positions = batch.positions if entries is None else [position_in(batch, index) for _, index, _ in entries]
        seed, context = self._run.seed, self._context
        return environment(batch, positions=positions, seed=seed, context=context, answers=self._answers)

    def _settled(self, documents: int) -> None:
        for guard in self._guards:
            guard.runner.settled(documents, 0)

    def _count_stages(self, size: int, changes: list[int]) -> None:
        last = len(changes)
        for k, passed in enumerate(self._passed):
            passed[0] += size
            size = size + changes[k] if k < last else 0
            passed[1] += size

    def tell_stages(self) -> None:
        """Tell the listeners what has gone through the stages since they were last told: once an activation."""
        if not self._counted:
            return
        for guard, passed in zip(self._guards, self._passed, strict=True):
            if passed[0]:
                tell_stage(guard, passed[0], passed[1], None)
                passed[0] = passed[1] = 0

    def _timed(self, batch: Batch) -> tuple[Any, list[int]]:
        """The same result, stage by stage, with the time of each. Raises :class:`DocumentError`, telling nothing."""
        documents: Any = batch.documents
        origins = list(range(len(documents)))
        facts: list[tuple[int, int, int]] = []
        for k in range(len(self._guards)):
            started = time.perf_counter_ns()
            step = self._program.step(k)
            env = self._environment(batch)
            env.positions = [position_in(batch, index) for index in origins]
            if step.combine is not None:
                result: Any = step.run(documents, env)
                facts.append((len(documents), 0, time.perf_counter_ns() - started))
            else:
                result, indexes, failures = traced(step, documents, env, first=True)
                if failures:
                    raise failures[0]
                origins = [origins[index] for index in indexes]
                facts.append((len(documents), len(result), time.perf_counter_ns() - started))
            documents = result
        for guard, (size_in, size_out, spent) in zip(self._guards, facts, strict=True):
            tell_stage(guard, size_in, size_out, spent)
        return documents, origins
