"""Protocol Buffers messages whose schemas are in a registry, as documents.

======================================  ==================================================
a field of type                         is
======================================  ==================================================
integers, floats, bool, string          a number, a boolean, a text
bytes                                   bytes
an enum                                 its value's name, or its number where it has none
a message, a map                        a document
``google.protobuf.Timestamp``           a date
``google.protobuf.Duration``            a text such as ``"1.5s"``
a wrapper (``Int64Value``, …)           its value, or null
``Struct``, ``Value``, ``ListValue``    what they hold
======================================  ==================================================

Fields without presence stand in the document with their default, fields with presence only where they are set. The
registry answers a schema as a serialized ``FileDescriptorProto``, so that no compiler is needed here.
"""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.schema_registry.serde import SchemaId
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor

from fluxion_connectors.kafka.registry import jsonable
from fluxion_flow.connect.spi import Document

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_KNOWN = ("any", "api", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "type", "wrappers")
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class Messages:
    """Message classes made of a registry's schemas."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._by_id: dict[tuple[Any, tuple[int, ...]], Any] = {}

    def decode(self, raw: bytes, topic: str) -> Document:
        """The document of a framed value."""
        schema_id = SchemaId("PROTOBUF")
        payload = schema_id.from_bytes(io.BytesIO(raw))
        path = tuple(schema_id.message_indexes or (0,))
        key = schema_id.id if schema_id.guid is None else str(schema_id.guid), path
        if key not in self._by_id:
            if schema_id.guid is None:
                schema = self._client.get_schema(schema_id.id, fmt="serialized")
            else:
                schema = self._client.get_schema_by_guid(str(schema_id.guid), fmt="serialized")
            self._by_id[key] = self._class_at(schema, path)
        message = self._by_id[key]()
        message.ParseFromString(payload.read())
        return document_of(message)

    def encoder(
        self, schema: str | None, name: str | None, conf: Mapping[str, Any]
    ) -> Callable[[Document, str], bytes | None]:
        """What makes framed values: with a generated class, or with the newest version of each topic's subject."""
        serializers: dict[str, tuple[Any, Any]] = {}

        def encode(document: Document, topic: str) -> bytes | None:
            if topic not in serializers:
                made = self._newest(f"{topic}-value", name) if schema is None else _generated(schema)
                serializers[topic] = made, ProtobufSerializer(made, self._client, dict(conf))
            made, serializer = serializers[topic]
            message = json_format.ParseDict(jsonable(document), made())
            value: bytes | None = serializer(message, SerializationContext(topic, MessageField.VALUE))
            return value

        return encode

    def _newest(self, subject: str, name: str | None) -> Any:
        schema = self._client.get_latest_version(subject, fmt="serialized").schema
        file = self._file(schema)
        if name is None:
            return message_factory.GetMessageClass(next(iter(file.message_types_by_name.values())))
        return message_factory.GetMessageClass(file.pool.FindMessageTypeByName(name))

    def _class_at(self, schema: Any, path: tuple[int, ...]) -> Any:
        """The class of the message that stands at these indexes, level by level."""
        file = self._file(schema)
        try:
            found = list(file.message_types_by_name.values())[path[0]]
            for index in path[1:]:
                found = found.nested_types[index]
        except IndexError:
            raise ValueError(f"its schema has no message at {list(path)}") from None
        return message_factory.GetMessageClass(found)

    def _file(self, schema: Any) -> Any:
        pool = descriptor_pool.DescriptorPool()
        return self._add(pool, schema, "value.proto")

    def _add(self, pool: Any, schema: Any, name: str) -> Any:
        proto = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(schema.schema_str, validate=True))
        proto.name = name
        for reference in schema.references or ():
            version = self._client.get_version(reference.subject, reference.version, fmt="serialized")
            if not _has(pool, reference.name):
                self._add(pool, version.schema, reference.name)
        for dependency in proto.dependency:
            if not _has(pool, dependency):
                _add_known(pool, dependency)
        pool.Add(proto)
        return pool.FindFileByName(name)


def _has(pool: Any, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True


def _add_known(pool: Any, name: str) -> None:
    """Add a file that comes with Protocol Buffers, or with Confluent's client (``confluent/meta.proto``)."""
    stem = name.removesuffix(".proto").rpartition("/")[2]
    modules = [f"google.protobuf.{stem}_pb2"] if stem in _KNOWN else []
    modules += [name.removesuffix(".proto").replace("/", ".") + "_pb2"]
    modules += [f"confluent_kafka.schema_registry.{modules[-1]}"]
    for module in modules:
        try:
            file = importlib.import_module(module).DESCRIPTOR
        except ImportError:
            continue
        for dependency in file.dependencies:
            if not _has(pool, dependency.name):
                _add_known(pool, dependency.name)
        pool.AddSerializedFile(file.serialized_pb)
        return
    raise ValueError(f"its schema imports {name!r}, which the registry does not refer to")


def _generated(given: str) -> Any:
    module, _, name = given.partition(":")
    return getattr(importlib.import_module(module), name)


# ---------------------------------------------------------------------------------------------------------- documents


def document_of(message: Any) -> Document:
    """A message's fields by name."""
    document: Document = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            if field.message_type is not None and field.message_type.full_name in _WRAPPERS:
                document[field.name] = None
            continue
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            item = field.message_type.fields_by_name["value"]
            document[field.name] = {_map_key(key): _value(item, value[key]) for key in value}
        elif _is_repeated(field):
            document[field.name] = [_value(field, each) for each in value]
        else:
            document[field.name] = _value(field, value)
    return document


def _is_repeated(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)  # newer than the label
    return bool(field.label == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated)


def _map_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return value if known is None else known.name
    if field.message_type is None:
        return value
    name = field.message_type.full_name
    if name == "google.protobuf.Timestamp":
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    if name in _WRAPPERS:
        return value.value
    if name.startswith("google.protobuf."):
        return json_format.MessageToDict(value)
    return document_of(value)
