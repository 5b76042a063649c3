"""Stages in the order of event time, on the side of the state: documents wait until the watermark has passed them."""

from __future__ import annotations

from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.program import DocumentError
from ..core.stages.in_order import FOREVER, InOrder
from ..core.stages.windowed import Piece
from ..policy.engine import GaveUp
from .items import Completed
from .limits import Limits, Watched
from .run import DERIVED, Guard, Run
from .snapshots import pack, unpack
from .watermark import Watermark, tell_watermark
from .windows import WindowPlace, late

STATE_VERSION = 1

LESS = "or hold less: fewer keys, less allowedLateness, or a shorter look back"


class OrderStep:
    """Builds the logical partitions of a step in the order of event time."""

    def __init__(self, run: Run, place: WindowPlace, limits: Limits) -> None:
        self.run = run
        self.place = place
        self.watched = Watched(run, place.step, limits, advice=LESS)

    def __call__(self, resume: Any) -> OrderLogic:
        return OrderLogic(self, resume)


class OrderLogic(StatefulBatchLogic[Any, Any, Any]):
    """One logical partition."""

    def __init__(self, step: OrderStep, resume: Any) -> None:
        self._run = step.run
        self._watched = step.watched
        self._place = step.place
        assert isinstance(step.place.stage, InOrder)
        self._waiting = step.place.stage.memory()
        self._watermark = Watermark(step.place, None if resume is None else resume["watermark"])
        self._floor = self._watermark.value
        self._part = ""
        self._sequence = 0
        self._timestamp = 0
        self._guard: Guard | None = None
        if resume is None:
            self._run.windows_begin = True
        else:
            self._part, self._sequence, self._timestamp = resume["part"], resume["sequence"], resume["timestamp"]
            self._waiting.load(unpack(resume["waiting"]))

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        before, complete = self._floor, False
        for part, item in values:
            self._part = part
            if item.__class__ is Piece:
                self._add(item, out)
            else:
                complete = self._watermark.heard(item) or complete
                self._floor = self._watermark.value
        if complete:
            self._release(FOREVER, out)
            out.append(Completed(self._place.step, self._part, self._place.partitions))
        elif self._floor != before:
            self._release(self._floor, out)
        if self._floor != before:
            tell_watermark(self._run, self._place, self._part, self._floor)
        if self._watched.too_many(self._part, len(self._waiting)):
            self._waiting.forget(self._floor)  # what is of no use any more must not be what makes them too many
        self._watched.keys(self._part, len(self._waiting))
        return out, StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        waiting = pack(self._waiting.dump())
        if self._watched.too_large(self._part, len(waiting)):
            self._waiting.forget(self._floor)
            waiting = pack(self._waiting.dump())
        self._watched.written(self._part, len(self._waiting), len(waiting), len(waiting))
        return {
            "v": STATE_VERSION,
            "part": self._part,
            "sequence": self._sequence,
            "timestamp": self._timestamp,
            "watermark": self._watermark.plain,
            "waiting": waiting,
        }

    def _add(self, piece: Piece, out: list[Any]) -> None:
        """What was silent, or is a new partition, may be behind the watermark without being late by its own."""
        times, documents, indexes = piece.times or [], piece.documents or [], piece.indexes or []
        self._timestamp = max(self._timestamp, piece.timestamp)
        behind = [i for i, moment in enumerate(times) if moment < self._floor]
        if behind:
            batch = Batch(documents, piece.origin, piece.position, timestamp=piece.timestamp)
            entries = [(documents[i], i, 0) for i in behind]
            late(self._run, self._guarded(), self._place, batch, entries, [{}] * len(behind), out)
            kept = [i for i in range(len(times)) if i not in set(behind)]
            piece.times = [times[i] for i in kept]
            piece.documents, piece.indexes = [documents[i] for i in kept], [indexes[i] for i in kept]
        if piece.times:
            self._waiting.add(piece)

    def _release(self, watermark: int, out: list[Any]) -> None:
        guard = self._guarded()
        env = Environment(
            partition=f"{self._place.step}/{int(self._part):05d}",
            position=self._sequence,
            timestamp=self._timestamp,
            seed=self._run.seed,
            context=guard.context,
        )
        try:
            documents: list[Document] = guard.attempt(lambda attempt: self._waiting.release(watermark, env))
        except GaveUp as gave_up:
            if isinstance(gave_up.error, DocumentError):
                gave_up.error.index = 0
            held = self._waiting.give_up(watermark)
            batch = Batch(held, env.partition, self._sequence, timestamp=self._timestamp, meta={DERIVED: True})
            letters = guard.failed(gave_up, batch, [(d, i, i) for i, d in enumerate(held)], code="stage")
            if letters is not None:
                out.append(letters)
            return
        size = self._run.batch_size
        for start in range(0, len(documents), size):
            chunk = documents[start : start + size]
            out.append(Batch(chunk, env.partition, self._sequence, (), self._timestamp, [], {DERIVED: True}))
            self._sequence += len(chunk)

    def _guarded(self) -> Guard:
        if self._guard is None:
            place = self._place
            self._guard = Guard(self._run, place.name, place.policy, self._run.context(place.name))
        return self._guard
