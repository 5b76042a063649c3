"""Bytewax sinks as they are: our delivery drives their partitions, so that policies, dead letters and metrics apply.

A document reaches the sink as a ``dict``; Bytewax's own file sinks get its JSON text, and its Kafka sink a message with
the JSON text as the value and ``_id`` as the key. A sink with partitions of its own (``FixedPartitionedSink``) is given
each document under its ``_id`` as text, from which the sink chooses the partition; ``list_parts`` must answer the same
on every worker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bytewax.outputs import DynamicSink, FixedPartitionedSink, Sink

from ..connect.encoding import encode_document
from ..connect.spi import Batch, Cursor, DeliveryError, Document, SinkWriter, StreamingSink
from .run import Run, part_of

Item = Callable[[Document], Any]


def foreign_sink(run: Run, step: str, sink: Sink[Any]) -> StreamingSink:
    """A Bytewax sink as one of ours. Raises :class:`TypeError` for what is neither of Bytewax's two kinds."""
    if isinstance(sink, FixedPartitionedSink):
        return PartitionedSink(run, step, sink)
    if isinstance(sink, DynamicSink):
        return WorkerSink(run, step, sink)
    raise TypeError(f"{type(sink).__name__} is neither a FixedPartitionedSink nor a DynamicSink")


class WorkerSink(StreamingSink):
    """A sink with one partition a worker, which takes each write at once and remembers nothing."""

    def __init__(self, run: Run, step: str, sink: DynamicSink[Any]) -> None:
        self._run = run
        self._step = step
        self._sink = sink

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        index, count = self._run.workers.current()
        return _Writer(self._sink.build(f"{self._run.pipeline}.{self._step}", index, count), item_of(self._sink))


class PartitionedSink(StreamingSink):
    """A sink with partitions that resume: their snapshots are our cursors."""

    replays = True

    def __init__(self, run: Run, step: str, sink: FixedPartitionedSink[Any, Any]) -> None:
        self._run = run
        self._step = step
        self._sink = sink
        self._parts: list[str] = []

    def split(self, batch: Batch) -> list[tuple[str, Batch]]:
        """The batch by partition, as the sink wants it."""
        if not self._parts:
            self._parts = sorted(self._sink.list_parts())
        indexes: dict[str, list[int]] = {}
        for index, document in enumerate(batch.documents):
            part = self._parts[self._sink.part_fn(key_of(document)) % len(self._parts)]
            indexes.setdefault(part, []).append(index)
        return [(part, part_of(batch, own)) for part, own in indexes.items()]

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        built = self._sink.build_part(f"{self._run.pipeline}.{self._step}", part, cursor)
        return _PartitionWriter(built, item_of(self._sink), cursor)


class _Writer(SinkWriter):
    def __init__(self, part: Any, item: Item) -> None:
        self._part = part
        self._item = item

    def write(self, batch: Batch) -> None:
        items: list[Any] = []
        errors: dict[int, Exception] = {}
        for index, document in enumerate(batch.documents):
            try:
                items.append(self._item(document))
            except ValueError as error:
                errors[index] = error
        if items:
            self._part.write_batch(items)
        if errors:
            raise DeliveryError(errors)

    def flush(self) -> None:
        """Bytewax's sinks make each write durable at once."""

    def close(self) -> None:
        self._part.close()


class _PartitionWriter(_Writer):
    def __init__(self, part: Any, item: Item, cursor: Cursor | None) -> None:
        super().__init__(part, item)
        self._cursor = cursor

    def flush(self) -> None:
        self._cursor = self._part.snapshot()

    @property
    def cursor(self) -> Cursor:
        return self._cursor


def key_of(document: Document) -> str:
    """The key under which a document goes to a partitioned sink."""
    found = document.get("_id", "")
    return found if isinstance(found, str) else str(found)


def item_of(sink: Sink[Any]) -> Item:
    """What a sink takes instead of a document."""
    module = type(sink).__module__
    if module == "bytewax.connectors.files":
        return _text
    if module == "bytewax.connectors.kafka":
        return _message
    return _as_it_is


def _as_it_is(document: Document) -> Any:
    return document


def _text(document: Document) -> str:
    return encode_document(document).decode("utf-8")


def _message(document: Document) -> Any:
    from bytewax.connectors.kafka import KafkaSinkMessage

    key = key_of(document).encode("utf-8", "surrogatepass") if "_id" in document else None
    return KafkaSinkMessage(key=key, value=encode_document(document))
