"""A source of JSON Lines files: which files, cut into which parts.

A file is cut into parts of ``part_size`` bytes, so that a big one is read by several workers. A record belongs to the
part in which its line starts. A part is named ``<path>@<first byte>``, zero-padded: names sort in reading order and
depend on nothing but the file's size and ``part_size``.

The timestamp of all batches is the file's modification time at its first opening; cursors carry it along.
"""

from __future__ import annotations

import glob
import os

from fluxion_connectors.files.follow import FollowReader
from fluxion_connectors.files.parts import PartReader
from fluxion_flow.connect.spi import Cursor, SourceReader, StreamingSource

PART_SIZE = 64 * 1024 * 1024


class FilesSource(StreamingSource):
    """One file, or all files of a pattern (``*``, ``?``, ``**``); ``follow`` reads one growing file.

    ``on_missing`` says what no file at ``path`` means: ``fail``, ``empty`` (nothing to read) or ``wait`` (for it, with
    ``follow``). ``part_size`` is in bytes. ``format`` and ``encoding`` have one value each, ``json`` and ``utf-8``.
    """

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
        """Raises :class:`FileChanged` when the file is not the cursor's, :class:`OSError` when it cannot be read."""
        path, _, start = partition.rpartition("@")
        if self.follow:
            return FollowReader(path, partition, cursor, self.extended_json, wait=self.on_missing == "wait")
        return PartReader(path, partition, int(start), int(start) + self.part_size, cursor, self.extended_json)


def _part_name(path: str, start: int) -> str:
    return f"{path}@{start:015d}"
