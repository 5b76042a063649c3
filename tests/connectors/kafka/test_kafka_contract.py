"""The kafka connector against the suite that every connector passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fluxion_connectors.kafka import KafkaSink, KafkaSource
from servers.kafka import Kafka, new_topic, produce, records

from fluxion_flow.connect.spi import Document, SinkWriter, StreamingSink
from fluxion_flow.testing.connector_contract import ConnectorContract, ReplayableSourceContract, SinkContract


class TestKafkaConnector(ConnectorContract):
    type = "kafka"
    sources = (
        {"topics": "orders", "bootstrap_servers": "kafka:9092"},
        {"topic": "orders", "bootstrap_servers": "${KAFKA:-kafka:9092}", "group_id": "g", "stop_at_end": True},
        {
            "topics": ["a", "b"],
            "bootstrap_servers": "kafka:9092",
            "start": {"a/0": 7},
            "options": {"fetch.min.bytes": 9},
        },
        {"topics": "^orders-.*", "bootstrap_servers": "kafka:9092", "start": {"timestamp": "2024-05-01T10:00:00Z"}},
    )
    sinks = (
        {"topic": "orders", "bootstrap_servers": "kafka:9092"},
        {"topic": "$kind", "bootstrap_servers": "kafka:9092", "key": "$customer.id", "headers": {"v": "1", "t": "$t"}},
        {"topic": "orders", "bootstrap_servers": "kafka:9092", "transactional_id": "orders", "compression": "lz4"},
    )


class TestKafkaSource(ReplayableSourceContract):
    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: Kafka) -> None:
        self.cluster = cluster

    def make_source(self, documents: Any) -> KafkaSource:
        topic = new_topic(self.cluster, 3)
        for partition in range(3):
            part = documents[partition * 8 : partition * 8 + 8]
            produce(self.cluster, topic, [json.dumps(document).encode() for document in part], partition)
        return KafkaSource(topic, bootstrap_servers=self.cluster.bootstrap, stop_at_end=True)


class TestKafkaSink(SinkContract):
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _topic(self, cluster: Kafka) -> None:
        self.cluster = cluster
        self.topic = new_topic(cluster, 1)

    def make_sink(self) -> StreamingSink:
        return KafkaSink(self.topic, key="k", bootstrap_servers=self.cluster.bootstrap, **self.options)

    def delivered(self) -> list[Document]:
        return [json.loads(message.value()) for message in records(self.cluster, self.topic)]

    def refused_document(self) -> Document:
        return {"n": 1, "text": "x" * 3_000_000}

    def break_next_write(self, sink: StreamingSink, writer: SinkWriter) -> Callable[[], None]:
        encoder = writer._encoder  # type: ignore[attr-defined]
        good = encoder.encode
        encoder.encode = _broken

        def repair() -> None:
            encoder.encode = good

        return repair


def _broken(documents: Any) -> Any:
    raise OSError("told to fail")


class TestTransactionalKafkaSink(TestKafkaSink):
    options = {"transactional_id": "contract"}

    @pytest.fixture(autouse=True)
    def _own_id(self, real_cluster: Kafka, _topic: None) -> None:
        self.options = {"transactional_id": f"{self.topic}-tx"}
