"""Whole pipelines from topics to topics, on the real engine."""

from __future__ import annotations

import json
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main, run_main
from confluent_kafka import Consumer, TopicPartition
from servers.kafka import QUIET, Kafka, new_topic, produce, records

from fluxion_flow import StreamingErrorPolicy, pipeline, run_batch

STAGES: list[dict[str, Any]] = [
    {"$match": {"status": "PAID"}},
    {"$set": {"total": {"$multiply": ["$qty", "$price"]}}},
    {"$group": {"_id": "$customer", "orders": {"$count": {}}, "spent": {"$sum": "$total"}}},
]


def _orders(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"id": n, "customer": f"c{n % 7}", "qty": n % 5, "price": 1.25, "status": "PAID" if n % 3 else "NEW"}
        for n in range(first, first + count)
    ]


def _fill(cluster: Kafka, topic: str, orders: list[dict[str, Any]], partitions: int = 2) -> None:
    for partition in range(partitions):
        values = [json.dumps(order).encode() for order in orders[partition::partitions]]
        produce(cluster, topic, values, partition)


def _values(cluster: Kafka, topic: str) -> list[dict[str, Any]]:
    return [json.loads(message.value()) for message in records(cluster, topic)]


def test_groups_over_a_topic_equal_the_offline_result(cluster: Kafka) -> None:
    source, sink = new_topic(cluster, 2), new_topic(cluster)
    orders = _orders(200)
    _fill(cluster, source, orders)
    definition = (
        pipeline("spent")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .stages(STAGES)
        .sink("kafka", topic=sink, key="$_id", bootstrap_servers=cluster.bootstrap)
        .build()
    )
    cluster_main(definition.compile(), [], 0, worker_count_per_proc=2)
    written = records(cluster, sink)
    found = sorted((json.loads(message.value()) for message in written), key=lambda document: document["_id"])
    assert found == sorted(run_batch(orders, STAGES), key=lambda document: document["_id"])
    assert {message.key().decode() for message in written} == {f"c{n}" for n in range(7)}


def test_poison_records_become_dead_letters_on_a_topic(cluster: Kafka) -> None:
    source, sink, dead = new_topic(cluster), new_topic(cluster), new_topic(cluster)
    produce(cluster, source, [b'{"n": 1}', b'{"n": ', b'{"n": 2}'])
    kafka = {"type": "kafka", "bootstrap_servers": cluster.bootstrap}
    definition = (
        pipeline("poison")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .stages([{"$set": {"m": {"$add": ["$n", 1]}}}])
        .sink("kafka", topic=sink, bootstrap_servers=cluster.bootstrap)
        .on_error(StreamingErrorPolicy.dead_letter({**kafka, "topic": dead}))
        .build()
    )
    run_main(definition.compile())
    assert sorted(_values(cluster, sink), key=lambda d: d["n"]) == [{"n": 1, "m": 2}, {"n": 2, "m": 3}]
    (letter,) = _values(cluster, dead)
    assert letter["errInfo"]["reason"] == "is not valid JSON: Input data was truncated"
    assert letter["raw"] == "eyJuIjog"
    meta = letter["_stream_meta"]["source"]
    assert (meta["type"], meta["topic"], meta["partition"], meta["position"]) == ("kafka", source, 0, 1)


