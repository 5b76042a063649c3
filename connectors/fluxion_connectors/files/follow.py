"""Reading a growing file: ``follow: true``.

Only complete lines are read; the rest waits for its line break. What happens to the file meanwhile:

- *Rotated by name* (``app.log`` moved to ``app.log.1``, a new ``app.log`` begun): the moved file is read to its end,
  then the new one from its start. A last line without a line break counts as complete then.
- *Truncated* (``copytruncate``): reading starts again at byte 0. Lines written between the last read and the truncation
  are gone, and a file that has already grown past the old position again cannot be told from an untouched one: rotate
  by name where nothing may be lost.
- *Rotated while nobody was reading*: the moved file is found again in its directory, by the first bytes and a name that
  begins like the file's. If more than one rotation happened, or the moved file is gone, opening raises
  :class:`FileChanged`.
"""

from __future__ import annotations

import logging
import os
from typing import Any, BinaryIO

from fluxion_connectors.files.identity import FileChanged, head_mark, read_head, why_changed
from fluxion_connectors.files.lines import BLOCK, BYTE_ORDER_MARK, LineReader, modification_time
from fluxion_connectors.files.records import RecordFormat
from fluxion_flow.connect.spi import Batch, Cursor

_log = logging.getLogger(__name__)


class FollowReader(LineReader):
    """The lines of ``path``, without end. ``wait``: the file may be missing at first."""

    def __init__(self, path: str, partition: str, cursor: Cursor | None, records: RecordFormat, *, wait: bool) -> None:
        super().__init__(partition, records)
        self._path = path
        self._moved = False  # seen that the path names another file now
        if cursor is not None and cursor["offset"] > 0:
            if cursor.get("end") is not None:
                raise FileChanged(
                    f"{path!r} was read without follow when the checkpoint was made; "
                    "set it back, or start without the checkpoint"
                )
            self._resume(cursor)
        else:
            try:
                self._begin()
            except FileNotFoundError:
                if not wait:
                    raise

    @property
    def cursor(self) -> dict[str, Any]:
        return {
            "v": 1,
            "offset": self._offset,
            "end": None,
            "mtime": self._timestamp,
            "head": head_mark(self._head, self._offset),
        }

    def _begin(self) -> None:
        """Open the file that has the path now, at its start."""
        file = open(self._path, "rb", buffering=BLOCK)  # noqa: SIM115 - closed by close()
        self.close()
        self._file = file
        self._head = read_head(file)
        self._timestamp = modification_time(file)
        self._offset = self._filled = 0
        self._moved = False

    def _resume(self, cursor: dict[str, Any]) -> None:
        offset, mark = cursor["offset"], cursor["head"]
        reason = "it is gone"
        try:
            self._file = open(self._path, "rb", buffering=BLOCK)  # noqa: SIM115 - closed by close()
            reason = why_changed(self._file, offset, mark) or ""
        except FileNotFoundError:
            pass
        if reason:
            self.close()
            self._file = self._find_moved(offset, mark)
            if self._file is None:
                raise FileChanged(
                    f"{self._path!r} is not the file of the checkpoint: {reason}, and no file beside it is; "
                    "restore it, or start without the checkpoint"
                )
            _log.warning("%s was rotated; going on in the moved file at byte %d first", self._path, offset)
        assert self._file is not None
        self._head = read_head(self._file)
        self._timestamp = cursor["mtime"]
        self._offset = self._filled = offset

    def _find_moved(self, offset: int, mark: list[int]) -> BinaryIO | None:
        """The file beside the path that was at the path when the cursor was made, opened.

        Raises :class:`FileChanged` when a further file came between it and the one that has the path now.
        """
        directory, name = os.path.split(os.path.abspath(self._path))
        beside = [
            entry.path
            for entry in os.scandir(directory)
            if entry.name.startswith(name) and entry.name != name and entry.is_file()
        ]
        for path in sorted(beside):
            file = open(path, "rb", buffering=BLOCK)  # noqa: SIM115 - handed to the caller
            if why_changed(file, offset, mark) is not None:
                file.close()
                continue
            between = [
                other
                for other in beside
                if other != path and os.stat(other).st_mtime > os.fstat(file.fileno()).st_mtime
            ]
            if between:
                file.close()
                raise FileChanged(
                    f"{self._path!r} was rotated more than once since the checkpoint: {path!r} was being read, and "
                    f"{sorted(between)[0]!r} is newer; read the moved files first, or start without the checkpoint"
                )
            return file
        return None

    def _fill(self) -> bool:
        if self._file is None:
            try:
                self._begin()
            except FileNotFoundError:
                return False
        size = self._size()
        if size < self._filled:
            if len(self._lines) > self._next:
                return False  # what has been read comes first
            _log.warning(
                "%s was truncated from %d or more bytes to %d; reading it anew", self._path, self._filled, size
            )
            self._begin()
        lines = self._read_records() if size > self._filled else []
        if self._filled == 0 and lines and lines[0].startswith(BYTE_ORDER_MARK):
            self._offset = self._filled = len(BYTE_ORDER_MARK)
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        incomplete = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        if not lines:
            if len(self._lines) > self._next or not self._was_moved():
                return False
            if not incomplete:
                self._begin()
                return self._fill()
            lines = [incomplete]
        self._append(lines, sum(map(len, lines)))
        return True

    def _was_moved(self) -> bool:
        """Whether the path names another file than the open one, and did at the last look too: its writer is done."""
        assert self._file is not None
        try:
            at_path = os.stat(self._path)
        except FileNotFoundError:
            return False
        own = os.fstat(self._file.fileno())
        seen_before, self._moved = self._moved, (at_path.st_dev, at_path.st_ino) != (own.st_dev, own.st_ino)
        return seen_before and self._moved

    def _nothing(self) -> Batch:
        return Batch([], self._partition, self._offset, (), self._timestamp)
