"""What `python -m bytewax.run` was told, read from its command line: the checkpoint store and this process's number.

The flow module is imported by that program before anything runs, so this is the moment to refuse a store that another
run holds or that another pipeline wrote, and to let signals drain the run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from .drain import install_signal_handlers
from .ending import install_ending
from .lease import take_lease
from .store import check_store


@dataclass(frozen=True)
class Entry:
    """``store``: the recovery directory, if any; ``process``: this process's number in its cluster."""

    store: Path | None
    process: int


def entry(argv: list[str] | None = None, environ: dict[str, str] | None = None) -> Entry | None:
    """What the command line of `python -m bytewax.run` says; ``None`` in any other program."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if argv is None and getattr(spec, "name", None) != "bytewax.run":
        return None
    environ = dict(os.environ) if environ is None else environ
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-r", "--recovery-directory", default=environ.get("BYTEWAX_RECOVERY_DIRECTORY"))
    parser.add_argument("-i", "--process-id", type=int, default=environ.get("BYTEWAX_PROCESS_ID"))
    found, process = None, 0
    with contextlib.suppress(argparse.ArgumentError):
        known, _ = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
        found, process = known.recovery_directory, int(known.process_id or 0)
    return Entry(Path(found) if found else None, process)


def enter(pipeline: str) -> None:
    """Prepare the process for a run of ``pipeline``, when `python -m bytewax.run` is what runs.

    Raises :class:`~fluxion_flow.runtime.lease.StoreInUse` and
    :class:`~fluxion_flow.runtime.manifest.IncompatibleCheckpoint`.
    """
    found = entry()
    if found is None:
        return
    install_ending()
    if found.store is not None and found.store.is_dir():
        take_lease(found.store, found.process)
        check_store(found.store, pipeline)
    install_signal_handlers()


def tune_garbage_collector() -> None:
    """Leave what start-up made out of collections, and collect more seldom: documents hold no cycles.

    Saves a tenth of a whole flow and more. Only where the process is ours, under `python -m bytewax.run`.
    """
    if entry() is None:
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
