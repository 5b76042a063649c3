"""Reading back and removing what memory sinks of a name have collected."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from fluxion_connectors.memory import hub
from fluxion_flow.connect.stored import StoredDocument, StoredDocuments


class MemoryStored(StoredDocuments):
    """The documents under a name. A handle is the document itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self) -> Iterator[StoredDocument]:
        for number, document in enumerate(hub.collected(self._name), 1):
            yield StoredDocument(f"memory {self._name}:{number}", document, document)

    def remove(self, handles: Collection[Any]) -> int:
        return hub.take_out(self._name, handles)
