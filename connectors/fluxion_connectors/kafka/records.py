"""Kafka records as documents.

===========  =====================================================================================
``format``   a record's value becomes
===========  =====================================================================================
``json``     the document that it holds
``string``   ``{"value": "text"}``; it must be UTF-8
``bytes``    ``{"value": b"..."}``
===========  =====================================================================================

``avro``, ``json_schema`` and ``protobuf`` are in :mod:`~fluxion_connectors.kafka.registry`.

A tombstone (a record without a value) becomes ``{"_key": <its key>, "_deleted": true}``, or is passed over, or is
rejected, as the option ``tombstones`` says. A key is text where it is UTF-8, else bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from fluxion_connectors.kafka.registry import Decode, Registry, decoder
from fluxion_flow.connect.encoding import decode_document, decode_records
from fluxion_flow.connect.spi import Document, Reject

Record = Any
"""A :class:`confluent_kafka.Message` that was fetched: its topic, partition and offset are never ``None``."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_value: Any = Message.value
_offset: Any = Message.offset
_timestamp: Any = Message.timestamp


def text_or_bytes(raw: bytes | None) -> str | bytes | None:
    """Text where the bytes are UTF-8, else the bytes."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _headers(message: Record) -> list[dict[str, Any]]:
    return [{"k": name, "v": text_or_bytes(value)} for name, value in message.headers() or ()]


def _moment(message: Record) -> datetime | None:
    kind, milliseconds = message.timestamp()
    return None if kind == TIMESTAMP_NOT_AVAILABLE else _EPOCH + timedelta(milliseconds=milliseconds)


_FACTS: dict[str, Callable[[Record], Any]] = {
    "topic": lambda message: message.topic(),
    "partition": lambda message: message.partition(),
    "offset": lambda message: message.offset(),
    "key": lambda message: text_or_bytes(message.key()),
    "headers": _headers,
    "ts": _moment,
}
_ON_REQUEST: dict[str, Callable[[Record], Any]] = {
    **_FACTS,
    "timestamp": _moment,
    "value": lambda message: text_or_bytes(message.value()),
}
"""What is read by name only: another name for ``ts``, and the value as it came."""


class Description(Mapping[str, Any]):
    """What is known of a record besides its document: topic, partition, offset, key, headers, ts.

    ``timestamp`` and ``value`` (text or bytes, as it came) are there to be asked for, and not listed. Every fact is
    made when it is asked for.
    """

    __slots__ = ("_message",)

    def __init__(self, message: Record) -> None:
        self._message = message

    def __getitem__(self, name: str) -> Any:
        return _ON_REQUEST[name](self._message)

    def __contains__(self, name: object) -> bool:
        return name in _ON_REQUEST

    def __iter__(self) -> Iterator[str]:
        return iter(_FACTS)

    def __len__(self) -> int:
        return len(_FACTS)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        message = self._message
        kept = message.topic(), message.partition(), message.offset(), message.key(), message.value()
        return _restored, (*kept, message.headers(), message.timestamp())


class _Kept:
    """A message that has been to another process."""

    __slots__ = ("_facts",)

    def __init__(self, *facts: Any) -> None:
        self._facts = facts

    def topic(self) -> Any:
        return self._facts[0]

    def partition(self) -> Any:
        return self._facts[1]

    def offset(self) -> Any:
        return self._facts[2]

    def key(self) -> Any:
        return self._facts[3]

    def value(self) -> Any:
        return self._facts[4]

    def headers(self) -> Any:
        return self._facts[5]

    def timestamp(self) -> Any:
        return self._facts[6]


def _restored(*facts: Any) -> Description:
    return Description(_Kept(*facts))


class Described(Mapping[int, Description]):
    """The descriptions of records by offset, each made when it is asked for."""

    __slots__ = ("_by_offset", "_first", "_messages")

    def __init__(self, messages: Sequence[Record]) -> None:
        self._messages = messages
        self._first = messages[0].offset()
        self._by_offset: dict[int, Record] | None = None

    def __getitem__(self, offset: int) -> Description:
        index = offset - self._first
        if 0 <= index < len(self._messages) and self._messages[index].offset() == offset:
            return Description(self._messages[index])
        if self._by_offset is None:  # there are gaps, where transactions end and where a topic was compacted
            self._by_offset = dict(zip(self, self._messages, strict=True))
        return Description(self._by_offset[offset])

    def __iter__(self) -> Iterator[int]:
        return map(_offset, self._messages)

    def __len__(self) -> int:
        return len(self._messages)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (list(self.items()),)


class Decoder:
    """Makes documents of records.

    ``tombstones`` is ``document``, ``skip`` or ``reject``; ``metadata_field`` names a field that gets the record's
    description, where it is wanted in the document. ``registry`` has the schemas, for a format that needs them.
    """

    def __init__(
        self,
        format: str,
        extended: bool,
        tombstones: str,
        metadata_field: str | None,
        registry: Registry | None = None,
    ) -> None:
        self._json = format == "json"
        self._extended = extended
        self._tombstones = tombstones
        self._metadata_field = metadata_field
        self._decode: Decode
        if registry is not None:
            self._decode = decoder(format, registry)
        else:
            self._decode = {
                "json": lambda raw, topic: decode_document(raw, extended),
                "string": _text_document,
                "bytes": lambda raw, topic: {"value": raw},
            }[format]

    def decode(self, messages: list[Record]) -> tuple[list[Document], Sequence[int], list[Reject]]:
        """Documents, their offsets, and what could not be decoded."""
        values = list(map(_value, messages))
        offsets: Sequence[int] = _offsets(messages)
        documents: list[Document] = []
        rejects: list[Reject] = []
        if self._json and None not in values:
            documents, offsets, rejects = decode_records(values, offsets, self._extended)
            if len(documents) + len(rejects) < len(values):  # some are blank
                documents = []
        if rejects or not documents:
            documents, offsets, rejects, messages = self._one_by_one(messages)
        if self._metadata_field is not None:
            for document, message in zip(documents, messages, strict=True):
                document[self._metadata_field] = dict(Description(message))
        return documents, offsets, rejects

    def _one_by_one(self, messages: list[Record]) -> tuple[list[Document], list[int], list[Reject], list[Record]]:
        documents: list[Document] = []
        offsets: list[int] = []
        rejects: list[Reject] = []
        kept: list[Record] = []
        for message in messages:
            raw, offset = message.value(), message.offset()
            try:
                if raw is None:
                    document = self._tombstone(message)
                    if document is None:
                        continue
                elif self._json and (not raw or raw.isspace()):
                    raise ValueError("is empty")
                else:
                    document = self._decode(raw, message.topic())
            except ValueError as error:
                rejects.append(Reject(raw or b"", offset, str(error)))
                continue
            documents.append(document)
            offsets.append(offset)
            kept.append(message)
        return documents, offsets, rejects, kept

    def _tombstone(self, message: Record) -> Document | None:
        if self._tombstones == "skip":
            return None
        if self._tombstones == "reject":
            raise ValueError("has no value (a tombstone)")
        return {"_key": text_or_bytes(message.key()), "_deleted": True}


def _text_document(raw: bytes, topic: str) -> Document:
    try:
        return {"value": raw.decode()}
    except UnicodeDecodeError as error:
        raise ValueError(f"is not valid UTF-8 (byte {error.start})") from None


def _offsets(messages: list[Record]) -> Sequence[int]:
    first, last = messages[0].offset(), messages[-1].offset()
    if last - first + 1 == len(messages):
        return range(first, last + 1)
    return list(map(_offset, messages))


TICK = 1000
"""Milliseconds by which a record must be newer for the clock to move."""

BACK = 86_400_000
"""Milliseconds by which a record must be older for the clock to be set back: what came before was wrong."""


def ticks(messages: list[Record], now: int | None) -> tuple[int, int]:
    """How many of the messages share one time, and the time: milliseconds since the epoch.

    The time of a batch must not depend on where batches begin and end, and must be the same when it is read again. So a
    partition has a clock, which only its records move, in steps of a second at least; a batch ends where it moves.
    ``now`` is the clock before the first message.
    """
    if now is None:
        now = max(messages[0].timestamp()[1], 0)
    times = [time for _, time in map(_timestamp, messages)]
    if max(times) < now + TICK and min(times) > now - BACK:
        return len(messages), now
    for index, time in enumerate(times):
        if time >= now + TICK or 0 < time <= now - BACK:
            if index:
                return index, now
            now = time
    return len(messages), now
