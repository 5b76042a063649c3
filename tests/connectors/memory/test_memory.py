"""The memory connector: what tests of pipelines rely on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, clear, collected, provide

from fluxion_flow.connect.registry import open_sink, open_source
from fluxion_flow.connect.spi import Batch, DeliveryError
from fluxion_flow.errors import PipelineError
from fluxion_flow.testing.connector_contract import (
    ConnectorContract,
    ReplayableSourceContract,
    SinkContract,
    read_all,
)


@pytest.fixture(autouse=True)
def _empty_hub() -> Iterator[None]:
    clear()
    yield
    clear()


class TestMemoryConnector(ConnectorContract):
    type = "memory"
    sources = ({"documents": [{"a": 1}]}, {"name": "in", "bounded": False})
    sinks = ({"name": "out"}, {"name": "out", "replays": True, "fail_writes": [2]})


class TestMemorySource(ReplayableSourceContract):
    def make_source(self, documents: Any) -> MemorySource:
        return MemorySource(list(documents))

    def break_next_read(self, source: Any) -> Any:
        source.reads.fail_next()
        return lambda: None


class TestMemorySourceOfTwoPartitions(ReplayableSourceContract):
    def make_source(self, documents: Any) -> MemorySource:
        return MemorySource([list(documents[:9]), list(documents[9:])])


class TestMemorySink(SinkContract):
    def make_sink(self) -> MemorySink:
        return MemorySink("out", fail_documents={"n": -1})

    def delivered(self) -> list[Any]:
        return collected("out")

    def refused_document(self) -> Any:
        return {"n": -1}

    def break_next_write(self, sink: Any, writer: Any) -> Any:
        sink.writes.fail_next(OSError("full"))
        return lambda: None


class TestReplayingMemorySink(TestMemorySink):
    def make_sink(self) -> MemorySink:
        return MemorySink("out", replays=True, fail_documents=lambda d: ValueError("no") if d["n"] < 0 else None)


def test_definitions_read_what_was_provided_and_collect_under_a_name() -> None:
    provide("in", [{"n": 1}, {"n": 2}])
    source = open_source({"type": "memory", "name": "in"})
    sink = open_sink({"type": "memory", "name": "result"})
    assert source.partitions() == ["00000"]
    writer = sink.open("0", None)
    writer.write(Batch(read_all(source.open("00000", None))))
    assert collected("result") == [{"n": 1}, {"n": 2}]


def test_an_unbounded_source_waits_and_reads_what_is_provided_later() -> None:
    provide("in", [{"n": 1}])
    reader = MemorySource(name="in", bounded=False).open("00000", None)
    first, second = reader.read(5), reader.read(5)
    provide("in", [{"n": 2}])
    third = reader.read(5)
    assert [batch.documents if batch else None for batch in (first, second, third)] == [[{"n": 1}], [], [{"n": 2}]]


def test_documents_of_a_source_survive_a_pipeline_that_changes_them() -> None:
    documents = [{"items": [{"qty": 1}]}]
    source = MemorySource(documents)
    for _ in range(2):
        batch = source.open("00000", None).read(5)
        assert batch is not None
        assert batch.documents == [{"items": [{"qty": 1}]}]
        batch.documents[0]["items"][0]["qty"] = 99


def test_reads_fail_on_command_and_only_then() -> None:
    reader = MemorySource([{"n": 1}, {"n": 2}], fail_reads={2: TimeoutError("slow"), 3: "gone"}).open("00000", None)
    assert reader.read(1).documents == [{"n": 1}]  # type: ignore[union-attr]
    with pytest.raises(TimeoutError, match=r"^slow$"):
        reader.read(1)
    with pytest.raises(ConnectionError, match=r"^gone$"):
        reader.read(1)
    assert reader.read(1).documents == [{"n": 2}]  # type: ignore[union-attr]


def test_flushes_fail_on_command_and_keep_the_cursor() -> None:
    sink = MemorySink("out", fail_flushes=[1])
    writer = sink.open("0", None)
    writer.write(Batch([{"n": 1}]))
    with pytest.raises(ConnectionError, match=r"^told to fail at flush 1$"):
        writer.flush()
    assert writer.cursor == {"v": 1, "count": 0}
    writer.flush()
    assert writer.cursor == {"v": 1, "count": 1}


def test_documents_are_refused_by_their_fields() -> None:
    writer = MemorySink("out", fail_documents={"status": "BAD"}).open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"status": "BAD"}, {"status": "OK"}]))
    assert str(caught.value) == (
        "1 documents were not delivered, the first because: told to refuse documents with {'status': 'BAD'}"
    )
    assert collected("out") == [{"status": "OK"}]


def test_a_source_needs_documents_or_a_name() -> None:
    with pytest.raises(PipelineError) as caught:
        open_source({"type": "memory"})
    assert str(caught.value) == "source: a memory source takes documents or a name; give one of the two"
