"""The Kafka endpoint of an Event Hubs namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

PORT = 9093


def parse_connection_string(text: str) -> dict[str, str]:
    """The parts of ``Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…[;EntityPath=…]``.

    Raises :class:`ValueError` that says what is missing; it never shows a part.
    """
    parts = dict(part.split("=", 1) for part in text.strip().split(";") if "=" in part)
    if "SharedAccessSignature" not in parts:
        for name in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey"):
            if not parts.get(name):
                raise ValueError(f"is no Event Hubs connection string: it has no {name}")
    if not urlsplit(parts.get("Endpoint", "")).hostname:
        raise ValueError("is no Event Hubs connection string: its Endpoint has no host")
    return parts


def endpoint(
    connection_string: str | None, namespace: str | None, options: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The event hub that the connection string names, and the options of connector ``kafka``.

    Raises :class:`ValueError` for what is no connection string.
    """
    settings = {name: value for name, value in options.items() if value is not None}
    settings.setdefault("security_protocol", "SASL_SSL")
    if connection_string is not None:
        parts = parse_connection_string(connection_string)
        host = urlsplit(parts["Endpoint"]).hostname
        settings.update(sasl_mechanism="PLAIN", sasl_username="$ConnectionString", sasl_password=connection_string)
        hub = parts.get("EntityPath")
    elif namespace is not None:
        host = namespace if "." in namespace else f"{namespace}.servicebus.windows.net"
        settings["sasl_mechanism"] = "OAUTHBEARER"
        hub = None
    else:
        raise ValueError("give a connection_string or a namespace")
    settings.setdefault("bootstrap_servers", f"{host}:{PORT}")
    return hub, settings
