"""Writing topics: records are handed to the client at once, and confirmed by the brokers before a flush returns."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from fluxion_connectors.kafka.client import PATIENCE, Watch, client_settings, cluster_metadata, quiet
from fluxion_connectors.kafka.failures import KafkaUnavailable, UnknownTopic, failure
from fluxion_connectors.kafka.letters import LetterEncoder
from fluxion_connectors.kafka.options import schema_registry
from fluxion_connectors.kafka.outgoing import Encoder, Encodes, Layout, Outgoing, put
from fluxion_connectors.kafka.records import Record
from fluxion_connectors.kafka.registry import Outgoing as OutgoingSchema
from fluxion_connectors.kafka.registry import encoder
from fluxion_connectors.kafka.transactions import CursorTopic, TransactionalWriter
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter, StreamingSink
from fluxion_flow.errors import Where, did_you_mean

_log = logging.getLogger(__name__)


class KafkaSink(StreamingSink):
    """Writes documents to ``topic``, each as one record.

    ``topic``, ``key``, ``value``, ``headers`` and ``timestamp`` are aggregation expressions (constants and field paths
    among them) or functions of a document. With ``transactional_id`` records and source cursors are written in
    transactions. ``dead_letters="record"`` takes dead letters and writes the records that they are about.
    ``connection`` takes what :func:`~fluxion_connectors.kafka.client.client_settings` does, and where the format needs
    them the ``schema_registry_…`` options. Times are in seconds.

    Raises :class:`ImportError` when the format needs the extra ``kafka-registry``.
    """

    def __init__(
        self,
        topic: Any,
        *,
        key: Any = None,
        value: Any = None,
        headers: Any = None,
        timestamp: Any = None,
        format: str = "json",
        extended_json: bool = False,
        tombstone_field: str | None = None,
        partitioner: str = "murmur2_random",
        compression: str = "none",
        acks: Any = "all",
        idempotence: bool = True,
        linger: float = 0.005,
        delivery_timeout: float = 120.0,
        transactional_id: str | None = None,
        transaction_timeout: float = 60.0,
        cursor_topic: str | None = None,
        dead_letters: str = "letter",
        schema: str | None = None,
        register_schema: bool = True,
        schema_message: str | None = None,
        connect_timeout: float = 60.0,
        **connection: Any,
    ) -> None:
        schemas, connection = schema_registry(format, connection)
        codec = None
        if schemas is not None:
            codec = encoder(format, schemas, OutgoingSchema(schema, register_schema, schema_message))
        given = {"key": key, "value": value, "headers": headers, "timestamp": timestamp}
        made = {name: None if it is None else Expression(it, Where.at(name)) for name, it in given.items()}
        target = Expression(topic, Where.at("topic"))
        self._topic: str | None = target.value
        self.wants_records = dead_letters == "record"
        self._encoder: Encodes = LetterEncoder(target)
        if not self.wants_records:
            layout = Layout(target, format=format, extended=extended_json, tombstone_field=tombstone_field, codec=codec)
            self._encoder = Encoder(replace(layout, **made))  # type: ignore[arg-type]
        self._connect_timeout = connect_timeout
        self._delivery_timeout = delivery_timeout
        base = client_settings(**connection)
        self._limit_is_given = "message.max.bytes" in base
        self._compressed = compression != "none"
        self._settings = {
            "partitioner": partitioner,
            "compression.type": compression,
            "acks": str(acks),
            "enable.idempotence": idempotence,
            "linger.ms": round(linger * 1000),
            "message.timeout.ms": round(delivery_timeout * 1000),
            "queue.buffering.max.messages": 200_000,
            **base,
        }
        self.transactional = transactional_id is not None
        self._cursors: CursorTopic | None = None
        if transactional_id is not None:
            timeout = round(transaction_timeout * 1000)
            self._settings["transaction.timeout.ms"] = timeout
            self._settings["message.timeout.ms"] = min(self._settings["message.timeout.ms"], timeout)
            name = cursor_topic or f"{transactional_id}.cursors"
            self._cursors = CursorTopic(base, name, transactional_id, connect_timeout)

    def probe(self) -> str:
        """Raises like :meth:`open`; a topic is not created by it."""
        connection = {k: v for k, v in self._settings.items() if k not in _PRODUCER_ONLY}
        found = cluster_metadata(connection, self._connect_timeout)
        if self._topic is None:
            return f"connected; {len(found.topics)} topics"
        topic = found.topics.get(self._topic)
        if topic is None:
            hint = did_you_mean(self._topic, list(found.topics)) or "create it, or correct the name"
            raise UnknownTopic(f"there is no topic {self._topic!r}; {hint}")
        if topic.error is not None:
            raise failure(topic.error, f"looking at topic {self._topic!r}")
        return f"connected; topic {self._topic!r} has {len(topic.partitions)} partitions"

    def beside(self, name: str) -> KafkaSink:
        """The same topic; transactions under an id of their own, so that they do not fence the pipeline's."""
        made = copy.copy(self)
        if self._cursors is not None:
            made._cursors = self._cursors.beside(name)
        return made

    def committed_cursors(self) -> Mapping[str, Cursor]:
        """Ends transactions that a dead run has left open. Raises what :mod:`.failures` names."""
        return {} if self._cursors is None else self._cursors.committed()

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        """Raises :class:`~fluxion_connectors.kafka.failures.UnknownTopic` for a topic that does not exist,
        :class:`~fluxion_connectors.kafka.failures.KafkaUnavailable` when no broker answers in time, and
        :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed` at once.
        """
        settings = dict(self._settings)
        watch = Watch()
        admin = AdminClient(quiet({k: v for k, v in settings.items() if k not in _PRODUCER_ONLY}, watch))
        self._reach(admin, watch)
        limit = self._message_limit(admin)
        if limit is not None:
            settings["message.max.bytes"] = limit
        if self._cursors is not None:
            return TransactionalWriter(self._cursors, self._encoder, settings, part, self._delivery_timeout)
        return KafkaWriter(self._encoder, settings, self._delivery_timeout)

    def _reach(self, admin: AdminClient, watch: Watch) -> None:
        """Return when a broker has answered and the topic is there; one that the cluster makes by itself is made."""
        doing = f"writing to topic {self._topic!r}" if self._topic else "connecting"
        began = time.monotonic()
        while True:
            admin.poll(0)
            watch.raise_if_refused(doing)
            try:
                found = (
                    admin.list_topics(self._topic, timeout=PATIENCE)
                    if self._topic
                    else admin.list_topics(timeout=PATIENCE)
                )
                error = found.topics[self._topic].error if self._topic else None
                if error is None:
                    return
                problem = failure(error, doing)
                patience = 1.0  # a topic that is made by this very question takes a moment
            except KafkaException as caught:
                admin.poll(0)
                watch.raise_if_refused(doing)
                problem = failure(caught, doing)
                patience = self._connect_timeout
            passing = isinstance(problem, (KafkaUnavailable, UnknownTopic))
            if not passing or time.monotonic() - began >= patience:
                raise problem from None
            time.sleep(0.1)

    def _message_limit(self, admin: AdminClient) -> int | None:
        """The topic's own limit in bytes, so that a record over it is refused here, alone; ``None``: as configured."""
        if self._topic is None or self._limit_is_given or self._compressed:
            return None
        try:
            resource = ConfigResource(ConfigResource.Type.TOPIC, self._topic)
            entries = admin.describe_configs([resource], request_timeout=5.0)[resource].result(6)
            return int(entries["max.message.bytes"].value)
        except Exception as error:  # noqa: BLE001 - not every cluster tells, and the broker refuses it anyway
            _log.debug("kafka: the limit of topic %r is unknown: %s", self._topic, error)
            return None


