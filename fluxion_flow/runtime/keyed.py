"""Keyed and whole stages as Bytewax state: groups by logical partition, and the gathering of a bounded input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.stages.shapes import Keyed, Whole
from .failure import RunFailed
from .items import Completed, Completion, Ordered, Partial, to_part
from .run import DERIVED, Run
from .snapshots import pack, unpack

STATE_VERSION = 1


class GroupStep:
    """Builds the state of a keyed stage's partitions; ``emit`` is ``"update"`` or ``"final"``."""

    def __init__(self, run: Run, step: str, stage: Keyed, *, emit: str, partitions: int, ordered: bool) -> None:
        self.run = run
        self.step = step
        self.stage = stage
        self.emit = emit
        self.partitions = partitions
        self.ordered = ordered

    def __call__(self, resume: Any) -> GroupLogic:
        return GroupLogic(self, resume)


class GroupLogic(StatefulBatchLogic[Any, Any, Any]):
    """One logical partition of a keyed stage."""

    def __init__(self, step: GroupStep, resume: Any) -> None:
        self._step = step
        self._state = step.stage.state(ordered=step.ordered)
        self._completion = Completion()
        self._sequence = 0
        self._part = ""
        self._timestamp = 0
        self._told = False
        """Whether what is held has left already: a run may end between its last epoch and its exit, and be resumed."""
        if resume is not None:
            self._part, self._sequence, self._timestamp = resume["part"], resume["sequence"], resume["timestamp"]
            self._told = resume["told"]
            self._state.load(unpack(resume["state"]))

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        changed: dict[Any, None] = {}
        for part, item in values:
            self._part = part
            if item.__class__ is Partial:
                self._told = False
                self._timestamp = max(self._timestamp, item.timestamp)
                changed.update(dict.fromkeys(self._state.merge(item.groups, item.origin, item.position, item.indexes)))
            elif item.__class__ is Completed and self._completion.heard(item):
                if self._step.emit == "final" and not self._told:
                    self._final(out)
                    self._told = True
                elif self._step.emit == "update":
                    self._updated(list(changed), out)
                    changed = {}
                out.append(Completed(self._step.step, self._part, self._step.partitions))
        if changed and self._step.emit == "update":
            self._updated(list(changed), out)
        return out, StatefulBatchLogic.RETAIN

    def _updated(self, keys: list[Any], out: list[Any]) -> None:
        if keys:
            out.append(self._batch(self._state.documents(keys)))

    def _final(self, out: list[Any]) -> None:
        documents = self._state.documents()
        if self._step.ordered:
            out.append(Ordered(documents, self._state.order()))
            return
        size = self._step.run.batch_size
        out += [self._batch(documents[start : start + size]) for start in range(0, len(documents), size)]

    def _batch(self, documents: list[Document]) -> Batch:
        self._sequence += 1
        partition = f"{self._step.step}/{int(self._part):05d}"
        return Batch(documents, partition, self._sequence, (), self._timestamp, [], {DERIVED: True})

    def snapshot(self) -> Any:
        state = pack(self._state.dump())
        run = self._step.run
        if run.listeners.wants("on_state"):
            context = run.context(self._step.step)
            context.partition = self._part
            run.listeners.tell("on_state", context, keys=len(self._state), size=len(state))
        return {
            "v": STATE_VERSION,
            "part": self._part,
            "sequence": self._sequence,
            "timestamp": self._timestamp,
            "told": self._told,
            "keys": len(self._state),
            "state": state,
        }


class GatherStep:
    """Builds the memory of a stage that needs every document: they are kept, put in order, and run at completion."""

    def __init__(self, run: Run, step: str, stages: Sequence[Whole]) -> None:
        self.run = run
        self.step = step
        self.stages = list(stages)

    def __call__(self, resume: Any) -> GatherLogic:
        return GatherLogic(self, resume)


class GatherLogic(StatefulBatchLogic[Any, Any, Any]):
    """All documents of a bounded source, in the order of an offline run."""

    def __init__(self, step: GatherStep, resume: Any) -> None:
        self._step = step
        self._completion = Completion()
        self._chunks: list[tuple[tuple[str, int, int], list[Document]]] = []
        self._timestamp = 0
        self._told = False
        if resume is not None:
            self._told = resume["told"]
            self._chunks = [((c[0][0], c[0][1], c[0][2]), c[1]) for c in unpack(resume["state"])]
            self._timestamp = resume["timestamp"]

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        for _, item in values:
            if item.__class__ is not Completed:
                self._told = False
            if item.__class__ is Batch:
                self._timestamp = max(self._timestamp, item.timestamp)
                self._chunks.append(((item.partition, item.position, 0), item.documents))
            elif item.__class__ is Ordered:
                self._chunks += [(place, [d]) for place, d in zip(item.places, item.documents, strict=True)]
            elif item.__class__ is Completed and self._completion.heard(item):
                if not self._told:
                    self._finish(out)
                    self._told = True
                out.append(Completed(self._step.step, "0", 1))
        return out, StatefulBatchLogic.RETAIN

    def _finish(self, out: list[Any]) -> None:
        self._chunks.sort(key=lambda chunk: chunk[0])
        documents = [d for _, chunk in self._chunks for d in chunk]
        env = Environment(partition="0", timestamp=self._timestamp, seed=self._step.run.seed)
        for stage in self._step.stages:
            try:
                documents = stage.run(documents, env)
            except Exception as error:  # noqa: BLE001 - a stage that needs everything has nothing to leave out
                raise RunFailed(self._step.run.pipeline, str(stage.where), error) from None
        size = self._step.run.batch_size
        for start in range(0, len(documents), size):
            chunk = documents[start : start + size]
            out.append(Batch(chunk, self._step.step, start, (), self._timestamp, [], {DERIVED: True}))

    def snapshot(self) -> Any:
        return {"v": STATE_VERSION, "timestamp": self._timestamp, "told": self._told, "state": pack(self._chunks)}


def route_to_gather(items: list[Any]) -> list[Any]:
    """Everything but dead letters goes to the one part of a gathering step."""
    out = []
    for item in items:
        if item.__class__ is tuple:
            item = item[1]
        if item.__class__ is Batch and item.positions:
            item = replace(item, positions=())  # the order of batches is enough, and positions may be costly to find
        out.append(to_part("0", item) if item.__class__ in (Batch, Completed, Ordered) else item)
    return out
