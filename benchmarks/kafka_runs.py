"""A contender's run from topic to topic in a process of its own, timed by the broker.

The topic that is written to has the time of the broker (`LogAppendTime`): what counts is the time between two of its
records, the first of them well after the beginning. So nobody's start-up counts, nor how long a consumer group takes to
settle, nor what has piled up before a producer was ready.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from rivals.environments import PACKAGES, python_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import Kafka, new_topic, produce, records

HERE = Path(__file__).parent

PATIENCE = 180.0
"""Seconds after which a contender that has not come to an end has failed."""


@dataclass(frozen=True)
class Came:
    """The records that came of a run."""

    values: list[bytes]
    stamps: list[int]
    """When the broker got each, in milliseconds, in order."""

    def seconds(self, skipped: int) -> float:
        """Between the last of the first ``skipped`` records and the last of all; a millisecond at least."""
        return max(self.stamps[-1] - self.stamps[skipped - 1], 1) / 1000


def fill(cluster: Kafka, values: Sequence[bytes], **settings: Any) -> str:
    """A new topic with these records."""
    topic = new_topic(cluster)
    for start in range(0, len(values), 50_000):
        produce(cluster, topic, values[start : start + 50_000], **settings)
    return topic


def run(side: str, cluster: Kafka, source: str, expected: int) -> Came:
    """Run ``kafka_sides/<side>.py`` until ``expected`` records have arrived. Raises :class:`RuntimeError`."""
    sink = new_topic(cluster, message_timestamp_type="LogAppendTime")
    with running(side, cluster, source, sink) as process:
        until(side, cluster, sink, expected, process)
    found = records(cluster, sink)
    if len(found) != expected:
        raise RuntimeError(f"{side} wrote {len(found)} records, expected {expected}")
    return Came([message.value() for message in found], sorted(message.timestamp()[1] for message in found))


@contextlib.contextmanager
def running(side: str, cluster: Kafka, source: str, sink: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A contender's process; afterwards it is gone."""
    rival = side.partition("_")[0]
    python = python_of(rival) if rival in PACKAGES else sys.executable
    line = [python, str(HERE / "kafka_sides" / f"{side}.py"), cluster.bootstrap, source, sink, *more]
    environ = {**os.environ, "RUST_BACKTRACE": "0"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=said, env=environ)
        try:
            yield process
        except EndedBySelf:
            said.seek(0)
            text = said.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{side} ended with exit code {process.returncode}: {text}") from None
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


class EndedBySelf(Exception):
    """A contender ended before its work was done."""


def until(side: str, cluster: Kafka, sink: str, expected: int, process: subprocess.Popen[bytes]) -> None:
    """Return when a topic has so many records. Raises :class:`RuntimeError`, or what :func:`running` waits for."""
    looker = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "look", "log_level": 0})
    deadline = time.monotonic() + PATIENCE
    try:
        while looker.get_watermark_offsets(TopicPartition(sink, 0), timeout=10)[1] < expected:
            if process.poll() not in (None, 0):
                raise EndedBySelf
            if time.monotonic() > deadline:
                raise RuntimeError(f"{side} has not written {expected} records in {PATIENCE:.0f} seconds")
            time.sleep(0.05)
    finally:
        looker.close()


def documents(values: Sequence[bytes], by: str) -> list[dict[str, Any]]:
    """The records as documents, in the order of a field."""
    return sorted(map(json.loads, values), key=lambda document: str(document[by]))
