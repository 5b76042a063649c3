"""The kafka sink: where the parts of a document go, and what becomes of records that are refused."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from confluent_kafka import Producer
from fluxion_connectors.kafka import AuthenticationFailed, Fenced, KafkaSink, UnknownTopic
from servers.kafka import QUIET, USER, Kafka, RealKafka, new_topic, records

from fluxion_flow.connect.registry import check_sink, open_sink
from fluxion_flow.connect.spi import Batch, DeliveryError, Document
from fluxion_flow.errors import Problems, Where


def _write(cluster: Kafka, topic: Any, documents: list[Document], **options: Any) -> None:
    writer = KafkaSink(topic, bootstrap_servers=cluster.bootstrap, **options).open("0", None)
    writer.write(Batch(documents, "p"))
    writer.flush()
    writer.close()


def test_key_headers_and_time_come_from_the_document(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    at = datetime(2024, 5, 1, 10, tzinfo=timezone.utc)
    document = {"customer": {"id": "c7"}, "n": 5, "at": at, "none": None}
    headers = {"version": "1", "n": "$n", "none": "$none"}
    _write(cluster, topic, [document], key="$customer.id", headers=headers, timestamp="$at")
    (message,) = records(cluster, topic)
    assert message.key() == b"c7"
    assert message.headers() == [("version", b"1"), ("n", b"5"), ("none", None)]
    assert message.timestamp()[1] == 1714557600000
    assert json.loads(message.value()) == {
        "customer": {"id": "c7"},
        "n": 5,
        "at": "2024-05-01T10:00:00Z",
        "none": None,
    }


def test_the_topic_comes_from_the_document(cluster: Kafka) -> None:
    first, second = new_topic(cluster), new_topic(cluster)
    documents = [{"to": first, "n": 1}, {"to": second, "n": 2}, {"n": 3}, {"to": first, "n": 4}]
    writer = KafkaSink("$to", value="$n", bootstrap_servers=cluster.bootstrap).open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch(documents, "p"))
    assert {index: str(error) for index, error in caught.value.errors.items()} == {
        2: "the topic must be a text, got None"
    }
    writer.flush()
    writer.close()
    assert [message.value() for message in records(cluster, first)] == [b"1", b"4"]
    assert [message.value() for message in records(cluster, second)] == [b"2"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("text", b"text"), (7, b"7"), (b"\xff", b"\xff"), (None, None), (True, b"true"), ({"a": 1}, b'{"a":1}')],
)
def test_a_key_is_text_or_bytes_or_json(cluster: Kafka, key: Any, expected: bytes | None) -> None:
    topic = new_topic(cluster)
    _write(cluster, topic, [{"k": key}], key="$k")
    assert [message.key() for message in records(cluster, topic)] == [expected]


def test_topic_key_headers_and_time_may_be_any_expression(cluster: Kafka) -> None:
    paid, other = new_topic(cluster, prefix="paid"), new_topic(cluster, prefix="other")
    sink = open_sink(
        {
            "type": "kafka",
            "bootstrap_servers": cluster.bootstrap,
            "topic": {"$cond": [{"$eq": ["$status", "PAID"]}, paid, other]},
            "key": {"$concat": ["$region", "-", {"$toString": {"$divide": [12, "$n"]}}]},
            "headers": {
                "source": {"$meta": "stream.source.topic"},
                "at": {"$dateToString": {"date": "$$NOW", "format": "%Y"}},
            },
            "timestamp": {"$multiply": ["$n", 1000]},
        }
    )
    documents = [{"n": n, "status": "PAID" if n % 2 else "NEW", "region": "eu"} for n in range(4)]
    writer = sink.open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch(documents, "p", timestamp=1_700_000_000_000, meta={"source": {"topic": "orders"}}))
    writer.flush()
    writer.close()
    assert {index: str(error) for index, error in caught.value.errors.items()} == {
        0: "sink.key.$concat[2].$toString.$divide: $divide by zero"
    }
    found = {message.key(): message for name in (paid, other) for message in records(cluster, name)}
    assert {key: (message.topic(), message.timestamp()[1]) for key, message in found.items()} == {
        b"eu-12": (paid, 1000),
        b"eu-6": (other, 2000),
        b"eu-4": (paid, 3000),
    }
    assert all(message.headers() == [("source", b"orders"), ("at", b"2023")] for message in found.values())


def test_the_headers_of_the_source_may_be_passed_on(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    headers = [{"k": "trace", "v": "7"}, {"k": "trace", "v": b"\xff"}, {"k": "none", "v": None}]
    sink = {"type": "kafka", "bootstrap_servers": cluster.bootstrap, "topic": topic}
    writer = open_sink({**sink, "headers": {"$meta": "stream.source.headers"}}).open("0", None)
    meta = {"source": {"topic": "orders"}, "records": {5: {"headers": headers}, 6: {"headers": "odd"}}}
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"n": 1}, {"n": 2}, {"n": 3}], "p", 5, [5, 6, 7], meta=meta))
    writer.flush()
    writer.close()
    assert {index: str(error) for index, error in caught.value.errors.items()} == {
        1: "the headers must be an object, or a list of {k: name, v: value}, got 'odd'"
    }
    found = {message.value(): message.headers() for message in records(cluster, topic)}
    assert found == {b'{"n":1}': [("trace", b"7"), ("trace", b"\xff"), ("none", None)], b'{"n":3}': None}


def test_values_may_be_text_or_bytes(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    _write(cluster, topic, [{"value": "é"}, {"value": b"\xff"}, {"other": 1}], format="string")
    assert [message.value() for message in records(cluster, topic)] == ["é".encode(), b"\xff", None]
    writer = KafkaSink(topic, format="bytes", bootstrap_servers=cluster.bootstrap).open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"value": 5}], "p"))
    assert str(caught.value.errors[0]) == "the value must be text or bytes for format 'bytes', got int"
    writer.close()


def test_a_deleted_document_is_written_as_a_tombstone(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    documents = [{"_key": "a", "_deleted": True}, {"_key": "a", "_deleted": False}]
    _write(cluster, topic, documents, key="$_key", tombstone_field="_deleted")
    assert [(message.key(), message.value() is None) for message in records(cluster, topic)] == [
        (b"a", True),
        (b"a", False),
    ]


def test_extended_json_keeps_types(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    _write(cluster, topic, [{"at": datetime(2024, 5, 1, tzinfo=timezone.utc)}], extended_json=True)
    assert [message.value() for message in records(cluster, topic)] == [b'{"at":{"$date":"2024-05-01T00:00:00.000Z"}}']


def test_a_key_finds_the_partition_that_java_clients_choose(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster, 6)
    _write(real_cluster, topic, [{"k": f"key-{n}"} for n in range(50)], key="$k")
    for message in records(real_cluster, topic):
        assert message.partition() == (_murmur2(message.key()) & 0x7FFFFFFF) % 6


def _murmur2(data: bytes) -> int:
    """Kafka's 32-bit MurmurHash2 with seed 0x9747b28c (org.apache.kafka.common.utils.Utils.murmur2)."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ (k >> 24)) * m & mask)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


