"""What Rust says of a panic is kept from the terminal when the error behind it is known and shown by ourselves."""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sys
import tempfile
import threading
from typing import IO

PATIENCE = 5.0
"""Seconds after which what was held back is shown, if the run has not ended yet."""

_PANIC = re.compile(rb"thread '[^\n]*' panicked at [^\n]*\n[^\n]*\n(note: run with `RUST_BACKTRACE[^\n]*\n)?")

_lock = threading.Lock()
_held: list[tuple[int, IO[bytes]]] = []


def hold() -> None:
    """Hold back what goes to standard error from now on, until :func:`release`; nothing when backtraces are wanted."""
    if os.environ.get("RUST_BACKTRACE", "0") != "0":
        return
    with _lock, contextlib.suppress(OSError):
        if _held:
            return
        sys.stderr.flush()
        kept = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed by release
        _held.append((os.dup(2), kept))
        os.dup2(kept.fileno(), 2)
        atexit.register(release)
        timer = threading.Timer(PATIENCE, release)
        timer.daemon = True
        timer.start()


def release() -> None:
    """Show what was held back, but for the words of panics."""
    with _lock:
        if not _held:
            return
        terminal, kept = _held.pop()
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
        with kept:
            kept.seek(0)
            rest = _PANIC.sub(b"", kept.read())
            if rest.strip():
                os.write(2, rest)
