"""One run at a time on a checkpoint store: a lock file that the operating system releases when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..errors import FluxionError

_held: dict[str, int] = {}


class StoreInUse(FluxionError):
    """Another run holds the checkpoint store."""


def take_lease(store: Path, process: int) -> None:
    """Hold process ``process``'s place on a store until this process ends, however it ends.

    Every cluster has a process 0, so two runs on one store always meet. Raises :class:`StoreInUse`.
    """
    path = store / f"fluxion-{process}.lock"
    name = str(path.resolve())
    if name in _held:
        return
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise StoreInUse(
            f"checkpoint store {str(store)!r} is in use by another run (process id {holder}); "
            "wait until it has ended, or give this run a store of its own"
        ) from error
    os.truncate(file, 0)
    os.write(file, f"{os.getpid()}\n".encode())
    _held[name] = file


def release_lease(store: Path, process: int) -> None:
    """Give the place up early."""
    file = _held.pop(str((store / f"fluxion-{process}.lock").resolve()), None)
    if file is not None:
        os.close(file)
