"""The journal of replays: which letters were taken up, in which run, and which of them are done.

A replay first writes its letters here, all in one transaction, and then runs. One that is ended half-way goes on from
here with the same letters, even if they are gone from the queue by then. A letter is known by its id and by how often
it had been replayed before, so that one that failed again can be replayed again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import FluxionError
from ..runtime.lease import StoreInUse, holder, release_lease, take_lease
from .letter import Letter

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, settings TEXT NOT NULL, begun TEXT NOT NULL, done TEXT);
CREATE TABLE IF NOT EXISTS letters (
    id TEXT NOT NULL, replays INTEGER NOT NULL, run INTEGER NOT NULL, entry TEXT NOT NULL, letter TEXT NOT NULL,
    done TEXT, PRIMARY KEY (id, replays)
);
"""


class JournalFailed(FluxionError):
    """The journal cannot be used."""


class Journal:
    """The journal in a directory. One process at a time holds it: a context manager.

    Raises :class:`JournalFailed` when it cannot be opened, or another replay holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            take_lease(self.folder, 0)
            self._connection = sqlite3.connect(self.folder / "journal.sqlite3", isolation_level=None)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_TABLES)
        except StoreInUse:
            raise JournalFailed(
                f"journal {str(self.folder)!r} is in use by another replay ({holder(self.folder)}); wait until it ends"
            ) from None
        except (OSError, sqlite3.Error) as error:
            release_lease(self.folder, 0)
            raise JournalFailed(f"journal {str(self.folder)!r} cannot be used: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        release_lease(self.folder, 0)

    def begin(self, settings: dict[str, Any], letters: Sequence[tuple[str, Letter]]) -> int:
        """Take up letters, each with where it enters the pipeline, in a new run; answers its number."""
        now = _now()
        self._connection.execute("BEGIN IMMEDIATE")
        run = self._connection.execute(
            "INSERT INTO runs (settings, begun) VALUES (?, ?)", (json.dumps(settings), now)
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO letters (id, replays, run, entry, letter) VALUES (?, ?, ?, ?, ?)",
            [(letter.id, letter.replays, run, entry, json.dumps(letter.data)) for entry, letter in letters],
        )
        self._connection.execute("COMMIT")
        assert run is not None
        return run

    def unfinished(self) -> list[tuple[int, dict[str, Any]]]:
        """The runs that were ended half-way, with their settings."""
        rows = self._connection.execute("SELECT run, settings FROM runs WHERE done IS NULL ORDER BY run")
        return [(run, json.loads(settings)) for run, settings in rows]

    def begun(self, run: int) -> datetime:
        """When a run began."""
        (text,) = self._connection.execute("SELECT begun FROM runs WHERE run = ?", (run,)).fetchone()
        return datetime.fromisoformat(text)

    def entries(self, run: int) -> dict[str, list[Letter]]:
        """The letters of a run that are not done, by where they enter the pipeline."""
        found: dict[str, list[Letter]] = {}
        for entry, id_, text in self._connection.execute(
            "SELECT entry, id, letter FROM letters WHERE run = ? AND done IS NULL ORDER BY rowid", (run,)
        ):
            found.setdefault(entry, []).append(Letter(id_, json.loads(text)))
        return found

    def done(self, run: int, entry: str | None) -> None:
        """Everything that entered there has been delivered, or has come back as a new letter; ``None``: all of it."""
        if entry is None:
            self._connection.execute("UPDATE runs SET done = ? WHERE run = ?", (_now(), run))
        else:
            self._connection.execute("UPDATE letters SET done = ? WHERE run = ? AND entry = ?", (_now(), run, entry))


def known(folder: Path) -> dict[tuple[str, int], str]:
    """The letters that a journal knows, by id and replays: ``replayed``, or ``under way`` in a run that is not done.

    Changes nothing. Raises :class:`JournalFailed` when it cannot be read.
    """
    path = folder / "journal.sqlite3"
    if not path.exists():
        return {}
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT id, replays, done FROM letters").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise JournalFailed(f"journal {str(folder)!r} cannot be read: {error}") from error
    return {(id_, replays): "replayed" if done else "under way" for id_, replays, done in rows}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
