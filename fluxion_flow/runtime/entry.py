"""What `python -m bytewax.run` was told, read from its command line: the checkpoint store and this process's number.

The flow module is imported by that program before anything runs, so this is the moment to refuse a store that another
run holds or that another pipeline wrote, and to let signals drain the run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ..connect.secrets import redact
from ..core.program import reason
from .drain import install_signal_handlers
from .ending import install_ending
from .lease import holder, take_lease
from .manifest import Manifest
from .store import check_store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """``store``: the recovery directory, if any; ``process``: this process's number in its cluster.

    ``addresses`` are those of all its processes; ``""`` for a process that runs alone.
    """

    store: Path | None
    process: int
    addresses: str = ""


def entry(argv: list[str] | None = None, environ: dict[str, str] | None = None) -> Entry | None:
    """What the command line of `python -m bytewax.run` says; ``None`` in any other program."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if argv is None and getattr(spec, "name", None) != "bytewax.run":
        return None
    environ = dict(os.environ) if environ is None else environ
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-r", "--recovery-directory", default=environ.get("BYTEWAX_RECOVERY_DIRECTORY"))
    parser.add_argument("-i", "--process-id", type=int, default=environ.get("BYTEWAX_PROCESS_ID"))
    parser.add_argument("-a", "--addresses", default=environ.get("BYTEWAX_ADDRESSES"))
    found, process, addresses = None, None, None
    with contextlib.suppress(argparse.ArgumentError):
        known, _ = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
        found, process, addresses = known.recovery_directory, known.process_id, known.addresses
    if process is None:
        process = _number_in_set(environ)
    return Entry(Path(found) if found else None, int(process or 0), addresses or _hosts(environ))


def _number_in_set(environ: dict[str, str]) -> str | None:
    """The process's number from its pod's name, as Bytewax takes it in a Kubernetes StatefulSet."""
    pod, name = environ.get("BYTEWAX_POD_NAME"), environ.get("BYTEWAX_STATEFULSET_NAME")
    return pod.removeprefix(f"{name}-") if pod and name else None


def _hosts(environ: dict[str, str]) -> str:
    path = environ.get("BYTEWAX_HOSTFILE_PATH")
    return ";".join(Path(path).read_text().split()) if path and Path(path).is_file() else ""


def enter(manifest: Manifest, *, standby: bool = False, warm_up: Callable[[], object] | None = None) -> None:
    """Prepare the process for a run, when `python -m bytewax.run` is what runs.

    With ``standby`` it waits until the checkpoint store is free, after ``warm_up`` has tried what the run will need;
    what that raises is logged, because it may be well by the time it counts. Raises
    :class:`~fluxion_flow.runtime.lease.StoreInUse`, :class:`~fluxion_flow.runtime.store.StoreUnreadable` and
    :class:`~fluxion_flow.runtime.manifest.IncompatibleCheckpoint`.
    """
    found = entry()
    if found is None:
        return
    install_ending()
    if found.store is not None and found.store.is_dir():
        with _ended_by_signals():
            if standby:
                _stand_by(found.store, warm_up)
            take_lease(found.store, found.process, found.addresses, wait=standby)
            if standby:
                log.info("standby: took over checkpoint store %r", str(found.store))
        check_store(found.store, manifest, whole=not found.addresses)
    install_signal_handlers()


def _stand_by(store: Path, warm_up: Callable[[], object] | None) -> None:
    active = holder(store)
    if active is None:
        return
    try:
        if warm_up is not None:
            warm_up()
    except Exception as error:  # noqa: BLE001
        log.warning("standby: the source cannot be reached now: %s", redact(reason(error)))
    log.info("standby: ready, waiting for checkpoint store %r, which %s holds", str(store), active)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a signal end the process at once, with exit code 0: nothing has begun that could be drained."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def tune_garbage_collector() -> None:
    """Leave what start-up made out of collections, and collect more seldom: documents hold no cycles.

    Saves a tenth of a whole flow and more. Only where the process is ours, under `python -m bytewax.run`.
    """
    if entry() is not None:
        freeze()


def freeze() -> None:
    """Take all that is there out of collections for good, and collect more seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
