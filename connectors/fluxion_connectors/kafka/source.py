"""Reading topics: each Kafka partition is a partition of the source, named ``orders/00003``.

A reader's position is counted here, from the records that were handed out: neither auto-commit nor the group's stored
offset has a say in it. The group's offsets are stored when what was read is durable downstream, for tools that watch a
group's lag, and for the start of a run without a checkpoint.

One consumer serves all partitions that a worker's thread reads.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from fluxion_connectors.kafka.client import client_settings, cluster_metadata
from fluxion_connectors.kafka.consumer import PartitionConsumer, Queue
from fluxion_connectors.kafka.failures import PositionLost, UnknownTopic, failure
from fluxion_connectors.kafka.options import schema_registry
from fluxion_connectors.kafka.positions import find_start, parse_start
from fluxion_connectors.kafka.records import Decoder, Described, ticks
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource
from fluxion_flow.errors import did_you_mean

_log = logging.getLogger(__name__)

BOUNDED_WAIT = 0.1
"""Seconds that a read waits for records that are known to exist."""


class KafkaSource(StreamingSource):
    """Reads ``topics``: a name, a list of names, or a pattern that begins with ``^``.

    ``stop_at_end`` makes it bounded: it completes at the ends that the partitions had when reading began. Offsets are
    committed for ``group_id`` where it is given. ``auto_offset_reset`` (``earliest``, ``latest``) says where
    to begin without a position, and, where it is given, where to go on when the position is gone. ``connect_timeout``
    is how long, in seconds, to try while no broker answers; ``watch_interval`` how often, in seconds, to look for new
    partitions (0: never). ``connection`` takes what :func:`~fluxion_connectors.kafka.client.client_settings` does, and
    where the format needs them the ``schema_registry_…`` options.

    Raises :class:`ImportError` when the format needs the extra ``kafka-registry``.
    """

    poll_interval = 0.02
    first_wait = 0.001
    lag_unit = "records"

    def __init__(
        self,
        topics: str | Sequence[str] | None = None,
        *,
        topic: str | None = None,
        group_id: str | None = None,
        auto_offset_reset: str | None = None,
        start: Any = None,
        stop_at_end: bool = False,
        format: str = "json",
        extended_json: bool = False,
        tombstones: str = "document",
        metadata_field: str | None = None,
        isolation_level: str = "read_committed",
        connect_timeout: float = 60.0,
        watch_interval: float = 60.0,
        **connection: Any,
    ) -> None:
        chosen = topics if topics is not None else topic
        if chosen is None:
            raise ValueError("a kafka source takes topics")
        self.topics = [chosen] if isinstance(chosen, str) else list(chosen)
        self.bounded = stop_at_end
        self._group_id = group_id
        self._reset = auto_offset_reset
        self._start = parse_start(start)
        schemas, connection = schema_registry(format, connection)
        self._decoder = Decoder(format, extended_json, tombstones, metadata_field, schemas)
        self._connect_timeout = connect_timeout
        self._watch_interval = watch_interval
        self._settings = client_settings(**connection)
        self._consumer_settings = {
            "fetch.queue.backoff.ms": 20,
            "topic.metadata.propagation.max.ms": 5000,
            **self._settings,
            "group.id": group_id or "fluxion-flow",
            "isolation.level": isolation_level,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
        }
        self._lock = threading.Lock()
        self._consumers: dict[int, list[PartitionConsumer]] = {}
        self._known: frozenset[str] = frozenset()
        self._look_at = 0.0

    def partitions(self) -> list[str]:
        """Raises :class:`~fluxion_connectors.kafka.failures.UnknownTopic` for a name that does not exist,
        :class:`~fluxion_connectors.kafka.failures.KafkaUnavailable` when no broker answers in time, and
        :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed` at once.
        """
        found = self._list(self._connect_timeout)
        if not found:
            raise UnknownTopic(f"no topic matches {', '.join(map(repr, self.topics))}; correct the pattern")
        self._known = frozenset(found)
        self._look_at = time.monotonic() + self._watch_interval
        return found

    def _list(self, timeout: float) -> list[str]:
        for attempt in (1, 2):
            metadata = cluster_metadata(self._settings, timeout)
            names = list(metadata.topics)
            missing = [name for name in self.topics if not name.startswith("^") and name not in metadata.topics]
            if not missing:
                break
            if attempt == 2:
                hint = did_you_mean(missing[0], names) or "create it, or correct the name"
                raise UnknownTopic(f"there is no topic {missing[0]!r}; {hint}")
            time.sleep(0.3)  # one that was made a moment ago may not be known to every broker
        chosen = {
            name
            for wanted in self.topics
            for name in names
            if (wanted == name if not wanted.startswith("^") else not name.startswith("__") and re.match(wanted, name))
        }
        for name in chosen:
            error = metadata.topics[name].error
            if error is not None:
                raise failure(error, f"reading topic {name!r}")
        return sorted(f"{name}/{number:05d}" for name in chosen for number in metadata.topics[name].partitions)

    def open(self, partition: str, cursor: Cursor | None) -> KafkaReader:
        """Raises like :meth:`partitions`."""
        topic, _, number = partition.rpartition("/")
        place = TopicPartition(topic, int(number))
        with self._lock:
            mine = self._consumers.setdefault(threading.get_ident(), [])
            consumer = next((each for each in mine if not each.holds(topic, place.partition)), None)
            if consumer is None:
                consumer = PartitionConsumer(self._consumer_settings)
                mine.append(consumer)
        try:
            offset, end = self._span(consumer, place, cursor)
            queue = consumer.add(topic, place.partition, offset)
        except BaseException:
            self._let_go(consumer)
            raise
        now = cursor.get("now") if cursor is not None else None
        kind = KafkaReader if self._group_id is None else GroupReader
        return kind(self, consumer, queue, offset, end, now)

    def _span(self, consumer: PartitionConsumer, place: TopicPartition, cursor: Any) -> tuple[int, int | None]:
        """Where a reader begins, and for a bounded source where it ends."""

        def find(client: Consumer, timeout: float) -> tuple[int, int | None]:
            if cursor is not None:
                offset = cursor["offset"]
            else:
                reset = "latest" if self._reset == "latest" else "earliest"
                group = self._group_id is not None
                offset = find_start(client, place.topic, place.partition, self._start, reset, group, timeout)
            if not self.bounded:
                return offset, None
            if cursor is not None and cursor.get("end") is not None and offset < cursor["end"]:
                return offset, cursor["end"]
            _, high = client.get_watermark_offsets(place, timeout=timeout)
            return offset, max(high, offset)

        doing = f"opening {place.topic}/{place.partition:05d}"
        found: tuple[int, int | None] = consumer.ask(doing, find, timeout=min(self._connect_timeout, 10.0))
        return found

    def _let_go(self, consumer: PartitionConsumer) -> None:
        """Close a consumer that has no partition left."""
        with self._lock:
            if len(consumer):
                return
            for ident, mine in list(self._consumers.items()):
                if consumer in mine:
                    mine.remove(consumer)
                    if not mine:
                        del self._consumers[ident]
                    consumer.close()

    def look_for_new_partitions(self) -> None:
        """Say in the log which partitions were added since the run began; asks once in ``watch_interval`` seconds."""
        if not self._known or not self._watch_interval or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._watch_interval
        try:
            found = self._list(1.0)
        except Exception:  # noqa: BLE001 - reading itself tells of what is wrong
            return
        new = sorted(set(found) - self._known)
        if new:
            _log.warning("kafka: new partitions %s; they are read from the next start on", ", ".join(new))
            self._known |= set(new)


class KafkaReader(SourceReader):
    """Reads one partition."""

    def __init__(
        self,
        source: KafkaSource,
        consumer: PartitionConsumer,
        queue: Queue,
        offset: int,
        end: int | None,
        now: int | None,
    ) -> None:
        self._source = source
        self._decoder = source._decoder
        self._consumer = consumer
        self._queue = queue
        self._offset = offset
        self._end = end
        self._now = now
        self._wait = BOUNDED_WAIT if end is not None else 0.0
        self._meta = {"type": "kafka", "topic": queue.topic, "partition": queue.partition}
        self._closed = False

    @property
    def cursor(self) -> dict[str, Any]:
        """``offset`` is that of the next record; ``now`` the partition's clock; ``end`` where a bounded read ends."""
        cursor: dict[str, Any] = {"v": 1, "offset": self._offset}
        if self._now is not None:
            cursor["now"] = self._now
        if self._end is not None:
            cursor["end"] = self._end
        return cursor

    def read(self, max_documents: int) -> Batch | None:
        """Positions are offsets. Raises what :mod:`fluxion_connectors.kafka.failures` names.

        A record that was handed out once is not read again after a failure, and none is left out.
        """
        end, queue = self._end, self._queue
        if end is not None and self._offset >= end:
            return None
        if not queue.messages:
            self._consumer.pull(queue, max_documents, self._wait)
            if not queue.messages:
                return self._nothing()
        messages = queue.messages
        if len(messages) > max_documents:
            messages = messages[:max_documents]
        if end is not None and messages[-1].offset() >= end:
            messages = [message for message in messages if message.offset() < end]
            if not messages:
                self._offset = end
                return None
        count, now = ticks(messages, self._now)
        messages = messages[:count]
        documents, offsets, rejects = self._decoder.decode(messages)
        first = messages[0].offset()
        queue.messages = queue.messages[count:]
        self._offset = messages[-1].offset() + 1
        self._now = now
        meta = {"source": self._meta, "records": Described(messages)}
        return Batch(documents, queue.name, first, offsets, now, rejects, meta)

    def _nothing(self) -> Batch | None:
        queue = self._queue
        if queue.error is not None:
            self._recover(queue.error)
        if queue.end is not None and queue.end > self._offset:
            self._offset = queue.end  # what stood before it are the marks of transactions
        if self._end is not None and self._offset >= self._end:
            return None
        self._source.look_for_new_partitions()
        return Batch([], queue.name, self._offset)

    def _recover(self, error: KafkaError) -> None:
        """Begin anew at the same offset, so that the next read can succeed, and raise what was wrong."""
        problem = failure(error, f"reading {self._queue.name}")
        if isinstance(problem, PositionLost):
            lost = self._lost()
            if lost is None:
                return
            problem = lost
        if isinstance(problem, UnknownTopic) and self._is_there():
            self._consumer.assign(self._queue, self._offset)
            return
        self._consumer.assign(self._queue, self._offset)
        raise problem

    def _is_there(self) -> bool:
        """Whether the partition exists after all: a broker that has just started may not know it yet."""
        queue = self._queue

        def look(client: Consumer, timeout: float) -> bool:
            found = client.list_topics(queue.topic, timeout=timeout).topics[queue.topic]
            return found.error is None and queue.partition in found.partitions

        there: bool = self._consumer.ask(f"reading {queue.name}", look, timeout=5.0)
        return there

    def _lost(self) -> PositionLost | None:
        """What to say of a position outside the partition; ``None`` where ``auto_offset_reset`` moved it."""
        place = TopicPartition(self._queue.topic, self._queue.partition)

        def ends(client: Consumer, timeout: float) -> tuple[int, int]:
            low, high = client.get_watermark_offsets(place, timeout=timeout)
            return low, high

        low, high = self._consumer.ask(f"reading {place.topic}", ends, timeout=5.0)
        text = f"offset {self._offset} of {self._queue.name} does not exist: it holds {low} to {high}"
        reset = self._source._reset
        if reset not in ("earliest", "latest"):
            return PositionLost(f"{text}; records are lost. To go on without them set auto_offset_reset, or start anew")
        offset = high if reset == "latest" else low
        _log.warning("kafka: %s; reading goes on at %d (auto_offset_reset: %s)", text, offset, reset)
        self._offset = offset
        self._consumer.assign(self._queue, offset)
        return None

    def lag(self) -> float | None:
        """Records before the partition's end (a bounded source: its end) that were not handed out yet."""
        high = self._consumer.high_watermark(self._queue) if self._end is None else self._end
        return None if high is None else max(high - self._offset, 0)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._consumer.remove(self._queue)
        except KafkaException as error:
            _log.debug("kafka: %s", error)
        self._source._let_go(self._consumer)


class GroupReader(KafkaReader):
    """Reads one partition for a consumer group. Without a group nobody waits to hear of a commit."""

    def committed(self, cursor: Cursor) -> None:
        """Store the group's offset."""
        self._consumer.commit(self._queue, cursor["offset"])
