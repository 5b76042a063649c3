"""The kafka source: formats, positions, faults."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import time
from datetime import datetime, timezone
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from fluxion_connectors.kafka import (
    AuthenticationFailed,
    KafkaSource,
    KafkaUnavailable,
    PositionLost,
    UnknownTopic,
    connector,
)
from fluxion_connectors.kafka.records import BACK, TICK, ticks
from servers.kafka import PASSWORD, QUIET, USER, Kafka, RealKafka, new_topic, produce

from fluxion_flow.connect.registry import check_source, open_source
from fluxion_flow.connect.spi import Batch, SourceReader
from fluxion_flow.errors import Problems, Where
from fluxion_flow.testing.connector_contract import read_all, read_some


def _source(cluster: Kafka, topics: Any, **options: Any) -> KafkaSource:
    return KafkaSource(topics, **{"bootstrap_servers": cluster.bootstrap, "stop_at_end": True, **options})


def _reader(cluster: Kafka, topic: str, cursor: Any = None, **options: Any) -> SourceReader:
    return _source(cluster, topic, **options).open(f"{topic}/00000", cursor)


def _batch(cluster: Kafka, topic: str, **options: Any) -> Batch:
    """The first batch of partition 0."""
    reader = _reader(cluster, topic, **options)
    batch = read_some(reader, 100)
    reader.close()
    assert batch is not None
    return batch


def _numbers(count: int, first: int = 0) -> list[bytes]:
    return [json.dumps({"n": n}).encode() for n in range(first, first + count)]


def _wait_for(reader: SourceReader, seconds: float = 30) -> Batch:
    """The next batch with documents, of a source that does not complete."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        batch = reader.read(1000)
        assert batch is not None
        if batch.documents:
            return batch
        time.sleep(0.02)
    raise AssertionError("nothing came")


# ------------------------------------------------------------------------------------------------------------ records


def test_poison_records_are_rejected_with_their_bytes_and_offset(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, [b'{"n": 1}', b'{"n": ', b"[1]", b"", b"\xff", b'{"n": 2}'])
    batch = _batch(cluster, topic)
    assert (batch.documents, list(batch.positions), batch.position) == ([{"n": 1}, {"n": 2}], [0, 5], 0)
    assert [(reject.raw, reject.position, reject.error) for reject in batch.rejects] == [
        (b'{"n": ', 1, "is not valid JSON: Input data was truncated"),
        (b"[1]", 2, "is not a JSON object but an array"),
        (b"", 3, "is empty"),
        (b"\xff", 4, "is not valid UTF-8 (byte 0)"),
    ]
    assert {place: record["value"] for place, record in batch.meta["records"].items()} == {
        0: '{"n": 1}',
        1: '{"n": ',
        2: "[1]",
        3: "",
        4: b"\xff",
        5: '{"n": 2}',
    }


def test_text_and_bytes_are_documents_with_a_value(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, ["é".encode(), b"\xff"])
    text = _batch(cluster, topic, format="string")
    assert text.documents == [{"value": "é"}]
    assert [(reject.raw, reject.error) for reject in text.rejects] == [(b"\xff", "is not valid UTF-8 (byte 0)")]
    assert _batch(cluster, topic, format="bytes").documents == [{"value": "é".encode()}, {"value": b"\xff"}]


def test_a_tombstone_is_a_document_or_passed_over_or_rejected(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, [b'{"n": 1}', None, b'{"n": 2}'], key=b"a")
    assert _batch(cluster, topic).documents == [{"n": 1}, {"_key": "a", "_deleted": True}, {"n": 2}]
    assert _batch(cluster, topic, tombstones="skip").documents == [{"n": 1}, {"n": 2}]
    rejected = _batch(cluster, topic, tombstones="reject")
    assert [(reject.position, reject.error) for reject in rejected.rejects] == [(1, "has no value (a tombstone)")]


