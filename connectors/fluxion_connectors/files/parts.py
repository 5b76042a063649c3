"""Reading one part of a file: the lines that start in a range of bytes, resumed at the byte."""

from __future__ import annotations

import os
from itertools import accumulate
from typing import Any

from fluxion_connectors.files.identity import FileChanged, head_mark, read_head, why_changed
from fluxion_connectors.files.lines import BLOCK, BYTE_ORDER_MARK, LineReader, modification_time
from fluxion_connectors.files.records import RecordFormat
from fluxion_flow.connect.spi import Cursor


class PartReader(LineReader):
    """The lines that start in ``[start, end)`` of a file, to the end that the file has by then."""

    def __init__(
        self, path: str, partition: str, start: int, end: int, cursor: Cursor | None, records: RecordFormat
    ) -> None:
        super().__init__(partition, records)
        self._path = path
        self._end = end
        self._complete = False
        self._file = open(path, "rb", buffering=BLOCK)  # noqa: SIM115 - closed by close()
        try:
            self._head = read_head(self._file)
            if cursor is None or records.header:
                self._timestamp = modification_time(self._file)
                self._start_at(start)
                self._take_header()
            if cursor is not None:
                self._resume(cursor)
        except BaseException:
            self.close()
            raise

    @property
    def cursor(self) -> dict[str, Any]:
        cursor = {
            "v": 1,
            "offset": self._offset,
            "end": self._end,
            "mtime": self._timestamp,
            "head": head_mark(self._head, self._offset),
        }
        if self._unterminated == self._offset:
            cursor["unterminated"] = True
        return cursor

    def _start_at(self, start: int) -> None:
        """Stand at the first line that starts at ``start`` or behind it."""
        assert self._file is not None
        if start == 0:
            if self._head.startswith(BYTE_ORDER_MARK):
                self._offset = self._filled = len(BYTE_ORDER_MARK)
                self._end = max(self._end, self._offset + 1)  # the first line is here, however short the part
            return
        position = start - 1
        self._file.seek(position)
        while position < self._end:
            piece = self._file.readline(BLOCK)
            position += len(piece)
            if piece.endswith(b"\n"):
                break
            if not piece:
                self._unterminated = position
                break
        self._offset = self._filled = position
        self._complete = position >= self._end

    def _resume(self, cursor: dict[str, Any]) -> None:
        assert self._file is not None
        offset = cursor["offset"]
        if cursor.get("end") is None or cursor["end"] not in (self._end, max(self._end, len(BYTE_ORDER_MARK) + 1)):
            raise FileChanged(
                f"{self._path!r} was read with another part_size (or with follow) when the checkpoint was made; "
                "set it back, or start without the checkpoint"
            )
        self._end = cursor["end"]
        reason = why_changed(self._file, offset, cursor["head"])
        if reason is None:
            following = os.pread(self._file.fileno(), 1, offset)
            if cursor.get("unterminated"):
                self._unterminated = offset
                if following not in (b"", b"\n"):
                    reason = "its last line had no line break when it was read, and has become longer"
            elif len(BYTE_ORDER_MARK) < offset < self._end and os.pread(self._file.fileno(), 1, offset - 1) != b"\n":
                reason = f"no line starts at byte {offset}, where the checkpoint stands"
        if reason is not None:
            raise FileChanged(
                f"{self._path!r} is not the file of the checkpoint: {reason}; "
                "restore it, or start without the checkpoint"
            )
        self._timestamp = cursor["mtime"]
        self._offset = self._filled = offset = max(offset, self._offset)
        self._complete = offset >= self._end

    def _fill(self) -> bool:
        if self._complete:
            return False
        lines = self._read_records()
        size = sum(map(len, lines))
        if not lines or self._filled + size >= self._end:
            self._complete = True
            lines = [
                line
                for line, position in zip(lines, accumulate(map(len, lines), initial=self._filled), strict=False)
                if position < self._end
            ]
            size = sum(map(len, lines))
        self._append(lines, size)
        return bool(lines)

    def _nothing(self) -> None:
        return None

    def lag(self) -> float:
        return max(min(self._size(), self._end) - self._offset, 0)
