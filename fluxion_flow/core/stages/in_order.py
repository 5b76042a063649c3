"""Stages that go through an open stream in the order of event time: documents wait until the watermark has passed them.

Offline and streamed, each key's documents are followed one after another, by their time, then by their source partition
and position in it; what is kept of a key is bounded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..environment import Environment
from ..event_time.clock import NEVER, Clock
from ..ordering import canonical
from .evaluate import Columns
from .shapes import Document, Windowed
from .windowed import DEFAULT_LATENESS, Divided, Piece, WindowKey, by_key, representative

FOREVER = 1 << 60
"""An event time behind all others."""

SWEEP = 64
"""Releases between two looks for keys that are of no use any more."""

Entry = tuple[int, str, int, int, Document]
"""Event time, source partition, position of the batch, index in it, document: entries sort in their order."""

Followed = tuple[Entry, Document]
"""An entry, and a document that came of it."""


class Waiting(ABC):
    """The documents of one logical partition that wait for the watermark, and what is kept of those before it."""

    @abstractmethod
    def __len__(self) -> int:
        """How many keys there are."""

    @abstractmethod
    def add(self, piece: Piece) -> None:
        """Take in documents of a key."""

    @abstractmethod
    def release(self, watermark: int, env: Environment) -> list[Document]:
        """What comes of the documents that the watermark lets go, in order.

        Raises :class:`~fluxion_flow.core.program.DocumentError`; nothing has changed then.
        """

    @abstractmethod
    def forget(self, watermark: int) -> None:
        """Forget what is of no use for documents at or behind the watermark."""

    @abstractmethod
    def give_up(self, watermark: int) -> list[Document]:
        """Take out the documents that the watermark lets go, in order, without going on with them."""

    @abstractmethod
    def dump(self) -> Any:
        """Plain data, which is to be packed before anything changes."""

    @abstractmethod
    def load(self, plain: Any) -> None:
        """Become what ``dump`` gave."""


@dataclass(frozen=True, eq=False)
class InOrder(Windowed):
    """A stage over documents in the order of event time, for each value of an expression. Times are milliseconds."""

    by_value: Columns | None
    spec: Any
    lateness: int = DEFAULT_LATENESS
    on_late: str = "dead_letter"

    processing_time = False
    idle_timeout = None
    early = None
    corrects = 0
    partition_by = None

    @abstractmethod
    def memory(self) -> Waiting:
        """An empty memory for one logical partition."""

    def side(self, partition: str) -> int:
        """Which of the streams that the stage brings together a source partition is of; 0: the pipeline's own."""
        return 0

    def keys(self, side: int) -> Columns | None:
        """The expression that the documents of a side are divided by."""
        return self.by_value

    # -- what a divider asks of a stage, as of a window stage

    def divide(self, documents: Sequence[Document], clock: Clock, env: Environment) -> Divided:
        """The documents of a batch by key; late are those that are older than their partition's watermark."""
        times: Any = clock.times
        undated = [i for i, time in enumerate(times) if time is None]
        late = {
            i
            for i, (time, newest) in enumerate(zip(times, clock.seen, strict=True))
            if time is not None and time < newest - self.lateness
        }
        chosen: Sequence[int] = range(len(documents))
        if undated or late:
            chosen = [i for i in chosen if i not in late and times[i] is not None]
        side = self.side(env.partition)
        by_value = self.keys(side)
        rows = None if by_value is None else by_value.rows(documents, env)
        windows: dict[WindowKey, list[int]] = {}
        values: dict[WindowKey, Any] = {}
        for key, members in by_key(rows, chosen).items():
            if not members:
                continue
            windows[(side, 0, key)] = members
            if rows is not None:
                values[(side, 0, key)] = representative([rows[i][0] for i in members])
        return Divided(windows, values, {i: [] for i in late}, undated)

    def piece(
        self,
        window: WindowKey,
        value: Any,
        documents: Sequence[Document],
        indexes: list[int],
        env: Environment,
        times: Sequence[Any] = (),
    ) -> Piece:
        """The documents of a key, with their event times; the piece begins where its side says."""
        chosen, moments = [documents[i] for i in indexes], [times[i] for i in indexes]
        return Piece(window[0], 0, value, env.partition, env.position, 0, len(indexes), None, chosen, indexes, moments)

    def meta(self, window: WindowKey, value: Any) -> dict[str, Any]:
        """Nothing is told of windows."""
        return {}

    def passed(self, watermark: int) -> int:
        """Every step of the watermark counts."""
        return watermark

    def route(self, piece: Piece) -> Any:
        """What decides to which logical partition a piece goes."""
        return canonical(piece.value)


