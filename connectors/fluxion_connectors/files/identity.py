"""Which file a cursor belongs to, and whether the file at hand is still that one.

A cursor holds the checksum of the first bytes that were read (at most 1,024). A file that begins with other bytes, or
is shorter than the cursor's offset, is not the file that the checkpoint knows. An inode would say less: it changes
when a file is copied or restored, and is given to another file after a deletion.
"""

from __future__ import annotations

import os
import zlib
from typing import BinaryIO

from fluxion_flow.errors import FluxionError

HEAD_SIZE = 1024


class FileChanged(FluxionError):
    """A file is not what the checkpoint knows it as, so going on in it would lose or repeat documents."""


def read_head(file: BinaryIO) -> bytes:
    """The first bytes of an open file, wherever it is being read."""
    return os.pread(file.fileno(), HEAD_SIZE, 0)


def head_mark(head: bytes, offset: int) -> list[int]:
    """Length and CRC-32 of what of ``head`` stands before ``offset``."""
    known = head[: min(offset, HEAD_SIZE)]
    return [len(known), zlib.crc32(known)]


def why_changed(file: BinaryIO, offset: int, mark: list[int]) -> str | None:
    """Why ``file`` cannot be the one that was read up to ``offset`` and had this head; ``None``: it can."""
    size = os.fstat(file.fileno()).st_size
    if size < offset:
        return f"it has {size} bytes, and the checkpoint stands at byte {offset}"
    length, checksum = mark
    if zlib.crc32(read_head(file)[:length]) != checksum:
        return f"its first {length} bytes are others than when it was read"
    return None
