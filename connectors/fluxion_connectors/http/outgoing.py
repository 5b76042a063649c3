"""Documents as what requests hold: the body's text, and for requests of single documents their method, URL, headers and
idempotency key.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from fluxion_connectors.http.templates import fields_in, fill
from fluxion_flow.connect.encoding import encode_bare, encode_document, encode_value
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.http import is_header_name
from fluxion_flow.connect.spi import Batch

METHODS = ("POST", "PUT", "PATCH", "DELETE")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")

Errors = dict[int, Exception]
"""Why documents make no request, by their index in the batch."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is sent of one document. ``text`` is ``None`` for a request without a body."""

    index: int
    text: bytes | None
    key: str
    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """What makes which part of a request. Without ``value`` its body is the document, without ``key`` its key is a hash
    of the document's place in the source and of its text.
    """

    url: str
    method: Expression
    value: Expression | None = None
    headers: Expression | None = None
    key: Expression | None = None
    single: bool = False
    extended: bool = False

    def outgoing(self, batch: Batch) -> tuple[list[Outgoing], Errors]:
        """What is sent of the batch's documents, in their order, and why the others make no request."""
        errors: Errors = {}
        texts = self._texts(batch, errors)
        keys = document_keys(batch, texts) if self.key is None else self.key.converted(batch, _key, errors)
        methods = self.method.converted(batch, method_of, errors)
        headers = repeat({}, len(texts)) if self.headers is None else self.headers.converted(batch, _headers, errors)
        columns = zip(texts, keys, methods, self._urls(batch, errors), headers, strict=True)
        return [Outgoing(index, *parts) for index, parts in enumerate(columns) if index not in errors], errors

    def _texts(self, batch: Batch, errors: Errors) -> list[bytes | None]:
        if self.value is not None:
            return list(self.value.converted(batch, self._text, errors))
        texts: list[bytes | None] = []
        for index, document in enumerate(batch.documents):
            try:
                texts.append(encode_document(document, self.extended))
            except ValueError as error:
                errors[index] = error
                texts.append(None)
        return texts

    def _text(self, value: Any) -> bytes | None:
        if value is None and not self.single:
            raise ValueError("the value is null or missing, and one request holds the values of a batch")
        return None if value is None else encode_value(value, self.extended)

    def _urls(self, batch: Batch, errors: Errors) -> list[str]:
        if not fields_in(self.url):
            return [self.url] * len(batch.documents)
        urls = []
        for index, document in enumerate(batch.documents):
            try:
                urls.append(fill(self.url, document))
            except ValueError as error:
                errors.setdefault(index, error)
                urls.append("")
        return urls


def document_keys(batch: Batch, texts: Sequence[bytes | None]) -> list[str]:
    """An idempotency key for each document: a hash of its source partition and position, its text, and its number among
    the same texts from that position.
    """
    keys = []
    seen: Counter[tuple[int, bytes]] = Counter()
    for index, given in enumerate(texts):
        text = given or b""
        place = batch.positions[index] if len(batch.positions) else batch.position
        at = f"{batch.partition}\0{place}\0{seen[place, text]}\0"
        seen[place, text] += 1
        keys.append(hashlib.sha256(at.encode() + text).hexdigest())
    return keys


def method_of(value: Any) -> str:
    """A method. Raises :class:`ValueError` for none of :data:`METHODS`."""
    if not isinstance(value, str) or value not in METHODS:
        raise ValueError(f"the method must be one of {', '.join(METHODS)}, got {value!r}")
    return value


def _key(value: Any) -> str:
    if value is None or value == "":
        raise ValueError("the idempotency key is null, missing or empty")
    return _header_text("the idempotency key", value)


def _headers(value: Any) -> Mapping[str, str]:
    """Headers from an object; a null or missing value leaves its header out."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"the headers must be an object, got {type(value).__name__}")
    for name in value:
        if not is_header_name(name):
            raise ValueError(f"{name!r} is no name of a header")
    return {name: _header_text(f"header {name!r}", item) for name, item in value.items() if item is not None}


def _header_text(what: str, value: Any) -> str:
    """What stands in a header. Raises :class:`ValueError`, without the value, for what would break out of its line."""
    if isinstance(value, (dict, list, bytes)):
        raise ValueError(f"{what} cannot be a value of type {type(value).__name__}")
    text = encode_bare(value).decode()
    if text and not _HEADER_VALUE.fullmatch(text):
        raise ValueError(f"{what} would hold a line break or another character that headers cannot")
    return text
