"""Values described in a schema registry: the formats ``avro``, ``json_schema`` and ``protobuf``.

Confluent's client does the work (extra ``kafka-registry``): each value begins with a zero byte and its schema's id in
four bytes, the schemas come from the registry once and are kept. The subject of a topic's values is ``<topic>-value``.

A value that its schema does not fit is wrong with the record: :class:`ValueError`. A registry that does not answer is
wrong with the world: :class:`~fluxion_connectors.kafka.failures.KafkaUnavailable`, which a policy may retry.

Sources: Confluent, "Formats, Serializers, and Deserializers"; Apache Avro, "Logical Types"; Protocol Buffers,
"ProtoJSON".
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec

from fluxion_connectors.kafka.failures import AuthenticationFailed, KafkaFailure, KafkaUnavailable
from fluxion_flow.connect.encoding import encode_document
from fluxion_flow.connect.spi import Document

EXTRA = "pip install 'fluxion-flow[kafka-registry]'"
PACKAGES = {"avro": ("fastavro",), "json_schema": ("jsonschema", "attrs"), "protobuf": ("google.protobuf",)}
"""What each format needs besides the client itself."""
FORMATS = tuple(PACKAGES)
CLIENT = ("confluent_kafka.schema_registry", "authlib", "cachetools")

Decode = Callable[[bytes, str], Document]
"""The document of a value, and the topic that the value came from. Raises :class:`ValueError`."""
Encode = Callable[[Document, str], "bytes | None"]
"""The value for a document, and the topic that it goes to. Raises :class:`ValueError`."""


@dataclass(frozen=True)
class Registry:
    """Where the schemas are. ``options`` holds further settings of Confluent's client, by their own names."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"url": self.url, "max.retries": 2, "retries.wait.ms": 200, "timeout": 10}
        if self.user is not None:
            settings["basic.auth.user.info"] = f"{self.user}:{self.password or ''}"
        return {**settings, **self.options}


@dataclass(frozen=True)
class Outgoing:
    """How a sink finds the schema of what it writes.

    ``schema`` is its text (for ``protobuf`` ``"module:Class"`` of a generated message); unset: the newest version of
    the subject. ``register``: register the schema where the registry does not have it. ``message`` names the message
    in a newest version of several.
    """

    schema: str | None = None
    register: bool = True
    message: str | None = None


def why_unavailable(format: str) -> str | None:
    """Which package a format lacks; ``None``: it can be used."""
    for package in (*CLIENT, *PACKAGES.get(format, ())):
        try:
            importlib.import_module(package)
        except ImportError as error:
            return (error.name or package).partition(".")[0]
    return None


def require(format: str) -> None:
    """Raises :class:`ImportError` that says what to install."""
    missing = why_unavailable(format)
    if missing is not None:
        raise ImportError(f"format {format!r} needs the package {missing!r}, which is not installed; {EXTRA}")


class _Lazy:
    """Makes the client at the first value, because no socket is opened before that."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def client(self) -> Any:
        with self._lock:
            if self._client is None:
                from confluent_kafka.schema_registry import SchemaRegistryClient

                self._client = SchemaRegistryClient(self._registry.settings())
            return self._client

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Tell what is wrong with a value from what is wrong with the registry."""
        from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

        transport = _transport_errors()
        try:
            yield
        except (ValueError, KafkaFailure, KafkaUnavailable):
            raise
        except SchemaRegistryError as error:
            raise self._refused(error.http_status_code, error.error_message) from None
        except OAuthTokenError as error:
            raise AuthenticationFailed(f"schema registry {self._registry.url}: {error.message}") from None
        except transport as error:
            text = str(error) or type(error).__name__
            raise KafkaUnavailable(f"schema registry {self._registry.url} does not answer: {text}") from None
        except Exception as error:  # whatever the codec makes of a value that does not fit its schema
            raise ValueError(_one_line(error)) from error

    def _refused(self, status: int, message: str) -> Exception:
        text = f"schema registry {self._registry.url}: {_short(message)} (HTTP status {status})"
        if status == 404:
            return ValueError(f"its schema is not in the registry: {_short(message)}")
        if status in (401, 403):
            return AuthenticationFailed(f"{text}; check schema_registry_user and schema_registry_password")
        if status == 429 or status >= 500:
            return KafkaUnavailable(text)
        return KafkaFailure(text)


