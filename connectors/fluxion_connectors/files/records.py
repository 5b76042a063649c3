"""How a file's lines are documents: the interface of the formats, and JSON Lines."""

from __future__ import annotations

from collections.abc import Sequence

from fluxion_flow.connect.encoding import decode_records, encode_lines
from fluxion_flow.connect.shape import RowDecoder
from fluxion_flow.connect.spi import Document, Reject


class RecordFormat:
    """The records of one file: which lines are one record, and which document it is."""

    header = False
    """Whether the first record of a file says what the others mean; it is given to :meth:`begin`."""

    def group(self, lines: list[bytes], at_end: bool) -> tuple[list[bytes], list[bytes]]:
        """Lines as records, and the last lines where they are the beginning of a record whose end is not among them.

        ``at_end``: nothing stands behind these lines. Line by line unless a format says otherwise.
        """
        return lines, []

    def begin(self, record: bytes) -> None:
        """Take in the header. Raises :class:`~fluxion_flow.errors.FluxionError` for one that is none."""

    def needs(self, fields: Sequence[str]) -> None:
        """Of most documents only these fields are going to be read. A format may make use of it."""

    def decode(
        self, records: Sequence[bytes], positions: Sequence[int]
    ) -> tuple[Sequence[Document], Sequence[int], list[Reject]]:
        """Documents, their positions, and the records that are none. Blank records are passed over."""
        raise NotImplementedError


class JsonLines(RecordFormat):
    """One JSON object a line."""

    def __init__(self, extended_json: bool = False) -> None:
        self._extended_json = extended_json
        self._rows: RowDecoder | None = None

    def needs(self, fields: Sequence[str]) -> None:
        if not self._extended_json:
            self._rows = RowDecoder(fields)

    def decode(
        self, records: Sequence[bytes], positions: Sequence[int]
    ) -> tuple[Sequence[Document], Sequence[int], list[Reject]]:
        if self._rows is not None:
            return self._rows.decode(records, positions)
        return decode_records(records, positions, self._extended_json)

    def encode(self, documents: Sequence[Document]) -> tuple[bytes, dict[int, Exception]]:
        """The documents' lines, and why some have none: index → error."""
        return encode_lines(documents, self._extended_json)