def test_what_is_known_of_a_record_is_read_in_expressions_and_stands_in_dead_letters(cluster: Kafka) -> None:
    source, sink, dead = new_topic(cluster), new_topic(cluster), new_topic(cluster)
    headers = [("trace", b"7")]
    produce(cluster, source, [b'{"n": [1, 2]}', b"{", b'{"n": ["x"]}'], key=b"k", headers=headers, timestamp=1000)
    kafka = {"type": "kafka", "bootstrap_servers": cluster.bootstrap}
    names = ("topic", "partition", "offset", "key", "headers", "timestamp", "value")
    definition = (
        pipeline("known")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .stages(
            [
                {"$unwind": "$n"},
                {"$set": {"m": {"$add": ["$n", 1]}}},
                {"$project": {"m": 1, **{name: {"$meta": f"stream.source.{name}"} for name in names}}},
            ]
        )
        .sink("kafka", topic=sink, bootstrap_servers=cluster.bootstrap)
        .on_error(StreamingErrorPolicy.builder().dead_letter({**kafka, "topic": dead}).granularity("document").build())
        .build()
    )
    run_main(definition.compile())
    known = {
        "topic": source,
        "partition": 0,
        "offset": 0,
        "key": "k",
        "headers": [{"k": "trace", "v": "7"}],
        "timestamp": "1970-01-01T00:00:01Z",
        "value": '{"n": [1, 2]}',
    }
    assert sorted(_values(cluster, sink), key=lambda d: d["m"]) == [{"m": 2, **known}, {"m": 3, **known}]
    letters = sorted(_values(cluster, dead), key=lambda letter: letter["_stream_meta"]["source"]["offset"])
    assert [letter["_stream_meta"]["source"] for letter in letters] == [
        {
            "type": "kafka",
            "partition": 0,
            "topic": source,
            "position": offset,
            "ts": {"$date": "1970-01-01T00:00:01.000Z"},
            "offset": offset,
            "key": "k",
            "headers": [{"k": "trace", "v": "7"}],
        }
        for offset in (1, 2)
    ]


def test_a_dead_letter_topic_may_hold_the_records_themselves_with_connects_headers(cluster: Kafka) -> None:
    source, sink, dead = new_topic(cluster), new_topic(cluster), new_topic(cluster)
    raw = [b'{ "n": "x" }', b"{", b'{"n": 7}']
    for number, value in enumerate(raw):
        produce(cluster, source, [value], key=b"\xff" if number else b"k", headers=[("trace", b"7")], timestamp=1000)
    letters = {"type": "kafka", "bootstrap_servers": cluster.bootstrap, "topic": dead, "dead_letters": "record"}
    definition = (
        pipeline("kept")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .stages([{"$set": {"m": {"$add": ["$n", 1]}}}])
        .sink("kafka", topic=sink, bootstrap_servers=cluster.bootstrap, key={"$divide": [1, {"$subtract": ["$n", 7]}]})
        .on_error(StreamingErrorPolicy.builder().dead_letter(letters).granularity("document").build())
        .build()
    )
    run_main(definition.compile())
    assert _values(cluster, sink) == []
    found = {message.value(): message for message in records(cluster, dead)}
    assert {value: (message.key(), message.timestamp()[1]) for value, message in found.items()} == {
        raw[0]: (b"k", 1000),
        raw[1]: (b"\xff", 1000),
        raw[2]: (b"\xff", 1000),
    }
    headers = {value: {name: text.decode() for name, text in message.headers()} for value, message in found.items()}
    assert all(len(each.pop("__fluxion.letter.id")) == 32 for each in headers.values())
    shared = {
        "trace": "7",
        "__connect.errors.topic": source,
        "__connect.errors.partition": "0",
        "__connect.errors.connector.name": "kept",
        "__fluxion.attempts": "1",
    }
    assert headers[raw[0]] == {
        **shared,
        "__connect.errors.offset": "0",
        "__connect.errors.stage": "TRANSFORMATION",
        "__connect.errors.class.name": "stages[0].$set",
        "__connect.errors.exception.class.name": "EvaluationError",
        "__connect.errors.exception.message": "stages[0].$set.m.$add: $add takes numbers and dates, got string",
    }
    assert headers[raw[1]] == {
        **shared,
        "__connect.errors.offset": "1",
        "__connect.errors.stage": "VALUE_CONVERTER",
        "__connect.errors.class.name": "source",
        "__connect.errors.exception.class.name": "UndecodableRecord",
        "__connect.errors.exception.message": "is not valid JSON: Input data was truncated",
    }
    assert headers[raw[2]] == {
        **shared,
        "__connect.errors.offset": "2",
        "__connect.errors.stage": "TASK_PUT",
        "__connect.errors.class.name": "sink",
        "__connect.errors.exception.class.name": "EvaluationError",
        "__connect.errors.exception.message": "sink.key.$divide: $divide by zero",
    }


