"""A connector for these tests, and an environment without anybody's settings."""

import os

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource

from fluxion_flow.connect import registry
from fluxion_flow.connect.options import Option

BROKER_OPTIONS = (
    Option("topic", "string", "The topic."),
    Option("bootstrap_servers", "string", "Where the brokers are.", ""),
    Option("password", "string", "The password.", None, secret=True),
    Option("headers", "object", "Headers, which may hold a token.", None, secret=True),
    Option("max_wait", "duration", "How long a read may wait.", 1),
    Option("tags", "list", "Tags.", None, items="string"),
    Option("filter", "any", "Anything.", None),
)


@pytest.fixture(autouse=True)
def broker(monkeypatch):
    connector = registry.Connector(
        "broker",
        "A broker",
        source=lambda **options: MemorySource([]),
        sink=lambda **options: MemorySink("broker"),
        source_options=BROKER_OPTIONS,
        sink_options=BROKER_OPTIONS,
    )
    monkeypatch.setitem(registry._registered, "broker", connector)
    return connector


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("FLUXION_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
