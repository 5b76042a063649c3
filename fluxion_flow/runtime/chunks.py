"""A large state in checkpoints, without all of it being written each time: rows hold what is new, chunks the rest.

Bytewax keeps, for each step and key, the newest snapshot that the step gave for it, and asks for one in every epoch in
which the key was awake. A part of a keyed step is awake in nearly all of them, so its own row must be small. What lies
further back is kept by further steps, one for each of :data:`SLOTS` slots, under the same key: a part sends a chunk of
its state to the step of a free slot, in the same epoch in which it stops holding it itself, and that step is not awake
again before the slot is used anew. Steps have the same workers for the same key, on any number of workers, so a part
that is resumed finds its chunks in the memory of its own process (:class:`Vault`).

Chunks and pending pieces hold absolute values (the present state of what changed), so the newest one wins. When all
slots are used, or chunks hold as many entries as the state, the whole state is written into one. So every change is
written about three times, however often there is a checkpoint, and what is stored is at most three times the state.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from bytewax.operators import StatefulBatchLogic

from ..errors import FluxionError
from .failure import RunFailed

SLOTS = 8
"""Chunks of a part at most; one of them is the whole state as it once was."""

SMALL = 2000
"""A state with no more entries than that stays in the part's own row."""

SHARE = 5
"""A chunk is made when that fraction of a state has changed: seldom enough to be cheap, the row still small."""

SOON = timedelta(milliseconds=2)
"""How long a part waits for its chunks before it looks for them again; they are read at the same time as its row."""

STATE_VERSION = 1

Pieces = list[bytes]


@dataclass(slots=True)
class Chunk:
    """Pieces of a part's state for the step of a slot; without any, the slot is given up."""

    slot: int
    version: int
    pieces: Pieces


class Vault:
    """The chunks that a resumed run has read, until their part takes them; shared by the steps of one process."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[str, int], tuple[int, Pieces]] = {}

    def put(self, part: str, slot: int, version: int, pieces: Pieces) -> None:
        self._chunks[part, slot] = (version, pieces)

    def has(self, part: str, wanted: dict[int, int]) -> bool:
        """Whether all of a part's chunks (slot -> version) are here."""
        return all(self._chunks.get((part, slot), (0,))[0] == version for slot, version in wanted.items())

    def take(self, part: str, wanted: dict[int, int]) -> Pieces:
        """The pieces of a part's chunks, the oldest first."""
        found = sorted(self._chunks.pop((part, slot)) for slot in wanted)
        for slot in range(SLOTS):
            self._chunks.pop((part, slot), None)
        return [piece for _, pieces in found for piece in pieces]


class ChunkStep:
    """Builds the keepers of one slot."""

    def __init__(self, vault: Vault, slot: int) -> None:
        self.vault = vault
        self.slot = slot

    def __call__(self, resume: Any) -> ChunkLogic:
        return ChunkLogic(self, resume)

    def wanted(self, items: list[Any]) -> list[Any]:
        """Those of the chunks of a keyed step that are for this slot."""
        return [item for item in items if item[1][1].slot == self.slot]


class ChunkLogic(StatefulBatchLogic[Any, Any, Any]):
    """Keeps the chunk of one part that is in a slot."""

    def __init__(self, step: ChunkStep, resume: Any) -> None:
        self._part, self._version = "", 0
        self._pieces: Pieces = []
        if resume is not None:
            self._part, self._version, self._pieces = resume["part"], resume["version"], resume["pieces"]
            step.vault.put(self._part, step.slot, self._version, self._pieces)

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        for part, chunk in values:
            self._part, self._version, self._pieces = part, chunk.version, chunk.pieces
        return [], not self._pieces

    def snapshot(self) -> Any:
        return {"v": STATE_VERSION, "part": self._part, "version": self._version, "pieces": self._pieces}


def is_chunk(item: Any) -> bool:
    """Whether what a keyed step sends on is a chunk of its state, not a result."""
    return item[1].__class__ is tuple