# ------------------------------------------------------------------------------------------------------------- refusals


def test_a_record_over_the_topics_limit_is_refused_alone(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster, max_message_bytes=5000)
    writer = KafkaSink(topic, bootstrap_servers=real_cluster.bootstrap).open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"n": 1}, {"n": 2, "text": "x" * 6000}, {"n": 3}], "p"))
    assert list(caught.value.errors) == [1]
    assert str(caught.value.errors[1]) == (
        f"writing to {topic}: Unable to produce message: Broker: Message size too large (MSG_SIZE_TOO_LARGE); "
        "raise max.message.bytes of the topic and message.max.bytes in options"
    )
    writer.flush()
    writer.close()
    assert [json.loads(message.value())["n"] for message in records(real_cluster, topic)] == [1, 3]


def test_a_record_that_the_broker_refuses_is_named_by_its_place_since_the_last_flush(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster, max_message_bytes=5000)
    options = {"message.max.bytes": 100_000, "batch.num.messages": 1}
    writer = KafkaSink(topic, bootstrap_servers=real_cluster.bootstrap, options=options).open("0", None)
    writer.write(Batch([{"n": 0}], "p"))
    writer.flush()
    writer.write(Batch([{"n": 1}, {"n": 2}], "p"))
    writer.write(Batch([{"n": 3}, {"n": 4, "text": "x" * 6000}, {"n": 5}], "p"))
    with pytest.raises(DeliveryError) as caught:
        writer.flush()
    assert list(caught.value.errors) == [3]
    writer.flush()
    writer.write(Batch([{"n": 6}], "p"))
    writer.flush()
    writer.close()
    assert [json.loads(message.value())["n"] for message in records(real_cluster, topic)] == [0, 1, 2, 3, 5, 6]


