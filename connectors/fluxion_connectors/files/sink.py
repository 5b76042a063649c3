"""Writing JSON Lines files, so that a crash repeats nothing.

``path: out.jsonl`` is one file, whatever the number of workers; ``path: out-{part}.jsonl`` is one file for each writer.

A writer's cursor is the size of the file at its last flush. Opened at a cursor, the file is cut back to it, so what was
written after the last checkpoint is gone before it is written again. Without a cursor, ``overwrite`` begins an empty
file. ``append`` keeps what is there: the size at the start is put down in ``<path>.fluxion`` beside the file until the
writer is closed. A run that finds this note and has no cursor follows a crash before the first checkpoint, and cuts
the file back to the size in the note: to append to the file after a crash, and keep what the crashed run wrote, delete
the note first.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from typing import Any

from fluxion_connectors.files.identity import FileChanged
from fluxion_flow.connect.encoding import encode_lines
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter, StreamingSink

_log = logging.getLogger(__name__)


class FilesSink(StreamingSink):
    """One file, or one for each writer where ``path`` holds ``{part}``. ``mode`` is ``overwrite`` or ``append``.

    With ``fsync`` a flush waits for the disk; without it, for the operating system only.
    """

    replays = True

    def __init__(
        self,
        path: str,
        *,
        mode: str = "overwrite",
        fsync: bool = True,
        extended_json: bool = False,
        format: str = "json",
    ) -> None:
        if mode not in ("overwrite", "append"):
            raise ValueError(f"mode must be 'overwrite' or 'append', got {mode!r}")
        self.path = os.fspath(path)
        self.mode = mode
        self.fsync = fsync
        self.extended_json = extended_json
        self.single_writer = "{part}" not in self.path

    def open(self, part: str, cursor: Cursor | None) -> FilesWriter:
        """Raises :class:`FileChanged` when the file is not the cursor's, :class:`OSError` when it cannot be written."""
        path = self.path.replace("{part}", part)
        return FilesWriter(path, self.mode, cursor, fsync=self.fsync, extended_json=self.extended_json)


class FilesWriter(SinkWriter):
    """Writes one file. Each batch is handed to the operating system at once; ``flush`` waits for the disk."""

    def __init__(self, path: str, mode: str, cursor: Cursor | None, *, fsync: bool, extended_json: bool) -> None:
        self._path = path
        self._note = f"{path}.fluxion"
        self._fsync = fsync
        self._extended_json = extended_json
        self._broken: str | None = None
        self._new = not os.path.exists(path)
        self._dirty = True
        self._closed = False
        if cursor is not None and cursor["path"] != path:
            raise FileChanged(
                f"the checkpoint belongs to {cursor['path']!r}, but the sink writes {path!r}; "
                "set the path back, or start without the checkpoint"
            )
        if cursor is not None and cursor["offset"] > 0 and self._new:
            raise FileChanged(
                f"{path!r} is gone, and the checkpoint stands at byte {cursor['offset']} of it; "
                "restore it, or start without the checkpoint"
            )
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise OSError(f"{path!r} is not a regular file; to print documents use the connector 'stdio'")
            self._offset = self._start(mode, cursor)
            os.ftruncate(self._descriptor, self._offset)
            os.lseek(self._descriptor, self._offset, os.SEEK_SET)
            if cursor is None and self._ends_within_a_line():
                self._write(b"\n")
        except BaseException:
            os.close(self._descriptor)
            raise
        self._durable = self._offset

    def _start(self, mode: str, cursor: Cursor | None) -> int:
        """The size of the file to begin with."""
        size = os.fstat(self._descriptor).st_size
        if cursor is not None:
            offset: int = cursor["offset"]
            if size < offset:
                raise FileChanged(
                    f"{self._path!r} has {size} bytes, and the checkpoint stands at byte {offset}: it was changed "
                    "from outside; restore it, or start without the checkpoint"
                )
            if offset > 0 and os.pread(self._descriptor, 1, offset - 1) != b"\n":
                raise FileChanged(
                    f"{self._path!r} has no line that ends at byte {offset}, where the checkpoint stands: it was "
                    "changed from outside; restore it, or start without the checkpoint"
                )
            return offset
        if mode == "overwrite":
            self._drop_note()
            return 0
        return self._noted_start(size)

    def _noted_start(self, size: int) -> int:
        """The start that a crashed run noted, else the size now, noted."""
        try:
            with open(self._note, encoding="utf-8") as file:
                start: int = json.load(file)["start"]
        except FileNotFoundError:
            with open(f"{self._note}.new", "w", encoding="utf-8") as file:
                json.dump({"v": 1, "start": size}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(f"{self._note}.new", self._note)
            return size
        except (ValueError, KeyError, TypeError):
            raise FileChanged(
                f"{self._note!r} is damaged; cut {self._path!r} back to what the crashed run found, and delete the note"
            ) from None
        if size < start:
            raise FileChanged(
                f"{self._path!r} has {size} bytes, but {self._note!r} says that it had {start} before; "
                "restore the file, or delete the note to append to it as it is"
            )
        if size > start:
            _log.warning(
                "%s: cutting off %d bytes that a run wrote before it crashed without a checkpoint (noted in %s)",
                self._path,
                size - start,
                self._note,
            )
        return start

    def _ends_within_a_line(self) -> bool:
        """Whether the last line lacks its line break."""
        return self._offset > 0 and os.pread(self._descriptor, 1, self._offset - 1) != b"\n"

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that JSON cannot hold (the others are written), and
        :class:`OSError` when the file takes no more: then nothing of the batch is in it.
        """
        self._refuse_if_broken()
        text, errors = encode_lines(batch.documents, self._extended_json)
        self._write(text)
        if errors:
            raise DeliveryError(errors)

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._undo()
            raise OSError(error.errno, f"cannot write to {self._path!r}: {error.strerror}") from error
        self._offset += len(text)
        self._dirty = True

    def _undo(self) -> None:
        """Cut off what a failed write left, so that the same write can be tried again."""
        try:
            os.ftruncate(self._descriptor, self._offset)
            os.lseek(self._descriptor, self._offset, os.SEEK_SET)
        except OSError as error:
            self._broken = f"a failed write to {self._path!r} could not be undone ({error.strerror})"

    def _refuse_if_broken(self) -> None:
        if self._broken is not None:
            raise OSError(f"{self._broken}; restart from the checkpoint")

    def flush(self) -> None:
        """Raises :class:`OSError`. What is on the disk is unknown then, so every later call fails too."""
        self._refuse_if_broken()
        if self._fsync and self._dirty:
            try:
                os.fsync(self._descriptor)
                if self._new:
                    self._sync_directory()
            except OSError as error:
                self._broken = f"cannot flush {self._path!r} to the disk ({error.strerror})"
                raise OSError(error.errno, f"cannot flush {self._path!r} to the disk: {error.strerror}") from error
        self._dirty = self._new = False
        self._durable = self._offset

    def _sync_directory(self) -> None:
        """Make the new file's name durable."""
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "path": self._path, "offset": self._durable}

    def close(self) -> None:
        """Close the file. The note of an appending run goes too, unless something was not flushed."""
        if self._closed:
            return
        self._closed = True
        os.close(self._descriptor)
        if self._durable == self._offset and self._broken is None:
            self._drop_note()

    def _drop_note(self) -> None:
        if os.path.exists(self._note):
            os.unlink(self._note)
