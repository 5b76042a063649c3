"""What a transactional sink holds already: a resumed run reads it again, and does not deliver it again.

Such a sink stores, in one atomic step with a batch's documents, the source position of the batch's last record. The
source starts from the checkpoint as ever, so that the dead letters behind the checkpoint are made again; a batch is cut
where the sink's part of it ends, and what the sink holds is passed over at the delivery.
"""

from __future__ import annotations

from dataclasses import replace

from ..connect.spi import Batch, StreamingSink
from .run import position_in


class Committed:
    """By source partition, the position of the last record whose documents the sink held when the run began."""

    def __init__(self, sink: StreamingSink) -> None:
        self._sink = sink
        self._positions: dict[str, int] | None = None

    def position(self, partition: str) -> int | None:
        """The last position of a partition in the sink; ``None`` when there is none. May raise what the sink raises."""
        if self._positions is None:
            self._positions = {name: int(position) for name, position in self._sink.committed_cursors().items()}
        return self._positions.get(partition)

    def holds(self, batch: Batch) -> bool:
        """Whether the sink holds everything that came of a batch."""
        last = self.position(batch.partition)
        return last is not None and batch.cursor is not None and int(batch.cursor) <= last


def stamped(batch: Batch, boundary: int | None) -> list[Batch]:
    """A batch with the position of its last record as its cursor, cut in two where ``boundary`` lies in it.

    ``boundary`` is the last position that the sink holds.
    """
    count = len(batch.documents)
    before = 0
    if boundary is not None:
        before = sum(position_in(batch, i) <= boundary for i in range(count))
    pieces = [(0, before), (before, count)] if 0 < before < count else [(0, count)]
    return [_piece(batch, start, end) for start, end in pieces]


def _piece(batch: Batch, start: int, end: int) -> Batch:
    last = position_in(batch, end - 1)
    if (start, end) == (0, len(batch.documents)):
        return replace(batch, cursor=last)
    positions = batch.positions[start:end] if batch.positions else ()
    documents, position = batch.documents[start:end], position_in(batch, start)
    return replace(batch, documents=documents, position=position, positions=positions, cursor=last)
