"""The contract suite finds what is wrong with a connector."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, clear, collected

from fluxion_flow.connect.spi import Batch
from fluxion_flow.testing.connector_contract import ReplayableSourceContract, SinkContract


class _Reader:
    """A memory reader with one mistake."""

    def __init__(self, reader: Any, mistake: str) -> None:
        self._reader = reader
        self._mistake = mistake

    @property
    def cursor(self) -> Any:
        if self._mistake == "cursor is no plain data":
            return {"v": 1, "index": {self._reader.cursor["index"]}}
        if self._mistake == "cursor has no version":
            return {"index": self._reader.cursor["index"]}
        if self._mistake == "cursor is ahead":
            return {"v": 1, "index": self._reader.cursor["index"] + 1}
        if self._mistake == "cursor is alive":
            self._alive = getattr(self, "_alive", {})
            self._alive.update(self._reader.cursor)
            return self._alive
        return self._reader.cursor

    def read(self, max_documents: int) -> Batch | None:
        batch: Batch | None = self._reader.read(max_documents + (self._mistake == "too many"))
        if batch is None and self._mistake == "never completes":
            return Batch([])
        if batch is not None and self._mistake == "loses":
            batch.documents[1:2] = []
        if batch is not None and self._mistake == "positions of the batch":
            batch.positions = range(len(batch.documents))
        return batch

    def lag(self) -> float:
        return -1 if self._mistake == "lag" else 0

    def close(self) -> None:
        pass


def _source_contract(mistake: str) -> Any:
    class Source(MemorySource):
        def open(self, partition: str, cursor: Any) -> Any:
            if mistake == "starts anew":
                cursor = None
            return _Reader(super().open(partition, cursor), mistake)

    class Contract(ReplayableSourceContract):
        def make_source(self, documents: Any) -> MemorySource:
            return Source(list(documents))

    return Contract()


def _run(contract: Any) -> list[str]:
    """What the tests of a contract complain about, each first line once."""
    complaints: dict[str, None] = {}
    for name in dir(contract):
        if name.startswith("test_"):
            test: Callable[[], None] = getattr(contract, name)
            try:
                test()
            except AssertionError as error:
                complaints[str(error).splitlines()[0]] = None
            finally:
                clear()
    return list(complaints)


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("cursor is no plain data", "the cursor of a reader must be plain data"),
        ("cursor has no version", "a cursor must hold its version 'v'"),
        ("cursor is ahead", "a reader opened at a cursor must stand at it"),
        ("cursor is alive", "a later read must not change an earlier cursor"),
        ("too many", "read(1) gave 2 documents"),
        ("never completes", "1000 reads in a row were empty, and the source does not complete"),
        ("loses", "read(2) must give every document once, in order"),
        ("positions of the batch", "positions and timestamps must not depend on how much one read takes"),
        ("lag", "lag must not be negative: -1"),
        ("starts anew", "a reader opened at a cursor must stand at it"),
    ],
)
def test_a_bad_source_is_found(mistake: str, complaint: str) -> None:
    assert any(text.startswith(complaint) for text in _run(_source_contract(mistake)))


def test_a_good_source_is_not_complained_about() -> None:
    assert _run(_source_contract("none")) == []


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("replays without undoing", "opened at a cursor, later writes must be undone"),
        ("loses", "flush must return when everything accepted is delivered"),
        ("half a write", "a repeated write must lose nothing and repeat nothing"),
        ("cursor is ahead", "a cursor must stand at the last flush, whatever was written since"),
    ],
)
def test_a_bad_sink_is_found(mistake: str, complaint: str) -> None:
    class Sink(MemorySink):
        replays = True

        def open(self, part: str, cursor: Any) -> Any:
            if mistake == "replays without undoing":
                cursor = {"count": 10**6}
            writer: Any = super().open(part, cursor)
            if mistake == "cursor is ahead":
                return _Ahead(writer)
            if mistake in ("loses", "half a write"):
                return _Losing(writer, always=mistake == "loses")
            return writer

    class Contract(SinkContract):
        def make_sink(self) -> MemorySink:
            return Sink("out", replays=True)

        def delivered(self) -> list[Any]:
            return collected("out")

        def break_next_write(self, sink: Any, writer: Any) -> Callable[[], None]:
            sink.writes.fail_next()
            return lambda: None

    assert any(re.match(re.escape(complaint), text) for text in _run(Contract()))


class _Ahead:
    """A writer whose cursor counts what was not flushed."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.write, self.flush, self.close = writer.write, writer.flush, writer.close

    @property
    def cursor(self) -> Any:
        return {"v": 1, "count": self._writer._count}


class _Losing:
    """A writer that loses a document always, or leaves half of a failed write."""

    def __init__(self, writer: Any, always: bool) -> None:
        self._writer = writer
        self._always = always
        self.flush, self.close = writer.flush, writer.close

    def write(self, batch: Batch) -> None:
        documents = batch.documents
        if self._always:
            self._writer.write(Batch(documents[1:]))
            return
        try:
            self._writer.write(batch)
        except ConnectionError:
            self._writer.write(Batch(documents[:1]))
            raise

    @property
    def cursor(self) -> Any:
        return self._writer.cursor
