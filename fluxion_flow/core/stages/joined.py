"""The memory of a join of two streams: documents of the one wait for those of the other, and are forgotten in time."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..environment import Environment
from ..ordering import canonical
from .in_order import Waiting
from .shapes import Document
from .windowed import Piece

if TYPE_CHECKING:
    from .stream_join import StreamJoin

Kept = tuple[int, str, int, int, int, Document]
"""Event time, source partition, position of the batch, index in it, a number of its own, document."""

Left = tuple[int, str, int, int, int, Any, Document]
"""The same, with the key in front of the document."""

Aged = tuple[int, int, Any]
"""The event time and the number of a document on the right, and its key."""


class JoinedDocuments(Waiting):
    """The documents of one logical partition: those of the left wait for an answer, those of the right are its parts.

    Everything that ends here ends by the watermark, so that what is held at a watermark depends on nothing else.
    """

    def __init__(self, stage: StreamJoin) -> None:
        self._stage = stage
        self._left: list[Left] = []
        """A heap."""
        self._held: dict[Any, int] = {}
        """By key, how many documents of both sides there are."""
        self._right: dict[Any, list[Kept]] = {}
        """By key, in order."""
        self._coming: list[Aged] = []
        """A heap: where only the latest counts, the documents of the right that the watermark has not passed."""
        self._passed: list[Aged] = []
        """A heap: those that are forgotten when the watermark is far enough."""
        self._number = 0

    def __len__(self) -> int:
        return len(self._held)

    def add(self, piece: Piece) -> None:
        key = canonical(piece.value)
        for time, index, document in zip(piece.times or [], piece.indexes or [], piece.documents or [], strict=True):
            number = self._number = self._number + 1
            if piece.start:
                insort(self._right.setdefault(key, []), (time, piece.origin, piece.position, index, number, document))
                heapq.heappush(self._coming if self._stage.latest else self._passed, (time, number, key))
                self._hold(key, 1)
            else:
                self._wait((time, piece.origin, piece.position, index, number, key, document))

    def _wait(self, left: Left) -> None:
        heapq.heappush(self._left, left)
        self._hold(left[5], 1)

    def _hold(self, key: Any, more: int) -> None:
        count = self._held[key] = self._held.get(key, 0) + more
        if not count:
            del self._held[key]

    def _drop(self, key: Any, first: int) -> None:
        """Forget so many of the first documents of the right under a key."""
        right = self._right[key]
        del right[:first]
        self._hold(key, -first)
        if not right:
            del self._right[key]

    def release(self, watermark: int, env: Environment) -> list[Document]:
        due = self._due(watermark)
        found: list[Document] = []
        try:
            for left in due:
                found += self._stage.answer(left[6], self._matching(left), env)
        except Exception:
            for left in due:
                self._wait(left)
            raise
        self.forget(watermark)
        return found

    def _due(self, watermark: int) -> list[Left]:
        """Take out the documents of the left for which everything on the right has come, in order."""
        due: list[Left] = []
        last = watermark - self._stage.after
        while self._left and self._left[0][0] < last:
            left = heapq.heappop(self._left)
            due.append(left)
            self._hold(left[5], -1)
        return due

    def _matching(self, left: Left) -> list[Document]:
        right = self._right.get(left[5]) if left[5] is not None else None
        if right is None:
            return []
        stage, time = self._stage, left[0]
        end = bisect_left(right, (time + stage.after + 1,))
        start = 0 if stage.before is None else bisect_left(right, (time - stage.before,), 0, end)
        if stage.latest:
            start = max(start, end - 1)
        return [kept[5] for kept in right[start:end]]

    def forget(self, watermark: int) -> None:
        """Every document that is still to be answered is at or behind ``watermark - after``."""
        stage = self._stage
        over: set[Any] = set()
        while self._coming and self._coming[0][0] <= watermark:
            aged = heapq.heappop(self._coming)
            if stage.before is not None:
                heapq.heappush(self._passed, aged)
            over.add(aged[2])
        for key in over:  # a later one has taken their place, all but the last
            self._drop(key, bisect_left(self._right[key], (watermark + 1,)) - 1)
        if stage.before is None:
            return
        horizon = watermark - stage.after - stage.before
        ended: set[Any] = set()
        while self._passed and self._passed[0][0] < horizon:
            ended.add(heapq.heappop(self._passed)[2])
        for key in ended & self._right.keys():
            self._drop(key, bisect_left(self._right[key], (horizon,)))

    def give_up(self, watermark: int) -> list[Document]:
        due = self._due(watermark)
        self.forget(watermark)
        return [left[6] for left in due]

    def dump(self) -> Any:
        return {"left": self._left, "right": list(self._right.items()), "number": self._number}

    def load(self, plain: Any) -> None:
        self._number = plain["number"]
        for left in plain["left"]:
            self._wait(tuple(left))
        for key, right in plain["right"]:
            self._right[key] = [tuple(kept) for kept in right]
            self._hold(key, len(right))
        ages = list(_ages(self._right))
        heapq.heapify(ages)
        if self._stage.latest:
            self._coming = ages
        else:
            self._passed = ages


def _ages(right: dict[Any, list[Kept]]) -> Iterable[Aged]:
    for key, documents in right.items():
        for kept in documents:
            yield kept[0], kept[4], key
