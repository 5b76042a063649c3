"""The lists of this process that memory sources and sinks share by name. Safe to use from many threads."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence

from fluxion_flow.connect.spi import Document

_lock = threading.Lock()
_provided: dict[str, list[Document]] = {}
_collected: dict[str, list[tuple[str, Document]]] = {}  # (part of the sink, document), in the order of writing


def provide(name: str, documents: Sequence[Document]) -> None:
    """Append documents to what sources of this name read. An unbounded source that is running gets them too."""
    with _lock:
        _provided.setdefault(name, []).extend(documents)


def provided(name: str) -> list[Document]:
    """The list that sources of this name read; it may grow."""
    with _lock:
        return _provided.setdefault(name, [])


def collected(name: str = "out") -> list[Document]:
    """A new list of all documents that sinks of this name were given, in the order of writing."""
    with _lock:
        return [document for _, document in _collected.get(name, ())]


def clear(name: str | None = None) -> None:
    """Forget what was provided and collected under a name; without a name, under all."""
    with _lock:
        for lists in (_provided, _collected):
            if name is None:
                lists.clear()
            else:
                lists.pop(name, None)


def collect(name: str, part: str, documents: Sequence[Document]) -> None:
    """Add what one writer was given."""
    with _lock:
        _collected.setdefault(name, []).extend((part, document) for document in documents)


def count(name: str, part: str) -> int:
    """How many documents a sink's part has collected."""
    with _lock:
        return sum(1 for entry in _collected.get(name, ()) if entry[0] == part)


def cut_back(name: str, part: str, kept: int) -> None:
    """Keep only the first documents of a sink's part."""
    with _lock:
        entries = _collected.get(name, [])
        seen = 0
        remaining = []
        for entry in entries:
            if entry[0] == part:
                seen += 1
                if seen > kept:
                    continue
            remaining.append(entry)
        _collected[name] = remaining


def take_out(name: str, documents: Collection[Document]) -> int:
    """Forget these very documents of what was collected under a name; how many there were."""
    identities = {id(document) for document in documents}
    with _lock:
        entries = _collected.get(name, [])
        _collected[name] = [entry for entry in entries if id(entry[1]) not in identities]
        return len(entries) - len(_collected[name])