_PRODUCER_ONLY = frozenset(
    (
        "partitioner",
        "compression.type",
        "acks",
        "enable.idempotence",
        "linger.ms",
        "message.timeout.ms",
        "queue.buffering.max.messages",
        "transaction.timeout.ms",
    )
)


class KafkaWriter(SinkWriter):
    """Writes with a producer of its own. The client tells only of records that failed; all others are confirmed."""

    def __init__(self, encoder: Encodes, settings: Mapping[str, Any], delivery_timeout: float) -> None:
        self._encoder = encoder
        self._watch = Watch()
        self._settings = {**settings, "delivery.report.only.error": True, "on_delivery": self._reported}
        self._producer = Producer(quiet(self._settings, self._watch))
        self._deadline = delivery_timeout + 10
        self._pending: list[list[Outgoing]] = []
        """The records of what was accepted since the last flush, one a document."""
        self._failed: list[tuple[KafkaError, Record]] = []
        self._closed = False

    def _reported(self, error: KafkaError | None, message: Record) -> None:
        if error is not None:
            self._failed.append((error, message))

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that make no record, or one over the limit, and
        :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed`.
        """
        self._watch.raise_if_refused("writing")
        records, indexes, errors = self._encoder.encode(batch)
        producer = self._producer
        produce = producer.produce
        for number, record in enumerate(records):
            topic, value, key, headers, timestamp = record
            try:
                if headers is None and not timestamp:
                    produce(topic, value, key)
                else:
                    produce(topic, value, key, headers=headers, timestamp=timestamp)
            except BufferError:
                put(producer, record)
            except KafkaException as error:
                errors[indexes[number]] = failure(error, f"writing to {topic}")
        producer.poll(0)
        if errors:
            records = [record for record, index in zip(records, indexes, strict=True) if index not in errors]
        self._pending.append(records)
        if errors:
            raise DeliveryError(dict(sorted(errors.items())))

    def flush(self) -> None:
        """Raises :class:`DeliveryError` for records that were not confirmed; their indexes count everything that was
        accepted since the last flush.
        """
        deadline = time.monotonic() + self._deadline
        while len(self._producer):
            self._producer.flush(PATIENCE)
            if len(self._producer) and (self._watch.fatal is not None or time.monotonic() > deadline):
                self._give_up()
                self._watch.raise_if_refused("writing")
                raise KafkaUnavailable("writing: the brokers have not confirmed what was written in time")
        self._producer.poll(0)
        pending, self._pending = self._pending, []
        failed, self._failed = self._failed, []
        if failed:
            self._renew_after_fatal(failed)
            raise DeliveryError(self._blame(pending, failed))

    def _give_up(self) -> None:
        """Forget what cannot be delivered: nothing of it counts as accepted."""
        self._producer.purge()
        self._producer.flush(1.0)
        self._pending, self._failed = [], []

    def _renew_after_fatal(self, failed: Sequence[tuple[KafkaError, Record]]) -> None:
        """A producer that has lost its place among the broker's sequence numbers takes nothing any more."""
        if any(error.fatal() or error.code() == KafkaError._FATAL for error, _ in failed):
            self._producer = Producer(quiet(self._settings, self._watch))

    @staticmethod
    def _blame(pending: list[list[Outgoing]], failed: Sequence[tuple[KafkaError, Record]]) -> dict[int, Exception]:
        """Which documents the failed records were made of, by what is in them; equal ones stand for each other."""
        places: dict[Any, list[int]] = {}
        for number, (topic, value, key, _, _) in enumerate(chain.from_iterable(pending)):
            places.setdefault((topic, value, key), []).append(number)
        errors: dict[int, Exception] = {}
        for error, message in failed:
            topic = message.topic()
            index = places[topic, message.value(), message.key()].pop(0)
            errors[index] = failure(error, f"writing to {topic}")
        return dict(sorted(errors.items()))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._producer.purge()
        self._producer.flush(1.0)
