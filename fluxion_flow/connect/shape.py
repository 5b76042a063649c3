"""JSON records as rows of the fields that are needed, by the shape that most documents of a source have.

A shape is a :class:`msgspec.Struct` with the needed fields, and with all others that documents were seen to have. Other
fields are decoded too, and not just skipped: so a record is taken exactly where :func:`decode_document` takes it, down
to bytes that are not UTF-8 and numbers that are out of range. What is saved are the dicts. A record that lacks a needed
field, or has a field that was never seen, gets no row; its document is decoded whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec

from fluxion_flow.connect.encoding import decode_document, decode_records
from fluxion_flow.connect.spi import Document, Reject
from fluxion_flow.core.rows import FIELD, Rows

SAMPLE = 32
"""Documents that must be there, so that a shape is made of their fields."""

MOST_FIELDS = 128
"""Fields in a shape at most; documents of ever new fields have no common shape."""

ODD = 0.1
"""Share of documents without a row from which rows do not pay."""

WATCHED = 8
"""Batches of rows after which it is looked whether rows were what was asked for."""

REST = 64
"""Batches without rows after rows have not paid."""

Decoded = tuple[Sequence[Document], Sequence[int], list[Reject]]


class RowDecoder:
    """Decodes the records of one source partition for stages that need these fields."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)
        self._possible = all(map(_may_be_field, self._fields))
        self._others: dict[str, None] = {}
        self._row: Callable[[bytes], Any] | None = None
        self._given = self._made_whole = 0
        """Batches of rows since the last look, and how many of them were asked for whole."""
        self._rest = 0

    def decode(self, records: Sequence[bytes], positions: Sequence[int]) -> Decoded:
        """As :func:`~fluxion_flow.connect.encoding.decode_records`; documents may be :class:`Rows`."""
        if not self._possible or self._rest or not self._pays():
            self._rest = max(self._rest - 1, 0)
            return self._without_rows(records, positions)
        if self._row is None:
            found = self._without_rows(records, positions)
            if len(found[0]) >= SAMPLE:
                self._learn(found[0])
            return found
        try:
            rows: list[Any] = list(map(self._row, records))
        except (ValueError, msgspec.DecodeError, RecursionError):
            return self._one_by_one(self._row, records, positions)
        return self._rows(rows, records), positions, []

    def _without_rows(self, records: Sequence[bytes], positions: Sequence[int]) -> Decoded:
        """All documents whole; they know their records all the same."""
        documents, places, rejects = decode_records(records, positions)
        if len(documents) < len(records):
            wanted = set(places)
            records = [record for record, place in zip(records, positions, strict=True) if place in wanted]
        return Rows((), records, self._fields, decode_document, documents=documents), places, rejects

    def _pays(self) -> bool:
        """Whether rows are what is asked for; begins a rest where they are not."""
        if self._given < WATCHED:
            return True
        pays = self._made_whole <= self._given / 2
        self._given = self._made_whole = 0
        if not pays:
            self._give_up()
        return pays

    def _give_up(self) -> None:
        self._rest = REST

    def _whole(self) -> None:
        self._made_whole += 1

    def _rows(self, rows: list[Any], records: Sequence[bytes]) -> Rows:
        self._given += 1
        return Rows(rows, records, self._fields, decode_document, self._whole)

    def _one_by_one(
        self, decode: Callable[[bytes], Any], records: Sequence[bytes], positions: Sequence[int]
    ) -> Decoded:
        rows: list[Any] = []
        kept: list[bytes] = []
        places: list[int] = []
        rejects: list[Reject] = []
        odd: list[Document] = []
        for record, position in zip(records, positions, strict=True):
            row = None
            try:
                row = decode(record)
            except (ValueError, msgspec.DecodeError, RecursionError):
                documents, _, refused = decode_records([record], [position])
                odd += documents
                rejects += refused
                if not documents:
                    continue
            rows.append(row)
            kept.append(record)
            places.append(position)
        if odd and not self._learn(odd) and len(odd) > ODD * len(rows):
            self._give_up()
        return self._rows(rows, kept), places, rejects

    def _learn(self, documents: Sequence[Document]) -> bool:
        """Take the fields of these documents into the shape; whether it has changed. None is made of odd ones alone."""
        if self._row is None and sum(not self._has_all(document) for document in documents) > ODD * len(documents):
            self._give_up()
            return False
        names = {name: None for document in documents for name in document if _may_be_field(name)}
        others = {name: None for name in {**self._others, **names} if name not in self._fields}
        if len(others) + len(self._fields) > MOST_FIELDS or (
            self._row is not None and len(others) == len(self._others)
        ):
            return False
        self._others = others
        self._row = _row_decoder(self._fields, others)
        return True

    def _has_all(self, document: Document) -> bool:
        return all(name in document for name in self._fields)


def _may_be_field(name: str) -> bool:
    """Whether a name can stand in a shape: msgspec takes none that JSON would have to escape."""
    return not any(letter in '"\\' or letter < " " or "\ud800" <= letter <= "\udfff" for letter in name)


def _row_decoder(fields: Sequence[str], others: Collection[str]) -> Callable[[bytes], Any]:
    needed = [(f"{FIELD}{number}", Any) for number in range(len(fields))]
    further = {f"other{number}": name for number, name in enumerate(others)}
    shape = msgspec.defstruct(
        "Row",
        [*needed, *((attribute, Any, None) for attribute in further)],
        rename={**{attribute: name for (attribute, _), name in zip(needed, fields, strict=True)}, **further},
        gc=False,
        forbid_unknown_fields=True,
    )
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(shape).decode
    return decode
