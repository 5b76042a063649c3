"""Stages that need every document, as Bytewax state: a bounded input is gathered, ordered, and run at completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.stages.shapes import Whole
from .chunks import ChunkedLogic, Ledger, Vault
from .failure import RunFailed
from .items import Completed, Completion, Ordered, as_plain, from_plain, to_part
from .limits import Limits, Watched
from .manifest import IncompatibleCheckpoint
from .run import DERIVED, Run
from .snapshots import pack, unpack

STATE_VERSION = 2
"""Version 1 held all documents in each row; it can still be resumed from."""

PART = "0"
"""The only part of a gathering step."""


class GatherStep:
    """Builds the memory of a stage that needs every document: they are kept, put in order, and run at completion."""

    def __init__(self, run: Run, step: str, stages: Sequence[Whole], limits: Limits) -> None:
        self.run = run
        self.step = step
        self.stages = list(stages)
        self.vault = Vault()
        self.watched = Watched(run, step, limits, "documents")

    def __call__(self, resume: Any) -> GatherLogic:
        return GatherLogic(self, resume)


class GatherLogic(ChunkedLogic):
    """All documents of a bounded source, in the order of an offline run."""

    def __init__(self, step: GatherStep, resume: Any) -> None:
        super().__init__(step.run.pipeline, step.step)
        self._step = step
        self._completion = Completion()
        self._chunks: list[tuple[tuple[str, int, int], list[Document]]] = []
        self._count = 0
        """How many documents are held."""
        self._packed = 0
        """How many of the chunks have been packed."""
        self._fresh = 0
        """How many documents the others hold."""
        self._timestamp = 0
        self._told = False
        self._row: dict[str, Any] | None = None
        if resume is not None:
            resume = _upgraded(resume, step.step)
            self._told, self._timestamp = resume["told"], resume["timestamp"]
            self._row = resume
            self._early = [from_plain(item) for item in unpack(resume["early"])] if resume["early"] else []
        self._ledger = Ledger(self._pack_fresh, self._pack_all, resume)

    def _ready(self) -> bool:
        if self._row is None:
            return True
        if not self._step.vault.has(PART, self._ledger.slots):
            return False
        self._row = None
        for piece in [*self._step.vault.take(PART, self._ledger.slots), *self._ledger.pending]:
            self._chunks += [((c[0][0], c[0][1], c[0][2]), c[1]) for c in unpack(piece)]
        self._packed = len(self._chunks)
        self._count = sum(len(documents) for _, documents in self._chunks)
        return True

    def _take(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        for item in items:
            if item.__class__ is not Completed:
                self._told = False
            if item.__class__ is Batch:
                self._timestamp = max(self._timestamp, item.timestamp)
                self._gather([((item.partition, item.position, 0), item.documents)])
            elif item.__class__ is Ordered:
                self._gather([(place, [d]) for place, d in zip(item.places, item.documents, strict=True)])
            elif item.__class__ is Completed and self._completion.heard(item):
                if not self._told:
                    self._finish(out)
                    self._told = True
                out.append(Completed(self._step.step, PART, 1))
        self._step.watched.keys(PART, self._count)
        return out + self._ledger.moved(PART, self._fresh, self._count)

    def _gather(self, chunks: list[tuple[tuple[str, int, int], list[Document]]]) -> None:
        self._chunks += chunks
        added = sum(len(documents) for _, documents in chunks)
        self._count += added
        self._fresh += added

    def _finish(self, out: list[Any]) -> None:
        documents = [d for _, chunk in sorted(self._chunks, key=lambda chunk: chunk[0]) for d in chunk]
        env = Environment(partition=PART, timestamp=self._timestamp, seed=self._step.run.seed)
        for stage in self._step.stages:
            try:
                documents = stage.run(documents, env)
            except Exception as error:  # noqa: BLE001 - a stage that needs everything has nothing to leave out
                raise RunFailed(self._step.run.pipeline, str(stage.where), error) from None
        size = self._step.run.batch_size
        for start in range(0, len(documents), size):
            chunk = documents[start : start + size]
            out.append(Batch(chunk, self._step.step, start, (), self._timestamp, [], {DERIVED: True}))

    def _pack_fresh(self) -> bytes:
        fresh = self._chunks[self._packed :]
        self._packed, self._fresh = len(self._chunks), 0
        return pack(fresh)

    def _pack_all(self) -> bytes:
        self._packed, self._fresh = len(self._chunks), 0
        return pack(self._chunks)

    def snapshot(self) -> Any:
        if self._row is not None:
            return {**self._row, "early": pack([as_plain(item) for item in self._early]) if self._early else b""}
        self._ledger.end_epoch(self._fresh, self._count)
        self._step.watched.written(PART, self._count, self._ledger.size, self._ledger.size)
        return {
            "v": STATE_VERSION,
            "timestamp": self._timestamp,
            "told": self._told,
            "keys": self._count,
            "early": b"",
            **self._ledger.row(),
        }


def _upgraded(row: Any, step: str) -> dict[str, Any]:
    """A stored row in the present form. Raises :class:`IncompatibleCheckpoint` for one of a later version."""
    if row["v"] == 1:
        count = sum(len(documents) for _, documents in unpack(row["state"]))
        ledger = {"chunks": [], "pieces": [row["state"]], "count": count, "behind": 0, "dropped": []}
        return {**row, "v": STATE_VERSION, "keys": count, "early": b"", **ledger}
    if row["v"] != STATE_VERSION:
        raise IncompatibleCheckpoint.of_version(step, row["v"], STATE_VERSION)
    found: dict[str, Any] = row
    return found


def route_to_gather(items: list[Any]) -> list[Any]:
    """Everything but dead letters goes to the one part of a gathering step."""
    out = []
    for item in items:
        if item.__class__ is tuple:
            item = item[1]
        if item.__class__ is Batch and item.positions:
            item = replace(item, positions=())  # the order of batches is enough, and positions may be costly to find
        out.append(to_part(PART, item) if item.__class__ in (Batch, Completed, Ordered) else item)
    return out
