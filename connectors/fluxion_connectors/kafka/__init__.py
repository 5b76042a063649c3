"""Kafka topics: ``{type: kafka, topics: orders, bootstrap_servers: "kafka:9092"}`` as a source,
``{type: kafka, topic: orders, key: $customerId, ...}`` as a sink.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.kafka.discovery import discover_streams
from fluxion_connectors.kafka.failures import (
    AuthenticationFailed,
    Fenced,
    KafkaFailure,
    KafkaUnavailable,
    NotAuthorized,
    PositionLost,
    UnknownTopic,
)
from fluxion_connectors.kafka.options import CONNECTION_OPTIONS, REGISTRY_OPTIONS, check_librdkafka, check_registry
from fluxion_connectors.kafka.positions import parse_start
from fluxion_connectors.kafka.registry import FORMATS
from fluxion_connectors.kafka.sink import KafkaSink, KafkaWriter
from fluxion_connectors.kafka.source import KafkaReader, KafkaSource
from fluxion_connectors.kafka.stored import KafkaStored
from fluxion_connectors.kafka.transactions import TransactionalWriter
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.secrets import Reference, holds_reference
from fluxion_flow.errors import Problems, Where

__all__ = [
    "SINK_OPTIONS",
    "SOURCE_OPTIONS",
    "AuthenticationFailed",
    "Fenced",
    "KafkaFailure",
    "KafkaReader",
    "KafkaSink",
    "KafkaSource",
    "KafkaUnavailable",
    "KafkaWriter",
    "NotAuthorized",
    "PositionLost",
    "TransactionalWriter",
    "UnknownTopic",
    "check_sink",
    "check_source",
    "connector",
]


def check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    """Problems that one option alone does not show."""
    if (options["topics"] is None) == (options["topic"] is None):
        problems.add(where / "topics", "give topics, or topic, one of the two")
    topics = options["topics"]
    names = topics if isinstance(topics, list) else [topics]
    if topics is not None and (not names or not all(isinstance(name, (str, Reference)) for name in names)):
        problems.add(where / "topics", "must be a topic, a list of topics, or a pattern such as '^orders-.*'")
    if not holds_reference(options["start"]):
        try:
            parse_start(options["start"])
        except ValueError as error:
            problems.add(where / "start", str(error))
    check_registry(options, where, problems)
    if isinstance(options["options"], Mapping):
        check_librdkafka(options["options"], True, where / "options", problems)


def check_sink(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    """Problems that one option alone does not show."""
    if isinstance(options["topic"], (bool, int, float, list)) or options["topic"] == "":
        problems.add(where / "topic", "must be a topic, or an expression that gives one")
    if options["dead_letters"] == "record":
        for name in ("key", "value", "headers", "timestamp", "tombstone_field"):
            if options[name] is not None:
                problems.add(where / name, "is the failed record's own with dead_letters: record", "leave it out")
    if isinstance(options["headers"], (bool, int, float)):
        problems.add(where / "headers", "must be names with an expression each, or an expression that gives them")
    if options["idempotence"] is True and str(options["acks"]) not in ("all", "-1"):
        problems.add(where / "acks", "idempotence needs acks: all", "set idempotence: false, or leave acks out")
    if options["transactional_id"] is not None and options["idempotence"] is False:
        problems.add(where / "idempotence", "transactions need it", "leave it out")
    if options["transactional_id"] is None and options["cursor_topic"] is not None:
        problems.add(where / "cursor_topic", "is for transactions", "set transactional_id too")
    check_registry(options, where, problems)
    if isinstance(options["options"], Mapping):
        check_librdkafka(options["options"], False, where / "options", problems)


_EXTENDED_JSON = "Read and write MongoDB Extended JSON ({$date: ...}), which keeps dates, decimals and binary values."
_FORMAT = (
    "What a record's value holds: a JSON object, text or bytes (as the field 'value'), or what a schema in a schema "
    "registry describes."
)

SOURCE_OPTIONS = (
    Option("topics", "any", "A topic, a list of topics, or a pattern that begins with '^'.", None),
    Option("topic", "string", "One topic; the same as topics.", None),
    Option("group_id", "string", "The consumer group whose offsets are committed when documents are durable.", None),
    Option(
        "auto_offset_reset",
        "string",
        "Where to begin without a position (earliest if unset), and to go on when the position is gone (an error if "
        "unset).",
        None,
        choices=("earliest", "latest"),
    ),
    Option(
        "start",
        "any",
        "Where a run without a checkpoint begins: earliest, latest, {timestamp: ...}, or offsets {orders/3: 1200}. "
        "Unset: at the group's offsets.",
        None,
    ),
    Option("stop_at_end", "boolean", "Complete at the ends that the partitions have at the start.", False),
    Option("format", "string", _FORMAT, "json", choices=("json", "string", "bytes", *FORMATS)),
    Option("extended_json", "boolean", _EXTENDED_JSON, False),
    Option(
        "tombstones",
        "string",
        "Records without a value: a document {_key, _deleted: true}, passed over, or rejected.",
        "document",
        choices=("document", "skip", "reject"),
    ),
    Option(
        "metadata_field",
        "string",
        "A field that gets the record's topic, partition, offset, key, headers and ts.",
        None,
    ),
    Option(
        "isolation_level",
        "string",
        "Whether records of open and aborted transactions are read.",
        "read_committed",
        choices=("read_committed", "read_uncommitted"),
    ),
    Option("watch_interval", "duration", "How often to look for new partitions and log them; 0: never.", 60.0),
    *REGISTRY_OPTIONS,
)
SINK_OPTIONS = (
    Option("topic", "expression", "The topic: a name, or an expression such as $topic."),
    Option("key", "expression", "The key: a constant, or an expression such as $customer.id.", None),
    Option("value", "expression", "The value: an expression. Unset: the document (json), or $value.", None),
    Option("headers", "expression", "Header names, each with an expression, or an expression that gives them.", None),
    Option(
        "timestamp",
        "expression",
        "The record's time: an expression that gives a date or milliseconds. Unset: now.",
        None,
    ),
    Option("format", "string", _FORMAT, "json", choices=("json", "string", "bytes", *FORMATS)),
    Option("extended_json", "boolean", _EXTENDED_JSON, False),
    Option("tombstone_field", "string", "Documents in which this field is true are written without a value.", None),
    Option(
        "partitioner",
        "string",
        "How a key chooses the partition. The default is the Java clients' way.",
        "murmur2_random",
        choices=("murmur2_random", "murmur2", "consistent_random", "consistent", "fnv1a_random", "fnv1a", "random"),
    ),
    Option(
        "compression", "string", "Of batches on the wire.", "none", choices=("none", "gzip", "snappy", "lz4", "zstd")
    ),
    Option("acks", "any", "Which replicas must have a record: all, 1 or 0.", "all", choices=("all", -1, 1, 0)),
    Option("idempotence", "boolean", "Retries of the client repeat nothing and keep the order.", True),
    Option("linger", "duration", "How long a record waits for others to share a request.", 0.005),
    Option("delivery_timeout", "duration", "How long a record may take to be confirmed.", 120.0, minimum=1),
    Option("transactional_id", "string", "Write documents and source cursors in transactions with this id.", None),
    Option("transaction_timeout", "duration", "After which the cluster aborts an open transaction.", 60.0, minimum=1),
    Option("cursor_topic", "string", "Where transactions store cursors. Unset: <transactional_id>.cursors.", None),
    Option(
        "dead_letters",
        "string",
        "For a sink of dead letters: write the letter, or the record that failed with Kafka Connect's headers.",
        "letter",
        choices=("letter", "record"),
    ),
    *REGISTRY_OPTIONS,
    Option(
        "schema",
        "string",
        "The values' schema (protobuf: 'module:Class' of a generated message). Unset: the subject's newest version.",
        None,
    ),
    Option("register_schema", "boolean", "Register the schema where the registry does not have it.", True),
    Option("schema_message", "string", "protobuf: the full name of the message in the newest version.", None),
)

connector = Connector(
    type="kafka",
    title="Kafka topics",
    doc=__doc__,
    source=KafkaSource,
    sink=KafkaSink,
    source_options=(*SOURCE_OPTIONS, *CONNECTION_OPTIONS),
    sink_options=(*SINK_OPTIONS, *CONNECTION_OPTIONS),
    check_source=check_source,
    check_sink=check_sink,
    discover_streams=discover_streams,
    stored=KafkaStored,
)
