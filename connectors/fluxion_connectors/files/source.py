"""A source of files of JSON Lines or CSV: which files, cut into which parts.

A file of JSON Lines is cut into parts of ``part_size`` bytes, so that a big one is read by several workers. A record
belongs to the part in which its line starts. A part is named ``<path>@<first byte>``, zero-padded: names sort in
reading order and depend on nothing but the file's size and ``part_size``. A compressed file is one part, and so is a
CSV file, whose line breaks may stand within quotes.

The timestamp of all batches is the file's modification time at its first opening; cursors carry it along.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from typing import Any

from fluxion_connectors.files.compression import compression_of, require
from fluxion_connectors.files.csv_rows import CsvRows
from fluxion_connectors.files.follow import FollowReader
from fluxion_connectors.files.packed import PackedReader
from fluxion_connectors.files.parts import PartReader
from fluxion_connectors.files.records import JsonLines, RecordFormat
from fluxion_flow.connect.spi import Cursor, SourceReader, StreamingSource

PART_SIZE = 64 * 1024 * 1024
_WHOLE = 2**62
"""The end of a part that is a whole file, however it grows."""


class FilesSource(StreamingSource):
    """One file, or all files of a pattern (``*``, ``?``, ``**``); ``follow`` reads one growing file.

    ``on_missing`` says what no file at ``path`` means: ``fail``, ``empty`` (nothing to read) or ``wait`` (for it, with
    ``follow``). ``part_size`` is in bytes. ``format`` is ``json`` or ``csv``; ``compression`` is ``auto`` (by the
    file's name), ``none``, ``gzip`` or ``zstd``; ``encoding`` has one value, ``utf-8``. The other options are of CSV:
    see :class:`~fluxion_connectors.files.csv_rows.CsvRows`; without a ``header`` the ``columns`` are named.
    """

    lag_unit = "bytes"

    def __init__(
        self,
        path: str,
        *,
        part_size: int = PART_SIZE,
        follow: bool = False,
        on_missing: str = "fail",
        extended_json: bool = False,
        format: str = "json",
        compression: str = "auto",
        header: bool = True,
        columns: Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        infer: bool = True,
        delimiter: str = ",",
        quote: str = '"',
        encoding: str = "utf-8",
    ) -> None:
        if part_size < 1:
            raise ValueError(f"part_size must be at least 1 byte, got {part_size}")
        if format == "csv" and header == (columns is not None):
            raise ValueError("a CSV file has a header, or columns are named: one of the two")
        self.path = os.fspath(path)
        self.part_size = part_size
        self.follow = follow
        self.on_missing = on_missing
        self.extended_json = extended_json
        self.format = format
        self.compression = compression
        require(compression_of(self.path, compression))
        self.bounded = not follow
        self._csv: dict[str, Any] = {
            "columns": columns,
            "types": types,
            "infer": infer,
            "delimiter": delimiter,
            "quote": quote,
        }

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
        starts = [(path, start) for path in files for start in range(0, self._range(path), self.part_size)]
        return sorted(_part_name(path, start) for path, start in starts)

    def _is_whole(self, path: str) -> bool:
        """Whether a file is one part."""
        return self.format == "csv" or compression_of(path, self.compression) != "none"

    def _range(self, path: str) -> int:
        """The bytes in which parts of a file begin."""
        return 1 if self._is_whole(path) else max(os.path.getsize(path), 1)

    def _records(self, path: str) -> RecordFormat:
        return CsvRows(path, **self._csv) if self.format == "csv" else JsonLines(self.extended_json)

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        """Raises :class:`FileChanged` when the file is not the cursor's, :class:`OSError` when it cannot be read,
        :class:`BadHeader` for a CSV file whose columns are not what the definition says.
        """
        path, _, start = partition.rpartition("@")
        records = self._records(path)
        if self.follow:
            return FollowReader(path, partition, cursor, records, wait=self.on_missing == "wait")
        compression = compression_of(path, self.compression)
        if compression != "none":
            return PackedReader(path, partition, cursor, records, compression)
        end = _WHOLE if self._is_whole(path) else int(start) + self.part_size
        return PartReader(path, partition, int(start), end, cursor, records)


def _part_name(path: str, start: int) -> str:
    return f"{path}@{start:015d}"
