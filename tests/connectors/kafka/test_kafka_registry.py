"""Values described in a schema registry: Avro, JSON Schema, Protocol Buffers."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import fluxion_connectors.kafka.registry as registry_module
import pytest
from bytewax.testing import run_main
from fluxion_connectors.kafka import AuthenticationFailed, KafkaSource, KafkaUnavailable
from fluxion_connectors.kafka.registry import Registry, decoder
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from servers.kafka import Kafka, new_topic, produce, records
from servers.schema_registry import SchemaRegistry

from fluxion_flow import StreamingErrorPolicy, pipeline
from fluxion_flow.connect.registry import check_sink, check_source, open_sink
from fluxion_flow.connect.spi import Batch, DeliveryError
from fluxion_flow.errors import Problems, Where

ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "customer", "type": ["null", "string"], "default": None},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "raw", "type": "bytes"},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
AT = datetime(2024, 5, 1, 10, tzinfo=timezone.utc)
DOCUMENT = {
    "id": 7,
    "customer": "c7",
    "at": AT,
    "price": Decimal("12.50"),
    "day": datetime(2024, 5, 1, tzinfo=timezone.utc),
    "raw": b"\xff",
    "tags": ["a", "b"],
}
JSON_ORDER = {
    "type": "object",
    "properties": {"id": {"type": "integer"}, "at": {"type": "string"}},
    "required": ["id"],
}


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    server = SchemaRegistry()
    yield server
    server.close()


def _options(cluster: Kafka, registry: SchemaRegistry, format: str, **more: Any) -> dict[str, Any]:
    more = {"schema_registry_options": {"max.retries": 0}, **more}
    return {"bootstrap_servers": cluster.bootstrap, "format": format, "schema_registry_url": registry.url, **more}


def _write(cluster: Kafka, registry: SchemaRegistry, format: str, topic: str, documents: Any, **more: Any) -> None:
    writer = open_sink({"type": "kafka", "topic": topic, **_options(cluster, registry, format, **more)}).open("0", None)
    try:
        writer.write(Batch(list(documents), "p"))
    finally:
        writer.flush()
        writer.close()


def _read(cluster: Kafka, registry: SchemaRegistry, format: str, topic: str, **more: Any) -> Batch:
    source = KafkaSource(topic, stop_at_end=True, **_options(cluster, registry, format, **more))
    for partition in source.partitions():
        reader = source.open(partition, None)
        try:
            while (batch := reader.read(100)) is not None:
                if batch.documents or batch.rejects:
                    return batch
        finally:
            reader.close()
    raise AssertionError("nothing came")


def _protobuf_file() -> bytes:
    """A schema with two messages, a nested one, an enum, a map, well-known types: as ``protoc`` would make it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="orders.proto", package="shop", syntax="proto3")
    file.dependency.extend(["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"])
    other = file.message_type.add(name="Other")
    other.field.add(name="n", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    order = file.message_type.add(name="Order")
    state = order.enum_type.add(name="State")
    state.value.add(name="NEW", number=0)
    state.value.add(name="PAID", number=1)
    line = order.nested_type.add(name="Line")
    line.field.add(name="sku", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry = order.nested_type.add(name="CountsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_INT64, label=field.LABEL_OPTIONAL)
    for number, (name, kind, type_name, label) in enumerate(
        [
            ("id", field.TYPE_INT64, "", field.LABEL_OPTIONAL),
            ("zero", field.TYPE_DOUBLE, "", field.LABEL_OPTIONAL),
            ("state", field.TYPE_ENUM, ".shop.Order.State", field.LABEL_OPTIONAL),
            ("lines", field.TYPE_MESSAGE, ".shop.Order.Line", field.LABEL_REPEATED),
            ("counts", field.TYPE_MESSAGE, ".shop.Order.CountsEntry", field.LABEL_REPEATED),
            ("at", field.TYPE_MESSAGE, ".google.protobuf.Timestamp", field.LABEL_OPTIONAL),
            ("note", field.TYPE_MESSAGE, ".google.protobuf.StringValue", field.LABEL_OPTIONAL),
            ("raw", field.TYPE_BYTES, "", field.LABEL_OPTIONAL),
        ],
        1,
    ):
        order.field.add(name=name, number=number, type=kind, type_name=type_name or None, label=label)
    return file.SerializeToString()


PROTOBUF_DOCUMENT = {
    "id": 1 << 60,
    "zero": 0.0,
    "state": "PAID",
    "lines": [{"sku": "a"}, {"sku": "b"}],
    "counts": {"x": 2},
    "at": AT,
    "note": None,
    "raw": b"\xff",
}


def test_avro_goes_out_and_comes_back_with_its_types(cluster: Kafka, registry: SchemaRegistry) -> None:
    topic = new_topic(cluster)
    documents = [DOCUMENT, {**DOCUMENT, "customer": None}]
    _write(cluster, registry, "avro", topic, documents, schema=json.dumps(ORDER), key="k")
    assert registry.subjects() == {f"{topic}-value": 1}
    assert [message.value()[:5] for message in records(cluster, topic)] == [struct.pack(">bI", 0, 1)] * 2
    batch = _read(cluster, registry, "avro", topic)
    assert batch.documents == documents
    asked = [request for request in registry.requests if request.startswith("GET /schemas/ids")]
    assert len(asked) <= 2, "a schema is asked for once by a source, and once by a sink"


def test_a_document_that_its_schema_does_not_fit_is_refused_alone(cluster: Kafka, registry: SchemaRegistry) -> None:
    topic = new_topic(cluster)
    registry.register(f"{topic}-value", JSON_ORDER, "JSON")
    with pytest.raises(DeliveryError) as caught:
        _write(cluster, registry, "json_schema", topic, [{"id": 1, "at": AT}, {"id": "x"}, {"id": 2}])
    assert {index: str(error) for index, error in caught.value.errors.items()} == {1: "'x' is not of type 'integer'"}
    assert sorted(map(str, _read_all(cluster, registry, "json_schema", topic))) == [
        "{'id': 1, 'at': '2024-05-01T10:00:00Z'}",
        "{'id': 2}",
    ]


def _read_all(cluster: Kafka, registry: SchemaRegistry, format: str, topic: str) -> list[Any]:
    decode = decoder(format, Registry(registry.url))
    return [decode(message.value(), topic) for message in records(cluster, topic)]


def test_protobuf_goes_out_and_comes_back_with_its_types(cluster: Kafka, registry: SchemaRegistry) -> None:
    topic = new_topic(cluster)
    registry.register(f"{topic}-value", _protobuf_file(), "PROTOBUF")
    _write(cluster, registry, "protobuf", topic, [PROTOBUF_DOCUMENT], schema_message="shop.Order")
    (message,) = records(cluster, topic)
    assert message.value()[:7] == struct.pack(">bIbb", 0, 1, 2, 2), "the indexes of the second message follow the id"
    assert _read(cluster, registry, "protobuf", topic).documents == [PROTOBUF_DOCUMENT]


def test_protobuf_schemas_may_refer_to_others(cluster: Kafka, registry: SchemaRegistry) -> None:
    field = descriptor_pb2.FieldDescriptorProto
    place = descriptor_pb2.FileDescriptorProto(name="place.proto", package="shop", syntax="proto3")
    place.message_type.add(name="Place").field.add(
        name="city", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL
    )
    visit = descriptor_pb2.FileDescriptorProto(name="visit.proto", package="shop", syntax="proto3")
    visit.dependency.append("place.proto")
    visit.message_type.add(name="Visit").field.add(
        name="to", number=1, type=field.TYPE_MESSAGE, type_name=".shop.Place", label=field.LABEL_OPTIONAL
    )
    topic = new_topic(cluster)
    registry.register("place", place.SerializeToString(), "PROTOBUF")
    references = [{"name": "place.proto", "subject": "place", "version": 1}]
    number = registry.register(f"{topic}-value", visit.SerializeToString(), "PROTOBUF", references)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(place)
    pool.Add(visit)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Visit"))()
    made.to.city = "Rome"
    produce(cluster, topic, [struct.pack(">bIb", 0, number, 0) + made.SerializeToString()])
    assert _read(cluster, registry, "protobuf", topic).documents == [{"to": {"city": "Rome"}}]


@pytest.mark.parametrize(
    ("format", "raw", "reason"),
    [
        ("avro", b"", "Expecting data framing of length 6 bytes or more but total data size is 0 bytes"),
        ("avro", b'{"id": 1}', "Invalid magic byte"),
        ("avro", b"\x00\x00\x00\x00\x01\x0e", "EOF"),
        ("avro", b"\x00\x00\x00\x00\x4d\x0e", "its schema is not in the registry: Schema 77 not found"),
        ("json_schema", b'\x00\x00\x00\x00\x02{"id": "x"}', "'x' is not of type 'integer'"),
        ("protobuf", b"\x00\x00\x00\x00\x03\x02\x02\xff", "Error parsing message"),
        ("protobuf", b"\x00\x00\x00\x00\x03\x02\x0e\x00", "its schema has no message at [7]"),
    ],
)
def test_a_record_that_cannot_be_decoded_is_rejected_with_its_bytes(
    cluster: Kafka, registry: SchemaRegistry, format: str, raw: bytes, reason: str
) -> None:
    topic = new_topic(cluster)
    registry.register("a", ORDER)
    registry.register("b", JSON_ORDER, "JSON")
    registry.register("c", _protobuf_file(), "PROTOBUF")
    produce(cluster, topic, [raw])
    batch = _read(cluster, registry, format, topic)
    ((found, why),) = [(reject.raw, reject.error) for reject in batch.rejects]
    assert found == raw
    assert reason in why


def test_a_registry_that_is_down_loses_no_record(cluster: Kafka, registry: SchemaRegistry) -> None:
    topic = new_topic(cluster)
    _write(cluster, registry, "avro", topic, [DOCUMENT], schema=json.dumps(ORDER))
    registry.down = True
    source = KafkaSource(topic, stop_at_end=True, **_options(cluster, registry, "avro"))
    readers = [source.open(partition, None) for partition in source.partitions()]
    failures, documents = [], []
    for reader in readers:
        for _ in range(100):
            try:
                batch = reader.read(10)
            except KafkaUnavailable as error:
                failures.append(str(error))
                registry.down = False
                continue
            if batch is None:
                break
            documents += batch.documents
        reader.close()
    assert (failures, documents) == ([f"schema registry {registry.url}: down (HTTP status 503)"], [DOCUMENT])
    registry.down = True
    with pytest.raises(KafkaUnavailable, match="down"):
        _write(cluster, registry, "avro", topic, [DOCUMENT], schema=json.dumps(ORDER))


def test_refused_credentials_are_told_without_the_password(cluster: Kafka) -> None:
    registry = SchemaRegistry("reader", "s3cret-word")
    topic = new_topic(cluster)
    try:
        user = {"schema_registry_user": "reader", "schema": json.dumps(ORDER)}
        with pytest.raises(AuthenticationFailed, match="check schema_registry_user") as caught:
            _write(cluster, registry, "avro", topic, [DOCUMENT], **user, schema_registry_password="wr0ng-word")
        assert "wr0ng-word" not in str(caught.value)
        _write(cluster, registry, "avro", topic, [DOCUMENT], **user, schema_registry_password="s3cret-word")
        assert len(records(cluster, topic)) == 1
    finally:
        registry.close()


def test_a_flow_from_avro_to_protobuf_with_dead_letters(cluster: Kafka, registry: SchemaRegistry) -> None:
    source, sink, dead = new_topic(cluster), new_topic(cluster), new_topic(cluster)
    _write(cluster, registry, "avro", source, [DOCUMENT], schema=json.dumps(ORDER), key="k")
    produce(cluster, source, [b"junk"], key=b"k")
    registry.register(f"{sink}-value", _protobuf_file(), "PROTOBUF")
    kafka = {"type": "kafka", "bootstrap_servers": cluster.bootstrap}
    definition = (
        pipeline("avro-protobuf")
        .source("kafka", topics=source, stop_at_end=True, **_options(cluster, registry, "avro"))
        .stages([{"$project": {"_id": 0, "id": 1, "at": 1, "state": "PAID"}}])
        .sink("kafka", topic=sink, schema_message="shop.Order", **_options(cluster, registry, "protobuf"))
        .on_error(StreamingErrorPolicy.dead_letter({**kafka, "topic": dead}))
        .build()
    )
    run_main(definition.compile())
    (found,) = _read_all(cluster, registry, "protobuf", sink)
    assert (found["id"], found["at"], found["state"]) == (7, AT, "PAID")
    (letter,) = [json.loads(message.value()) for message in records(cluster, dead)]
    assert (letter["raw"], letter["errInfo"]["code"]) == ("anVuaw==", "decode")
    assert letter["_stream_meta"]["source"]["key"] == "k"


def test_every_problem_of_a_definition_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Problems()
    kafka = {"type": "kafka", "bootstrap_servers": "k:9092"}
    check_source({**kafka, "topics": "t", "format": "avro"}, Where.at("source"), problems)
    check_sink({**kafka, "topic": "t", "schema": "{}"}, Where.at("sink"), problems)
    monkeypatch.setitem(registry_module.PACKAGES, "avro", ("fastavro_that_is_missing",))
    check_source({**kafka, "topics": "t", "format": "avro", "schemaRegistryUrl": "http://r"}, Where(), problems)
    assert list(map(str, problems)) == [
        "source.schema_registry_url: required by format 'avro'",
        "sink.schema: is of no use for format 'json'; formats: avro, json_schema, protobuf",
        "format: 'avro' needs the package 'fastavro_that_is_missing', which is not installed; "
        "pip install 'fluxion-flow[kafka-registry]'",
    ]
    with pytest.raises(ImportError, match=r"pip install 'fluxion-flow\[kafka-registry\]'"):
        KafkaSource("t", bootstrap_servers="k:9092", format="avro", schema_registry_url="http://r")
