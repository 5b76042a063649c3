"""What streams a cluster offers: one for each topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.kafka.client import client_settings, cluster_metadata
from fluxion_connectors.kafka.options import CONNECTION_OPTIONS
from fluxion_flow.connect.registry import StreamInfo

_NAMES = {option.name for option in CONNECTION_OPTIONS} - {"connect_timeout"}


def discover_streams(options: Mapping[str, Any]) -> list[StreamInfo]:
    """The topics that the user may see, without Kafka's internal ones; ``offset`` is their cursor field."""
    settings = client_settings(**{name: value for name, value in options.items() if name in _NAMES})
    metadata = cluster_metadata(settings, options.get("connect_timeout", 10.0))
    names = sorted(name for name in metadata.topics if not name.startswith("__"))
    return [StreamInfo(name, cursor_fields=("offset",), sync_modes=("incremental",)) for name in names]
