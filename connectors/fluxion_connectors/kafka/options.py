"""The options that every kafka client takes, and what is wrong with those meant for librdkafka itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer

from fluxion_connectors.kafka.registry import EXTRA, FORMATS, Registry, why_unavailable
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.secrets import Reference
from fluxion_flow.errors import Problems, Where, did_you_mean

CONNECTION_OPTIONS = (
    Option("bootstrap_servers", "string", "Addresses of brokers, comma-separated: 'kafka-1:9092,kafka-2:9092'."),
    Option(
        "security_protocol",
        "string",
        "How to connect.",
        None,
        choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ),
    Option("sasl_mechanism", "string", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.", None),
    Option("sasl_username", "string", "The user, for PLAIN and SCRAM.", None),
    Option("sasl_password", "string", "The password, for PLAIN and SCRAM.", None, secret=True),
    Option(
        "oauth_callback",
        "any",
        "For OAUTHBEARER: a function, or 'module:function', that answers a token and when it expires (epoch seconds).",
        None,
    ),
    Option("ssl_ca_location", "string", "A file with the certificates to trust.", None),
    Option("ssl_certificate_location", "string", "A file with the client's certificate.", None),
    Option("ssl_key_location", "string", "A file with the client's private key.", None),
    Option("ssl_key_password", "string", "The private key's password.", None, secret=True),
    Option("client_id", "string", "The name that the brokers' logs and quotas know the client by.", "fluxion-flow"),
    Option("connect_timeout", "duration", "How long to try at the start while no broker answers.", 60.0),
    Option("options", "object", "Any further settings of librdkafka, by their own names.", {}),
)

REGISTRY_OPTIONS = (
    Option("schema_registry_url", "string", "The schema registry, for avro, json_schema and protobuf.", None),
    Option("schema_registry_user", "string", "The user, or API key, of the registry.", None),
    Option("schema_registry_password", "string", "The password, or API secret, of the registry.", None, secret=True),
    Option(
        "schema_registry_options",
        "object",
        "Further settings of Confluent's registry client, by their own names: ssl.ca.location, bearer.auth.…",
        {},
        secret=True,
    ),
)


def schema_registry(format: str, options: Mapping[str, Any]) -> tuple[Registry | None, dict[str, Any]]:
    """The registry for a format that needs one, and the options without it."""
    rest = dict(options)
    given = {option.name: rest.pop(option.name, None) for option in REGISTRY_OPTIONS}
    url, user, password, more = given.values()
    if format not in FORMATS:
        return None, rest
    if url is None:
        raise ValueError(f"format {format!r} needs schema_registry_url")
    return Registry(url, user, password, more or {}), rest


def check_registry(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    """What is missing for a format whose schemas are in a registry."""
    format = options["format"]
    if format not in FORMATS:
        for name in ("schema_registry_url", "schema", "schema_message"):
            if options.get(name) is not None:
                problems.add(where / name, f"is of no use for format {format!r}", f"formats: {', '.join(FORMATS)}")
        return
    missing = why_unavailable(format)
    if missing is not None:
        problems.add(where / "format", f"{format!r} needs the package {missing!r}, which is not installed", EXTRA)
    if options["schema_registry_url"] is None:
        problems.add(where / "schema_registry_url", f"required by format {format!r}")


_OURS = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "group.id": "group_id",
    "auto.offset.reset": "auto_offset_reset",
    "isolation.level": "isolation_level",
    "transactional.id": "transactional_id",
    "transaction.timeout.ms": "transaction_timeout",
    "message.timeout.ms": "delivery_timeout",
    "delivery.timeout.ms": "delivery_timeout",
    "sasl.password": "sasl_password",
    "ssl.key.password": "ssl_key_password",
    "acks": "acks",
    "request.required.acks": "acks",
    "enable.idempotence": "idempotence",
    "compression.type": "compression",
    "compression.codec": "compression",
    "partitioner": "partitioner",
}
"""Settings that have an option of the connector."""

_FIXED = {
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "delivery.report.only.error",
    "allow.auto.create.topics",
}
"""Settings that the connector's guarantees hang on."""

_COMMON = (
    "fetch.min.bytes",
    "fetch.max.bytes",
    "fetch.wait.max.ms",
    "max.partition.fetch.bytes",
    "fetch.message.max.bytes",
    "queued.min.messages",
    "queued.max.messages.kbytes",
    "fetch.queue.backoff.ms",
    "fetch.error.backoff.ms",
    "check.crcs",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "client.rack",
    "group.instance.id",
    "message.max.bytes",
    "receive.message.max.bytes",
    "message.copy.max.bytes",
    "max.in.flight",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.ms",
    "batch.size",
    "batch.num.messages",
    "linger.ms",
    "retries",
    "message.send.max.retries",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "compression.level",
    "sticky.partitioning.linger.ms",
    "request.timeout.ms",
    "socket.timeout.ms",
    "socket.keepalive.enable",
    "socket.nagle.disable",
    "socket.connection.setup.timeout.ms",
    "connections.max.idle.ms",
    "reconnect.backoff.ms",
    "reconnect.backoff.max.ms",
    "metadata.max.age.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.propagation.max.ms",
    "topic.blacklist",
    "broker.address.family",
    "broker.address.ttl",
    "statistics.interval.ms",
    "debug",
    "log_level",
    "client.dns.lookup",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.kerberos.service.name",
    "sasl.kerberos.principal",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.token.endpoint.url",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.key.location",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "ssl.providers",
)
"""Names for hints; librdkafka itself decides what exists."""


def check_librdkafka(given: Mapping[str, Any], consumer: bool, where: Where, problems: Problems) -> None:
    """Add a problem for each setting that librdkafka does not know or take. Opens no connection."""
    for name, value in given.items():
        own = _OURS.get(name)
        if own is not None:
            problems.add(where / name, "has an option of the connector", f"use {own}")
        elif name in _FIXED:
            problems.add(where / name, "is set by the connector", "leave it out")
        elif isinstance(value, Reference):
            continue
        elif isinstance(value, (dict, list)):
            problems.add(where / name, "must be a string, a number or a boolean")
        else:
            _try(name, value, consumer, where / name, problems)


def _try(name: str, value: Any, consumer: bool, where: Where, problems: Problems) -> None:
    settings = {"log_level": 0, name: value}
    try:
        if consumer:
            Consumer({"group.id": "check", **settings}).close()
        else:
            Producer(settings)
    except KafkaException as error:
        text = error.args[0].str()
        if text.startswith("No such configuration property"):
            problems.add(where, "unknown librdkafka option", did_you_mean(name, [*_COMMON, *_OURS]))
        elif text.startswith(("Invalid value", "Configuration property")):
            problems.add(where, "librdkafka does not take this value", text.partition("; ")[0])
    except (TypeError, ValueError) as error:
        problems.add(where, "librdkafka does not take this value", str(error))
