"""A broker that stops and comes back: at the start, while reading, while writing, in the middle of a whole run."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fluxion_connectors.kafka import KafkaSink, KafkaSource, KafkaUnavailable
from servers.kafka import RealKafka, new_topic, produce, records, why_no_real_broker

from fluxion_flow.connect.spi import Batch, DeliveryError

thorough = pytest.mark.skipif(
    os.environ.get("CI") != "true" and os.environ.get("FAULTS") != "1",
    reason="restarts a broker, which takes long: set FAULTS=1 (CI=true does it too)",
)


@pytest.fixture(scope="module")
def broker() -> Iterator[RealKafka]:
    """A broker that these tests may stop."""
    reason = why_no_real_broker()
    if reason is not None:
        pytest.skip(f"the mock cluster cannot be stopped, and there is no real broker: {reason}")
    with RealKafka() as started:
        yield started


def _numbers(count: int, first: int = 0) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(first, first + count)]


def _read(reader: Any, count: int) -> list[int]:
    """So many numbers; while no broker answers it is asked again."""
    found: list[int] = []
    while len(found) < count:
        try:
            found += [document["n"] for document in reader.read(1000).documents]
        except KafkaUnavailable:
            time.sleep(0.1)
        time.sleep(0.01)
    return found


def _read_for_ever(reader: Any) -> None:
    while True:
        reader.read(10)
        time.sleep(0.01)


def test_reading_goes_on_after_the_broker_was_down(broker: RealKafka) -> None:
    topic = new_topic(broker)
    produce(broker, topic, _numbers(5))
    reader = KafkaSource(topic, bootstrap_servers=broker.bootstrap).open(f"{topic}/00000", None)
    assert _read(reader, 5) == [0, 1, 2, 3, 4]
    broker.stop(with_signal=signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(KafkaUnavailable, match=f"reading {topic}/00000: "):
            _read_for_ever(reader)
    assert reader.cursor["offset"] == 5
    broker.start()
    produce(broker, topic, _numbers(5, 5))
    assert _read(reader, 5) == [5, 6, 7, 8, 9]
    reader.close()


@thorough
def test_what_was_written_while_the_broker_was_down_is_delivered_when_it_is_back(broker: RealKafka) -> None:
    topic = new_topic(broker)
    writer = KafkaSink(topic, bootstrap_servers=broker.bootstrap).open("0", None)
    writer.write(Batch([{"n": 0}], "p"))
    writer.flush()
    broker.stop(with_signal=signal.SIGKILL)
    writer.write(Batch([{"n": 1}], "p"))
    back = threading.Thread(target=broker.start)
    back.start()
    writer.flush()
    back.join()
    writer.close()
    assert [json.loads(message.value()) for message in records(broker, topic)] == [{"n": 0}, {"n": 1}]


@thorough
def test_what_the_broker_did_not_take_in_time_is_named_and_can_be_written_again(broker: RealKafka) -> None:
    topic = new_topic(broker)
    sink = KafkaSink(topic, bootstrap_servers=broker.bootstrap, delivery_timeout=5.0)
    writer = sink.open("0", None)
    writer.write(Batch([{"n": 0}], "p"))
    writer.flush()
    broker.stop(with_signal=signal.SIGKILL)
    batch = Batch([{"n": 1}, {"n": 2}], "p")
    writer.write(batch)
    with pytest.raises(DeliveryError) as caught:
        writer.flush()
    assert sorted(caught.value.errors) == [0, 1]
    assert all(isinstance(error, KafkaUnavailable) for error in caught.value.errors.values())
    broker.start()
    while True:
        try:
            writer.write(batch)
            writer.flush()
            break
        except DeliveryError:
            time.sleep(0.1)
    writer.close()
    assert {json.loads(message.value())["n"] for message in records(broker, topic)} == {0, 1, 2}


@thorough
def test_a_transaction_that_the_broker_interrupted_is_done_anew(broker: RealKafka) -> None:
    topic = new_topic(broker)
    sink = KafkaSink(topic, bootstrap_servers=broker.bootstrap, transactional_id=f"{topic}-tx")
    assert sink.committed_cursors() == {}
    writer = sink.open("0", None)
    writer.write(Batch([{"n": 0}, {"n": 1}], "p", cursor={"v": 1, "offset": 2}))
    broker.stop(with_signal=signal.SIGKILL)
    back = threading.Thread(target=broker.start)
    back.start()
    while True:
        try:
            writer.flush()
            break
        except KafkaUnavailable:
            time.sleep(0.1)
    back.join()
    writer.close()
    assert [json.loads(message.value()) for message in records(broker, topic)] == [{"n": 0}, {"n": 1}]
    assert sink.committed_cursors() == {"p": {"v": 1, "offset": 2}}


@thorough
def test_a_run_that_starts_before_the_broker_waits_for_it(broker: RealKafka) -> None:
    topic = new_topic(broker)
    broker.stop(with_signal=signal.SIGKILL)
    back = threading.Thread(target=broker.start)
    back.start()
    source = KafkaSource(topic, bootstrap_servers=broker.bootstrap, connect_timeout=60.0)
    assert source.partitions() == [f"{topic}/00000"]
    back.join()
