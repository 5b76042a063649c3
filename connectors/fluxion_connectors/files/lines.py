"""Lines of a file as batches of documents.

Lines end with a line feed, which a carriage return may precede. Empty lines are passed over. The file's format says
which lines are a record and which document that is. What is no document becomes a reject with its raw bytes and its
first byte's position; its neighbours are read as if it were not there.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, BinaryIO, overload

from fluxion_connectors.files.identity import HEAD_SIZE, read_head
from fluxion_connectors.files.records import RecordFormat
from fluxion_flow.connect.spi import Batch, SourceReader

BLOCK = 128 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LinePositions(Sequence[int]):
    """The first byte of each line, counted when somebody asks. Pickled as a list."""

    __slots__ = ("_first", "_lines", "_positions")

    def __init__(self, first: int, lines: Sequence[bytes]) -> None:
        self._first = first
        self._lines = lines
        self._positions: list[int] | None = None

    def _counted(self) -> list[int]:
        if self._positions is None:
            self._positions = list(accumulate(map(len, self._lines[:-1]), initial=self._first))
        return self._positions

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        return self._first if index == 0 and self._lines else self._counted()[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self._counted(),)


class LineReader(SourceReader):
    """Turns lines into batches. Subclasses say where lines come from (``_fill``) and what it means to have none."""

    def __init__(self, partition: str, records: RecordFormat) -> None:
        self._partition = partition
        self._records = records
        self._file: BinaryIO | None = None
        self._head = b""
        self._timestamp = 0
        self._lines: list[bytes] = []
        self._next = 0  # index in _lines of the next line to return
        self._offset = 0  # its first byte in the file
        self._filled = 0  # the byte after the last of _lines
        self._unterminated: int | None = None  # the byte after a last line without a line break

    @abstractmethod
    def _fill(self) -> bool:
        """Append further lines; false when there are none now."""

    @abstractmethod
    def _nothing(self) -> Batch | None:
        """What ``read`` returns when there are no lines."""

    def needs(self, fields: Sequence[str]) -> None:
        self._records.needs(fields)

    def read(self, max_documents: int) -> Batch | None:
        while True:
            while len(self._lines) - self._next < max_documents and self._fill():
                pass
            lines = self._lines[self._next : self._next + max_documents]
            if not lines:
                return self._nothing()
            documents, positions, rejects = self._records.decode(lines, LinePositions(self._offset, lines))
            self._next += len(lines)
            self._offset += sum(map(len, lines))
            if documents or rejects:
                first = positions[0] if documents else rejects[0].position
                if rejects:
                    first = min(first, rejects[0].position)
                list_or_rows: Any = documents
                return Batch(list_or_rows, self._partition, first, positions, self._timestamp, rejects)

    def _read_records(self) -> list[bytes]:
        """The next records behind ``_filled``; the last may lack its line break at the file's end."""
        hint = BLOCK
        while True:
            lines = self._read_lines(hint)
            records, rest = self._records.group(lines, sum(map(len, lines)) < hint)
            if rest:
                self._leave(rest)
            if records or not rest:
                return records
            hint *= 4

    def _take_header(self) -> None:
        """At the start of a file: pass over the record that tells what the others mean."""
        if self._records.header:
            header, *rest = self._read_records() or [b""]
            self._leave(rest)
            if header:
                self._records.begin(header)
            self._offset = self._filled = self._filled + len(header)

    def _leave(self, lines: list[bytes]) -> None:
        """Lines that were read and not taken: the next read begins with them, because it begins at ``_filled``."""

    def _read_lines(self, hint: int) -> list[bytes]:
        """The next lines behind ``_filled``, about ``hint`` bytes of them."""
        assert self._file is not None
        self._file.seek(self._filled)
        lines = self._file.readlines(hint)
        if len(self._head) < HEAD_SIZE:
            self._head = read_head(self._file)
        return lines

    def _append(self, lines: list[bytes], size: int) -> None:
        self._lines = self._lines[self._next :] + lines
        self._next = 0
        self._filled += size
        if lines and not lines[-1].endswith(b"\n"):
            self._unterminated = self._filled

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._file is not None else 0

    def lag(self) -> float:
        """Bytes that are still to be read."""
        return max(self._size() - self._offset, 0)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def modification_time(file: BinaryIO) -> int:
    """Milliseconds since the epoch."""
    return os.fstat(file.fileno()).st_mtime_ns // 1_000_000
