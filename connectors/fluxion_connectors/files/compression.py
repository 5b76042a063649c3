"""gzip and zstd: which a file is, reading it as the bytes that it holds, and packing what is written.

A sink packs what comes between two flushes into gzip members or zstd frames of their own. Members and frames that stand
behind each other are one valid file (RFC 1952, section 2.2; RFC 8878, section 3.1), so a file can be cut back to any
flush, and written on from there.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from fluxion_flow.errors import FluxionError

CHOICES = ("auto", "none", "gzip", "zstd")
_SUFFIXES = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_BLOCK = 128 * 1024


class FileDamaged(FluxionError, OSError):
    """A compressed file cannot be read on: it is cut off, or its bytes are not what they were."""


def compression_of(path: str, option: str) -> str:
    """``gzip``, ``zstd`` or ``none``: what ``option`` says, and for ``auto`` the suffix of the file's name."""
    if option != "auto":
        return option
    return next((found for suffix, found in _SUFFIXES.items() if path.lower().endswith(suffix)), "none")


def require(compression: str) -> None:
    """Raises :class:`ModuleNotFoundError` when the package that a compression needs is not installed."""
    if compression == "zstd":
        _zstandard()


def packer(compression: str) -> Callable[[bytes], bytes]:
    """A function that makes a whole gzip member or zstd frame of some bytes; ``none`` leaves them as they are.

    Raises :class:`ModuleNotFoundError` when zstd's package is not installed.
    """
    if compression == "gzip":
        return lambda content: gzip.compress(content, 6, mtime=0)
    if compression == "zstd":
        compress: Callable[[bytes], bytes] = _zstandard().ZstdCompressor().compress
        return compress
    return lambda content: content


class Unpacked:
    """The content of a compressed file, read forwards. Offsets count the bytes of the content.

    Raises :class:`ModuleNotFoundError` when zstd's package is not installed, :class:`OSError` for a file that is not
    there; :meth:`readlines` and :meth:`skip` raise :class:`FileDamaged`.
    """

    def __init__(self, path: str, compression: str) -> None:
        self._path = path
        self._failures: tuple[type[Exception], ...] = (EOFError, zlib.error, gzip.BadGzipFile)
        self._zstandard: Any = None
        if compression == "zstd":
            self._zstandard = _zstandard()
            self._failures = (self._zstandard.ZstdError,)
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._content = self._from_the_start()
        self._left: list[bytes] = []  # lines that were read and given back
        self.offset = 0

    def _from_the_start(self) -> io.BufferedReader:
        self._file.seek(0)
        content: Any = _Frames(self._file, self._zstandard) if self._zstandard else gzip.GzipFile(fileobj=self._file)
        return io.BufferedReader(content, _BLOCK)

    def fileno(self) -> int:
        return self._file.fileno()

    def tell_packed(self) -> int:
        """How many bytes of the file itself have been taken in."""
        return self._file.tell()

    def head(self, size: int) -> bytes:
        """The first bytes; only before anything else is read."""
        found: bytes = self._do(lambda: self._content.read(size))
        self._content.detach()
        self._content = self._from_the_start()
        return found

    def readlines(self, hint: int) -> list[bytes]:
        """The next lines, about ``hint`` bytes of them or more; the last may lack its line break at the end."""
        lines: list[bytes] = self._left + self._do(lambda: self._content.readlines(hint))
        self._left = []
        self.offset += sum(map(len, lines))
        return lines

    def leave(self, lines: list[bytes]) -> None:
        """Give back the last lines that were read: the next :meth:`readlines` begins with them."""
        self._left = lines
        self.offset -= sum(map(len, lines))

    def skip(self, offset: int) -> bytes:
        """Stand at a line's first byte; answers the byte before it, or nothing where the content is shorter."""
        last = b""
        while self._left and self.offset < offset:
            last = self._left.pop(0)
            self.offset += len(last)
        while self.offset < offset:
            piece: bytes = self._do(lambda: self._content.read(min(offset - self.offset, _BLOCK)))
            if not piece:
                return b""
            self.offset += len(piece)
            last = piece
        return last[-1:]

    def close(self) -> None:
        self._content.close()
        self._file.close()

    def _do(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except self._failures as error:
            raise FileDamaged(
                f"{self._path!r} cannot be unpacked behind byte {self.offset} of its content: {error}"
            ) from None


class _Frames(io.RawIOBase):
    """The content of all zstd frames of a file. A frame that is cut off at the file's end is an error, not an end."""

    def __init__(self, file: BinaryIO, zstandard: Any) -> None:
        self._file = file
        self._zstandard = zstandard
        self._frame: Any = None
        self._packed = b""
        self._content = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._content:
            packed = self._packed or self._file.read(_BLOCK)
            if not packed:
                if self._frame is not None:
                    raise self._zstandard.ZstdError("the file ends within a frame")
                return 0
            if self._frame is None:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            self._packed = b""
            self._content = self._frame.decompress(packed)
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        count = min(len(self._content), len(buffer))
        buffer[:count] = self._content[:count]
        self._content = self._content[count:]
        return count


def _zstandard() -> Any:
    import zstandard

    return zstandard