class ChunkedLogic(StatefulBatchLogic[Any, Any, Any]):
    """A part whose stored state may lie in chunks: what comes before they are read is early, and waits for them."""

    def __init__(self, pipeline: str, step: str) -> None:
        self._names = pipeline, step
        self._early: list[Any] = []

    @abstractmethod
    def _ready(self) -> bool:
        """Whether the state is here; a resumed one is read as soon as its chunks are."""

    @abstractmethod
    def _take(self, items: list[Any]) -> list[Any]:
        """Work on items, the state being here; answers what comes of them."""

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        return self._work([*self._early, *(item for _, item in values)])

    def on_notify(self) -> tuple[list[Any], bool]:
        return self._work(self._early)

    def notify_at(self) -> datetime | None:
        return datetime.now(timezone.utc) + SOON if self._early else None

    def on_eof(self) -> tuple[list[Any], bool]:
        """Raises :class:`RunFailed` where the input ends before the chunks were read; nothing that came is lost."""
        if not self._early:
            return [], StatefulBatchLogic.RETAIN
        out, _ = self._work(self._early)
        if self._early:
            raise RunFailed(*self._names, FluxionError("parts of its state were not read in time; run it once more"))
        return out, StatefulBatchLogic.RETAIN

    def _work(self, items: list[Any]) -> tuple[list[Any], bool]:
        if not self._ready():
            self._early = items
            return [], StatefulBatchLogic.RETAIN
        self._early = []
        return self._take(items), StatefulBatchLogic.RETAIN


class Ledger:
    """Where the state of one part is written: chunks in slots, and pending pieces in the part's own row.

    ``delta`` packs what has changed since it was last asked, ``whole`` everything; both give one piece and then count
    from anew.
    """

    def __init__(self, delta: Callable[[], bytes], whole: Callable[[], bytes], row: dict[str, Any] | None) -> None:
        self._delta = delta
        self._whole = whole
        row = row or {"chunks": [], "pieces": [], "count": 0, "behind": 0, "dropped": []}
        self.slots: dict[int, int] = {slot: version for slot, version, _ in row["chunks"]}
        """The version of the chunk in each slot that is used."""
        self._sizes: dict[int, int] = {slot: size for slot, _, size in row["chunks"]}
        self.pending: Pieces = list(row["pieces"])
        self._count: int = row["count"]
        """How many entries the pending pieces hold."""
        self._behind: int = row["behind"]
        """How many entries the chunks hold beside the whole state."""
        self._version = max(self.slots.values(), default=0)
        self._dropped: list[int] = list(row["dropped"])
        """Slots that were given up, and whose steps have not been told yet."""
        self.least = 0
        """Bytes of the state as it was when all of it was last packed."""

    @property
    def size(self) -> int:
        """Bytes of all that is written, superseded entries among them."""
        return sum(self._sizes.values()) + sum(map(len, self.pending))

    def moved(self, part: str, changed: int, live: int) -> list[Any]:
        """Chunks to be sent now, in an epoch in which ``changed`` of ``live`` entries have changed so far."""
        out: list[Any] = []
        if self._dropped:
            out += [(part, Chunk(slot, 0, [])) for slot in self._dropped]
            self._dropped = []
        if self._count + changed < max(SMALL, live // SHARE):
            return out
        free = next((slot for slot in range(SLOTS) if slot not in self.slots), None)
        superseded = self._behind + self._count + changed > live
        if free is None or not self.slots or superseded:
            out += self.compacted(part)
        else:
            self._behind += self._count + changed
            out.append(self._chunk(part, free, [*self.pending, self._delta()] if changed else self.pending))
        return out

    def compacted(self, part: str) -> list[Any]:
        """Everything as one chunk, and the other slots given up."""
        others = [slot for slot in self.slots if slot != 0]
        self.slots, self._sizes = {}, {}
        whole = self._whole()
        self.least, self._behind = len(whole), 0
        return [(part, Chunk(slot, 0, [])) for slot in others] + [self._chunk(part, 0, [whole])]

    def _chunk(self, part: str, slot: int, pieces: Pieces) -> Any:
        self._version += 1
        self.slots[slot] = self._version
        self._sizes[slot] = sum(map(len, pieces))
        self.pending, self._count = [], 0
        return part, Chunk(slot, self._version, pieces)

    def end_epoch(self, changed: int, live: int) -> None:
        """Take what has changed into the part's own row: a small state whole, when that is no more to write."""
        if changed and live <= SMALL and self._count + changed >= live:
            self.rewrite(live)
        elif changed:
            self.pending.append(self._delta())
            self._count += changed

    def rewrite(self, live: int) -> None:
        """Take everything into the part's own row, and give up all slots."""
        self._dropped += self.slots
        self.slots, self._sizes = {}, {}
        self.pending, self._count = [self._whole()], live
        self.least, self._behind = len(self.pending[0]), 0

    def row(self) -> dict[str, Any]:
        """What the part's own row holds of the state."""
        chunks = [[slot, version, self._sizes[slot]] for slot, version in self.slots.items()]
        return {
            "chunks": chunks,
            "pieces": list(self.pending),
            "count": self._count,
            "behind": self._behind,
            "dropped": list(self._dropped),
        }
