"""Where reading a partition begins: ``start`` and ``auto_offset_reset``.

==============================  =======================================================================
``start``                       begins at
==============================  =======================================================================
(none)                          the offset that the group has committed, else ``auto_offset_reset``
``earliest``                    the oldest record
``latest``                      behind the newest record
``{timestamp: …}``              the first record that is not older: milliseconds, or RFC 3339 text
``{orders/3: 1200, …}``         these offsets; partitions that are not named as if there were no ``start``
==============================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from confluent_kafka import Consumer, TopicPartition

Start = str | int | dict[tuple[str, int], int] | None
"""``"earliest"``, ``"latest"``, milliseconds since the epoch, offsets by topic and partition, or ``None``."""


def parse_start(given: Any) -> Start:
    """The meaning of a ``start`` option. Raises :class:`ValueError` with what is wrong."""
    if given is None or given in ("earliest", "latest"):
        return given  # type: ignore[no-any-return]
    if isinstance(given, Mapping):
        if set(given) == {"timestamp"}:
            return _milliseconds(given["timestamp"])
        return {_parse_partition(name): _offset(offset) for name, offset in given.items()}
    raise ValueError("must be 'earliest', 'latest', {timestamp: ...}, or offsets such as {orders/3: 1200}")


def _milliseconds(given: Any) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(given.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        raise ValueError(
            "timestamp must be milliseconds since the epoch, or text such as '2024-05-01T10:00:00Z'"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def _parse_partition(name: Any) -> tuple[str, int]:
    topic, slash, number = str(name).rpartition("/")
    if not slash or not topic or not number.isdecimal():
        raise ValueError(f"names a partition as topic/number, such as orders/3, not {name!r}")
    return topic, int(number)


def _offset(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError(f"an offset is a number from 0, not {given!r}")
    return given


def find_start(
    consumer: Consumer, topic: str, partition: int, start: Start, reset: str, group: bool, timeout: float
) -> int:
    """The offset to begin at. Asks the cluster; raises :class:`confluent_kafka.KafkaException`.

    ``reset`` (``earliest`` or ``latest``) holds where nothing else says; with ``group`` the group's committed offset
    comes before it.
    """
    place = TopicPartition(topic, partition)
    if isinstance(start, dict):
        if (topic, partition) in start:
            return start[topic, partition]
        start = None
    if isinstance(start, int):
        (found,) = consumer.offsets_for_times([TopicPartition(topic, partition, start)], timeout=timeout)
        if found.offset >= 0:
            return int(found.offset)
        start = "latest"
    if start is None and group:
        (committed,) = consumer.committed([place], timeout=timeout)
        if committed.error is None and committed.offset >= 0:
            return int(committed.offset)
    low, high = consumer.get_watermark_offsets(place, timeout=timeout)
    return int(high if (start or reset) == "latest" else low)
