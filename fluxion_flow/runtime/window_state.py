"""Window stages on the side of the state: open windows by logical partition, closed by the watermark of the source.

The watermark is the lowest that a source partition has; a window that it has passed is closed. No partition can then
have a document for it any more that is not late by the partition's own watermark.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..connect.spi import Batch, Document
from ..core.environment import Environment
from ..core.event_time import SessionSpans
from ..core.offline import missed_meta
from ..core.program import DocumentError
from ..core.stages.window_memory import FOREVER, OpenWindow, OpenWindows
from ..core.stages.windowed import Piece, WindowStage
from ..policy.engine import GaveUp
from .items import Completed, Progress
from .limits import Limits, Watched
from .run import DERIVED, Guard, Run
from .snapshots import pack, unpack
from .watermark import Watermark, tell_watermark
from .windows import WindowPlace, late

STATE_VERSION = 1

LESS = "or hold less: shorter windows, less allowedLateness, or a pipeline that begins with $group"


class WindowStep:
    """Builds the logical partitions of a window step."""

    def __init__(self, run: Run, place: WindowPlace, limits: Limits) -> None:
        self.run = run
        self.place = place
        assert isinstance(place.stage, WindowStage)
        unit = "documents" if place.stage.combined is None else "groups"
        self.watched = Watched(run, place.step, limits, f"{unit} of open windows", LESS)

    def __call__(self, resume: Any) -> WindowLogic:
        return WindowLogic(self, resume)


class WindowLogic(StatefulBatchLogic[Any, Any, Any]):
    """One logical partition: its open windows, and how far every source partition has come."""

    def __init__(self, step: WindowStep, resume: Any) -> None:
        self._run = step.run
        self._watched = step.watched
        self._place = step.place
        assert isinstance(step.place.stage, WindowStage)
        self._stage = step.place.stage
        self._windows = OpenWindows(self._stage, ordered=step.place.ordered)
        self._watermark = Watermark(step.place, None if resume is None else resume["watermark"])
        self._floor = self._watermark.value
        """Windows that end at or before this time are closed."""
        self._part = ""
        self._guard: Guard | None = None
        self._wakes: datetime | None = None
        if resume is None:
            self._run.windows_begin = True
        else:
            self._part, self._floor = resume["part"], resume["floor"]
            self._windows.load(unpack(resume["windows"]))
            self._schedule()

    # -- Bytewax's side

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        out: list[Any] = []
        grown: dict[int, OpenWindow] = {}
        complete = False
        before = self._floor
        for part, item in values:
            self._part = part
            if item.__class__ is Piece:
                window = self._add(item, out)
                if window is not None and self._stage.early is not None:
                    grown[id(window)] = window
            elif item.__class__ is Progress or item.__class__ is Completed:
                complete = self._watermark.heard(item) or complete
                self._close(FOREVER if complete else self._watermark.value, out)
        if self._stage.corrects:
            self._close(self._floor, out)
        self._early(list(grown.values()), out)
        if complete:
            out.append(Completed(self._place.step, self._part, self._place.partitions))
        if self._floor != before:
            tell_watermark(self._run, self._place, self._part, self._floor)
        self._schedule()
        self._watched.keys(self._part, self._windows.held_in_all)
        return out, StatefulBatchLogic.RETAIN

    def on_notify(self) -> tuple[list[Any], bool]:
        out: list[Any] = []
        self._wakes = None
        for window in self._windows.everything():
            if window.fresh and window.sent in ("", "early"):
                self._send(window, "early", out)
        self._schedule()
        return out, StatefulBatchLogic.RETAIN

    def notify_at(self) -> datetime | None:
        return self._wakes

    def snapshot(self) -> Any:
        windows = pack(self._windows.dump())
        self._watched.written(self._part, self._windows.held_in_all, len(windows), len(windows))
        return {
            "v": STATE_VERSION,
            "part": self._part,
            "floor": self._floor,
            "watermark": self._watermark.plain,
            "windows": windows,
        }

    # -- windows

    def _add(self, piece: Piece, out: list[Any]) -> OpenWindow | None:
        """The window that a piece went into; ``None`` when it is closed and the piece is late."""
        if isinstance(self._stage.spans, SessionSpans):
            closed = piece.start < self._floor
        else:
            closed = piece.end + self._stage.corrects <= self._floor
        if not closed:
            return self._windows.add(piece)
        documents = piece.documents
        assert documents is not None  # only a piece of a partition that was silent, or new, can meet a closed window
        batch = Batch(documents, piece.origin, piece.position, timestamp=piece.timestamp)
        metas = [missed_meta([(piece.start, piece.end)])] * len(documents)
        late(self._run, self._guarded(), self._place, batch, [(d, i, 0) for i, d in enumerate(documents)], metas, out)
        return None

    def _close(self, watermark: int, out: list[Any]) -> None:
        if watermark > self._floor and watermark != FOREVER:
            self._floor = watermark
        for window in self._windows.due(watermark, self._stage.corrects):
            result = "corrected" if window.sent in ("final", "corrected") else "final"
            self._send(window, result, out)
            if watermark == FOREVER:
                self._floor = max(self._floor, window.end)

    def _early(self, windows: list[OpenWindow], out: list[Any]) -> None:
        early = self._stage.early
        if early is None or early.count is None:
            return
        for window in windows:
            if window.fresh >= early.count and window.sent in ("", "early"):
                self._send(window, "early", out)

    def _schedule(self) -> None:
        """Wake up for early results by the clock, where there is anything to send."""
        early = self._stage.early
        if early is not None and early.interval is not None and self._wakes is None and len(self._windows):
            self._wakes = datetime.now(timezone.utc) + timedelta(milliseconds=early.interval)

    def _send(self, window: OpenWindow, result: str, out: list[Any]) -> None:
        meta = self._windows.meta(window)
        if not self._stage.rest and not self._stage.stream_meta:
            window.sent, window.fresh = result, 0
            self._sent(self._windows.held(window), window, meta, out)
            return
        guard = self._guarded()
        env = Environment(
            partition=window.label,
            timestamp=window.timestamp,
            seed=self._run.seed,
            meta={"stream": {"source": {}, "window": meta}},
            context=guard.context,
        )
        flagged = result if self._stage.early or self._stage.corrects else ""
        window.sent, window.fresh = result, 0
        try:
            documents: list[Document] = guard.attempt(lambda attempt: self._windows.results(window, env, flagged))
        except GaveUp as gave_up:
            if isinstance(gave_up.error, DocumentError):
                gave_up.error.index = 0
            held = self._windows.held(window)
            batch = Batch(held, window.label, 0, timestamp=window.timestamp, meta={DERIVED: True, "window": meta})
            letters = guard.failed(gave_up, batch, [(d, i, i) for i, d in enumerate(held)], code="stage")
            if letters is not None:
                out.append(letters)
            return
        self._sent(documents, window, meta, out)

    def _sent(self, documents: list[Document], window: OpenWindow, meta: dict[str, Any], out: list[Any]) -> None:
        size, label = self._run.batch_size, window.label
        for start in range(0, len(documents), size):
            chunk = documents[start : start + size]
            out.append(Batch(chunk, label, start, (), window.timestamp, [], {DERIVED: True, "window": meta}))

    def _guarded(self) -> Guard:
        if self._guard is None:
            place = self._place
            self._guard = Guard(self._run, place.name, place.policy, self._run.context(place.name))
        return self._guard
