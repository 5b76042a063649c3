"""Reading back and blanking what a files sink has written.

A line is removed by writing spaces over it, up to its line break. The file keeps its size, which the checkpoint of the
pipeline that writes it counts on, and a writer that appends meanwhile is not disturbed. Readers pass over blank lines.
In a compressed file nothing can be removed.
"""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from fluxion_connectors.files.compression import Unpacked, compression_of
from fluxion_flow.connect.encoding import decode_document
from fluxion_flow.connect.stored import BESIDE, StoredDocument, StoredDocuments


class FilesStored(StoredDocuments):
    """The lines of the files that a sink with this ``path`` writes, ``{part}`` and files of replays included.

    A handle is a file, a byte, and the length of the line without its line break. Raises :class:`ValueError` for CSV,
    which cannot hold documents within documents.
    """

    def __init__(self, path: str, format: str = "json", compression: str = "auto") -> None:
        if format != "json":
            raise ValueError(f"files of format {format!r} are not read back as documents; write JSON lines")
        self._compression = compression_of(os.fspath(path), compression)
        stem, suffix = os.path.splitext(os.fspath(path))
        stem = glob.escape(stem).replace("{part}", "*")
        suffix = glob.escape(suffix)
        self._patterns = (f"{stem}{suffix}", f"{stem}.{BESIDE}*{suffix}")

    def paths(self) -> list[str]:
        """The files that there are, in the order of their names."""
        return sorted({path for pattern in self._patterns for path in glob.glob(pattern) if os.path.isfile(path)})

    def read(self) -> Iterator[StoredDocument]:
        """A line without its line break is still being written, and left out."""
        for path in self.paths():
            start = 0
            for number, line in enumerate(self._lines(path), 1):
                text = line.rstrip(b"\r\n")
                if line.endswith(b"\n") and text and not text.isspace():
                    yield _stored(path, number, start, text)
                start += len(line)

    def _lines(self, path: str) -> Iterator[bytes]:
        if self._compression == "none":
            with open(path, "rb") as file:
                yield from file
            return
        unpacked = Unpacked(path, self._compression)
        try:
            while lines := unpacked.readlines(1 << 17):
                yield from lines
        finally:
            unpacked.close()

    def remove(self, handles: Collection[Any]) -> int:
        """Raises :class:`OSError`."""
        if self._compression != "none":
            raise OSError(f"lines of a {self._compression} file cannot be removed; delete the file as a whole")
        by_file: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for path, start, length in handles:
            by_file[path].append((start, length))
        for path, places in by_file.items():
            descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                for start, length in places:
                    os.pwrite(descriptor, b" " * length, start)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return len(handles)


def _stored(path: str, number: int, start: int, text: bytes) -> StoredDocument:
    place, handle = f"{path}:{number}", (path, start, len(text))
    try:
        return StoredDocument(place, handle, decode_document(text))
    except ValueError as error:
        return StoredDocument(place, handle, None, str(error))