def test_letters_of_other_sources_hold_the_document(cluster: Kafka) -> None:
    dead = new_topic(cluster)
    letters = {"type": "kafka", "bootstrap_servers": cluster.bootstrap, "topic": dead, "dead_letters": "record"}
    definition = (
        pipeline("kept")
        .source("memory", documents=[{"n": "x"}])
        .stages([{"$set": {"m": {"$add": ["$n", 1]}}}])
        .sink("memory", name="out")
        .on_error(StreamingErrorPolicy.dead_letter(letters))
        .build()
    )
    run_main(definition.compile())
    (message,) = records(cluster, dead)
    assert (message.key(), message.value()) == (None, b'{"n":"x"}')
    assert "__connect.errors.topic" not in dict(message.headers())


def test_a_run_with_a_store_goes_on_where_the_last_one_ended(cluster: Kafka, tmp_path: Path) -> None:
    source, sink = new_topic(cluster, 2), new_topic(cluster)
    init_db_dir(tmp_path, 1)
    definition = (
        pipeline("copy")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True, group_id=source)
        .stages([{"$match": {}}])
        .sink("kafka", topic=sink, bootstrap_servers=cluster.bootstrap)
        .build()
    )
    for first in (0, 50):
        _fill(cluster, source, _orders(50, first))
        run_main(definition.compile(), recovery_config=RecoveryConfig(tmp_path))
    assert sorted(document["id"] for document in _values(cluster, sink)) == list(range(100))


def test_a_document_over_the_limit_goes_to_the_dead_letters_alone(real_cluster: Kafka) -> None:
    source, sink, dead = (
        new_topic(real_cluster),
        new_topic(real_cluster, max_message_bytes=5000),
        new_topic(real_cluster),
    )
    produce(real_cluster, source, [b'{"n": 1}', json.dumps({"n": 2, "text": "x" * 6000}).encode(), b'{"n": 3}'])
    kafka = {"type": "kafka", "bootstrap_servers": real_cluster.bootstrap}
    definition = (
        pipeline("big")
        .source("kafka", topics=source, bootstrap_servers=real_cluster.bootstrap, stop_at_end=True)
        .stages([{"$match": {}}])
        .sink("kafka", topic=sink, bootstrap_servers=real_cluster.bootstrap)
        .on_error(StreamingErrorPolicy.dead_letter({**kafka, "topic": dead}))
        .build()
    )
    run_main(definition.compile())
    assert _values(real_cluster, sink) == [{"n": 1}, {"n": 3}]
    (letter,) = _values(real_cluster, dead)
    assert "MSG_SIZE_TOO_LARGE" in letter["errInfo"]["reason"]
    assert letter["doc"]["n"] == 2


def test_an_unknown_topic_ends_the_run_with_its_name(real_cluster: Kafka) -> None:
    definition = (
        pipeline("nowhere")
        .source("kafka", topics="nowhere", bootstrap_servers=real_cluster.bootstrap, stop_at_end=True)
        .stages([{"$match": {}}])
        .sink("memory")
        .build()
    )
    with pytest.raises(Exception) as caught:
        run_main(definition.compile())
    assert "there is no topic 'nowhere'" in "".join(traceback.format_exception(caught.value))


def test_the_group_sees_what_is_durable(cluster: Kafka, tmp_path: Path) -> None:
    source = new_topic(cluster)
    _fill(cluster, source, _orders(30), 1)
    init_db_dir(tmp_path, 1)
    definition = (
        pipeline("lag")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True, group_id=f"{source}-g")
        .stages([{"$match": {}}])
        .sink("memory", name=source)
        .build()
    )
    run_main(definition.compile(), recovery_config=RecoveryConfig(tmp_path), epoch_interval=timedelta(milliseconds=50))
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": f"{source}-g", **QUIET})
    (found,) = consumer.committed([TopicPartition(source, 0)], timeout=10)
    consumer.close()
    assert found.offset == 30
