"""The open windows of a window stage: what they hold, which are due, and what comes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..environment import Environment
from ..event_time.spans import SessionSpans
from ..ordering import canonical, representation
from .shapes import Document, KeyedState
from .windowed import Piece, WindowStage, window_meta, with_stream_meta

LABEL_ZERO = 1 << 50
"""Added to times in labels, so that those before 1970 sort as well."""


FOREVER = 1 << 60
"""An event time behind all others: the watermark of what is complete."""


class OpenWindow:
    """One window: partial results by group, or documents with their places in the source."""

    __slots__ = ("chunks", "count", "end", "fresh", "groups", "sent", "start", "timestamp", "value")

    def __init__(self, start: int, end: int, value: Any, groups: KeyedState | None) -> None:
        self.start = start
        self.end = end
        self.value = value
        self.groups = groups
        self.chunks: list[tuple[str, int, list[int], list[Document]]] = []
        """Origin, position of the batch, indexes in it, documents; where no groups are kept."""
        self.count = 0
        self.fresh = 0
        """Documents since the last result that was sent."""
        self.sent = ""
        """What the last result was: nothing yet, ``early``, ``final`` or ``corrected``."""
        self.timestamp = 0

    @property
    def label(self) -> str:
        """Text that sorts windows by their end, then their start, then their key."""
        key = "" if self.value is None else repr(representation(self.value))
        return f"{self.end + LABEL_ZERO:017d}/{self.start + LABEL_ZERO:017d}/{key}"

    @property
    def size(self) -> int:
        """How many groups it holds, or how many documents where no groups are kept."""
        return sum(len(chunk[3]) for chunk in self.chunks) if self.groups is None else len(self.groups)

    def kept(self) -> list[Document]:
        """The documents in the order of their source partitions, and in each of their places."""
        if len(self.chunks) == 1:
            return list(self.chunks[0][3])
        placed = [
            (origin, position, index, n)
            for n, (origin, position, indexes, _) in enumerate(self.chunks)
            for index in indexes
        ]
        placed.sort()
        streams = [iter(chunk[3]) for chunk in self.chunks]
        return [next(streams[n]) for _, _, _, n in placed]


class OpenWindows:
    """The windows of one logical partition. ``ordered``: groups leave in the order in which their keys were first seen.

    ``kept_for`` is how long after its close a window takes part in corrections, in milliseconds.
    """

    def __init__(self, stage: WindowStage, *, ordered: bool = False) -> None:
        self._stage = stage
        self._ordered = ordered
        self._sessions = isinstance(stage.spans, SessionSpans)
        self._open: dict[Any, dict[int, OpenWindow]] = {}
        """By the key of ``partitionBy``, then by start."""
        self._next = FOREVER
        """No window is due before this."""
        self._held = 0

    def __len__(self) -> int:
        """How many windows are open."""
        return sum(map(len, self._open.values()))

    @property
    def held_in_all(self) -> int:
        """How many groups the windows hold, or how many documents where no groups are kept."""
        return self._held

    @property
    def documents(self) -> int:
        """How many documents have gone into the windows that are open."""
        return sum(w.count for windows in self._open.values() for w in windows.values())

    def add(self, piece: Piece) -> OpenWindow:
        """Take in what a batch gave a window; the window comes back."""
        value = piece.value
        windows = self._open.setdefault(value if value.__class__ is str else canonical(value), {})
        window = self._session(windows, piece) if self._sessions else windows.get(piece.start)
        if window is None:
            stage = self._stage
            groups = stage.group_state(self._ordered) if stage.program is not None else None
            window = windows[piece.start] = OpenWindow(piece.start, piece.end, value, groups)
        elif value.__class__ is not str and representation(value) < representation(window.value):
            window.value = value
        if piece.end < self._next:
            self._next = piece.end
        if window.groups is None:
            assert piece.documents is not None
            window.chunks.append((piece.origin, piece.position, piece.indexes or [], piece.documents))
            self._held += len(piece.documents)
        else:
            assert piece.groups is not None
            before = len(window.groups)
            window.groups.merge(piece.groups, piece.origin, piece.position, piece.indexes)
            self._held += len(window.groups) - before
        window.count += piece.count
        window.fresh += piece.count
        window.timestamp = max(window.timestamp, piece.timestamp)
        return window

    def _session(self, windows: dict[int, OpenWindow], piece: Piece) -> OpenWindow | None:
        """The session that a piece belongs to, grown together with all that it connects."""
        touching = sorted(
            (w for w in windows.values() if w.start < piece.end and piece.start < w.end), key=lambda w: w.start
        )
        if not touching:
            return None
        first = touching[0]
        del windows[first.start]
        for other in touching[1:]:
            del windows[other.start]
            self._grow(first, other)
        first.start, first.end = min(first.start, piece.start), max(first.end, piece.end)
        windows[first.start] = first
        return first

    def _grow(self, first: OpenWindow, other: OpenWindow) -> None:
        first.end = max(first.end, other.end)
        first.chunks += other.chunks
        if first.groups is not None:
            assert other.groups is not None
            before = len(first.groups) + len(other.groups)
            first.groups.absorb(other.groups)
            self._held += len(first.groups) - before
        first.count += other.count
        first.fresh += other.fresh
        first.timestamp = max(first.timestamp, other.timestamp)
        first.sent = first.sent or other.sent
        if representation(other.value) < representation(first.value):
            first.value = other.value

    def due(self, watermark: int, kept_for: int = 0) -> list[OpenWindow]:
        """The windows that the watermark has passed and that have not been sent since, in order.

        Those that no correction can reach any more are forgotten.
        """
        if not self._open or watermark < self._next:
            return []
        found: list[OpenWindow] = []
        ends: list[int] = []
        for key, windows in list(self._open.items()):
            for start, window in list(windows.items()):
                if window.end > watermark:
                    ends.append(window.end)
                    continue
                if window.sent not in ("final", "corrected") or window.fresh:
                    found.append(window)
                if window.end + kept_for <= watermark:
                    del windows[start]
                    self._held -= window.size
                else:
                    ends.append(window.end + kept_for)
            if not windows:
                del self._open[key]
        self._next = min(ends, default=FOREVER)
        found.sort(key=lambda window: window.label)
        return found

    def everything(self) -> list[OpenWindow]:
        """All windows, in order."""
        return sorted((w for windows in self._open.values() for w in windows.values()), key=lambda w: w.label)

    def results(self, window: OpenWindow, env: Environment, result: str = "") -> list[Document]:
        """What comes of a window at this moment. ``env`` is made for it by :meth:`environment`.

        ``result`` is told in ``_stream_meta.window.result``. May raise what the inner pipeline raises.
        """
        found = self._stage.results(self.held(window), env)
        if self._stage.stream_meta:
            meta: Mapping[str, Any] = env.meta["stream"]["window"]
            found = with_stream_meta(found, {**meta, "result": result} if result else meta)
        return found

    def held(self, window: OpenWindow) -> list[Document]:
        """The documents of a window's groups, or those that were kept."""
        return window.kept() if window.groups is None else window.groups.documents()

    def meta(self, window: OpenWindow) -> dict[str, Any]:
        """What ``{$meta: "stream.window"}`` gives in and behind a window."""
        partitioned = self._stage.partition_by is not None
        return window_meta(window.start, window.end, window.value, partitioned=partitioned)

    def dump(self) -> Any:
        """The windows as plain data, independent of this object."""
        return [
            {
                "start": w.start,
                "end": w.end,
                "value": w.value,
                "count": w.count,
                "fresh": w.fresh,
                "sent": w.sent,
                "timestamp": w.timestamp,
                "chunks": w.chunks,
                "groups": None if w.groups is None else w.groups.dump(),
            }
            for windows in self._open.values()
            for w in windows.values()
        ]

    def load(self, plain: Any) -> None:
        """Become the windows that ``dump`` gave."""
        for one in plain:
            groups = None
            if one["groups"] is not None:
                groups = self._stage.group_state(self._ordered)
                groups.load(one["groups"])
            window = OpenWindow(one["start"], one["end"], one["value"], groups)
            window.chunks = [(c[0], c[1], c[2], c[3]) for c in one["chunks"]]
            window.count, window.fresh, window.sent = one["count"], one["fresh"], one["sent"]
            window.timestamp = one["timestamp"]
            self._held += window.size
            value = window.value
            self._open.setdefault(value if value.__class__ is str else canonical(value), {})[window.start] = window
        self._next = min((one["end"] for one in plain), default=FOREVER)
