"""One run at a time on a checkpoint store: lock files that the operating system releases when a process ends.

Every process of a run holds the file of its number, ``fluxion-N.lock``, by ``flock``. The processes of one run have
their addresses in common, and so know each other; a process 0 begins only when no process of another run holds any
of the files. A kill releases them as well as a clean end.

On one machine the kernel keeps this promise. On a file system that several machines share it holds as far as that file
system carries ``flock`` between them (NFS 4 and CephFS do; many object-store mounts and NFS 3 without a lock manager do
not), and the lock of a machine that was cut off is released when the file server gives its client up.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import FluxionError

RETRY_EVERY = 0.02
"""Seconds between two looks at the files of another run's further processes."""

SETTLE = 0.5
"""Seconds in which processes of one run, started together, may meet each other's files half done: locked but not yet
written, or locked for a look."""

_held: dict[str, int] = {}


class StoreInUse(FluxionError):
    """Another run holds the checkpoint store."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a store: its process id, its machine, and the addresses that its run has in common."""

    pid: int
    host: str
    addresses: str

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process id {self.pid or 'unknown'}{where}"


def take_lease(store: Path, process: int, addresses: str = "", *, wait: bool = False) -> None:
    """Hold process ``process``'s place on a store until this process ends, however it ends.

    ``addresses`` are those of all processes of the run, ``""`` for a process that runs alone. With ``wait`` the call
    returns when the store is free. Raises :class:`StoreInUse`.
    """
    path = store / f"fluxion-{process}.lock"
    name = str(path.resolve())
    if name in _held:
        return
    settled = time.monotonic() + SETTLE
    while (file := _locked(path, wait)) is None and time.monotonic() < settled:
        time.sleep(RETRY_EVERY)
    if file is None:
        raise _in_use(store, _read(path))
    try:
        me = {"pid": os.getpid(), "host": socket.gethostname(), "addresses": addresses}
        os.truncate(file, 0)
        os.pwrite(file, json.dumps(me).encode() + b"\n", 0)
        while process == 0 and (other := _of_another_run(store, addresses)) is not None:
            if not wait and time.monotonic() > settled:
                raise _in_use(store, other)
            time.sleep(RETRY_EVERY)
    except BaseException:
        os.close(file)
        raise
    _held[name] = file


def release_lease(store: Path, process: int) -> None:
    """Give the place up early."""
    file = _held.pop(str((store / f"fluxion-{process}.lock").resolve()), None)
    if file is not None:
        os.close(file)


def holder(store: Path) -> Holder | None:
    """A process of the run that holds a store; ``None`` when it is free."""
    return next((_read(path) for path in sorted(store.glob("fluxion-*.lock")) if _is_locked(path)), None)


def _of_another_run(store: Path, addresses: str) -> Holder | None:
    for path in sorted(store.glob("fluxion-*.lock")):
        if path.name != "fluxion-0.lock" and _is_locked(path):
            other = _read(path)
            if not addresses or other.addresses != addresses:
                return other
    return None


def _locked(path: Path, wait: bool) -> int | None:
    """The file, locked for this process; ``None`` when another one has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except BaseException:
        os.close(file)
        raise
    return file


def _is_locked(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _read(path: Path) -> Holder:
    try:
        found = json.loads(path.read_bytes())
        return Holder(int(found["pid"]), str(found["host"]), str(found["addresses"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, socket.gethostname(), "")


def _in_use(store: Path, other: Holder) -> StoreInUse:
    return StoreInUse(
        f"checkpoint store {str(store)!r} is in use by another run ({other}); "
        "wait until it has ended, or give this run a store of its own"
    )
