"""A queue of events on disk: an SQLite database that outlives a crash of the process and of the machine.

Events are numbered from 1, and a number is never given again. The spool has a name of its own, made with it, so that a
cursor can tell whether the spool at hand is the one that it was taken from. Ids of requests are remembered in the same
transaction as their events, so that a request that is sent again is not taken again.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT, received INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, received INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS requests_received ON requests (received);
"""
_FORGET_EVERY = 1000
"""Requests after which the ids that are too old are looked for."""


class SpoolFull(Exception):
    """The spool holds as many events as it may."""


@dataclass(frozen=True)
class Event:
    """One event: its number, when it was received (milliseconds since the epoch), and its bytes."""

    number: int
    received: int
    body: bytes


class Spool:
    """The spool in the file ``path``, which is made if there is none. May be shared by threads.

    ``capacity`` is the most events that it may hold; ids of requests are remembered for ``memory`` seconds. Raises
    :class:`sqlite3.Error` when the file is no spool or cannot be written.
    """

    def __init__(self, path: str, capacity: int, memory: float = 86_400.0) -> None:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self._capacity = capacity
        self._memory = memory
        self._requests = 0
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
            self._connection.execute(
                "INSERT INTO spool SELECT ? WHERE NOT EXISTS (SELECT 1 FROM spool)", (uuid.uuid4().hex,)
            )
            self.name: str = self._connection.execute("SELECT name FROM spool").fetchone()[0]
            self._count: int = self._connection.execute("SELECT count(*) FROM events").fetchone()[0]
        except BaseException:
            self._connection.close()
            raise

    @property
    def count(self) -> int:
        """How many events it holds."""
        return self._count

    @property
    def last(self) -> int:
        """The highest number that was ever given; 0 before the first."""
        with self._lock:
            row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        return row[0] if row is not None else 0

    def count_behind(self, number: int) -> int:
        """How many events it holds behind ``number``."""
        with self._lock:
            row = self._connection.execute("SELECT count(*) FROM events WHERE number > ?", (number,)).fetchone()
        return int(row[0])

    def append(self, bodies: Sequence[bytes], request: str | None = None) -> bool:
        """Add the events of a request, all or none; they are durable when this returns.

        False: a request with this id has been taken before, so nothing was added. Raises :class:`SpoolFull`, and
        :class:`sqlite3.Error` when the disk takes no more.
        """
        received = int(time.time() * 1000)
        with self._lock:
            if request is not None and self._was_taken(request, received):
                return False
            if self._count + len(bodies) > self._capacity:
                raise SpoolFull
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                if request is not None:
                    self._connection.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (request, received))
                self._connection.executemany(
                    "INSERT INTO events (received, body) VALUES (?, ?)", [(received, body) for body in bodies]
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._count += len(bodies)
        return True

    def _was_taken(self, request: str, now: int) -> bool:
        """Whether a request with this id was taken within the memory's time."""
        oldest = now - int(self._memory * 1000)
        if self._requests % _FORGET_EVERY == 0:
            self._connection.execute("DELETE FROM requests WHERE received < ?", (oldest,))
        self._requests += 1
        found = self._connection.execute(
            "SELECT 1 FROM requests WHERE id = ? AND received >= ?", (request, oldest)
        ).fetchone()
        return found is not None

    def behind(self, number: int, most: int) -> list[Event]:
        """The first events behind ``number``, at most ``most``."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT number, received, body FROM events WHERE number > ? ORDER BY number LIMIT ?", (number, most)
            ).fetchall()
        return [Event(*row) for row in rows]

    def forget(self, number: int) -> None:
        """Delete the events up to ``number``."""
        with self._lock:
            self._connection.execute("DELETE FROM events WHERE number <= ?", (number,))
            self._count -= self._connection.execute("SELECT changes()").fetchone()[0]

    def close(self) -> None:
        with self._lock:
            self._connection.close()
