"""The eventhubs connector: connection strings, and Apache Kafka with the user ``$ConnectionString`` in its place."""

from __future__ import annotations

import os
from typing import Any

import pytest
from fluxion_connectors.eventhubs import connector, endpoint
from servers.kafka import CONNECTION_STRING, RealKafka, new_topic, records

from fluxion_flow.connect.registry import check_source, open_sink, open_source
from fluxion_flow.connect.spi import Batch
from fluxion_flow.errors import PipelineError, Problems, Where
from fluxion_flow.testing.connector_contract import ConnectorContract, read_all


class TestEventHubsConnector(ConnectorContract):
    type = "eventhubs"
    sources = (
        {"eventhub": "orders", "connection_string": CONNECTION_STRING, "consumer_group": "$Default"},
        {"connection_string": f"{CONNECTION_STRING};EntityPath=orders"},
        {"eventhub": "orders", "namespace": "shop", "oauth_callback": "shop.azure:token"},
    )
    sinks = (
        {"eventhub": "orders", "connection_string": "${EVENTHUBS:-" + CONNECTION_STRING + "}", "key": "$id"},
        {"eventhub": "$kind", "namespace": "shop", "options": {"sasl.oauthbearer.method": "oidc"}},
    )


def test_a_connection_string_is_the_kafka_endpoint_and_its_password() -> None:
    hub, settings = endpoint(
        "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=a=b=", None, {}
    )
    assert hub is None
    assert settings == {
        "bootstrap_servers": "shop.servicebus.windows.net:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "$ConnectionString",
        "sasl_password": "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=a=b=",
    }


def test_a_namespace_signs_in_by_token() -> None:
    _, settings = endpoint(None, "shop", {"oauth_callback": "shop.azure:token"})
    assert settings == {
        "bootstrap_servers": "shop.servicebus.windows.net:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "OAUTHBEARER",
        "oauth_callback": "shop.azure:token",
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"eventhub": "o"}, ["source.connection_string: give a connection_string, or a namespace, one of the two"]),
        (
            {"connection_string": CONNECTION_STRING},
            ["source.eventhub: required where the connection string has no EntityPath"],
        ),
        (
            {"eventhub": "o", "connection_string": "Endpoint=sb://shop/;SharedAccessKey=hidden"},
            [
                "source.connection_string: is no Event Hubs connection string: it has no SharedAccessKeyName; "
                "copy it from the namespace's shared access policies"
            ],
        ),
        (
            {"eventhub": "o", "namespace": "shop"},
            ["source.oauth_callback: a namespace needs it; or set sasl.oauthbearer.* in options, or connection_string"],
        ),
    ],
)
def test_what_is_wrong_with_a_definition_is_told(spec: dict[str, Any], expected: list[str]) -> None:
    problems = Problems()
    check_source({"type": "eventhubs", **spec}, Where.at("source"), problems)
    assert list(map(str, problems)) == expected


def test_documents_go_to_a_hub_and_come_back(real_cluster: RealKafka) -> None:
    hub = new_topic(real_cluster)
    own = {
        "type": "eventhubs",
        "connection_string": f"{CONNECTION_STRING};EntityPath={hub}",
        "bootstrap_servers": real_cluster.sasl,
        "security_protocol": "SASL_PLAINTEXT",
    }
    own["connection_string"], own["eventhub"] = CONNECTION_STRING, hub
    writer = open_sink({**own, "key": "k"}).open("0", None)
    writer.write(Batch([{"n": 1}, {"n": 2}], "p"))
    writer.flush()
    writer.close()
    assert [message.key() for message in records(real_cluster, hub)] == [b"k", b"k"]
    source = open_source({**own, "consumer_group": "$Default", "stop_at_end": True})
    assert source.partitions() == [f"{hub}/00000"]
    reader = source.open(f"{hub}/00000", None)
    assert read_all(reader) == [{"n": 1}, {"n": 2}]
    reader.close()
    assert connector.discover_streams is not None
    assert hub in [stream.name for stream in connector.discover_streams(own)]


def test_the_connection_string_is_never_shown() -> None:
    with pytest.raises(PipelineError) as caught:
        open_source({"type": "eventhubs", "eventhub": "o", "connection_string": "Endpoint=x;SharedAccessKey=hidden"})
    assert "hidden" not in str(caught.value)
    assert os.environ.get("EVENTHUBS") is None
