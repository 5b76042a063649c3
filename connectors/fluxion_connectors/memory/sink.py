"""Collecting documents in lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from fluxion_connectors.memory import hub
from fluxion_connectors.memory.failures import Failures
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, Document, SinkWriter, StreamingSink

Refusal = Mapping[str, Any] | Callable[[Document], Exception | None]


class MemorySink(StreamingSink):
    """Collects documents under a name; :meth:`collected` reads them.

    With ``replays``, a writer that is opened at a cursor first takes away what its part collected after it, and one
    that is opened without a cursor what its part collected at all. ``fail_writes`` and ``fail_flushes`` are numbers of
    calls, from 1, that raise (see :class:`Failures`); nothing of such a write is collected. ``sink.writes.fail_next()``
    and ``sink.flushes.fail_next()`` make the next one raise. ``fail_documents`` refuses single documents: the ones that
    have all of these fields and values, or for which a function returns an exception.
    """

    def __init__(
        self,
        name: str = "out",
        *,
        replays: bool = False,
        fail_writes: Mapping[int, Exception | str] | Collection[int] | None = None,
        fail_flushes: Mapping[int, Exception | str] | Collection[int] | None = None,
        fail_documents: Refusal | None = None,
    ) -> None:
        self.name = name
        self.replays = replays
        self.writes = Failures(fail_writes, "write")
        self.flushes = Failures(fail_flushes, "flush")
        self._refusal = fail_documents

    def open(self, part: str, cursor: Cursor | None) -> MemoryWriter:
        if self.replays:
            hub.cut_back(self.name, part, cursor["count"] if cursor is not None else 0)
        return MemoryWriter(self.name, part, self.writes, self.flushes, self._refusal)

    def probe(self) -> str:
        return "in memory"

    def collected(self) -> list[Document]:
        """A new list of all documents that were written under this sink's name."""
        return hub.collected(self.name)


class MemoryWriter(SinkWriter):
    """Collects the documents of one part."""

    def __init__(self, name: str, part: str, writes: Failures, flushes: Failures, refusal: Refusal | None) -> None:
        self._name = name
        self._part = part
        self._writes = writes
        self._flushes = flushes
        self._refusal = refusal
        self._count = self._flushed = hub.count(name, part)

    def write(self, batch: Batch) -> None:
        self._writes.count()
        errors = {index: error for index, document in enumerate(batch.documents) if (error := self._refused(document))}
        taken = [document for index, document in enumerate(batch.documents) if index not in errors]
        hub.collect(self._name, self._part, taken)
        self._count += len(taken)
        if errors:
            raise DeliveryError(errors)

    def _refused(self, document: Document) -> Exception | None:
        if self._refusal is None:
            return None
        if callable(self._refusal):
            return self._refusal(document)
        if all(name in document and document[name] == value for name, value in self._refusal.items()):
            return ValueError(f"told to refuse documents with {dict(self._refusal)}")
        return None

    def flush(self) -> None:
        self._flushes.count()
        self._flushed = self._count

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "count": self._flushed}
