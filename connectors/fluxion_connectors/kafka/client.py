"""Clients of a cluster: their librdkafka settings, what they report in the background, and metadata.

Errors that no call returns (no broker left, credentials refused) arrive in a callback while a client is polled.
:class:`Watch` keeps them until somebody asks.
"""

from __future__ import annotations

import importlib
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from fluxion_connectors.kafka.failures import KafkaUnavailable, failure, is_authentication, is_of_partition
from fluxion_flow.connect.secrets import register_secret

_log = logging.getLogger(__name__)

SILENT = 0
"""librdkafka's own log is not shown, because what fails is raised; ``options: {log_level: 6}`` shows it."""

PATIENCE = 0.3
"""Seconds between two looks at what a client reports in the background while it connects."""

_NAMED_PARTITION = re.compile(r"(\S+) \[(\d+)\]: ")
_SECRET = re.compile(r"password|secret|key\.pem|jaas|oauthbearer\.config")


def client_settings(
    *,
    bootstrap_servers: str,
    security_protocol: str | None = None,
    sasl_mechanism: str | None = None,
    sasl_username: str | None = None,
    sasl_password: str | None = None,
    oauth_callback: Callable[[], tuple[str, float]] | str | None = None,
    ssl_ca_location: str | None = None,
    ssl_certificate_location: str | None = None,
    ssl_key_location: str | None = None,
    ssl_key_password: str | None = None,
    client_id: str = "fluxion-flow",
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """librdkafka's settings for these options of the connector; those in ``options`` come last.

    ``oauth_callback`` (or ``"module:function"``) answers a token and the time in seconds when it expires.
    """
    named = {
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        "security.protocol": security_protocol,
        "sasl.mechanism": sasl_mechanism,
        "sasl.username": sasl_username,
        "sasl.password": sasl_password,
        "ssl.ca.location": ssl_ca_location,
        "ssl.certificate.location": ssl_certificate_location,
        "ssl.key.location": ssl_key_location,
        "ssl.key.password": ssl_key_password,
    }
    settings: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    if oauth_callback is not None:
        settings["oauth_cb"] = _token_source(oauth_callback)
    settings.update(options or {})
    for name, value in settings.items():
        if isinstance(value, str) and _SECRET.search(name):
            register_secret(value)
    return settings


def _token_source(given: Callable[[], tuple[str, float]] | str) -> Callable[[str], tuple[str, float]]:
    def token(_: str) -> tuple[str, float]:
        found: Any = given
        if isinstance(given, str):
            module, _, name = given.partition(":")
            found = getattr(importlib.import_module(module), name)
        text, expires = found()
        register_secret(text)
        return text, expires

    return token


class Watch:
    """What a client reported in the background. Its :meth:`told` is the client's ``error_cb``."""

    def __init__(self) -> None:
        self.fatal: KafkaError | None = None
        """Why the credentials were refused: nothing will work."""
        self.down: KafkaError | None = None
        """Why no broker was reachable the last time that was noticed."""
        self.of_partition: dict[tuple[str, int], KafkaError] = {}
        """What is wrong with single partitions. The client says it in its text only: ``orders [3]: topic does …``."""

    def told(self, error: KafkaError) -> None:
        if is_authentication(error):
            self.fatal = error
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.down = error
        elif is_of_partition(error) and (named := _NAMED_PARTITION.match(error.str())):
            self.of_partition[named[1], int(named[2])] = error
        else:
            _log.debug("kafka: %s", error)

    def raise_if_refused(self, doing: str) -> None:
        """Raises :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed`."""
        if self.fatal is not None:
            raise failure(self.fatal, doing)


def quiet(settings: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Settings for one client, with its log in Python's and its errors told to ``watch``."""
    return {"error_cb": watch.told, "logger": _log, "log_level": SILENT, **settings}


def cluster_metadata(settings: Mapping[str, Any], timeout: float) -> ClusterMetadata:
    """The topics and partitions of a cluster, tried for ``timeout`` seconds while no broker answers.

    Raises :class:`~fluxion_connectors.kafka.failures.KafkaUnavailable`, and
    :class:`~fluxion_connectors.kafka.failures.AuthenticationFailed` at once.
    """
    watch = Watch()
    admin = AdminClient(quiet(settings, watch))
    servers = settings["bootstrap.servers"]
    deadline = time.monotonic() + timeout
    told = False
    while True:
        admin.poll(0)
        watch.raise_if_refused(f"connecting to {servers}")
        left = deadline - time.monotonic()
        try:
            return admin.list_topics(timeout=min(PATIENCE, max(left, 0.1)))
        except KafkaException as error:
            admin.poll(0)
            watch.raise_if_refused(f"connecting to {servers}")
            problem = failure(error, f"connecting to {servers}")
            if not isinstance(problem, KafkaUnavailable) or time.monotonic() >= deadline:
                raise problem from None
            if not told:
                _log.warning("kafka: no broker answers at %s; trying for %g seconds", servers, timeout)
                told = True
            time.sleep(0.1)
