"""One Kafka consumer for all partitions that a thread reads: what it fetches is sorted into a queue a partition."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from fluxion_connectors.kafka.client import Watch, quiet
from fluxion_connectors.kafka.failures import KafkaUnavailable, failure
from fluxion_connectors.kafka.records import Record

_log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Messages kept for a partition that nobody reads; with more its fetching stops until it is read again."""

_error: Any = Message.error
_partition: Any = Message.partition


def _place(message: Record) -> tuple[str, int]:
    return message.topic(), message.partition()


class Queue:
    """What was fetched of one partition and not yet read. ``position`` is the offset behind the newest of it."""

    __slots__ = ("assigned", "end", "error", "messages", "name", "partition", "position", "topic")

    def __init__(self, topic: str, partition: int, position: int) -> None:
        self.topic = topic
        self.partition = partition
        self.name = f"{topic}/{partition:05d}"
        self.position = position
        self.messages: list[Record] = []
        self.end: int | None = None
        """The end of the partition, when everything before it was fetched."""
        self.error: KafkaError | None = None
        self.assigned = False


class PartitionConsumer:
    """A consumer with partitions assigned by hand. It belongs to the thread that made it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._watch = Watch()
        self._consumer = Consumer(quiet({**settings, "on_commit": _commit_done}, self._watch))
        self._queues: dict[tuple[str, int], Queue] = {}
        self._by_partition: dict[int, Queue] | None = {}
        self._group = settings["group.id"]

    def __len__(self) -> int:
        return len(self._queues)

    def holds(self, topic: str, partition: int) -> bool:
        return (topic, partition) in self._queues

    def add(self, topic: str, partition: int, position: int) -> Queue:
        """Begin to fetch a partition at an offset."""
        queue = Queue(topic, partition, position)
        self._queues[topic, partition] = queue
        self._index()
        self.assign(queue, position)
        return queue

    def remove(self, queue: Queue) -> None:
        """Fetch a partition no more."""
        self._unassign(queue)
        del self._queues[queue.topic, queue.partition]
        self._index()

    def _index(self) -> None:
        topics = {topic for topic, _ in self._queues}
        self._by_partition = {p: queue for (_, p), queue in self._queues.items()} if len(topics) == 1 else None

    def assign(self, queue: Queue, position: int) -> None:
        """Fetch a partition from an offset on; what was fetched before is forgotten."""
        self._unassign(queue)
        queue.messages, queue.end, queue.error, queue.position = [], None, None, position
        self._attach(queue)

    def _attach(self, queue: Queue) -> None:
        self._consumer.incremental_assign([TopicPartition(queue.topic, queue.partition, queue.position)])
        queue.assigned = True

    def _unassign(self, queue: Queue) -> None:
        if queue.assigned:
            self._consumer.incremental_unassign([TopicPartition(queue.topic, queue.partition)])
            queue.assigned = False

    def pull(self, queue: Queue, most: int, wait: float) -> None:
        """Fetch for all partitions, at most ``most`` messages; wait up to ``wait`` seconds for the first.

        Raises :class:`~fluxion_connectors.kafka.failures.KafkaUnavailable` while no broker answers, and
        :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed`.
        """
        if not queue.assigned:
            self._attach(queue)
        messages = self._consumer.consume(most, timeout=0)
        if not messages and wait:  # a timeout is waited out unless all messages come, so wait for one
            messages = self._consumer.consume(1, timeout=wait)
            messages += self._consumer.consume(most, timeout=0)
        if messages:
            self._sort(messages)
        watch = self._watch
        if watch.of_partition:
            queue.error = watch.of_partition.pop((queue.topic, queue.partition), queue.error)
        if watch.fatal is not None:
            watch.raise_if_refused(f"reading {queue.name}")
        if watch.down is not None and not messages:
            self._probe(queue)

    def _sort(self, messages: list[Record]) -> None:
        if any(map(_error, messages)):
            for message in messages:
                self._take_one(message)
            return
        if len(self._queues) == 1:
            (queue,) = self._queues.values()
            self._take(queue, messages)
        elif self._by_partition is not None:
            for partition, group in groupby(messages, _partition):
                found = self._by_partition.get(partition)
                if found is not None:
                    self._take(found, list(group))
        else:
            for place, group in groupby(messages, _place):
                found = self._queues.get(place)
                if found is not None:
                    self._take(found, list(group))

    def _take(self, queue: Queue, messages: list[Record]) -> None:
        """Keep what is new: a partition that was assigned anew may give what it gave before."""
        if messages[0].offset() < queue.position:
            messages = [message for message in messages if message.offset() >= queue.position]
            if not messages:
                return
        queue.position = messages[-1].offset() + 1
        queue.end = None
        if queue.messages:
            queue.messages += messages
            if len(queue.messages) > MOST_WAITING:
                self._unassign(queue)
        else:
            queue.messages = messages

    def _take_one(self, message: Record) -> None:
        queue = self._queues.get(_place(message)) if message.topic() is not None else None
        error = message.error()
        if error is None:
            if queue is not None:
                self._take(queue, [message])
        elif error.code() == KafkaError._PARTITION_EOF:
            if queue is not None and message.offset() >= queue.position:
                queue.end = queue.position = message.offset()
        elif queue is not None:
            queue.error = error
        else:
            self._watch.told(error)

    def _probe(self, queue: Queue) -> None:
        """Ask whether a broker is back; an idle partition would not tell."""
        down = self._watch.down
        assert down is not None
        place = TopicPartition(queue.topic, queue.partition)
        try:
            self._consumer.get_watermark_offsets(place, timeout=2.0)
        except KafkaException:  # whatever it says: one that has just started may not know its topics yet
            raise failure(down, f"reading {queue.name}") from None
        self._watch.down = None

    def ask(self, doing: str, question: Any, *, timeout: float) -> Any:
        """The answer to a blocking question, asked again for ``timeout`` seconds while no broker answers it.

        ``question`` gets the consumer and a timeout in seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return question(self._consumer, min(2.0, timeout))
            except KafkaException as error:
                if not self._queues:
                    self._consumer.poll(0)
                self._watch.raise_if_refused(doing)
                problem = failure(error, doing)
                if not isinstance(problem, KafkaUnavailable) or time.monotonic() >= deadline:
                    raise problem from None

    def high_watermark(self, queue: Queue) -> int | None:
        """The end of a partition as the last answer of its broker had it; ``None``: it has not answered."""
        try:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(queue.topic, queue.partition), cached=True)
        except KafkaException:
            return None
        return high if high >= 0 else None

    def commit(self, queue: Queue, offset: int) -> None:
        """Store the group's offset, without waiting. What fails is logged."""
        try:
            self._consumer.commit(offsets=[TopicPartition(queue.topic, queue.partition, offset)], asynchronous=True)
        except KafkaException as error:
            _log.warning("%s", failure(error, f"committing offsets of group {self._group!r}"))

    def close(self) -> None:
        self._consumer.close()


def _commit_done(error: KafkaError | None, partitions: list[TopicPartition]) -> None:
    if error is not None and error.code() != KafkaError._NO_OFFSET:
        names = ", ".join(f"{part.topic}/{part.partition:05d}" for part in partitions)
        _log.warning("%s", failure(error, f"committing the group's offsets of {names}"))
