"""Documents as JSON: decoding of records one by one, encoding of whole batches as JSON Lines.

Plain mode writes what any JSON reader takes; types that JSON has not become strings:

====================  ==================================================================
value                 written as
====================  ==================================================================
datetime              RFC 3339 text in UTC: ``"2024-05-01T10:00:00Z"``, with microseconds where they are not zero
Decimal               string with all its digits: ``"12.50"``
NaN, Infinity         ``"NaN"``, ``"Infinity"``, ``"-Infinity"`` (as Protocol Buffers' JSON mapping), never null
bytes                 base64 string
re.Pattern            the pattern as a string
====================  ==================================================================

Extended mode keeps the types: MongoDB Extended JSON v2, relaxed form (``{"$date": ...}``, ``{"$numberDecimal": ...}``,
``{"$numberDouble": "NaN"}``, ``{"$binary": ...}``, ``{"$regularExpression": ...}``). Read with ``extended=True``
the same values come back. Integers of any size are written and read exactly.

Source of the extended form: MongoDB's specification "MongoDB Extended JSON (v2)".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from fluxion_flow.connect.spi import Document, Reject
from fluxion_flow.core.extended_json import float_name, from_extended, to_extended
from fluxion_flow.core.rows import Rows

__all__ = [
    "decode_document",
    "decode_records",
    "encode_bare",
    "encode_document",
    "encode_lines",
    "encode_value",
    "from_extended",
    "to_extended",
]

# ---------------------------------------------------------------------------------------------------------- decoding

_decode_object: Callable[[bytes], Document] = msgspec.json.Decoder(dict).decode
_UNDECODABLE = (ValueError, msgspec.DecodeError, RecursionError)


def decode_document(record: bytes, extended: bool = False) -> Document:
    """The document that one JSON text holds; with ``extended``, Extended JSON values become Python's.

    Raises :class:`ValueError` with the reason when the text is not UTF-8, not JSON, or not an object.
    """
    try:
        document = _decode_object(record)
        return _from_extended_document(document) if extended and b'"$' in record else document
    except _UNDECODABLE as error:
        raise ValueError(_reason(error, record)) from None


def decode_records(
    records: Sequence[bytes], positions: Sequence[int], extended: bool = False
) -> tuple[list[Document], Sequence[int], list[Reject]]:
    """Documents and their positions, and the records that could not be decoded.

    ``positions`` holds the place of each record. Blank records are passed over. A record's line break is no part of
    its raw bytes in a reject.
    """
    try:
        documents = [_decode_object(record) for record in records]
        if extended:
            documents = [_from_extended_document(document) for document in documents]
        return documents, positions, []
    except _UNDECODABLE:
        pass
    documents, places, rejects = [], [], []
    for record, position in zip(records, positions, strict=True):
        if record.isspace() or not record:
            continue
        try:
            document = decode_document(record, extended)
        except ValueError as error:
            rejects.append(Reject(record.removesuffix(b"\n").removesuffix(b"\r"), position, str(error)))
        else:
            documents.append(document)
            places.append(position)
    return documents, places, rejects


_JSON_NOUNS = {
    "`array`": "an array",
    "`str`": "a string",
    "`int`": "a number",
    "`float`": "a number",
    "`bool`": "a boolean",
    "`null`": "null",
}


def _reason(error: Exception, record: bytes) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    try:
        record.decode()
    except UnicodeDecodeError as utf8_error:
        return f"is not valid UTF-8 (byte {utf8_error.start})"
    text = str(error).partition(" - at ")[0]
    if text.startswith("Expected `object`, got `"):
        return f"is not a JSON object but {_JSON_NOUNS.get(text.rpartition(' ')[2], 'another value')}"
    if isinstance(error, msgspec.DecodeError):
        return f"is not valid JSON: {text.removeprefix('JSON is malformed: ')}"
    return text


def _from_extended_document(document: Document) -> Document:
    return {key: from_extended(item) for key, item in document.items()}


# ---------------------------------------------------------------------------------------------------------- encoding


def _encode_unusual(value: Any) -> Any:
    if isinstance(value, re.Pattern):
        return value.pattern
    raise TypeError(f"it holds a value of type '{type(value).__name__}'")


_encoder = msgspec.json.Encoder(enc_hook=_encode_unusual)
_probe = msgspec.msgpack.Encoder(enc_hook=_encode_unusual)
_PROBED_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_UNENCODABLE = (TypeError, ValueError, RecursionError, OverflowError)


def encode_document(document: Document, extended: bool = False) -> bytes:
    """The JSON text of one document, without a line break.

    Raises :class:`ValueError` with the reason when it cannot be written.
    """
    try:
        if extended:
            return _encoder.encode(to_extended(document))
        text = _encoder.encode(document)
        return _encoder.encode(_with_named_floats(document)) if b"null" in text else text
    except _UNENCODABLE as error:
        raise ValueError(f"cannot be written as JSON: {_unencodable_reason(error)}") from None


def encode_value(value: Any, extended: bool = False) -> bytes:
    """The JSON text of any value, written as :func:`encode_document` writes it in a document.

    Raises :class:`ValueError` with the reason when it cannot be written.
    """
    return encode_document({"": value}, extended)[4:-1]


def encode_bare(value: Any) -> bytes:
    """Any value as a text of its own, in UTF-8: what JSON writes as a string stands without its quotes.

    Raises :class:`ValueError` with the reason when it cannot be written.
    """
    if value.__class__ is str:
        return str(value).encode()
    text = encode_value(value)
    return text[1:-1] if text.startswith(b'"') else text


def _unencodable_reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeEncodeError):
        return "a string in it is not valid Unicode (a lone surrogate)"
    return str(error)


def encode_lines(documents: Sequence[Document], extended: bool = False) -> tuple[bytes, dict[int, Exception]]:
    """The documents as JSON Lines, and why some could not be written: index in ``documents`` → error.

    A batch of plain JSON values costs one call of the encoder. :class:`Rows` are documents that stages only let
    through: in plain mode the JSON text of each is written as it came.
    """
    if documents.__class__ is Rows and not extended:
        return _as_they_came(documents), {}
    try:
        if extended:
            plain = [document if _only_json(document.values()) else to_extended(document) for document in documents]
            return _encoder.encode_lines(plain), {}
        text = _encoder.encode_lines(documents)
        if b"null" not in text or not _may_hold_not_finite(documents):
            return text, {}
    except _UNENCODABLE:
        pass
    lines: list[bytes] = []
    errors: dict[int, Exception] = {}
    for index, document in enumerate(documents):
        try:
            lines.append(encode_document(document, extended))
        except ValueError as error:
            errors[index] = error
    return b"".join(line + b"\n" for line in lines), errors


def _as_they_came(documents: Rows) -> bytes:
    """Records as lines, with nothing around the JSON text. One that holds line breaks is written anew."""
    text = b"".join(documents.records)
    if b"\r" not in text and text.count(b"\n") == len(documents.records) and text.endswith(b"\n"):
        return text
    bare = [record.strip(b" \t\r\n") for record in documents.records]
    one_line = all(b"\n" not in record and b"\r" not in record for record in bare)
    if not one_line:
        bare = [r if b"\n" not in r and b"\r" not in r else encode_document(decode_document(r)) for r in bare]
    return b"".join([record + b"\n" for record in bare])


def _only_json(values: Iterable[Any]) -> bool:
    """Whether all values, however deep, are what JSON has types for."""
    for value in values:
        kind = value.__class__
        if kind is str or kind is int:
            continue
        if kind is dict:
            if not _only_json(value.values()):
                return False
        elif kind is list:
            if not _only_json(value):
                return False
        elif kind is float:
            if value - value != 0.0:  # NaN and the infinities
                return False
        elif value is not None and kind is not bool:
            return False
    return True


def _may_hold_not_finite(documents: Sequence[Document]) -> bool:
    """Whether a NaN or an infinity may be among the values: false only when there is none.

    JSON writes both as null without a word; MessagePack keeps their bits, so a search in it finds them in native code.
    """
    try:
        return _PROBED_NOT_FINITE.search(_probe.encode(documents)) is not None
    except OverflowError:
        return True


def _with_named_floats(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _with_named_floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_named_floats(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return float_name(value)
    return value
