"""Documents as Kafka records: topic, key, value, headers, timestamp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from confluent_kafka import Producer

from fluxion_connectors.kafka.fields import field_of, is_constant, to_bytes
from fluxion_flow.connect.encoding import encode_document, encode_lines
from fluxion_flow.connect.spi import Document

Outgoing = tuple[str, bytes | None, bytes | None, "list[tuple[str, str | bytes | None]] | None", int]
"""Topic, value, key, headers, and the timestamp in milliseconds (0: now)."""


@dataclass(frozen=True)
class Layout:
    """Which part of a document goes where in a record. The values are constants, field paths or functions."""

    topic: Any
    key: Any = None
    value: Any = None
    headers: Mapping[str, Any] | None = None
    timestamp: Any = None
    format: str = "json"
    extended: bool = False
    tombstone_field: str | None = None


class Encoder:
    """Makes records of documents."""

    def __init__(self, layout: Layout) -> None:
        self._extended = layout.extended
        self._format = layout.format
        path = layout.value if layout.value is not None else None if layout.format == "json" else "$value"
        self._value = None if path is None or path == "$$ROOT" else field_of(path)
        self._topic = field_of(layout.topic)
        self._key = field_of(layout.key)
        self._headers = [(name, field_of(given)) for name, given in (layout.headers or {}).items()]
        self._timestamp = None if layout.timestamp is None else field_of(layout.timestamp)
        self._tombstone = layout.tombstone_field
        self._fixed = is_constant(layout.topic) and is_constant(layout.key) and not self._headers
        self._fixed = self._fixed and self._timestamp is None and layout.tombstone_field is None
        self._constants = (layout.topic, to_bytes(layout.key)) if self._fixed else ("", None)
        self._only_key = is_constant(layout.topic) and not self._headers
        self._only_key = self._only_key and self._timestamp is None and layout.tombstone_field is None
        self._constant_topic = layout.topic

    def encode(self, documents: Sequence[Document]) -> tuple[list[Outgoing], Sequence[int], dict[int, Exception]]:
        """The records, the index of each one's document, and why other documents make no record."""
        values, indexes, errors = self._values(documents)
        if self._fixed:
            topic, key = self._constants
            return [(topic, value, key, None, 0) for value in values], indexes, errors
        records: list[Outgoing] = []
        kept: list[int] = []
        for value, index in zip(values, indexes, strict=True):
            document = documents[index]
            try:
                if self._only_key:
                    records.append((self._constant_topic, value, to_bytes(self._key(document)), None, 0))
                else:
                    records.append(self._record(document, value))
            except ValueError as error:
                errors[index] = error
            else:
                kept.append(index)
        return records, kept, errors

    def _record(self, document: Document, value: bytes | None) -> Outgoing:
        topic = self._topic(document)
        if not isinstance(topic, str) or not topic:
            raise ValueError(f"the topic must be a text, got {topic!r}")
        if self._tombstone is not None and document.get(self._tombstone) is True:
            value = None
        headers: list[tuple[str, str | bytes | None]] | None = [
            (name, to_bytes(field(document))) for name, field in self._headers
        ] or None
        return topic, value, to_bytes(self._key(document)), headers, self._milliseconds(document)

    def _milliseconds(self, document: Document) -> int:
        moment = None if self._timestamp is None else self._timestamp(document)
        if moment is None:
            return 0
        if isinstance(moment, datetime):
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return int(moment.timestamp() * 1000)
        if isinstance(moment, int) and not isinstance(moment, bool) and moment >= 0:
            return moment
        raise ValueError(f"the timestamp must be a date or milliseconds, got {moment!r}")

    def _values(
        self, documents: Sequence[Document]
    ) -> tuple[Sequence[bytes | None], Sequence[int], dict[int, Exception]]:
        if self._value is None:
            text, errors = encode_lines(documents, self._extended)
            lines = text.split(b"\n")
            lines.pop()
            indexes = [i for i in range(len(documents)) if i not in errors] if errors else range(len(documents))
            return lines, indexes, errors
        values: list[bytes | None] = []
        kept: list[int] = []
        errors = {}
        for index, document in enumerate(documents):
            try:
                values.append(self._one_value(self._value(document)))
            except ValueError as error:
                errors[index] = error
            else:
                kept.append(index)
        return values, kept, errors

    def _one_value(self, value: Any) -> bytes | None:
        if value is None:
            return None
        if self._format == "json":
            return encode_document({"": value}, self._extended)[4:-1]
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return value
        raise ValueError(f"the value must be text or bytes for format {self._format!r}, got {type(value).__name__}")


def put(producer: Producer, record: Outgoing) -> None:
    """Hand a record to the client; where its queue is full, wait until there is room.

    Raises :class:`confluent_kafka.KafkaException` when the client refuses the record.
    """
    topic, value, key, headers, timestamp = record
    while True:
        try:
            if headers is None and not timestamp:
                producer.produce(topic, value, key)
            else:
                producer.produce(topic, value, key, headers=headers, timestamp=timestamp)
            return
        except BufferError:
            producer.poll(0.1)
