"""Answers that are kept for a replay (``record: true``), beside the checkpoint store.

A checkpoint cannot hold them: after a crash the run goes on from the last complete checkpoint, and the answers that
matter are those that came behind it. So an answer is written down before its document goes on, with the document's
place in the source, and a document that is read again is given it. What a complete checkpoint covers is forgotten.
Failures are not kept: they are asked again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fluxion_flow.connect.encoding import from_extended, to_extended
from fluxion_flow.core.outside import Answer, Question
from fluxion_flow.core.stages.external import Loaded

FILE = "fluxion-answers.db"
"""Bytewax takes every ``.sqlite3`` file of the store for one of its own."""
KEEP = 7 * 24 * 3600
"""Seconds after which an answer is forgotten that no checkpoint is known to cover."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    step TEXT, partition TEXT, place INTEGER, question BLOB, answer TEXT, at REAL,
    PRIMARY KEY (step, partition, place, question)
) WITHOUT ROWID
"""


class Record:
    """The answers of one pipeline in a file, shared by the workers of a process and by its processes."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(_SCHEMA)
        self._database.execute("DELETE FROM answers WHERE at < ?", (time.time() - KEEP,))
        rows = self._database.execute("SELECT step, partition, max(place) FROM answers GROUP BY step, partition")
        self._known = {(step, partition): place for step, partition, place in rows}
        """By step and partition, the last place that an earlier run has left answers for."""

    def recall(self, step: str, questions: Sequence[Question], answers: list[Answer | None]) -> None:
        """Fill in the answers that an earlier run has had."""
        for i, question in enumerate(questions):
            last = self._known.get((step, question.partition))
            if last is None or question.place > last or not question.asker.recorded:
                continue
            key = (step, question.partition, question.place, _digest(question))
            with self._lock:
                row = self._database.execute(
                    "SELECT answer FROM answers WHERE step = ? AND partition = ? AND place = ? AND question = ?", key
                ).fetchone()
            if row is not None:
                answers[i] = Answer(_read(row[0]))

    def keep(self, step: str, answered: Sequence[tuple[Question, Answer | None]]) -> None:
        """Write answers down; they are durable behind this."""
        now = time.time()
        rows = [
            (step, question.partition, question.place, _digest(question), _written(answer.value), now)
            for question, answer in answered
            if question.asker.recorded and answer is not None and answer.error is None
        ]
        if not rows:
            return
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._database.execute("COMMIT")

    def forget(self, partition: str, position: int) -> None:
        """A complete checkpoint covers what stands before ``position`` in a source partition."""
        with self._lock:
            self._database.execute("DELETE FROM answers WHERE partition = ? AND place < ?", (partition, position))

    def close(self) -> None:
        with self._lock:
            self._database.close()


def _digest(question: Question) -> bytes:
    text = f"{question.asker.site}|{question.turn}|{question.what!r}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _written(value: Any) -> str:
    kind = "all" if isinstance(value, Loaded) else "value"
    plain = list(value.documents) if isinstance(value, Loaded) else value
    return json.dumps({kind: to_extended(plain)}, ensure_ascii=False)


def _read(text: str) -> Any:
    ((kind, plain),) = json.loads(text).items()
    value = from_extended(plain)
    return Loaded(value) if kind == "all" else value
