"""The source and the sinks of a pipeline under test: documents from lists, failures and crashes on command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxion_connectors.files import FilesSink

from fluxion_flow.connect.encoding import decode_document
from fluxion_flow.connect.spi import (
    Batch,
    Cursor,
    DeliveryError,
    Document,
    Reject,
    SinkWriter,
    SourceReader,
    StreamingSink,
    StreamingSource,
)
from fluxion_flow.core.context import StreamingContext
from fluxion_flow.core.outside import Answer, AskFailed, Outside, Question
from fluxion_flow.core.stages.external import ALL, Loaded

RAW = "$raw"
"""A record ``{$raw: text}`` is one that cannot be decoded, with this text."""

Record = Mapping[str, Any]


class MockSource(StreamingSource):
    """Records by partition, each partition a list of batches. ``now`` (milliseconds) is the time of all of them.

    ``fail_reads`` are the numbers of reads, from 1, that raise a :class:`ConnectionError`. When ``crash_after`` records
    have been read, the process ends by SIGKILL.
    """

    bounded = True
    poll_interval = 0.001

    def __init__(
        self,
        partitions: Mapping[str, Sequence[Sequence[Record]]],
        *,
        now: int,
        fail_reads: Sequence[int] = (),
        crash_after: int | None = None,
    ) -> None:
        self._partitions = {name: [list(batch) for batch in batches] for name, batches in partitions.items()}
        self._now = now
        self._fail = set(fail_reads)
        self._crash_after = crash_after
        self._lock = threading.Lock()
        self._reads = 0
        self._records = 0

    def partitions(self) -> list[str]:
        return sorted(self._partitions)

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return _Reader(self, partition, self._partitions[partition], cursor["batch"] if cursor else 0)

    def about_to_read(self, records: int) -> None:
        """Raises :class:`ConnectionError`, or kills this process, where it was told to."""
        with self._lock:
            self._reads += 1
            if self._reads in self._fail:
                raise ConnectionError(f"told to fail at read {self._reads}")
            if self._crash_after is not None and self._records >= self._crash_after:
                os.kill(os.getpid(), signal.SIGKILL)
            self._records += records


class _Reader(SourceReader):
    def __init__(self, source: MockSource, partition: str, batches: list[list[Record]], number: int) -> None:
        self._source = source
        self._partition = partition
        self._batches = batches
        self._number = number
        self._position = sum(map(len, batches[:number]))

    @property
    def cursor(self) -> Cursor:
        return {"v": 1, "batch": self._number}

    def read(self, max_documents: int) -> Batch | None:
        if self._number == len(self._batches):
            self._source.about_to_read(0)
            return None
        records = self._batches[self._number]
        self._source.about_to_read(len(records))
        batch = Batch([], self._partition, self._position, timestamp=self._source._now)
        positions = []
        for position, record in enumerate(records, self._position):
            if set(record) == {RAW}:
                batch.rejects.append(Reject(str(record[RAW]).encode(), position, "is not valid JSON"))
            else:
                batch.documents.append(_copy(record))
                positions.append(position)
        batch.positions = positions
        self._number += 1
        self._position += len(records)
        return batch


@dataclass(frozen=True)
class EnrichmentRule:
    """How the outside answers a question: with ``answer``, or with the failure ``fail``.

    ``when`` is a part of the question's text (of a request: method, address, body); ``None``: every question.
    """

    answer: Any = None
    fail: str | None = None
    when: str | None = None


class MockOutside(Outside):
    """Answers the questions of ``$httpCall`` and its like by rules, under the connection's or the operator's name."""

    def __init__(self, rules: Mapping[str, Sequence[EnrichmentRule]]) -> None:
        self._rules = rules

    def peek(self, question: Question) -> Answer | None:
        return None

    def serve(self, questions: Sequence[Question], context: StreamingContext) -> list[Answer]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Answer:
        asker: Any = question.asker
        names = (getattr(getattr(asker, "target", None), "name", ""), getattr(asker, "name", ""))
        text = _question_text(question.what)
        for name in names:
            for rule in self._rules.get(name, ()):
                if rule.when is None or rule.when in text:
                    if rule.fail is None:
                        answer = _copy(rule.answer)
                        return Answer(Loaded(answer) if question.what == ALL else answer)
                    return _failing(f"{asker.title}: {rule.fail}")
        hint = f"add it to enrichments.{names[0] or names[1]}"
        return _failing(f"{asker.title}: the test does not mock this question: {text}; {hint}")


def _failing(text: str) -> Answer:
    return Answer(error=lambda: AskFailed(text))


@contextmanager
def mocked_outside(rules: Mapping[str, Sequence[EnrichmentRule]]) -> Iterator[None]:
    """Within this, runs ask a :class:`MockOutside`."""
    import fluxion_flow.core.outside as outside

    before = outside._open
    outside._open = lambda resources, tell, record: MockOutside(rules)
    try:
        yield
    finally:
        outside._open = before


def _question_text(what: Any) -> str:
    parts = [getattr(what, name, None) for name in ("method", "url", "content")]
    found = [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in parts if part]
    return " ".join(found) or str(what)


@dataclass(frozen=True)
class SinkRules:
    """How a mocked sink behaves. ``fail``: so many writes fail at first; ``fail_writes``: these writes, from 1, fail.

    ``reject``: documents with all of these fields and values are refused, each time.
    """

    fail: int = 0
    fail_writes: tuple[int, ...] = ()
    reject: tuple[Mapping[str, Any], ...] = ()


class MockSink(StreamingSink):
    """Writes to a file of Extended JSON; a run that resumes takes back what came after the checkpoint."""

    single_writer = True
    replays = True

    def __init__(self, path: Path, rules: SinkRules = SinkRules()) -> None:
        self.path = path
        self._rules = rules
        self._file = FilesSink(str(path), extended_json=True, fsync=False)
        self._writes = 0

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        return _Writer(self, self._file.open(part, cursor))

    def documents(self) -> list[Document]:
        """Everything that was delivered, in order."""
        if not os.path.exists(self.path):
            return []
        return [decode_document(line, extended=True) for line in self.path.read_bytes().splitlines()]

    def about_to_write(self) -> None:
        """Raises :class:`ConnectionError` where it was told to."""
        self._writes += 1
        if self._writes <= self._rules.fail or self._writes in self._rules.fail_writes:
            raise ConnectionError(f"told to fail at write {self._writes}")

    def refused(self, document: Document) -> Exception | None:
        """Why a document is refused, if it is."""
        for fields in self._rules.reject:
            if all(name in document and document[name] == value for name, value in fields.items()):
                return ValueError(f"told to refuse documents with {dict(fields)}")
        return None


class _Writer(SinkWriter):
    def __init__(self, sink: MockSink, file: SinkWriter) -> None:
        self._sink = sink
        self._file = file

    def write(self, batch: Batch) -> None:
        self._sink.about_to_write()
        errors = {i: error for i, d in enumerate(batch.documents) if (error := self._sink.refused(d))}
        taken = [document for i, document in enumerate(batch.documents) if i not in errors]
        self._file.write(Batch(taken, batch.partition, batch.position))
        if errors:
            raise DeliveryError(errors)

    def flush(self) -> None:
        self._file.flush()

    @property
    def cursor(self) -> Cursor:
        return self._file.cursor

    def close(self) -> None:
        self._file.close()


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
