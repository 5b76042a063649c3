"""Writing files of JSON Lines or CSV, so that a crash repeats nothing.

``path: out.jsonl`` is one file, whatever the number of workers; ``path: out-{part}.jsonl`` is one file for each writer.

A writer's cursor is the size of the file at its last flush. Opened at a cursor, the file is cut back to it, so what was
written after the last checkpoint is gone before it is written again. Without a cursor, ``overwrite`` begins an empty
file. ``append`` keeps what is there: the size at the start is put down in ``<path>.fluxion`` beside the file until the
writer is closed. A run that finds this note and has no cursor follows a crash before the first checkpoint, and cuts
the file back to the size in the note: to append to the file after a crash, and keep what the crashed run wrote, delete
the note first.

With ``transactional`` each flush puts the source's positions down together with the size (see ``positions.py``). The
file is then cut back to that size and not to the checkpoint's, and what it holds is not delivered again: a stateless
pipeline goes on where its file ends, also from an older checkpoint or from none.

A compressed file is written when there is enough to pack, at a flush at the latest.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fluxion_connectors.files.compression import Unpacked, compression_of, packer, require
from fluxion_connectors.files.csv_text import CsvText
from fluxion_connectors.files.identity import FileChanged
from fluxion_connectors.files.positions import (
    Positions,
    drop_positions,
    positions_path,
    read_positions,
    sync_directory,
    write_positions,
)
from fluxion_connectors.files.records import JsonLines
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter, StreamingSink

_log = logging.getLogger(__name__)

_RESTORE = "restore it, or start without the checkpoint"
PACKED = 256 * 1024
"""Bytes that are packed into one gzip member or zstd frame, unless a flush comes first."""


class FilesSink(StreamingSink):
    """One file, or one for each writer where ``path`` holds ``{part}``. ``mode`` is ``overwrite`` or ``append``.

    With ``fsync`` a flush waits for the disk; without it, for the operating system only. ``transactional`` keeps the
    source's positions beside the file, which must be one file then. ``format`` is ``json`` or ``csv``;
    ``compression`` is ``auto`` (by the file's name), ``none``, ``gzip`` or ``zstd``. The other options are of CSV: see
    :class:`~fluxion_connectors.files.csv_text.CsvText`; ``extra_fields`` is ``refuse`` or ``ignore``.
    """

    replays = True

    def __init__(
        self,
        path: str,
        *,
        mode: str = "overwrite",
        fsync: bool = True,
        transactional: bool = False,
        extended_json: bool = False,
        format: str = "json",
        compression: str = "auto",
        columns: Sequence[str] | None = None,
        header: bool = True,
        extra_fields: str = "refuse",
        delimiter: str = ",",
        quote: str = '"',
    ) -> None:
        if mode not in ("overwrite", "append"):
            raise ValueError(f"mode must be 'overwrite' or 'append', got {mode!r}")
        self.path = os.fspath(path)
        self.mode = mode
        self.fsync = fsync
        self.extended_json = extended_json
        self.format = format
        self.compression = compression_of(self.path, compression)
        require(self.compression)
        self.single_writer = "{part}" not in self.path
        if transactional and not self.single_writer:
            raise ValueError("transactional keeps the positions of one file; leave {part} out of the path")
        self.transactional = transactional
        self.takes_records = format == "json" and not extended_json
        self.has_header = header
        self._columns = columns
        self._csv: dict[str, Any] = {"delimiter": delimiter, "quote": quote, "header": header}
        self._ignore_fields = extra_fields == "ignore"

    def text(self) -> JsonLines | CsvText:
        """What makes text of one file's documents."""
        if self.format == "csv":
            return CsvText(self._columns, **self._csv, ignore_fields=self._ignore_fields)
        return JsonLines(self.extended_json)

    def committed_cursors(self) -> Mapping[str, Cursor]:
        """Raises :class:`FileChanged` when the positions are damaged, or another sink's."""
        found = read_positions(self.path, self.owner) if self.transactional and self.owner else None
        return {} if found is None else found.cursors

    def open(self, part: str, cursor: Cursor | None) -> FilesWriter:
        """Raises :class:`FileChanged` when the file is not the cursor's, :class:`OSError` when it cannot be written."""
        return FilesWriter(self, self.path.replace("{part}", part), cursor)

    def probe(self) -> str:
        """Raises :class:`OSError` when the directory, or a file that is there, cannot be written."""
        if os.path.isdir(self.path):
            raise IsADirectoryError(f"{self.path!r} is a directory")
        place = self.path if os.path.exists(self.path) else os.path.dirname(self.path) or "."
        while not os.path.exists(place):
            place = os.path.dirname(place) or "."
        if not os.access(place, os.W_OK):
            raise PermissionError(f"{place!r} cannot be written by this user")
        return f"{place!r} can be written"

    def beside(self, name: str) -> FilesSink:
        """Files of their own, ``out.<name>.jsonl``: a resume of the pipeline cuts its files back to what it wrote."""
        made = copy.copy(self)
        stem, suffix = os.path.splitext(self.path)
        made.path = f"{stem}.{name}{suffix}"
        return made


class FilesWriter(SinkWriter):
    """Writes one file. A batch is handed to the operating system at once, or when enough of it is there to be packed;
    ``flush`` waits for the disk.
    """

    def __init__(self, sink: FilesSink, path: str, cursor: Cursor | None) -> None:
        self._path = path
        self._note = f"{path}.fluxion"
        self._fsync = sink.fsync
        self._text = sink.text()
        self._packed = sink.compression != "none"
        self._pack: Callable[[bytes], bytes] = packer(sink.compression)
        self._waiting = bytearray()
        """Text that is not packed yet."""
        self._broken: str | None = None
        self._new = not os.path.exists(path)
        self._dirty = True
        self._closed = False
        self._owner = sink.owner if sink.transactional else ""
        """Under which name positions are kept; empty: they are not."""
        positions = read_positions(path, self._owner) if self._owner else None
        self._cursors: dict[str, Cursor] = dict(positions.cursors) if positions is not None else {}
        if cursor is not None and cursor["path"] != path:
            raise FileChanged(
                f"the checkpoint belongs to {cursor['path']!r}, but the sink writes {path!r}; "
                "set the path back, or start without the checkpoint"
            )
        size = positions.offset if positions is not None else cursor["offset"] if cursor is not None else None
        known = "its positions stand" if positions is not None else "the checkpoint stands"
        if size and self._new:
            raise FileChanged(
                f"{path!r} is gone, and {known} at byte {size} of it; "
                f"{_RESTORE if positions is None else f'restore it, or delete {positions_path(path)!r}'}"
            )
        folder = os.path.dirname(path) or "."
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise OSError(f"{path!r} cannot be made: {folder!r} is not a folder; correct the path") from None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise OSError(f"{path!r} is not a regular file; to print documents use the connector 'stdio'")
            self._offset = self._start(sink.mode, size, known)
            os.ftruncate(self._descriptor, self._offset)
            os.lseek(self._descriptor, self._offset, os.SEEK_SET)
            if size is None and self._ends_within_a_line():
                self._put(b"\n")
            if self._offset and isinstance(self._text, CsvText):
                self._go_on_in_csv(self._text, sink)
            if self._owner and positions is None:
                self._keep_positions()  # also the note of what was there before
            if not self._owner:
                drop_positions(path)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._durable = self._offset

    def _start(self, mode: str, known_size: int | None, known: str) -> int:
        """The size of the file to begin with."""
        size = os.fstat(self._descriptor).st_size
        if known_size is not None:
            if size < known_size:
                raise FileChanged(
                    f"{self._path!r} has {size} bytes, and {known} at byte {known_size}: it was changed "
                    f"from outside; {_RESTORE}"
                )
            if not self._packed and known_size > 0 and os.pread(self._descriptor, 1, known_size - 1) != b"\n":
                raise FileChanged(
                    f"{self._path!r} has no line that ends at byte {known_size}, where {known}: it was "
                    f"changed from outside; {_RESTORE}"
                )
            return known_size
        if mode == "overwrite":
            self._drop_note()
            return 0
        return size if self._owner else self._noted_start(size)

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
        return self._offset > 0 and not self._packed and os.pread(self._descriptor, 1, self._offset - 1) != b"\n"

    def _go_on_in_csv(self, text: CsvText, sink: FilesSink) -> None:
        """Take the columns from the header that the file has."""
        if not sink.has_header:
            return
        file: Any = Unpacked(self._path, sink.compression) if self._packed else open(self._path, "rb")  # noqa: SIM115
        try:
            text.begun_with(file.readlines(1))
        except ValueError as error:
            raise FileChanged(
                f"{self._path!r} cannot be written on: {error}; set columns to what it has, or choose another path"
            ) from None
        finally:
            file.close()

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that the format cannot hold (the others are written), and
        :class:`OSError` when the file takes no more: then nothing of the batch is in it.
        """
        self._refuse_if_broken()
        content, errors = self._text.encode(batch.documents)
        if self._packed:
            before = len(self._waiting)
            self._waiting += content
            try:
                if len(self._waiting) >= PACKED:
                    self._put_waiting()
            except OSError:
                del self._waiting[before:]
                raise
        else:
            self._put(content)
        self._dirty = True
        if isinstance(self._text, CsvText):
            self._text.written(batch.documents)
        if errors:
            raise DeliveryError(errors)
        if self._owner and batch.cursor is not None:
            self._cursors[batch.partition] = batch.cursor

    def _put_waiting(self) -> None:
        self._put(self._pack(bytes(self._waiting)))
        self._waiting.clear()

    def _put(self, content: bytes) -> None:
        rest = memoryview(content)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._undo()
            raise OSError(error.errno, f"cannot write to {self._path!r}: {error.strerror}") from error
        self._offset += len(content)
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
        """Raises :class:`OSError`. When it comes from the disk itself, what is on it is unknown, and every later call
        fails too.
        """
        self._refuse_if_broken()
        if self._waiting:
            self._put_waiting()
        if self._fsync and self._dirty:
            try:
                os.fsync(self._descriptor)
                if self._new:
                    sync_directory(self._path)
            except OSError as error:
                self._broken = f"cannot flush {self._path!r} to the disk ({error.strerror})"
                raise OSError(error.errno, f"cannot flush {self._path!r} to the disk: {error.strerror}") from error
        if self._owner and self._dirty:
            self._keep_positions()
        self._dirty = self._new = False
        self._durable = self._offset

    def _keep_positions(self) -> None:
        """Raises :class:`OSError`; the positions are the old ones then, and the file counts up to them."""
        try:
            write_positions(self._path, Positions(self._owner, self._offset, self._cursors), fsync=self._fsync)
        except OSError as error:
            name = positions_path(self._path)
            raise OSError(error.errno, f"cannot write {name!r}: {error.strerror}") from error

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "path": self._path, "offset": self._durable}

    def close(self) -> None:
        """Close the file. The note of an appending run goes too, unless something was not flushed."""
        if self._closed:
            return
        self._closed = True
        if self._packed and self._offset == 0 and not self._waiting and self._broken is None:
            self._put(self._pack(b""))  # an empty file is no compressed one
            self._durable = self._offset
        os.close(self._descriptor)
        if self._durable == self._offset and self._broken is None:
            self._drop_note()

    def _drop_note(self) -> None:
        if os.path.exists(self._note):
            os.unlink(self._note)