def test_a_full_queue_makes_the_write_wait(cluster: Kafka) -> None:
    topic = new_topic(cluster)
    documents = [{"n": n} for n in range(500)]
    _write(cluster, topic, documents, key="k", options={"queue.buffering.max.messages": 10})
    assert [json.loads(message.value()) for message in records(cluster, topic)] == documents


def test_an_unknown_topic_is_told_when_the_writer_opens(real_cluster: Kafka) -> None:
    with pytest.raises(UnknownTopic, match="writing to topic 'nowhere': Broker: Unknown topic or partition"):
        KafkaSink("nowhere", bootstrap_servers=real_cluster.bootstrap).open("0", None)


def test_refused_credentials_are_told_when_the_writer_opens(real_cluster: RealKafka) -> None:
    sink = KafkaSink(
        new_topic(real_cluster),
        bootstrap_servers=real_cluster.sasl,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_username=USER,
        sasl_password="not-the-password",
    )
    with pytest.raises(AuthenticationFailed) as caught:
        sink.open("0", None)
    assert "Invalid username or password" in str(caught.value)
    assert "not-the-password" not in str(caught.value)


def test_every_problem_of_a_definition_is_told() -> None:
    problems = Problems()
    spec = {
        "type": "kafka",
        "bootstrap_servers": "k:9092",
        "topic": {"$concatt": ["a", "$b"]},
        "key": "$a..b",
        "headers": {"h": {"$size": ["$a", 1]}},
        "acks": 1,
        "cursorTopic": "c",
        "options": {"linger.mss": 1, "acks": 1},
    }
    check_sink(spec, Where.at("sink"), problems)
    assert list(map(str, problems)) == [
        "sink.acks: idempotence needs acks: all; set idempotence: false, or leave acks out",
        "sink.cursor_topic: is for transactions; set transactional_id too",
        "sink.options.linger.mss: unknown librdkafka option; did you mean 'linger.ms'?",
        "sink.options.acks: has an option of the connector; use acks",
        "sink.topic.$concatt: unknown operator '$concatt'; did you mean '$concat'?",
        "sink.key: field path '$a..b' has an empty name in it; remove the extra dot",
        "sink.headers.h.$size: takes 1 argument, got 2",
    ]


# --------------------------------------------------------------------------------------------------------- transactions


def _transactional(cluster: Kafka, topic: str, **options: Any) -> KafkaSink:
    return KafkaSink(topic, bootstrap_servers=cluster.bootstrap, transactional_id=f"{topic}-tx", **options)


def _numbers(cluster: Kafka, topic: str, isolation: str = "read_committed") -> list[int]:
    return [json.loads(message.value())["n"] for message in records(cluster, topic, isolation)]


