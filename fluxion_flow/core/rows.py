"""Documents that are decoded when somebody asks for them: until then, only rows of the fields that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from .stages.shapes import Document

FIELD = "F"
"""Field *n* of those that are needed is the attribute ``F<n>`` of a row."""


class Rows(Sequence[Document]):
    """The documents of some records: a row each, and the records, of which whole documents are made when asked for.

    ``rows`` holds an object with an attribute for each of ``fields``, the needed fields in this order, or ``None`` for
    a document that has not the shape of the others. Every record is known to hold a document. Pickled as a list.
    """

    __slots__ = ("_asked", "_decode", "_documents", "fields", "records", "rows")

    def __init__(
        self,
        rows: Sequence[Any],
        records: Sequence[bytes],
        fields: tuple[str, ...],
        decode: Callable[[bytes], Document],
        asked: Callable[[], None] = lambda: None,
    ) -> None:
        """``asked`` is called when all documents are asked for."""
        self.rows = rows
        self.records = records
        self.fields = fields
        self._decode = decode
        self._asked = asked
        self._documents: list[Document] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Document]:
        """A list's iterator: it knows how far it is."""
        if self._documents is None:
            self._asked()
            self._documents = [self._decode(record) for record in self.records]
        return iter(self._documents)

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Document | Rows:
        if isinstance(index, slice):
            return Rows(self.rows[index], self.records[index], self.fields, self._decode, self._asked)
        return self._decode(self.records[index]) if self._documents is None else self._documents[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)
