"""Azure Event Hubs by its Kafka endpoint: ``{type: eventhubs, eventhub: orders, connection_string: "${EVENTHUBS}"}``.

An event hub is a topic, a namespace a cluster. A namespace is entered with a connection string (user
``$ConnectionString``, SASL PLAIN over TLS) or with a token of Microsoft Entra ID (``namespace`` and ``oauth_callback``,
or ``options`` with librdkafka's own ``sasl.oauthbearer.*``). Everything else is as in connector ``kafka``.

Source of the endpoint's form: Microsoft, "Azure Event Hubs for Apache Kafka ecosystems".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.eventhubs.endpoint import endpoint, parse_connection_string
from fluxion_connectors.kafka import SINK_OPTIONS, SOURCE_OPTIONS, KafkaSink, KafkaSource
from fluxion_connectors.kafka import check_sink as check_kafka_sink
from fluxion_connectors.kafka import check_source as check_kafka_source
from fluxion_connectors.kafka.discovery import discover_streams as discover_topics
from fluxion_connectors.kafka.options import CONNECTION_OPTIONS
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector, StreamInfo
from fluxion_flow.connect.secrets import Reference
from fluxion_flow.errors import Problems, Where

__all__ = ["connector", "endpoint", "make_sink", "make_source"]


def make_source(
    *,
    eventhub: str | None = None,
    connection_string: str | None = None,
    namespace: str | None = None,
    consumer_group: str | None = None,
    **options: Any,
) -> KafkaSource:
    """A :class:`~fluxion_connectors.kafka.KafkaSource` of an event hub."""
    found, settings = endpoint(connection_string, namespace, options)
    return KafkaSource(eventhub or found, group_id=consumer_group, **settings)


def make_sink(
    *,
    eventhub: str | None = None,
    connection_string: str | None = None,
    namespace: str | None = None,
    **options: Any,
) -> KafkaSink:
    """A :class:`~fluxion_connectors.kafka.KafkaSink` to an event hub."""
    found, settings = endpoint(connection_string, namespace, options)
    return KafkaSink(eventhub or found, **settings)


def discover_streams(options: Mapping[str, Any]) -> list[StreamInfo]:
    """The event hubs of the namespace."""
    rest = {name: value for name, value in options.items() if name not in ("connection_string", "namespace")}
    _, settings = endpoint(options.get("connection_string"), options.get("namespace"), rest)
    return discover_topics(settings)


def _check(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    given, namespace = options["connection_string"], options["namespace"]
    if (given is None) == (namespace is None):
        problems.add(where / "connection_string", "give a connection_string, or a namespace, one of the two")
    hub = None
    if isinstance(given, str) and "${" not in given:
        try:
            hub = parse_connection_string(given).get("EntityPath")
        except ValueError as error:
            problems.add(where / "connection_string", str(error), "copy it from the namespace's shared access policies")
            return
    if namespace is not None and options["oauth_callback"] is None and not _signs_in(options["options"]):
        problems.add(
            where / "oauth_callback",
            "a namespace needs it",
            "or set sasl.oauthbearer.* in options, or connection_string",
        )
    if options["eventhub"] is None and hub is None and not _may_name_it(given):
        problems.add(where / "eventhub", "required where the connection string has no EntityPath")


def _may_name_it(connection_string: Any) -> bool:
    """Whether it is known only when the pipeline runs."""
    return isinstance(connection_string, Reference) or (
        isinstance(connection_string, str) and "${" in connection_string
    )


def _signs_in(options: Any) -> bool:
    return isinstance(options, Mapping) and any(str(name).startswith("sasl.oauthbearer.") for name in options)


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    _check(options, where, problems)
    check_kafka_source({**options, "topics": options["eventhub"] or "event-hub", "topic": None}, where, problems)


def _check_sink(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    _check(options, where, problems)
    check_kafka_sink({**options, "topic": options["eventhub"] or "event-hub"}, where, problems)


_OWN = (
    Option("connection_string", "string", "The namespace's or event hub's connection string.", None, secret=True),
    Option("namespace", "string", "The namespace's host, such as 'orders.servicebus.windows.net', for OAuth.", None),
)
_KEPT = ("oauth_callback", "client_id", "connect_timeout", "options")
_CONNECTION = (
    *(option for option in CONNECTION_OPTIONS if option.name in _KEPT),
    Option(
        "bootstrap_servers", "string", "Another address of the Kafka endpoint than port 9093 of the namespace.", None
    ),
    Option(
        "security_protocol",
        "string",
        "SASL_SSL, unless an emulator has no TLS.",
        "SASL_SSL",
        choices=("SASL_SSL", "SASL_PLAINTEXT"),
    ),
)

connector = Connector(
    type="eventhubs",
    title="Azure Event Hubs",
    doc=__doc__,
    source=make_source,
    sink=make_sink,
    source_options=(
        Option("eventhub", "string", "The event hub; unset: the connection string's EntityPath.", None),
        *_OWN,
        Option("consumer_group", "string", "The consumer group whose offsets are committed.", None),
        *(option for option in SOURCE_OPTIONS if option.name not in ("topics", "topic", "group_id")),
        *_CONNECTION,
    ),
    sink_options=(
        Option("eventhub", "expression", "The event hub, or an expression that gives it; unset: the EntityPath.", None),
        *_OWN,
        *(option for option in SINK_OPTIONS if option.name != "topic"),
        *_CONNECTION,
    ),
    check_source=_check_source,
    check_sink=_check_sink,
    discover_streams=discover_streams,
)