def test_documents_and_cursors_are_committed_together(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    sink = _transactional(real_cluster, topic)
    assert sink.transactional
    assert sink.committed_cursors() == {}
    writer = sink.open("0", None)
    writer.write(Batch([{"n": 1}], "a", cursor={"v": 1, "offset": 1}))
    writer.write(Batch([{"n": 2}], "b", cursor={"v": 1, "offset": 7}))
    writer.flush()
    writer.write(Batch([{"n": 3}], "a", cursor={"v": 1, "offset": 2}))
    writer.write(Batch([], "a", cursor={"v": 1, "offset": 3}))
    assert sink.committed_cursors() == {"a": {"v": 1, "offset": 1}, "b": {"v": 1, "offset": 7}}
    writer.flush()
    writer.write(Batch([{"n": 4}], "b", cursor={"v": 1, "offset": 8}))
    writer.close()
    assert _numbers(real_cluster, topic) == [1, 2, 3]
    assert _transactional(real_cluster, topic).committed_cursors() == {
        "a": {"v": 1, "offset": 3},
        "b": {"v": 1, "offset": 7},
    }


def test_a_refused_document_leaves_its_transaction_whole(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster, max_message_bytes=5000)
    writer = _transactional(real_cluster, topic).open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"n": 1}, {"n": 2, "text": "x" * 6000}, {"n": 3}], "a", cursor={"offset": 3}))
    assert list(caught.value.errors) == [1]
    assert _numbers(real_cluster, topic) == []
    writer.flush()
    writer.close()
    assert _numbers(real_cluster, topic) == [1, 3]
    assert _transactional(real_cluster, topic).committed_cursors() == {"a": {"offset": 3}}


def test_batches_without_a_cursor_share_a_transaction(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    sink = _transactional(real_cluster, topic)
    writer = sink.open("0", None)
    for n in range(3):
        writer.write(Batch([{"n": n}], f"group-{n}"))
    assert _numbers(real_cluster, topic) == []
    writer.flush()
    writer.close()
    assert _numbers(real_cluster, topic) == [0, 1, 2]
    assert sink.committed_cursors() == {}


def test_a_second_run_fences_the_first(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    first, second = _transactional(real_cluster, topic), _transactional(real_cluster, topic)
    zombie_start, start = first.committed_cursors(), second.committed_cursors()
    assert zombie_start == start == {}
    zombie = first.open("0", None)
    zombie.write(Batch([{"n": 1}], "a", cursor={"offset": 1}))
    writer = second.open("7", None)
    writer.write(Batch([{"n": 1}], "a", cursor={"offset": 1}))
    with pytest.raises(Fenced):
        zombie.flush()
    writer.flush()
    with pytest.raises(Fenced):
        zombie.flush()
    zombie.close()
    reopened = first.open("0", None)
    with pytest.raises(Fenced) as caught:
        reopened.write(Batch([{"n": 1}], "a", cursor={"offset": 1}))
    assert str(caught.value) == (
        f"another run has written with transactional_id '{topic}-tx' behind the position in 'a' that this run "
        "started from; stop one of them and start again"
    )
    writer.close()
    assert _numbers(real_cluster, topic) == [1]


def test_what_a_dead_run_left_undecided_is_decided_before_the_cursors_are_told(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    sink = _transactional(real_cluster, topic)
    sink.committed_cursors()
    writer = sink.open("0", None)
    writer.write(Batch([{"n": 1}], "a", cursor={"offset": 1}))
    writer.flush()
    dead = Producer(
        {"bootstrap.servers": real_cluster.bootstrap, "transactional.id": f"{topic}-tx/a", "linger.ms": 0, **QUIET}
    )
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(topic, b'{"n": 2}')
    dead.produce(f"{topic}-tx.cursors", b'{"v": 1, "cursor": {"offset": 2}}', json.dumps([f"{topic}-tx", "a"]).encode())
    dead.flush()
    assert _transactional(real_cluster, topic).committed_cursors() == {"a": {"offset": 1}}
    with pytest.raises(Exception, match="fenced"):
        dead.commit_transaction(10)
    assert _numbers(real_cluster, topic) == [1]
    assert _numbers(real_cluster, topic, "read_uncommitted") == [1, 2]


def test_batches_that_a_flush_may_have_committed_are_not_written_again(real_cluster: Kafka) -> None:
    topic = new_topic(real_cluster)
    sink = _transactional(real_cluster, topic)
    sink.committed_cursors()
    writer = sink.open("0", None)
    batches = [Batch([{"n": n}], "a", cursor={"offset": n}) for n in range(3)]
    for batch in batches[:2]:
        writer.write(batch)
    writer.flush()
    again = sink.open("0", None)  # as after a flush whose answer was lost
    for batch in batches:
        again.write(batch)
    again.flush()
    again.close()
    assert _numbers(real_cluster, topic) == [0, 1, 2]
