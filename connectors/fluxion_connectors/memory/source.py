"""Reading documents from lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fluxion_connectors.memory.failures import Failures
from fluxion_connectors.memory.hub import provided
from fluxion_flow.connect.spi import Batch, Cursor, Document, SourceReader, StreamingSource

Documents = Sequence[Document] | Sequence[Sequence[Document]] | Mapping[str, Sequence[Document]]


class MemorySource(StreamingSource):
    """Documents of a list (one partition), of a list of lists, or of a mapping of partition names to lists.

    ``name`` reads what was provided under a name instead. A source that is not ``bounded`` waits for further documents
    at the end of its lists. ``timestamp`` (milliseconds) is every batch's. ``fail_reads`` are numbers of reads, from 1,
    that raise (see :class:`Failures`); ``source.reads.fail_next()`` makes the next one raise.

    Readers hand out copies: a pipeline may change them, and a second run reads the same documents again.
    """

    poll_interval = 0.01
    lag_unit = "documents"

    def __init__(
        self,
        documents: Documents | None = None,
        *,
        name: str | None = None,
        bounded: bool = True,
        timestamp: int = 0,
        fail_reads: Mapping[int, Exception | str] | Collection[int] | None = None,
    ) -> None:
        if (documents is None) == (name is None):
            raise TypeError("a memory source takes documents or a name, one of the two")
        self.bounded = bounded
        self.timestamp = timestamp
        self._lists = _partitions(provided(name) if name is not None else documents)
        self.reads = Failures(fail_reads, "read")

    def partitions(self) -> list[str]:
        return sorted(self._lists)

    def open(self, partition: str, cursor: Cursor | None) -> MemoryReader:
        index = cursor["index"] if cursor is not None else 0
        return MemoryReader(partition, self._lists[partition], index, self.bounded, self.timestamp, self.reads)


def _partitions(documents: Any) -> dict[str, Sequence[Document]]:
    if isinstance(documents, Mapping):
        return dict(documents)
    if documents and not isinstance(documents[0], Mapping):
        return {f"{number:05d}": part for number, part in enumerate(documents)}
    return {"00000": documents}


class MemoryReader(SourceReader):
    """Reads one list."""

    def __init__(
        self,
        partition: str,
        documents: Sequence[Document],
        index: int,
        bounded: bool,
        timestamp: int,
        failures: Failures,
    ) -> None:
        self._partition = partition
        self._documents = documents
        self._index = index
        self._bounded = bounded
        self._timestamp = timestamp
        self._failures = failures

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "index": self._index}

    def read(self, max_documents: int) -> Batch | None:
        """Positions are indexes in the list."""
        self._failures.count()
        first = self._index
        documents = [_copy(document) for document in self._documents[first : first + max_documents]]
        if not documents and self._bounded:
            return None
        self._index += len(documents)
        return Batch(documents, self._partition, first, range(first, self._index), self._timestamp)

    def lag(self) -> float:
        """Documents that are still to be read."""
        return len(self._documents) - self._index


def _copy(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _copy(item) for key, item in value.items()}
    if value.__class__ is list:
        return [_copy(item) for item in value]
    return value
