"""What travels in a compiled dataflow besides micro-batches. Everything here can be pickled, for other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from ..connect.spi import Batch, Document


@dataclass(slots=True)
class Completed:
    """One of ``total`` parts of a step has given everything it will ever give.

    A step that finishes only at completion waits until it has heard of all parts; the end of a drained run sends none.
    """

    step: str
    part: str
    total: int


@dataclass(slots=True)
class Letters:
    """Dead letters on their way to the dead-letter sink with this number."""

    sink: int
    documents: list[Document]


@dataclass(slots=True)
class Partial:
    """One batch's partial result for some keys of a keyed step; ``origin`` and ``position`` say where it came from.

    ``indexes`` holds, where order matters, each key's place among all keys of the batch.
    """

    groups: dict[Any, list[Any]]
    origin: str
    position: int
    timestamp: int
    indexes: list[int] | None = None

    def without(self, keys: Iterable[Any]) -> Partial:
        """The same without some of its keys."""
        left_out = set(keys)
        kept = [(n, key) for n, key in enumerate(self.groups) if key not in left_out]
        indexes = None if self.indexes is None else [self.indexes[n] for n, _ in kept]
        return replace(self, groups={key: self.groups[key] for _, key in kept}, indexes=indexes)


@dataclass(slots=True)
class Shares:
    """What the documents of a batch give to groups of a keyed step; it is taken in where it was made."""

    rows: list[Any]
    origin: str
    position: int
    timestamp: int


@dataclass(slots=True)
class Touched:
    """Groups of a part of a keyed step have changed where they lie."""


@dataclass(slots=True)
class Progress:
    """How far a source partition has come: its newest event time, and since when it is silent, both milliseconds.

    ``total`` is how many partitions the source has; ``idle`` is 0 for a partition that is not silent.
    """

    part: str
    total: int
    newest: int
    idle: int = 0


@dataclass(slots=True)
class Ordered:
    """The final documents of one part of a keyed step, each with the place where its key was first seen."""

    documents: list[Document]
    places: list[tuple[str, int, int]]


_KINDS: dict[str, Callable[..., Any]] = {"completed": Completed, "partial": Partial, "ordered": Ordered}


def as_plain(item: Any) -> list[Any]:
    """What goes to a part of a keyed or gathering step as plain data, for a snapshot."""
    if isinstance(item, Batch):
        return ["batch", item.documents, item.partition, item.position, item.timestamp]
    kind = next(kind for kind, known in _KINDS.items() if item.__class__ is known)
    return [kind, *(getattr(item, field.name) for field in fields(item))]


def from_plain(plain: list[Any]) -> Any:
    """What :func:`as_plain` was given."""
    kind, *values = plain
    if kind == "batch":
        documents, partition, position, timestamp = values
        return Batch(documents, partition, position, timestamp=timestamp)
    return _KINDS[kind](*values)


def to_part(part: str, item: Any) -> tuple[str, tuple[str, Any]]:
    """An item addressed to a part of a keyed step, which is told its own name with it."""
    return part, (part, item)


class Completion:
    """Counts the parts of a step that have completed; parts that report again after a resume count once."""

    def __init__(self) -> None:
        self._parts: set[str] = set()

    def heard(self, marker: Completed) -> bool:
        """Take note of a marker; true when it makes the step complete."""
        if marker.part in self._parts:
            return False
        self._parts.add(marker.part)
        return len(self._parts) == marker.total
