"""Reading a compressed file: its content from a byte onwards, as one part.

A compressed stream has no middle to begin at, so a file is one part, and going on at a cursor unpacks what stands
before it once more. A cursor counts the bytes of the content.
"""

from __future__ import annotations

import os
from typing import Any

from fluxion_connectors.files.compression import Unpacked
from fluxion_connectors.files.identity import HEAD_SIZE, FileChanged, head_mark
from fluxion_connectors.files.lines import BYTE_ORDER_MARK, LineReader
from fluxion_connectors.files.records import RecordFormat
from fluxion_flow.connect.spi import Cursor


class PackedReader(LineReader):
    """The records of a gzip or zstd file."""

    def __init__(
        self, path: str, partition: str, cursor: Cursor | None, records: RecordFormat, compression: str
    ) -> None:
        super().__init__(partition, records)
        self._path = path
        self._compression = compression
        self._content: Unpacked | None = None
        self._complete = False
        try:
            content = self._opened()
            self._timestamp = os.fstat(content.fileno()).st_mtime_ns // 1_000_000
            if self._head.startswith(BYTE_ORDER_MARK):
                self._offset = self._filled = len(BYTE_ORDER_MARK)
            self._take_header()
            if cursor is not None:
                self._resume(content, cursor)
        except BaseException:
            self.close()
            raise

    @property
    def cursor(self) -> dict[str, Any]:
        return {
            "v": 1,
            "offset": self._offset,
            "mtime": self._timestamp,
            "head": head_mark(self._head, self._offset),
            "packed": self._compression,
        }

    def _opened(self) -> Unpacked:
        """The content, unpacked anew after a failure."""
        if self._content is None:
            content = Unpacked(self._path, self._compression)
            try:
                self._head = content.head(HEAD_SIZE)
            except BaseException:
                content.close()
                raise
            self._content = content
        return self._content

    def _resume(self, content: Unpacked, cursor: dict[str, Any]) -> None:
        offset = cursor["offset"]
        reason = None
        if cursor.get("packed") != self._compression:
            reason = f"it was not read as {self._compression} then"
        elif head_mark(self._head, offset) != cursor["head"]:
            reason = "its content begins otherwise"
        elif offset > content.offset and not content.skip(offset):
            reason = f"its content is shorter, and the checkpoint stands at byte {offset} of it"
        if reason is not None:
            raise FileChanged(
                f"{self._path!r} is not the file of the checkpoint: {reason}; "
                "restore it, or start without the checkpoint"
            )
        self._timestamp = cursor["mtime"]
        self._offset = self._filled = max(offset, self._offset)

    def _fill(self) -> bool:
        if self._complete:
            return False
        records = self._read_records()
        self._complete = not records
        self._append(records, sum(map(len, records)))
        return bool(records)

    def _read_lines(self, hint: int) -> list[bytes]:
        content = self._opened()
        try:
            content.skip(self._filled)
            return content.readlines(hint)
        except BaseException:
            self.close()  # the next read unpacks anew
            raise

    def _leave(self, lines: list[bytes]) -> None:
        if self._content is not None:
            self._content.leave(lines)

    def _nothing(self) -> None:
        return None

    def lag(self) -> float:
        """Bytes of the file itself that are still to be unpacked, at least 1 before completion."""
        if self._complete and self._next == len(self._lines):
            return 0.0
        content = self._content
        left = 0 if content is None else os.fstat(content.fileno()).st_size - content.tell_packed()
        return float(max(left, 1))

    def close(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None
