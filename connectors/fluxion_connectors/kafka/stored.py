"""Reading back what a sink has written to a topic, and removing it from the oldest record on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from fluxion_connectors.kafka.client import Watch, client_settings, quiet
from fluxion_connectors.kafka.failures import KafkaFailure, failure
from fluxion_connectors.kafka.options import CONNECTION_OPTIONS
from fluxion_connectors.kafka.source import KafkaSource
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.stored import StoredDocument, StoredDocuments

REQUEST_TIMEOUT = 30.0
"""Seconds that the cluster may take to delete records."""

_CONNECTION = [option.name for option in CONNECTION_OPTIONS]


class KafkaStored(StoredDocuments):
    """The records of the topic that a sink with these options writes. A handle is a partition and an offset.

    Kafka removes from the oldest record of a partition on: what stands behind a record that is to stay, stays too.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        topic = Expression(options["topic"])
        self._connection = {name: options[name] for name in _CONNECTION if name in options}
        if options.get("dead_letters") == "record":
            raise KafkaFailure("the topic holds the records that failed, not letters; read it with a kafka source")
        if not isinstance(topic.value, str):
            raise KafkaFailure("the topic depends on the document; name one topic to read from")
        self._topic = topic.value

    def read(self) -> Iterator[StoredDocument]:
        """Raises what :class:`KafkaSource` raises."""
        source = KafkaSource(self._topic, start="earliest", stop_at_end=True, watch_interval=0.0, **self._connection)
        for partition in source.partitions():
            number = int(partition.rpartition("/")[2])
            reader = source.open(partition, None)
            try:
                while (batch := reader.read(500)) is not None:
                    places = batch.positions or range(batch.position, batch.position + len(batch.documents))
                    found = [(at, d, "") for at, d in zip(places, batch.documents, strict=True)]
                    found += [(r.position, None, r.error) for r in batch.rejects]  # type: ignore[misc]
                    for offset, document, error in sorted(found, key=lambda each: each[0]):
                        yield StoredDocument(f"{self._topic}/{number}@{offset}", (number, offset), document, error)
            finally:
                reader.close()

    def remove(self, handles: Collection[Any]) -> int:
        """Raises what :mod:`.failures` names."""
        chosen: dict[int, set[int]] = defaultdict(set)
        for number, offset in handles:
            chosen[number].add(offset)
        kept: dict[int, int] = {}
        last: dict[int, int] = {}
        for stored in self.read():
            number, offset = stored.handle
            last[number] = offset
            if offset not in chosen[number]:
                kept.setdefault(number, offset)
        ends = {number: kept.get(number, last[number] + 1) for number in last if chosen[number]}
        gone = sum(offset < ends.get(number, 0) for number, offsets in chosen.items() for offset in offsets)
        if gone:
            self._delete_before(ends)
        return gone

    def _delete_before(self, ends: Mapping[int, int]) -> None:
        connection = {name: value for name, value in self._connection.items() if name != "connect_timeout"}
        admin = AdminClient(quiet(client_settings(**connection), Watch()))
        places = [TopicPartition(self._topic, number, end) for number, end in ends.items()]
        for future in admin.delete_records(places, request_timeout=REQUEST_TIMEOUT).values():
            try:
                future.result()
            except KafkaException as error:
                raise failure(error, f"deleting records of topic {self._topic!r}") from None