def test_what_stands_beside_the_value_is_in_meta_and_on_request_in_the_document(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    headers = [("trace", b"7"), ("raw", b"\xff"), ("none", None)]
    produce(cluster, topic, _numbers(2), key=b"k", headers=headers, timestamp=1_700_000_000_123)
    described = {
        "topic": topic,
        "partition": 0,
        "offset": 1,
        "key": "k",
        "headers": [{"k": "trace", "v": "7"}, {"k": "raw", "v": b"\xff"}, {"k": "none", "v": None}],
        "ts": datetime(2023, 11, 14, 22, 13, 20, 123000, tzinfo=timezone.utc),
    }
    batch = _batch(cluster, topic)
    assert batch.meta["source"] == {"type": "kafka", "topic": topic, "partition": 0}
    assert batch.meta["records"][1] == described
    assert batch.timestamp == 1_700_000_000_123
    assert batch.meta["records"][1]["timestamp"] == described["ts"]
    assert batch.meta["records"][1]["value"] == '{"n": 1}'
    elsewhere = pickle.loads(pickle.dumps(batch)).meta["records"]
    assert elsewhere == dict(batch.meta["records"])
    assert elsewhere[1]["timestamp"] == described["ts"]
    assert _batch(cluster, topic, metadata_field="_meta").documents[1] == {"n": 1, "_meta": described}


def test_extended_json_keeps_types(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, [b'{"at": {"$date": "2024-05-01T10:00:00Z"}}'])
    assert _batch(cluster, topic, extended_json=True).documents == [
        {"at": datetime(2024, 5, 1, 10, tzinfo=timezone.utc)}
    ]


def test_the_clock_of_a_partition_moves_with_its_records_whatever_the_batches() -> None:
    def readings(times: list[int], size: int) -> list[int]:
        now, seen, rest = None, [], [Message(timestamp=(1, time)) for time in times]
        while rest:
            count, now = ticks(rest[:size], now)
            seen += [now] * count
            rest = rest[count:]
        return seen

    times = [5000, 5900, 4000, 6000, 6100, 9000, 8500, 9000 + BACK, 7000, 7000 + TICK]
    expected = [5000, 5000, 5000, 6000, 6000, 9000, 9000, 9000 + BACK, 7000, 8000]
    assert [readings(times, size) for size in (1, 2, 3, 100)] == [expected] * 4


# ---------------------------------------------------------------------------------------------------------- positions


def test_a_run_begins_where_start_says(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    for n in range(4):
        produce(cluster, topic, _numbers(1, n), timestamp=1_700_000_000_000 + n * 1000)

    def first(**options: Any) -> Any:
        reader = _reader(cluster, topic, **options)
        documents = read_all(reader)
        reader.close()
        return documents[0]["n"] if documents else None

    assert first() == 0
    assert first(start="earliest") == 0
    assert first(start="latest") is None
    assert first(auto_offset_reset="latest") is None
    assert first(start={f"{topic}/0": 3}) == 3
    assert first(start={"other/0": 3}) == 0
    if cluster.real:
        assert first(start={"timestamp": 1_700_000_001_500}) == 2
        assert first(start={"timestamp": "2023-11-14T22:13:23Z"}) == 3
        assert first(start={"timestamp": 1_800_000_000_000}) is None


def test_offsets_are_committed_for_the_group_only_when_told_so(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    group = f"{topic}-group"
    produce(cluster, topic, _numbers(10))
    reader = _reader(cluster, topic, group_id=group)
    read_some(reader, 4)
    cursor = reader.cursor
    read_some(reader, 4)
    assert _committed(cluster, topic, group) < 0
    reader.committed(cursor)
    reader.close()
    assert _committed(cluster, topic, group) == 4
    again = _reader(cluster, topic, group_id=group)
    assert [document["n"] for document in read_all(again)] == [4, 5, 6, 7, 8, 9]
    again.close()
    from_the_start = _reader(cluster, topic, group_id=group, start="earliest")
    assert len(read_all(from_the_start)) == 10
    from_the_start.close()


def _committed(cluster: Kafka, topic: str, group: str) -> int:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group, **QUIET})
    (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
    consumer.close()
    return int(found.offset)


def test_lag_is_what_stands_between_the_position_and_the_end(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, _numbers(10))
    reader = _reader(cluster, topic, stop_at_end=False)
    batch = reader.read(3)
    while not batch.documents:
        batch = reader.read(3)
    assert reader.lag() == 7
    produce(cluster, topic, _numbers(5))
    read = 3
    while read < 15:
        read += len(_wait_for(reader).documents)
    assert reader.lag() == 0
    reader.close()


def test_a_bounded_read_ends_where_the_partition_ended_when_it_began_also_after_a_restart(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, _numbers(5))
    reader = _reader(cluster, topic)
    read_some(reader, 2)
    produce(cluster, topic, _numbers(5, 5))
    cursor = reader.cursor
    assert len(read_all(reader)) == 3
    complete = reader.cursor
    reader.close()
    again = _reader(cluster, topic, cursor)
    assert [document["n"] for document in read_all(again)] == [2, 3, 4]
    again.close()
    new_run = _reader(cluster, topic, complete)
    assert [document["n"] for document in read_all(new_run)] == [5, 6, 7, 8, 9]
    new_run.close()


def test_partitions_are_read_in_any_order_by_one_consumer(cluster: Kafka) -> None:
    first, second = new_topic(cluster, 2), new_topic(cluster, 2)
    for topic in (first, second):
        for partition in range(2):
            produce(cluster, topic, _numbers(300, partition * 1000), partition)
    source = _source(cluster, [first, second])
    names = source.partitions()
    readers = {name: source.open(name, None) for name in names if name.endswith(("0", "1"))}
    assert [len(each) for each in source._consumers.values()] == [1]
    found: dict[str, list[int]] = {name: [] for name in readers}
    while True:
        done = 0
        for number, (name, reader) in enumerate(readers.items()):
            for _ in range(1 if number else 5):
                batch = reader.read(7)
                if batch is None:
                    done += 1
                    break
                found[name] += [document["n"] for document in batch.documents]
        if done == len(readers):
            break
    for name, numbers in found.items():
        start = int(name[-5:]) * 1000
        assert numbers == list(range(start, start + 300))
    for reader in readers.values():
        reader.close()
    assert source._consumers == {}


def test_records_waiting_for_a_reader_that_does_not_read_are_bounded(
    cluster: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxion_connectors.kafka.consumer.MOST_WAITING", 50)
    topic = new_topic(cluster, 2)
    for partition in range(2):
        produce(cluster, topic, _numbers(400), partition)
    source = _source(cluster, topic)
    slow, fast = source.open(f"{topic}/00000", None), source.open(f"{topic}/00001", None)
    assert [document["n"] for document in read_all(fast)] == list(range(400))
    assert len(slow._queue.messages) < 150  # type: ignore[attr-defined]
    assert [document["n"] for document in read_all(slow)] == list(range(400))
    slow.close()
    fast.close()


def test_a_pattern_finds_topics_and_not_kafkas_own(cluster: Kafka) -> None:
    a, b = new_topic(cluster, prefix="many-a"), new_topic(cluster, prefix="many-b")
    names = {name.partition("/")[0] for name in _source(cluster, "^many-[ab]-.*").partitions()}
    assert {a, b} <= names
    assert not any(name.startswith("__") for name in _source(cluster, "^.*").partitions())
    with pytest.raises(UnknownTopic, match="no topic matches '\\^nothing'; correct the pattern"):
        _source(cluster, "^nothing").partitions()


def test_a_position_that_is_gone_is_an_error_unless_told_where_to_go_on(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    produce(real_cluster, topic, _numbers(10))
    admin = AdminClient({"bootstrap.servers": real_cluster.bootstrap, **QUIET})
    next(iter(admin.delete_records([TopicPartition(topic, 0, 6)]).values())).result(10)
    reader = _reader(real_cluster, topic, {"v": 1, "offset": 2}, stop_at_end=False)
    for _ in range(2):  # asked again, it is the same
        with pytest.raises(PositionLost) as caught:
            _wait_for(reader)
        assert str(caught.value) == (
            f"offset 2 of {topic}/00000 does not exist: it holds 6 to 10; records are lost. "
            "To go on without them set auto_offset_reset, or start anew"
        )
    reader.close()
    moved = _reader(real_cluster, topic, {"v": 1, "offset": 2}, auto_offset_reset="earliest", stop_at_end=False)
    assert [document["n"] for document in _wait_for(moved).documents] == [6, 7, 8, 9]
    moved.close()


def test_aborted_records_are_not_read_and_marks_of_transactions_do_not_hold_up_the_end(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    producer = Producer({"bootstrap.servers": real_cluster.bootstrap, "transactional.id": topic, **QUIET})
    producer.init_transactions(30)
    for n, commit in ((1, True), (2, False), (3, True), (4, False)):
        producer.begin_transaction()
        producer.produce(topic, b'{"n": %d}' % n)
        producer.flush()
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    reader = _reader(real_cluster, topic)
    assert [document["n"] for document in read_all(reader)] == [1, 3]
    assert (reader.cursor["offset"], reader.lag()) == (8, 0)
    reader.close()
    dirty = _reader(real_cluster, topic, isolation_level="read_uncommitted")
    assert [document["n"] for document in read_all(dirty)] == [1, 2, 3, 4]
    dirty.close()


# -------------------------------------------------------------------------------------------------------------- faults


def test_an_unknown_topic_is_named_at_once(cluster: Kafka) -> None:
    if not cluster.real:
        pytest.skip("the mock cluster makes every topic that is asked for")
    topic = new_topic(cluster, prefix="orders")
    with pytest.raises(UnknownTopic) as caught:
        _source(cluster, f"x{topic}").partitions()
    assert str(caught.value) == f"there is no topic 'x{topic}'; did you mean {topic!r}?"


def test_no_broker_is_a_connection_error_after_the_time_to_try(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KafkaUnavailable, match=r"connecting to 127\.0\.0\.1:1: Failed to get metadata"):
        KafkaSource("orders", bootstrap_servers="127.0.0.1:1", connect_timeout=0.5).partitions()
    assert caplog.messages == ["kafka: no broker answers at 127.0.0.1:1; trying for 0.5 seconds"]


@pytest.mark.parametrize(
    ("mechanism", "reason"), [("PLAIN", "Invalid username or password"), ("SCRAM-SHA-256", "invalid credentials")]
)
def test_refused_credentials_are_told_at_once_without_the_password(
    real_cluster: RealKafka, mechanism: str, reason: str
) -> None:
    options = {**_signed_in(real_cluster, "not-the-password"), "sasl_mechanism": mechanism}
    with pytest.raises(AuthenticationFailed) as caught:
        KafkaSource("orders", **options).partitions()
    assert reason in str(caught.value)
    assert "check security_protocol, sasl_mechanism, the user and the password" in str(caught.value)
    assert "not-the-password" not in str(caught.value)
    with pytest.raises(AuthenticationFailed):
        KafkaSource("orders", **_signed_in(real_cluster, "not-the-password")).open("orders/00000", None)


def token() -> tuple[str, float]:
    """An unsigned token and when it expires, as an ``oauth_callback`` answers them."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": USER, "iat": now, "exp": now + 300})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{texts[0]}.{texts[1]}.", now + 300.0


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_a_user_signs_in(real_cluster: RealKafka, mechanism: str) -> None:
    topic = new_topic(real_cluster)
    produce(real_cluster, topic, _numbers(3))
    options = {**_signed_in(real_cluster, PASSWORD), "sasl_mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        del options["sasl_username"], options["sasl_password"]
        options["oauth_callback"] = token
    source = KafkaSource(topic, stop_at_end=True, **options)
    (partition,) = source.partitions()
    reader = source.open(partition, None)
    assert len(read_all(reader)) == 3
    reader.close()


def _signed_in(cluster: RealKafka, password: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": cluster.sasl,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": USER,
        "sasl_password": password,
    }


def test_a_deleted_topic_is_an_error(real_cluster: RealKafka) -> None:
    topic = new_topic(real_cluster)
    produce(real_cluster, topic, _numbers(5))
    reader = _reader(real_cluster, topic, stop_at_end=False)
    _wait_for(reader)
    admin = AdminClient({"bootstrap.servers": real_cluster.bootstrap, **QUIET})
    admin.delete_topics([topic])[topic].result(10)
    with pytest.raises(UnknownTopic, match="create it, or correct the name"):
        _wait_for(reader)
    reader.close()


def test_added_partitions_are_told_in_the_log_and_found_by_the_next_run(
    real_cluster: RealKafka, caplog: pytest.LogCaptureFixture
) -> None:
    topic = new_topic(real_cluster)
    source = _source(real_cluster, topic, stop_at_end=False, watch_interval=0.05)
    (partition,) = source.partitions()
    reader = source.open(partition, None)
    admin = AdminClient({"bootstrap.servers": real_cluster.bootstrap, **QUIET})
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(10)
    with caplog.at_level(logging.WARNING):
        while not caplog.messages:
            reader.read(10)
            time.sleep(0.05)
    assert caplog.messages == [
        f"kafka: new partitions {topic}/00001, {topic}/00002; they are read from the next start on"
    ]
    reader.close()
    assert source.partitions() == [f"{topic}/00000", f"{topic}/00001", f"{topic}/00002"]


# ---------------------------------------------------------------------------------------------------------- definitions


def test_every_problem_of_a_definition_is_told() -> None:
    problems = Problems()
    spec = {
        "type": "kafka",
        "bootstrapServers": "k:9092",
        "topics": [1],
        "start": {"orders": 5},
        "options": {"fetch.min.byts": 1, "fetch.min.bytes": "many", "group.id": "g", "enable.auto.commit": True},
    }
    check_source(spec, Where.at("source"), problems)
    assert list(map(str, problems)) == [
        "source.topics: must be a topic, a list of topics, or a pattern such as '^orders-.*'",
        "source.start: names a partition as topic/number, such as orders/3, not 'orders'",
        "source.options.fetch.min.byts: unknown librdkafka option; did you mean 'fetch.min.bytes'?",
        "source.options.fetch.min.bytes: librdkafka does not take this value; "
        'Invalid value for configuration property "fetch.min.bytes"',
        "source.options.group.id: has an option of the connector; use group_id",
        "source.options.enable.auto.commit: is set by the connector; leave it out",
    ]


def test_a_definition_in_camel_case_opens_the_topic(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    produce(cluster, topic, _numbers(2))
    spec = {"type": "kafka", "topic": topic, "bootstrapServers": cluster.bootstrap, "stopAtEnd": True}
    source = open_source({**spec, "options": {"fetch.min.bytes": 1}})
    reader = source.open(source.partitions()[0], None)
    assert read_all(reader) == [{"n": 0}, {"n": 1}]
    reader.close()


def test_topics_are_discovered(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    assert connector.discover_streams is not None
    found = connector.discover_streams({"bootstrap_servers": cluster.bootstrap})
    assert topic in [stream.name for stream in found]
