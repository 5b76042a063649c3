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
    a document that has not the shape of the others; it is empty where there are no rows. Every record is known to hold
    a document. ``indexes`` says of records that were taken from others which of these they are.
    Pickled as a list, or where there are no rows as the records.
    """

    __slots__ = ("_asked", "_decode", "_documents", "fields", "indexes", "records", "rows")

    def __init__(
        self,
        rows: Sequence[Any],
        records: Sequence[bytes],
        fields: tuple[str, ...],
        decode: Callable[[bytes], Document],
        asked: Callable[[], None] = lambda: None,
        documents: list[Document] | None = None,
    ) -> None:
        """``asked`` is called when all documents are asked for; ``documents`` are they, where they are there."""
        self.rows = rows
        self.records = records
        self.fields = fields
        self.indexes: Sequence[int] = ()
        self._decode = decode
        self._asked = asked
        self._documents = documents

    def __len__(self) -> int:
        return len(self.records)

    def _whole(self) -> list[Document]:
        if self._documents is None:
            self._asked()
            self._documents = [self._decode(record) for record in self.records]
        return self._documents

    def __iter__(self) -> Iterator[Document]:
        """A list's iterator: it knows how far it is."""
        return iter(self._whole())

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Document | Rows:
        if isinstance(index, slice):
            documents = self._documents[index] if self._documents is not None else None
            return Rows(self.rows[index], self.records[index], self.fields, self._decode, self._asked, documents)
        return self._decode(self.records[index]) if self._documents is None else self._documents[index]

    def taken(self, indexes: Sequence[int]) -> Rows:
        """The documents at ``indexes``, without their rows."""
        records, documents = self.records, self._documents
        found = Rows(
            (),
            [records[i] for i in indexes],
            self.fields,
            self._decode,
            self._asked if 2 * len(indexes) > len(records) else lambda: None,
            [documents[i] for i in indexes] if documents is not None else None,
        )
        found.indexes = indexes
        return found

    def places_of(self, documents: Sequence[Document]) -> list[int]:
        """The indexes of documents that are some of these, the same objects in the same order."""
        found: list[int] = []
        whole, place = self._whole(), 0
        for document in documents:
            while whole[place] is not document:
                place += 1
            found.append(place)
            place += 1
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.rows:
            return Rows, ((), list(self.records), self.fields, self._decode)
        return list, (list(self),)
