"""Keyed stages as Bytewax state: the groups of one logical partition, their limits and their time to live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..connect.spi import Batch, Document
from ..core.stages.group_fold import Fold
from ..core.stages.group_home import Home
from ..core.stages.shapes import Keyed, KeyedState
from .chunks import ChunkedLogic, Ledger, Vault
from .folding import Folds
from .forget import Recency
from .items import Completed, Completion, Ordered, Partial, Touched, as_plain, from_plain
from .limits import Limits, Watched
from .manifest import IncompatibleCheckpoint
from .run import DERIVED, Run
from .snapshots import pack, unpack

STATE_VERSION = 2
"""Version 1 held the whole state in each row; it can still be resumed from."""


class GroupStep:
    """Builds the state of a keyed stage's partitions; ``emit`` is ``"update"`` or ``"final"``, ``ttl`` in seconds."""

    def __init__(
        self,
        run: Run,
        step: str,
        stage: Keyed,
        *,
        emit: str,
        partitions: int,
        ordered: bool,
        limits: Limits,
        ttl: float | None = None,
        folds: Folds | None = None,
    ) -> None:
        """``folds``: the groups of each worker, where documents are added to them before they come here."""
        self.run = run
        self.step = step
        self.stage = stage
        self.emit = emit
        self.partitions = partitions
        self.ordered = ordered
        self.ttl = None if ttl is None else int(ttl * 1000)
        self.folds = folds
        self.vault = Vault()
        self.watched = Watched(run, step, limits)

    def __call__(self, resume: Any) -> GroupLogic:
        return GroupLogic(self, resume)


