"""Exactly once: records and the cursor behind the documents they were made of, in one Kafka transaction.

Each source partition has a producer of its own, whose transactional id is ``<transactional_id>/<partition>``, so that
whoever reads a partition fences whoever read it before. A transaction holds the records of one partition since the
last flush and one record in the *cursor topic* (compacted, one partition): key ``[transactional_id, partition]``, value
``{"v": 1, "cursor": ...}``. It works for a source of any kind.

When a run starts, :meth:`CursorTopic.committed` first ends what a dead run has left undecided there: a transaction that
is neither committed nor aborted hides whether its cursor counts. When a partition's producer is made, it fences the
one before it, and then compares the partition's stored cursor with the one that the run started from: if it has moved,
somebody else has gone on from there, and writing would repeat documents.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from fluxion_connectors.kafka.client import Watch, cluster_metadata, quiet
from fluxion_connectors.kafka.failures import Fenced, KafkaUnavailable, failure
from fluxion_connectors.kafka.outgoing import Encodes, Outgoing, put
from fluxion_connectors.kafka.records import Record
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter

_log = logging.getLogger(__name__)

GRACE = 1.0
"""Seconds that a commit of somebody alive may take, before it counts as left behind by somebody dead."""

MOST_LANES = 64
"""Producers that a writer keeps; those of partitions that have nothing to write are closed beyond that."""

_UNKNOWN = object()


class CursorTopic:
    """The cursors that are stored under one transactional id. Shared by the writers of a process."""

    def __init__(self, settings: Mapping[str, Any], name: str, transactional_id: str, timeout: float) -> None:
        self.name = name
        self.transactional_id = transactional_id
        self._settings = dict(settings)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._exists = False
        self.expected: dict[str, Cursor] | None = None
        """By partition, the cursor that this run knows to be stored; ``None``: it has not asked."""
        self.done: dict[str, set[str]] = {}
        """By partition, the cursors of the batches in the newest transaction that may be committed."""

    def beside(self, name: str) -> CursorTopic:
        """The same topic, for transactions under an id of their own."""
        return CursorTopic(self._settings, self.name, f"{self.transactional_id}.{name}", self._timeout)

    def id_of(self, partition: str) -> str:
        return f"{self.transactional_id}/{partition}"

    def key_of(self, partition: str) -> bytes:
        return json.dumps([self.transactional_id, partition]).encode()

    def make(self) -> None:
        """Create the topic where it does not exist."""
        with self._lock:
            if self._exists:
                return
            if self.name not in cluster_metadata(self._settings, self._timeout).topics:
                admin = AdminClient(quiet(self._settings, Watch()))
                config = {"cleanup.policy": "compact", "segment.ms": "3600000", "min.cleanable.dirty.ratio": "0.1"}
                try:
                    admin.create_topics([NewTopic(self.name, 1, -1, config=config)])[self.name].result(30)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise failure(error, f"creating the cursor topic {self.name!r}") from None
                deadline = time.monotonic() + self._timeout
                while self.name not in cluster_metadata(self._settings, self._timeout).topics:
                    if time.monotonic() > deadline:
                        raise KafkaUnavailable(f"the cursor topic {self.name!r} was created and does not appear")
                    time.sleep(0.05)
            self._exists = True

    def committed(self) -> dict[str, Cursor]:
        """By source partition, the cursor of its last committed transaction; none is undecided afterwards."""
        self.make()
        found, undecided = self._scan()
        deadline = time.monotonic() + GRACE
        while undecided and time.monotonic() < deadline:
            time.sleep(0.05)
            found, undecided = self._scan()
        deadline = time.monotonic() + self._timeout
        while undecided:
            for partition in undecided:
                _log.info("kafka: ending the transaction that a dead run left open for %s", partition)
                init_transactions(Producer(quiet(self.producer_settings(partition), Watch())), self._timeout)
            found, undecided = self._scan()
            if undecided and time.monotonic() > deadline:
                raise KafkaUnavailable(f"transactions in {self.name!r} stay undecided")
        self.expected = dict(found)
        return found

    def producer_settings(self, partition: str) -> dict[str, Any]:
        return {**self._settings, "transactional.id": self.id_of(partition)}

    def stored(self, partition: str) -> Cursor:
        """The partition's committed cursor now; its own transactions are decided, because its producer was fenced."""
        found, _ = self._scan()
        return found.get(partition)

    def _scan(self) -> tuple[dict[str, Cursor], list[str]]:
        """The committed cursors, and the partitions with a cursor in an undecided transaction."""
        try:
            stable = self._read("read_committed", 0)
            every = self._read("read_uncommitted", stable[1])
        except KafkaException as error:
            raise failure(error, f"reading the cursor topic {self.name!r}") from None
        found: dict[str, Cursor] = {}
        undecided: dict[str, None] = {}
        for partition, message in stable[0]:
            found[partition] = json.loads(message.value())["cursor"]
        for partition, _ in every[0]:
            undecided[partition] = None
        return found, list(undecided)

    def _read(self, isolation: str, start: int) -> tuple[list[tuple[str, Record]], int]:
        """This transactional id's records from ``start`` to the end that this isolation level sees, and that end."""
        settings = {
            **self._settings,
            "fetch.wait.max.ms": 20,
            "group.id": "fluxion-flow",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
        watch = Watch()
        consumer = Consumer(quiet(settings, watch))
        try:
            consumer.poll(0)
            place = TopicPartition(self.name, 0)
            low, end = consumer.get_watermark_offsets(place, timeout=10.0)
            position = max(low, start)
            found: list[tuple[str, Record]] = []
            consumer.assign([TopicPartition(self.name, 0, position)])
            deadline = time.monotonic() + self._timeout
            while position < end:
                if time.monotonic() > deadline:
                    raise KafkaUnavailable(f"reading the cursor topic {self.name!r}: it does not answer in time")
                message: Record = consumer.poll(0.5)
                watch.raise_if_refused(f"reading the cursor topic {self.name!r}")
                if message is None:
                    continue
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if error is not None:
                    position = message.offset()
                    continue
                position = message.offset() + 1
                key = json.loads(message.key() or b"[]")
                if message.offset() < end and key[:1] == [self.transactional_id] and message.value():
                    found.append((key[1], message))
            return found, end
        finally:
            consumer.close()


def init_transactions(producer: Producer, timeout: float) -> None:
    """Fence earlier producers with the same id, and wait until their transactions are decided."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            producer.init_transactions(min(10.0, timeout))
            return
        except KafkaException as error:
            problem = failure(error, "taking over a transactional id")
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise problem from None


class Lane:
    """The transactions of one source partition."""

    def __init__(
        self,
        topic: CursorTopic,
        encoder: Encodes,
        settings: Mapping[str, Any],
        partition: str,
        timeout: float,
    ) -> None:
        self._topic = topic
        self._encoder = encoder
        self._partition = partition
        self._timeout = timeout
        self._failed: list[tuple[KafkaError, str]] = []
        self._watch = Watch()
        self._begun = False
        self._spoilt = False
        self._committing = False
        self._fenced: Exception | None = None
        self._cursor: Cursor = _UNKNOWN
        self._cursors: set[str] = set()
        self._pending: list[list[Outgoing]] = []
        merged = {**settings, **topic.producer_settings(partition), "delivery.report.only.error": True}
        self._producer = Producer(quiet({**merged, "on_delivery": self._reported}, self._watch))
        init_transactions(self._producer, timeout)
        self._check()

    def _check(self) -> None:
        """Raises :class:`~fluxion_connectors.kafka.failures.Fenced` when the stored cursor is not this run's."""
        if self._topic.expected is None:
            self._topic.done.pop(self._partition, None)
            return
        stored = self._topic.stored(self._partition)
        text = json.dumps(stored)
        if stored != self._topic.expected.get(self._partition) and text not in self._topic.done.get(
            self._partition, ()
        ):
            raise Fenced(
                f"another run has written with transactional_id {self._topic.transactional_id!r} behind the position "
                f"in {self._partition!r} that this run started from; stop one of them and start again"
            )
        if text not in self._topic.done.get(self._partition, ()):
            self._topic.done.pop(self._partition, None)  # what may have been committed was not
        self._topic.expected[self._partition] = stored

    def _reported(self, error: KafkaError | None, message: Record) -> None:
        if error is not None:
            self._failed.append((error, message.topic()))

    @property
    def idle(self) -> bool:
        return not self._pending and self._cursor is _UNKNOWN

    def write(self, batch: Batch) -> dict[int, Exception]:
        """Why some documents were refused. A batch whose cursor is committed already is passed over."""
        if self._committing:
            raise KafkaUnavailable(f"whether what was made of {self._partition} is committed is not decided yet")
        if batch.cursor is not None:
            text = json.dumps(batch.cursor)
            if text in self._topic.done.get(self._partition, ()) and not self._begun:
                return {}
            self._cursor = batch.cursor
            self._cursors.add(text)
        records, indexes, errors = self._encoder.encode(batch)
        if not self._spoilt:
            refused = self._put(records)
            if refused:
                errors.update((indexes[number], error) for number, error in refused.items())
                records = [record for number, record in enumerate(records) if number not in refused]
        self._pending.append(records)
        return errors

    def _put(self, records: list[Outgoing]) -> dict[int, Exception]:
        """Hand records to the client; why some were refused, by their number."""
        if not self._begun:
            self._producer.begin_transaction()
            self._begun = True
        errors: dict[int, Exception] = {}
        for number, record in enumerate(records):
            topic = record[0]
            try:
                put(self._producer, record)
            except KafkaException as error:
                if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    errors[number] = failure(error, f"writing to {topic}")
                else:  # the transaction has failed, or the producer is fenced: the flush finds out
                    self._spoilt = True
                    self._failed.append((error.args[0], topic))
                    break
        self._producer.poll(0)
        return errors

    def commit(self) -> None:
        """Raises what :mod:`~fluxion_connectors.kafka.failures` names; the next call then does everything anew."""
        if self.idle:
            return
        if self._fenced is not None:
            raise self._fenced
        doing = f"committing what was made of {self._partition}"
        try:
            if not self._committing:
                self._prepare()
            self._committing = True
            self._finish()
        except KafkaException as error:
            if self._committing and error.args[0].retriable():
                raise failure(error, doing) from None  # undecided: the next call asks again
            self._committing = False
            self._spoilt = True
            reason, topic = self._failed[0] if self._failed else (error.args[0], None)
            self._watch.raise_if_refused(doing)
            if error.args[0].fatal() and not isinstance(failure(error, doing), Fenced):
                reason = error.args[0]
            self._failed = []
            self._topic.done.pop(self._partition, None)
            problem = failure(reason, doing if topic is None else f"writing to {topic}")
            if isinstance(problem, Fenced):
                self._fenced = problem
            raise problem from None
        if self._cursor is not _UNKNOWN and self._topic.expected is not None:
            self._topic.expected[self._partition] = self._cursor
        self._cursor, self._cursors, self._pending = _UNKNOWN, set(), []
        self._begun = self._committing = False

    def _prepare(self) -> None:
        """Have everything that is to be committed in the transaction, the cursor last."""
        if self._spoilt:
            self._anew()
        elif not self._begun:
            self._producer.begin_transaction()
            self._begun = True
        if self._cursor is not _UNKNOWN:
            self._topic.done[self._partition] = set(self._cursors)
            value = json.dumps({"v": 1, "cursor": self._cursor}).encode()
            put(self._producer, (self._topic.name, value, self._topic.key_of(self._partition), None, 0))

    def _finish(self) -> None:
        """Commit. An answer that did not come in time is asked for again."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._producer.commit_transaction(min(5.0, self._timeout))
                return
            except KafkaException as error:
                self._watch.raise_if_refused(f"committing what was made of {self._partition}")
                if not error.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _anew(self) -> None:
        """Abort the transaction, and put everything that is pending into a new one."""
        if self._begun:
            self._producer.abort_transaction(min(10.0, self._timeout))
        self._begun = self._spoilt = False
        self._failed = []
        for records in self._pending:
            errors = self._put(records)
            if self._spoilt:
                raise KafkaException(self._failed[0][0])
            if errors:
                self._spoilt = True
                raise next(iter(errors.values()))

    def close(self) -> None:
        """Abort what was not committed."""
        if self._begun:
            try:
                self._producer.abort_transaction(2.0)
            except KafkaException as error:
                _log.debug("kafka: %s", error)


class TransactionalWriter(SinkWriter):
    """Writes the batches of each source partition in transactions of their own; a flush commits them.

    Batches without a cursor (groups, dead letters) share the transactions of the writer's part.
    """

    def __init__(
        self,
        topic: CursorTopic,
        encoder: Encodes,
        settings: Mapping[str, Any],
        part: str,
        timeout: float,
    ) -> None:
        topic.make()
        self._topic = topic
        self._encoder = encoder
        self._settings = settings
        self._part = f"part {part}"
        self._timeout = timeout
        self._lanes: dict[str, Lane] = {}

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for documents that make no record, or one over the limit, and
        :class:`~fluxion_connectors.kafka.failures.Fenced`.
        """
        name = batch.partition if batch.cursor is not None or batch.partition in self._lanes else self._part
        lane = self._lanes.pop(name, None) or Lane(self._topic, self._encoder, self._settings, name, self._timeout)
        self._lanes[name] = lane  # the one used last stands last
        errors = lane.write(batch)
        if errors:
            raise DeliveryError(dict(sorted(errors.items())))

    def flush(self) -> None:
        """Commit. What raises leaves nothing half done: a partition's transaction is committed, or waits to be tried
        again by the next flush.
        """
        for lane in self._lanes.values():
            lane.commit()
        for name in list(self._lanes)[: max(len(self._lanes) - MOST_LANES, 0)]:
            self._lanes.pop(name).close()

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()
