"""Standard input as a source and standard output as a sink, both JSON Lines: ``{type: stdio}``.

What came in through a pipe cannot be read again. After a crash the documents that were read and not delivered are gone;
the cursor only counts lines on. Use files or a broker where nothing may be lost.
"""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Any, BinaryIO

from fluxion_flow.connect.encoding import decode_records, encode_lines
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.spi import (
    Batch,
    Cursor,
    DeliveryError,
    SinkWriter,
    SourceReader,
    StreamingSink,
    StreamingSource,
)

_BLOCK = 128 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PARTITION = "stdin"


class StdioSource(StreamingSource):
    """Documents from standard input, one a line; completes at its end. ``descriptor`` reads another open file."""

    bounded = True
    replays = False

    def __init__(self, *, extended_json: bool = False, descriptor: int = 0) -> None:
        self.extended_json = extended_json
        self.descriptor = descriptor

    def partitions(self) -> list[str]:
        return [PARTITION]

    def probe(self) -> str:
        raise NotImplementedError("standard input cannot be tried without taking from it")

    def open(self, partition: str, cursor: Cursor | None) -> StdioReader:
        return StdioReader(self.descriptor, cursor, self.extended_json)


class StdioReader(SourceReader):
    """Reads what is there and never waits, so that a drain is not held up by a silent pipe."""

    def __init__(self, descriptor: int, cursor: Cursor | None, extended_json: bool) -> None:
        self._descriptor = descriptor
        self._extended_json = extended_json
        self._count = cursor["lines"] if cursor is not None else 0
        self._timestamp = time.time_ns() // 1_000_000
        self._lines: list[bytes] = []
        self._rest = b""
        self._begun = False
        self._ended = False

    @property
    def cursor(self) -> dict[str, Any]:
        return {"v": 1, "lines": self._count}

    def read(self, max_documents: int) -> Batch | None:
        """Positions count lines from 0. The timestamp is the moment of opening."""
        while len(self._lines) < max_documents and self._fill():
            pass
        lines, self._lines = self._lines[:max_documents], self._lines[max_documents:]
        if not lines and self._ended:
            return None
        first = self._count
        self._count += len(lines)
        places = range(first, self._count)
        documents, positions, rejects = decode_records(lines, places, self._extended_json)
        return Batch(documents, PARTITION, first, positions, self._timestamp, rejects)

    def _fill(self) -> bool:
        """Take in what can be read now; false when that is nothing."""
        if self._ended or not select.select([self._descriptor], [], [], 0)[0]:
            return False
        block = os.read(self._descriptor, _BLOCK)
        if not block:
            self._ended = True
            block, self._rest = self._rest, b""
        elif b"\n" in block:
            block = self._rest + block
            end = block.rindex(b"\n") + 1
            block, self._rest = block[:end], block[end:]
        else:
            self._rest += block
            return True
        if not self._begun and block:
            block = block.removeprefix(_BYTE_ORDER_MARK)
            self._begun = True
        self._lines += block.splitlines(keepends=True) if b"\r" not in block else _lines_of(block)
        return True


def _lines_of(block: bytes) -> list[bytes]:
    """Lines that end with a line feed only: a lone carriage return is white space in JSON."""
    *lines, last = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


class StdioSink(StreamingSink):
    """Documents to standard output, one a line. ``file`` writes to another binary file."""

    single_writer = True

    def __init__(self, *, extended_json: bool = False, file: BinaryIO | None = None) -> None:
        self.extended_json = extended_json
        self.file = file

    def probe(self) -> str:
        return "standard output"

    def open(self, part: str, cursor: Cursor | None) -> StdioWriter:
        return StdioWriter(self.file or sys.stdout.buffer, self.extended_json)


class StdioWriter(SinkWriter):
    """Prints each batch at once."""

    def __init__(self, file: BinaryIO, extended_json: bool) -> None:
        self._file = file
        self._extended_json = extended_json

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that JSON cannot hold, :class:`OSError` when nobody reads."""
        text, errors = encode_lines(batch.documents, self._extended_json)
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError as error:
            raise BrokenPipeError(error.errno, "standard output was closed by its reader") from error
        if errors:
            raise DeliveryError(errors)

    def flush(self) -> None:
        self._file.flush()


_EXTENDED_JSON = "Read and write MongoDB Extended JSON ({$date: ...}), which keeps dates, decimals and binary values."

connector = Connector(
    type="stdio",
    title="Standard input and output",
    doc=__doc__,
    source=StdioSource,
    sink=StdioSink,
    source_options=(Option("extended_json", "boolean", _EXTENDED_JSON, False),),
    sink_options=(Option("extended_json", "boolean", _EXTENDED_JSON, False),),
)
