"""Documents to an HTTP server: one request a batch, or one a document.

A 2xx answer is taken for "stored": there is nothing left to flush. Every request carries an *idempotency key*, made
from where the documents stood in the source and from what they are. After a crash the same documents come again with
the same keys, so a server that remembers keys stores each once. A document's own key does not depend on how documents
are grouped into batches; a batch's key does, and batches may be cut otherwise after a crash.

``errors_pointer`` reads the errors of single documents out of the answer to a batch: a list at that JSON Pointer. With
``error_index_pointer`` each entry names the document's place in the request; without it the list has one entry for each
document, null or false where it went well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fluxion_connectors.http.client import new_client, request
from fluxion_connectors.http.failures import HttpError, HttpRefused, HttpUnavailable, failure_of, place_of
from fluxion_connectors.http.outgoing import Layout, Outgoing, method_of
from fluxion_connectors.http.pointer import found_at, parse_pointer
from fluxion_connectors.http.templates import fields_in
from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.http import RETRIED
from fluxion_flow.connect.secrets import redact
from fluxion_flow.connect.spi import Batch, Cursor, DeliveryError, SinkWriter, StreamingSink

BODIES = ("array", "lines", "document")
CONTENT_TYPES = {"array": "application/json", "lines": "application/x-ndjson", "document": "application/json"}


class HttpSink(StreamingSink):
    """Sends documents to ``url``; with the body ``document`` it may hold ``{field}``.

    ``body`` is ``array`` or ``lines`` (one request a batch) or ``document`` (one request each, ``concurrency`` at a
    time; in order when that is 1). ``value`` gives what is sent of a document; with ``document``, ``method``,
    ``document_headers`` and ``idempotency_key`` may depend on it too. ``timeout`` is in seconds. ``retry_statuses`` are
    answers after which trying again may help. Raises :class:`ValueError` for a pointer that is none, and for a method.
    """

    def __init__(
        self,
        url: str,
        *,
        method: Expression | str = "POST",
        body: str = "array",
        value: Expression | None = None,
        headers: Mapping[str, str] | None = None,
        document_headers: Expression | None = None,
        idempotency_header: str = "Idempotency-Key",
        idempotency_key: Expression | None = None,
        concurrency: int = 8,
        timeout: float = 30.0,
        retry_statuses: Sequence[int] = RETRIED,
        errors_pointer: str | None = None,
        error_index_pointer: str | None = None,
        error_message_pointer: str | None = None,
        extended_json: bool = False,
        verify: bool = True,
        ca_file: str | None = None,
    ) -> None:
        if body not in BODIES:
            raise ValueError(f"body must be one of {', '.join(BODIES)}, got {body!r}")
        self.url = url
        how = method if isinstance(method, Expression) else Expression(method)
        self.method = method_of(how.value) if how.constant else how
        if body != "document":
            if not how.constant:
                raise ValueError("a method that depends on a document needs body 'document'")
            if document_headers is not None or idempotency_key is not None:
                raise ValueError("headers and keys of single documents need body 'document'")
        self.layout = Layout(
            url,
            how,
            value,
            document_headers,
            idempotency_key,
            single=body == "document",
            extended=extended_json,
        )
        self.body = body
        self.headers = {name: str(value) for name, value in (headers or {}).items()}
        self.idempotency_header = idempotency_header
        self.concurrency = concurrency
        self.timeout = timeout
        self.retry_statuses = frozenset(retry_statuses)
        self.errors = None if errors_pointer is None else parse_pointer(errors_pointer)
        self.error_index = None if error_index_pointer is None else parse_pointer(error_index_pointer)
        self.error_message = None if error_message_pointer is None else parse_pointer(error_message_pointer)
        self.verify = verify
        self.ca_file = ca_file

    def __repr__(self) -> str:
        return f"HttpSink({self.method} {place_of(self.url.partition('?')[0])})"

    def probe(self) -> str:
        """Ask for the headers of the address. Any answer is one; only 401 and 403 say that writing would be refused.

        Raises :class:`HttpUnavailable`, and :class:`HttpRefused`.
        """
        url = self.url if not fields_in(self.url) else "/".join(self.url.split("/")[:3])
        client = new_client(
            url, headers=self.headers, timeout=self.timeout, connections=1, verify=self.verify, ca_file=self.ca_file
        )
        with client:
            status = request(client, "HEAD", url, headers={}).status_code
        if status in (401, 403):
            raise HttpRefused(f"HEAD {place_of(url)}: the server answers {status}; check the credentials")
        return f"the server answers ({status} to HEAD)"

    def open(self, part: str, cursor: Cursor | None) -> HttpWriter:
        return HttpWriter(self)


class HttpWriter(SinkWriter):
    """Sends batches over connections of its own."""

    def __init__(self, sink: HttpSink) -> None:
        self._sink = sink
        single = sink.body == "document"
        connections = sink.concurrency if single else 1
        self._client = new_client(
            sink.url,
            headers=sink.headers,
            timeout=sink.timeout,
            connections=connections,
            verify=sink.verify,
            ca_file=sink.ca_file,
        )
        self._headers = {"Content-Type": CONTENT_TYPES[sink.body], **sink.headers}
        self._pool = ThreadPoolExecutor(connections, "http-sink") if single and connections > 1 else None

    def write(self, batch: Batch) -> None:
        """Raises :class:`DeliveryError` for single documents, :class:`HttpUnavailable` and :class:`HttpRefused` when
        nothing of the batch was taken.
        """
        outgoing, errors = self._sink.layout.outgoing(batch)
        if outgoing:
            send = self._send_each if self._sink.body == "document" else self._send_all
            errors.update(send(outgoing))
        if errors:
            raise DeliveryError(dict(sorted(errors.items())))

    def flush(self) -> None:
        """Nothing is waiting: every write has had its answer."""

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._client.close()

    def _send_all(self, outgoing: Sequence[Outgoing]) -> dict[int, Exception]:
        texts = [one.text or b"" for one in outgoing]
        content = b"[" + b",".join(texts) + b"]" if self._sink.body == "array" else b"\n".join(texts) + b"\n"
        key = hashlib.sha256("".join(one.key for one in outgoing).encode()).hexdigest()
        answer = self._send(outgoing[0].method, self._sink.url, content, key, {})
        if self._sink.errors is None:
            return {}
        return {outgoing[n].index: error for n, error in self._errors_in(answer, len(texts)).items()}

    def _send_each(self, outgoing: Sequence[Outgoing]) -> dict[int, Exception]:
        def send(one: Outgoing) -> Exception | None:
            try:
                self._send(one.method, one.url, one.text, one.key, one.headers)
            except (HttpError, ValueError) as error:
                return error
            return None

        every: Callable[..., Any] = self._pool.map if self._pool is not None else map
        answers = every(send, outgoing)
        return {one.index: error for one, error in zip(outgoing, answers, strict=True) if error is not None}

    def _send(self, method: str, url: str, content: bytes | None, key: str, more: Mapping[str, str]) -> Any:
        headers = {**self._headers, **more}
        if content is None:
            headers.pop("Content-Type", None)
        if self._sink.idempotency_header:
            headers[self._sink.idempotency_header] = key
        response = request(self._client, method, url, headers=headers, content=content)
        failure = failure_of(response, self._sink.retry_statuses)
        if failure is not None:
            raise failure
        return response

    def _errors_in(self, response: Any, count: int) -> dict[int, Exception]:
        """The errors of single documents that an answer tells of, by their place in the request."""
        sink = self._sink
        assert sink.errors is not None
        where = f"{sink.method} {place_of(sink.url)}"
        try:
            answer = response.json()
        except ValueError:
            raise HttpUnavailable(
                f"{where}: the server answered {response.status_code} without JSON, so what it took is unknown",
                status=response.status_code,
            ) from None
        entries = found_at(answer, sink.errors)
        if not entries:
            return {}
        if not isinstance(entries, list):
            raise HttpRefused(
                f"{where}: errors_pointer leads to a {type(entries).__name__} in the answer, not to a list"
            )
        errors: dict[int, Exception] = {}
        for number, entry in enumerate(entries):
            index = number if sink.error_index is None else found_at(entry, sink.error_index)
            if sink.error_index is None and not entry:
                continue
            if not isinstance(index, int) or not 0 <= index < count:
                raise HttpRefused(f"{where}: the answer tells of an error in document {index!r} of {count}")
            text = entry if sink.error_message is None else found_at(entry, sink.error_message)
            errors[index] = HttpRefused(f"{where}: document refused: {redact(str(text))[:200]}")
        return errors