def _transport_errors() -> tuple[type[BaseException], ...]:
    """The errors of the HTTP library that the client has under it: its name depends on the client's version."""
    found: list[type[BaseException]] = [OSError]
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name).TransportError)
        except ImportError:
            continue
    return tuple(found)


def decoder(format: str, registry: Registry) -> Decode:
    """What makes documents of a format's values. Raises :class:`ImportError`."""
    require(format)
    lazy = _Lazy(registry)
    made: Any = None

    def decode(raw: bytes, topic: str) -> Document:
        nonlocal made
        with lazy.asking():
            if made is None:
                made = _deserializer(format, lazy)
            value = made(raw, topic)
        if not isinstance(value, dict):
            raise ValueError(f"holds no record but a value of type {type(value).__name__}")
        return value

    return decode


def encoder(format: str, registry: Registry, outgoing: Outgoing) -> Encode:
    """What makes a format's values of documents. Raises :class:`ImportError`."""
    require(format)
    lazy = _Lazy(registry)
    made: Any = None

    def encode(document: Document, topic: str) -> bytes | None:
        nonlocal made
        with lazy.asking():
            if made is None:
                made = _serializer(format, lazy, outgoing)
            value: bytes | None = made(document, topic)
            return value

    return encode


def _context(topic: str) -> Any:
    from confluent_kafka.serialization import MessageField, SerializationContext

    return SerializationContext(topic, MessageField.VALUE)


def _deserializer(format: str, lazy: _Lazy) -> Callable[[bytes, str], Any]:
    if format == "protobuf":
        from fluxion_connectors.kafka.protobuf import Messages

        return Messages(lazy.client).decode
    if format == "avro":
        from confluent_kafka.schema_registry.avro import AvroDeserializer

        avro = AvroDeserializer(lazy.client)
        return lambda raw, topic: plain(avro(raw, _context(topic)))
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer

    json = JSONDeserializer(None, None, lazy.client)
    return lambda raw, topic: json(raw, _context(topic))


def _serializer(format: str, lazy: _Lazy, outgoing: Outgoing) -> Callable[[Document, str], Any]:
    given = outgoing.schema is not None
    conf = {"auto.register.schemas": given and outgoing.register, "use.latest.version": not given}
    if format == "protobuf":
        from fluxion_connectors.kafka.protobuf import Messages

        return Messages(lazy.client).encoder(outgoing.schema, outgoing.message, conf)
    if format == "avro":
        from confluent_kafka.schema_registry.avro import AvroSerializer

        avro = AvroSerializer(lazy.client, outgoing.schema, conf=conf)
        return lambda document, topic: avro(document, _context(topic))
    from confluent_kafka.schema_registry.json_schema import JSONSerializer

    json = JSONSerializer(outgoing.schema, lazy.client, conf=conf)
    return lambda document, topic: json(jsonable(document), _context(topic))


def jsonable(document: Document) -> Document:
    """A document with what JSON has no type for as text, as everywhere (:mod:`fluxion_flow.connect.encoding`)."""
    plain_document: Document = msgspec.json.decode(encode_document(document))
    return plain_document


def plain(value: Any) -> Any:
    """Avro's values as a document's: days and local times in UTC, times of day and UUIDs as text, lengths of time as
    milliseconds.
    """
    kind = value.__class__
    if kind is dict:
        return {key: plain(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [plain(item) for item in value]
    if kind is datetime:
        return value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
    if kind is date:
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if kind is time:
        return value.isoformat()
    if kind is UUID:
        return str(value)
    if kind is timedelta:
        return value / timedelta(milliseconds=1)
    return value


def _short(text: Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:297]}..."


def _one_line(error: BaseException) -> str:
    text = _short(error)
    return text if text else type(error).__name__
