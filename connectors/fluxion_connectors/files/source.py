"""Reading JSON Lines files: parts by byte range, each resumed at its byte.

A file is cut into parts of ``part_size`` bytes, so that a big one is read by several workers. A record belongs to the
part in which its line starts. A part is named ``<path>@<first byte>``, zero-padded: names sort in reading order and
depend on nothing but the file's size and ``part_size``.

Lines end with ``\\n`` (or ``\\r\\n``). Empty lines and a byte order mark are passed over. A line that is not a JSON
object becomes a reject with its raw bytes and its first byte's position. The last line needs no line break.

The timestamp of all batches is the file's modification time at its first opening; cursors carry it along.
"""

from __future__ import annotations

import glob
import os
from abc import abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, BinaryIO, overload

from fluxion_flow.connect.encoding import decode_records
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource

from fluxion_connectors.files.identity import HEAD_SIZE, FileChanged, head_mark, read_head, why_changed

PART_SIZE = 64 * 1024 * 1024
_BLOCK = 128 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FilesSource(StreamingSource):
    """One file, or all files of a pattern; see the module for parts and lines. ``follow`` reads one growing file."""

    def __init__(
        self,
        path: str,
        *,
        part_size: int = PART_SIZE,
        follow: bool = False,
        on_missing: str = "fail",
        extended_json: bool = False,
        format: str = "json",
        encoding: str = "utf-8",
    ) -> None:
        if part_size < 1:
            raise ValueError(f"part_size must be at least 1 byte, got {part_size}")
        self.path = os.fspath(path)
        self.part_size = part_size
        self.follow = follow
        self.on_missing = on_missing
        self.extended_json = extended_json
        self.bounded = not follow

    def files(self) -> list[str]:
        """The files that exist now, sorted."""
        if os.path.isfile(self.path):
            return [self.path]
        return sorted(path for path in glob.glob(self.path, recursive=True) if os.path.isfile(path))

    def partitions(self) -> list[str]:
        """Raises :class:`FileNotFoundError` when there is no file, unless ``on_missing`` says otherwise."""
        if self.follow and self.on_missing == "wait":
            return [_part_name(self.path, 0)]
        files = self.files()
        if not files and self.on_missing == "fail":
            raise FileNotFoundError(f"no file {self.path!r}; correct the path, or set on_missing")
        if self.follow:
            return [_part_name(path, 0) for path in files]
        starts = [(path, start) for path in files for start in range(0, max(os.path.getsize(path), 1), self.part_size)]
        return sorted(_part_name(path, start) for path, start in starts)

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        """Raises :class:`FileChanged` when the file is not the one of the cursor, :class:`OSError` if it can't be read."""
        path, _, start = partition.rpartition("@")
        if self.follow:
            from fluxion_connectors.files.follow import FollowReader

            return FollowReader(path, partition, cursor, self.extended_json, wait=self.on_missing == "wait")
        return PartReader(path, partition, int(start), int(start) + self.part_size, cursor, self.extended_json)


def _part_name(path: str, start: int) -> str:
    return f"{path}@{start:015d}"


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

    def __init__(self, partition: str, extended_json: bool) -> None:
        self._partition = partition
        self._extended_json = extended_json
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

    def read(self, max_documents: int) -> Batch | None:
        while True:
            while len(self._lines) - self._next < max_documents and self._fill():
                pass
            lines = self._lines[self._next : self._next + max_documents]
            if not lines:
                return self._nothing()
            documents, positions, rejects = decode_records(
                lines, LinePositions(self._offset, lines), self._extended_json
            )
            self._next += len(lines)
            self._offset += sum(map(len, lines))
            if documents or rejects:
                first = min([*positions[:1], *(reject.position for reject in rejects[:1])])
                return Batch(documents, self._partition, first, positions, self._timestamp, rejects)

    def _read_lines(self) -> list[bytes]:
        """The next block of lines behind ``_filled``; the last may lack its line break at the file's end."""
        assert self._file is not None
        self._file.seek(self._filled)
        lines = self._file.readlines(_BLOCK)
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


class PartReader(LineReader):
    """The lines that start in ``[start, end)`` of a file, to the end that the file has by then."""

    def __init__(
        self, path: str, partition: str, start: int, end: int, cursor: Cursor | None, extended_json: bool
    ) -> None:
        super().__init__(partition, extended_json)
        self._path = path
        self._end = end
        self._complete = False
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        try:
            self._head = read_head(self._file)
            if cursor is None:
                self._timestamp = modification_time(self._file)
                self._start_at(start)
            else:
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
            if self._head.startswith(_BYTE_ORDER_MARK):
                self._offset = self._filled = len(_BYTE_ORDER_MARK)
                self._end = max(self._end, self._offset + 1)  # the first line is here, however short the part
            return
        position = start - 1
        self._file.seek(position)
        while position < self._end:
            piece = self._file.readline(_BLOCK)
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
        if cursor.get("end") is None or cursor["end"] not in (self._end, max(self._end, len(_BYTE_ORDER_MARK) + 1)):
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
                if following == b"\n":
                    offset, self._unterminated = offset + 1, None
                elif following:
                    reason = "its last line had no line break when it was read, and has become longer"
            elif len(_BYTE_ORDER_MARK) < offset < self._end and os.pread(self._file.fileno(), 1, offset - 1) != b"\n":
                reason = f"no line starts at byte {offset}, where the checkpoint stands"
        if reason is not None:
            raise FileChanged(
                f"{self._path!r} is not the file of the checkpoint: {reason}; restore it, or start without the checkpoint"
            )
        self._timestamp = cursor["mtime"]
        self._offset = self._filled = offset
        self._complete = offset >= self._end

    def _fill(self) -> bool:
        if self._complete:
            return False
        lines = self._read_lines()
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
