"""Documents as Kafka records: topic, key, value, headers, timestamp."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import repeat
from typing import Any, Protocol

from confluent_kafka import Producer

from fluxion_connectors.kafka.registry import Encode
from fluxion_flow.connect.encoding import encode_bare, encode_lines, encode_value
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.spi import Batch

Headers = list[tuple[str, str | bytes | None]]
Outgoing = tuple[str, bytes | None, bytes | None, Headers | None, int]
"""Topic, value, key, headers, and the timestamp in milliseconds (0: now)."""

Errors = dict[int, Exception]
"""Why documents make no record, by their index in the batch."""


class Encodes(Protocol):
    """Makes records of the documents of batches."""

    def encode(self, batch: Batch) -> tuple[list[Outgoing], Sequence[int], Errors]:
        """The records, the index of each one's document, and why other documents make no record."""


@dataclass(frozen=True)
class Layout:
    """What makes which part of a record. Without ``value`` it is the document, or its field ``value`` (``string``,
    ``bytes``).
    """

    topic: Expression
    key: Expression | None = None
    value: Expression | None = None
    headers: Expression | None = None
    timestamp: Expression | None = None
    format: str = "json"
    extended: bool = False
    tombstone_field: str | None = None
    codec: Encode | None = None
    """For a format whose schemas are in a registry."""


class Encoder:
    """Makes records of documents."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._value = layout.value
        if self._value is None and layout.format in ("string", "bytes"):
            self._value = Expression("$value")
        self._plain = layout.headers is None and layout.timestamp is None and layout.tombstone_field is None

    def encode(self, batch: Batch) -> tuple[list[Outgoing], Sequence[int], Errors]:
        """The records, the index of each one's document, and why other documents make no record."""
        layout, errors = self._layout, Errors()
        count = len(batch.documents)
        topics = column(layout.topic, batch, topic_name, errors)
        if layout.codec is None:
            values = self._values(batch, errors)
        else:
            topics = list(topics)
            values = self._described(batch, layout.codec, topics, errors)
        keys = column(layout.key, batch, to_bytes, errors)
        rest: tuple[Iterable[Any], Iterable[Any]] = (repeat(None, count), repeat(0, count))
        if not self._plain:
            rest = (
                column(layout.headers, batch, _headers, errors),
                column(layout.timestamp, batch, milliseconds, errors),
            )
            if layout.tombstone_field is not None:
                field = layout.tombstone_field
                deleted = (document.get(field) is True for document in batch.documents)
                values = [None if gone else value for value, gone in zip(values, deleted, strict=True)]
        records = list(zip(topics, values, keys, *rest, strict=True))
        if not errors:
            return records, range(count), errors
        kept = [index for index in range(count) if index not in errors]
        return [records[index] for index in kept], kept, errors

    def _values(self, batch: Batch, errors: Errors) -> Iterable[bytes | None]:
        """One value a document; what stands for a document in ``errors`` does not matter."""
        if self._value is not None:
            return column(self._value, batch, self._one_value, errors)
        text, refused = encode_lines(batch.documents, self._layout.extended)
        lines: list[bytes | None] = [*text.split(b"\n")]
        lines.pop()
        for index in sorted(refused):
            lines.insert(index, None)
        errors.update(refused)
        return lines

    def _described(self, batch: Batch, codec: Encode, topics: Sequence[str], errors: Errors) -> Iterable[bytes | None]:
        """Values by the schemas of their topics. Raises what the registry's failure is, of which no document is to
        blame.
        """
        sources: Iterable[Any] = batch.documents
        if self._value is not None:
            sources = column(self._value, batch, _document, errors)
        values: list[bytes | None] = []
        for index, (source, topic) in enumerate(zip(sources, topics, strict=True)):
            value = None
            if index not in errors and source is not None:
                try:
                    value = codec(source, topic)
                except ValueError as error:
                    errors[index] = error
            values.append(value)
        return values

    def _one_value(self, value: Any) -> bytes | None:
        if value is None:
            return None
        if self._layout.format == "json":
            return encode_value(value, self._layout.extended)
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return value
        raise ValueError(
            f"the value must be text or bytes for format {self._layout.format!r}, got {type(value).__name__}"
        )


def column(expression: Expression | None, batch: Batch, convert: Callable[[Any], Any], errors: Errors) -> Iterable[Any]:
    """One converted value a document. A conversion that fails raises :class:`ValueError`."""
    if expression is None:
        return repeat(convert(None), len(batch.documents))
    return expression.converted(batch, convert, errors)


def topic_name(value: Any) -> str:
    """A topic. Raises :class:`ValueError` for what names none."""
    if value.__class__ is not str or not value:
        raise ValueError(f"the topic must be a text, got {value!r}")
    return value


def _document(value: Any) -> Any:
    if value is not None and value.__class__ is not dict:
        raise ValueError(f"the value must be a document for its schema, got {type(value).__name__}")
    return value


def to_bytes(value: Any) -> bytes | None:
    """A key's or header's bytes: text in UTF-8, bytes as they are, anything else as JSON. ``None`` stays.

    Raises :class:`ValueError` for what JSON cannot hold.
    """
    return value if value is None or value.__class__ is bytes else encode_bare(value)


def _headers(value: Any) -> Headers | None:
    """Headers from an object, or from a list as ``stream.source.headers`` has them, where a name may stand twice."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return [(name, to_bytes(item)) for name, item in value.items()] or None
    if isinstance(value, list) and all(isinstance(item, dict) and isinstance(item.get("k"), str) for item in value):
        return [(item["k"], to_bytes(item.get("v"))) for item in value] or None
    raise ValueError(f"the headers must be an object, or a list of {{k: name, v: value}}, got {value!r}")


def milliseconds(moment: Any) -> int:
    """A date, or milliseconds since the epoch, as the latter; 0 for null. Raises :class:`ValueError`."""
    if moment is None:
        return 0
    if isinstance(moment, datetime):
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return int(moment.timestamp() * 1000)
    if isinstance(moment, int) and not isinstance(moment, bool) and moment >= 0:
        return moment
    raise ValueError(f"the timestamp must be a date or milliseconds, got {moment!r}")


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
