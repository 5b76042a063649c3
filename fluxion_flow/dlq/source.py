"""Dead letters as a source: each letter is a batch that stands where its record stood.

The batch has the record's partition, position and time, so that ``$rand``, ``$$NOW`` and ``{$meta: ...}`` give what
they would have given. Letters whose record is not known stand in a partition of their own. Where several letters came
of one record, each but the first has a partition of its own, too: a position is delivered once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..connect.encoding import decode_records, from_extended
from ..connect.spi import Batch, Cursor, SourceReader, StreamingSource
from ..core.values import to_millis
from ..runtime.run import LETTER
from .letter import Letter

NO_RECORD = "letters"
"""The partition of letters behind which no single record stands."""


class LettersSource(StreamingSource):
    """The documents of letters, and their raw records, decoded once more (``extended``: as Extended JSON)."""

    bounded = True

    def __init__(self, letters: Sequence[Letter], *, extended: bool = False) -> None:
        self._extended = extended
        self._parts: dict[str, list[tuple[int, Letter]]] = {}
        self.completed: set[str] = set()
        """The partitions that have been read to their end."""
        taken: dict[tuple[str, int], int] = {}
        for number, letter in enumerate(letters):
            position = letter.position
            if position is None:
                self._parts.setdefault(NO_RECORD, []).append((number, letter))
                continue
            partition = str(letter.source.get("partition", ""))
            again = taken[partition, position] = taken.get((partition, position), -1) + 1
            name = f"{partition}~{again}" if again else partition
            self._parts.setdefault(name, []).append((position, letter))
        for placed in self._parts.values():
            placed.sort(key=lambda entry: entry[0])

    def partitions(self) -> list[str]:
        return sorted(self._parts)

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return _Reader(self, partition, self._parts[partition], cursor["index"] if cursor else 0, self._extended)


class _Reader(SourceReader):
    def __init__(
        self, source: LettersSource, partition: str, letters: list[tuple[int, Letter]], index: int, extended: bool
    ) -> None:
        self._source = source
        self._partition = partition
        self._letters = letters
        self._index = index
        self._extended = extended

    @property
    def cursor(self) -> Cursor:
        return {"v": 1, "index": self._index}

    def lag(self) -> float:
        return len(self._letters) - self._index

    def read(self, max_documents: int) -> Batch | None:
        if self._index == len(self._letters):
            self._source.completed.add(self._partition)
            return None
        position, letter = self._letters[self._index]
        self._index += 1
        source = letter.source
        time = source.get("ts")
        meta = {"source": source, LETTER: _before(letter)}
        batch = Batch([], self._partition, position, meta=meta)
        batch.timestamp = to_millis(time) if isinstance(time, datetime) else time if isinstance(time, int) else 0
        document, raw = letter.document, letter.raw
        if document is not None:
            batch.documents = [document]
        elif raw is not None:
            batch.documents, _, batch.rejects = decode_records([raw], [position], self._extended)
        batch.positions = [position] * len(batch.documents)
        return batch


def _before(letter: Letter) -> dict[str, Any]:
    """What a letter that comes of this one takes over."""
    names = ("id", "operatorName", "attempts", "firstFailureTime", "replays")
    return {name: from_extended(letter.data[name]) for name in names if letter.data.get(name) is not None}
