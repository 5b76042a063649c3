"""Reading a Bytewax recovery store without Bytewax: which pipeline wrote it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .manifest import IncompatibleCheckpoint


def steps_in_store(store: Path) -> set[str]:
    """The full step ids (``pipeline.step``) that have state in a store; empty for a new store.

    Raises :class:`IncompatibleCheckpoint` when a file of the store cannot be read.
    """
    found: set[str] = set()
    for path in sorted(store.glob("part-*.sqlite3")):
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            try:
                found |= {row[0] for row in connection.execute("SELECT DISTINCT step_id FROM snaps")}
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise IncompatibleCheckpoint(
                f"checkpoint store {str(store)!r}: {path.name} cannot be read: {error}"
            ) from error
    return found


def check_store(store: Path, pipeline: str) -> None:
    """Refuse a store that another pipeline wrote: its state would be passed over in silence.

    Raises :class:`IncompatibleCheckpoint`.
    """
    writers = {step.split(".", 1)[0] for step in steps_in_store(store)}
    if writers and pipeline not in writers:
        names = ", ".join(repr(name) for name in sorted(writers))
        raise IncompatibleCheckpoint(
            f"checkpoint store {str(store)!r} was written by pipeline {names}, not by {pipeline!r}; "
            "rename the pipeline back, or give it a store of its own"
        )