@dataclass(frozen=True, eq=False)
class Following(InOrder):
    """A stage that goes from one document of a key to the next, and keeps a state of each key."""

    @abstractmethod
    def follow(self, state: Any, entries: Sequence[Entry], env: Environment) -> tuple[list[Followed], Any]:
        """Go on with a key's entries, in order: what comes out, each with the entry it came of, and the new state.

        ``state`` is plain data, ``None`` at first. May raise :class:`~fluxion_flow.core.program.DocumentError`.
        """

    @abstractmethod
    def expired(self, state: Any, watermark: int) -> bool:
        """Whether a state is of no use for documents at or behind the watermark."""

    def memory(self) -> Waiting:
        return WaitingDocuments(self)


class WaitingDocuments(Waiting):
    """The documents of one logical partition that the watermark has not passed, and the states of their keys."""

    def __init__(self, stage: Following) -> None:
        self._stage = stage
        self._waiting: dict[Any, list[Entry]] = {}
        self._states: dict[Any, Any] = {}
        self._values: dict[Any, Any] = {}
        self._next = FOREVER
        """No document is due at or before this watermark."""
        self._releases = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, piece: Piece) -> None:
        key = canonical(piece.value)
        self._values.setdefault(key, piece.value)
        entries = self._waiting.setdefault(key, [])
        for time, index, document in zip(piece.times or [], piece.indexes or [], piece.documents or [], strict=True):
            entries.append((time, piece.origin, piece.position, index, document))
        self._next = min(self._next, min(piece.times or [FOREVER]))

    def release(self, watermark: int, env: Environment) -> list[Document]:
        if watermark <= self._next:
            return []
        found: list[Followed] = []
        states: dict[Any, Any] = {}
        rest: dict[Any, list[Entry]] = {}
        for key, entries in self._waiting.items():
            due = sorted((entry for entry in entries if entry[0] < watermark), key=lambda entry: entry[:4])
            if not due:
                continue
            out, states[key] = self._stage.follow(self._states.get(key), due, env)
            found += out
            rest[key] = [entry for entry in entries if entry[0] >= watermark]
        self._settle(states, rest, watermark)
        found.sort(key=lambda pair: pair[0][:4])
        return [document for _, document in found]

    def _settle(self, states: dict[Any, Any], rest: dict[Any, list[Entry]], watermark: int) -> None:
        self._states.update(states)
        for key, entries in rest.items():
            if entries:
                self._waiting[key] = entries
            else:
                del self._waiting[key]
                if key not in self._states:  # they were given up
                    del self._values[key]
        self._next = min((entry[0] for entries in self._waiting.values() for entry in entries), default=FOREVER)
        self._releases += 1
        if self._releases % SWEEP == 0:
            self.forget(watermark)

    def forget(self, watermark: int) -> None:
        for key in [key for key, state in self._states.items() if self._stage.expired(state, watermark)]:
            del self._states[key]
            if key not in self._waiting:
                del self._values[key]

    def give_up(self, watermark: int) -> list[Document]:
        found: list[Entry] = []
        rest: dict[Any, list[Entry]] = {}
        for key, entries in self._waiting.items():
            found += [entry for entry in entries if entry[0] < watermark]
            rest[key] = [entry for entry in entries if entry[0] >= watermark]
        self._settle({}, rest, watermark)
        return [entry[4] for entry in sorted(found, key=lambda entry: entry[:4])]

    def dump(self) -> Any:
        keys = {*self._waiting, *self._states}
        return [[self._values[key], self._waiting.get(key, []), self._states.get(key)] for key in keys]

    def load(self, plain: Any) -> None:
        self._next = NEVER
        for value, entries, state in plain:
            key = canonical(value)
            self._values[key] = value
            if entries:
                self._waiting[key] = [tuple(entry) for entry in entries]
            if state is not None:
                self._states[key] = state