class GroupLogic(ChunkedLogic):
    """One logical partition of a keyed stage."""

    def __init__(self, step: GroupStep, resume: Any) -> None:
        super().__init__(step.run.pipeline, step.step)
        self._step = step
        self._fold: Fold | None = None
        self._home: Home | None = None
        self._state: KeyedState
        self._recency = None if step.ttl is None else Recency(step.ttl)
        self._completion = Completion()
        self._sequence = 0
        self._part = ""
        self._timestamp = 0
        self._told = False
        """Whether what is held has left already: a run may end between its last epoch and its exit, and be resumed."""
        self._changed: dict[Any, None] = {}
        """The keys that have changed since they were last packed."""
        self._row: dict[str, Any] | None = None
        """The stored state, until it has been read: its chunks are elsewhere."""
        if resume is not None:
            resume = upgraded(resume, step.step)
            self._part, self._sequence, self._timestamp = resume["part"], resume["sequence"], resume["timestamp"]
            self._told = resume["told"]
            self._row = resume
            self._early = [from_plain(item) for item in unpack(resume["early"])] if resume["early"] else []
            if self._recency is not None:
                self._recency.origins = dict(resume["origins"])
            self._settle()
        self._ledger = Ledger(self._pack_changes, self._pack_all, resume)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Make the memory of the partition, as soon as it is known which one this is."""
        step = self._step
        if step.folds is not None:
            self._fold = step.folds()
            self._home = self._fold.homes[int(self._part)]
        self._state = step.stage.state(ordered=step.ordered, home=self._home)
        if self._home is not None:
            self._home.attached = self._row is None

    def _ready(self) -> bool:
        if self._row is None:
            return True
        if not self._step.vault.has(self._part, self._ledger.slots):
            return False
        self._row = None
        for piece in [*self._step.vault.take(self._part, self._ledger.slots), *self._ledger.pending]:
            self._unpack(piece)
        if self._recency is not None:
            self._recency.loaded()
        if self._home is not None:
            self._home.attached = True
        return True

    def _unpack(self, piece: bytes) -> None:
        plain = unpack(piece)
        keys = self._state.load(plain["state"])
        gone = plain["gone"]
        self._state.discard(gone)
        if self._recency is not None:
            self._recency.load(keys, plain["last"] or [self._timestamp] * len(keys), gone)

    # -- working -------------------------------------------------------------------------------------------------------

    def on_batch(self, values: list[Any]) -> tuple[list[Any], bool]:
        if not self._part:
            self._part = values[0][0]
            self._settle()
        return super().on_batch(values)

    def _take(self, items: list[Any]) -> list[Any]:
        out: list[Any] = []
        changed = dict.fromkeys(self._folded())
        for item in items:
            if item.__class__ is Touched:
                self._told = False
            elif item.__class__ is Partial:
                self._told = False
                self._timestamp = max(self._timestamp, item.timestamp)
                if self._recency is not None:
                    item = self._fresh(self._recency, item)
                keys = self._state.merge(item.groups, item.origin, item.position, item.indexes)
                changed.update(dict.fromkeys(keys))
            elif item.__class__ is Completed and self._completed(item):
                if self._step.emit == "final" and not self._told:
                    self._final(out)
                    self._told = True
                elif self._step.emit == "update":
                    self._updated(changed, out)
                    self._changed.update(changed)
                    changed = {}
                out.append(Completed(self._step.step, self._part, self._step.partitions))
        if changed:
            self._changed.update(changed)
            if self._step.emit == "update":
                self._updated(changed, out)
        live = len(self._state)
        self._step.watched.keys(self._part, live)
        return out + self._ledger.moved(self._part, len(self._changed), live)

    def _folded(self) -> list[Any]:
        """The keys whose groups have changed where they lie."""
        if self._fold is None or self._home is None or not self._home.changed:
            return []
        self._timestamp = max(self._timestamp, self._home.timestamp)
        return self._fold.changes(self._home)

    def _completed(self, marker: Completed) -> bool:
        if self._recency is not None:
            self._recency.completed(marker.part)
        return self._completion.heard(marker)

    def _fresh(self, recency: Recency, partial: Partial) -> Partial:
        """A partial result without what is out of date already, after forgetting the keys whose time is over."""
        over, old = recency.touch(partial.groups, partial.timestamp, partial.origin)
        self._state.discard(over)
        self._changed.update(dict.fromkeys(over))
        return partial.without(old) if old else partial

    def _updated(self, keys: Iterable[Any], out: list[Any]) -> None:
        held = [key for key in keys if key in self._state]
        if held:
            out.append(self._batch(self._state.documents(held)))

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

    # -- writing -------------------------------------------------------------------------------------------------------

    def _pack_changes(self) -> bytes:
        held = [key for key in self._changed if key in self._state]
        gone = [key for key in self._changed if key not in self._state] if len(held) < len(self._changed) else []
        self._changed = {}
        return self._packed(held, self._state.dump(held), gone)

    def _pack_all(self) -> bytes:
        self._changed = {}
        return self._packed(self._state.keys() if self._recency is not None else [], self._state.dump(), [])

    def _packed(self, keys: list[Any], plain: Any, gone: list[Any]) -> bytes:
        last = None if self._recency is None else self._recency.dump(keys)
        return pack({"state": plain, "gone": gone, "last": last}, shares=self._state.shares)

    def snapshot(self) -> Any:
        if self._row is not None:
            early = pack([as_plain(item) for item in self._early]) if self._early else b""
            return {**self._row, "early": early}
        self._changed.update(dict.fromkeys(self._folded()))
        if self._home is not None:
            self._home.awake = False
        live, watched, ledger = len(self._state), self._step.watched, self._ledger
        ledger.end_epoch(len(self._changed), live)
        if watched.too_large(self._part, ledger.size):
            ledger.rewrite(live)  # the superseded entries must not be what makes it too large
        watched.written(self._part, live, ledger.size, ledger.least)
        return {
            "v": STATE_VERSION,
            "part": self._part,
            "sequence": self._sequence,
            "timestamp": self._timestamp,
            "told": self._told,
            "keys": live,
            "early": b"",
            "origins": {} if self._recency is None else self._recency.origins,
            **ledger.row(),
        }


ALONE: dict[str, Any] = {"early": b"", "origins": {}, "behind": 0, "dropped": []}


def upgraded(row: Any, step: str) -> dict[str, Any]:
    """A stored row in the present form. Raises :class:`IncompatibleCheckpoint` for one of a later version."""
    if row["v"] == 1:
        plain = unpack(row["state"])
        piece = pack({"state": plain, "gone": [], "last": None})
        count = len(plain["entries"])
        return {**row, "v": STATE_VERSION, "chunks": [], "pieces": [piece], "count": count, "keys": count, **ALONE}
    if row["v"] != STATE_VERSION:
        raise IncompatibleCheckpoint.of_version(step, row["v"], STATE_VERSION)
    found: dict[str, Any] = row
    return found
