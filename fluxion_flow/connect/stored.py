"""What a sink has written, to be read back and removed: how dead letters are looked through, replayed and purged.

A connector offers it as the field ``stored`` of its descriptor: a function of a sink's checked options, as its factory
takes them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from fluxion_flow.connect.spi import Document

BESIDE = "replay-"
"""How the name of a run beside the pipeline's own begins; see :meth:`StreamingSink.beside`."""


@dataclass(frozen=True)
class StoredDocument:
    """A document that a sink has written. ``place`` says where, for people: ``dead.jsonl:12``, ``orders.dlq/0@17``.

    ``handle`` is what :meth:`StoredDocuments.remove` takes. Where something was stored that is no document,
    ``document`` is ``None`` and ``error`` says why.
    """

    place: str
    handle: Any
    document: Document | None
    error: str = ""


class StoredDocuments(ABC):
    """What sinks with the same options have written, those beside the pipeline's own run included."""

    @abstractmethod
    def read(self) -> Iterator[StoredDocument]:
        """Everything from the oldest on, up to what is there when reading begins; nothing where nothing was written.

        Changes nothing: no offset is committed, no file is written. Raises what the connector raises.
        """

    @abstractmethod
    def remove(self, handles: Collection[Any]) -> int:
        """Remove documents by their handles, durably, and answer how many are gone.

        They may be fewer, where the system can remove from the oldest on only. A pipeline that is running, or that
        resumes from a checkpoint, is not disturbed by it.
        """
