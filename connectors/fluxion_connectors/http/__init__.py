"""HTTP servers, asked and told: polling a URL, taking in webhooks, sending documents.

``{type: http, url: "https://host/orders"}`` as a source asks again and again; ``{type: http, listen: "127.0.0.1:8080",
spool: events.db}`` is an endpoint that others send to. As a sink it sends documents to ``url``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from fluxion_connectors.http.failures import HttpError, HttpRefused, HttpUnavailable
from fluxion_connectors.http.outgoing import METHODS
from fluxion_connectors.http.pointer import parse_pointer
from fluxion_connectors.http.polling import HttpPollingReader, HttpPollingSource
from fluxion_connectors.http.sink import BODIES, HttpSink, HttpWriter
from fluxion_connectors.http.templates import fields_in
from fluxion_connectors.http.webhook import HttpWebhookReader, HttpWebhookSource, SpoolChanged, parse_address
from fluxion_flow.connect.http import RETRIED
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.spi import StreamingSource
from fluxion_flow.errors import Problems, Where

__all__ = [
    "HttpError",
    "HttpPollingReader",
    "HttpPollingSource",
    "HttpRefused",
    "HttpSink",
    "HttpUnavailable",
    "HttpWebhookReader",
    "HttpWebhookSource",
    "HttpWriter",
    "SpoolChanged",
    "connector",
]

_URL = Option("url", "string", "The server to ask.", None, also=("endpoint",))
_HEADERS = Option("headers", "object", "Headers of every request.", None, secret=True)
_TIMEOUT = Option("timeout", "duration", "How long to wait for the server.", 30.0, minimum=0.001)
_EXTENDED = Option(
    "extended_json", "boolean", "Read and write MongoDB Extended JSON ({$date: ...}), which keeps types.", False
)
_VERIFY = Option("verify", "boolean", "Check the server's certificate.", True)
_CA = Option("ca_file", "string", "A file of certificates to trust instead of the usual ones.", None)

_POLLING = (
    _URL,
    _HEADERS,
    Option("params", "object", "Query parameters of the first request of a poll.", None, secret=True),
    Option("items_pointer", "string", "JSON Pointer to the list of documents in an answer.", ""),
    Option("cursor_pointer", "string", "JSON Pointer to the next request's cursor in an answer.", None),
    Option("cursor_item_pointer", "string", "JSON Pointer to it in the last document of an answer.", None),
    Option("cursor_header", "string", "The header of an answer that holds it.", None),
    Option("cursor_param", "string", "The query parameter that it goes into.", "cursor"),
    Option("cursor_start", "any", "The first request's cursor.", None),
    Option("follow_links", "boolean", "Go on at the Link header with rel=next.", True),
    Option("interval", "duration", "How long to wait between two polls.", 60.0),
    Option("bounded", "boolean", "Complete after the first poll.", False),
    _TIMEOUT,
    _VERIFY,
    _CA,
)
_WEBHOOK = (
    Option("listen", "string", "The address to listen on, such as '127.0.0.1:8080'.", None),
    Option("spool", "string", "The file that keeps events until they are delivered.", None),
    Option("path", "string", "The path that events are sent to.", "/"),
    Option("max_events", "integer", "Most events that wait in the spool; then senders get 503.", 100_000, minimum=1),
    Option("max_body", "size", "Largest body of a request.", 1024 * 1024, minimum=1),
    Option("token", "string", "The bearer token that senders must show.", None, secret=True),
    Option("hmac_secret", "string", "The secret that senders sign bodies with.", None, secret=True),
    Option("hmac_header", "string", "The header of the signature.", "X-Hub-Signature-256"),
    Option(
        "hmac_algorithm",
        "string",
        "The hash of the signature.",
        "sha256",
        choices=("sha1", "sha256", "sha384", "sha512"),
    ),
    Option("id_header", "string", "Header of a request's id; a request with a known id is not taken again.", None),
    Option("id_memory", "duration", "How long ids of requests are remembered.", 86_400.0, minimum=1),
)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _source(**options: Any) -> StreamingSource:
    """The polling source, or the webhook source where ``listen`` is given."""
    mine = _WEBHOOK if options["listen"] is not None else _POLLING
    own = {option.name: options[option.name] for option in (*mine, _EXTENDED)}
    return HttpWebhookSource(**own) if mine is _WEBHOOK else HttpPollingSource(**own)


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    webhook = options["listen"] is not None
    if webhook == (options["url"] is not None):
        problems.add(where, "an HTTP source takes a url to ask, or an address to listen on", "give one of the two")
        return
    other, kind = (_POLLING, "a source that asks (url)") if webhook else (_WEBHOOK, "a source that listens (listen)")
    for option in other:
        if options[option.name] != option.default:
            problems.add(where / option.name, f"is an option of {kind}", "leave it out")
    if webhook:
        _check_webhook(options, where, problems)
        return
    _check_url(options["url"], where / "url", problems)
    ways = [name for name in ("cursor_pointer", "cursor_item_pointer", "cursor_header") if options[name] is not None]
    if len(ways) > 1:
        problems.add(where / ways[1], f"the cursor is taken by {ways[0]} already", "give one of the two")
    for name in ("items_pointer", "cursor_pointer", "cursor_item_pointer"):
        _check_pointer(options[name], where / name, problems)


def _check_webhook(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    if options["spool"] is None:
        problems.add(where / "spool", "required to listen", "name a file, such as 'events.db'")
    path = options["path"]
    if isinstance(path, str) and not path.startswith("/"):
        problems.add(where / "path", "must begin with '/'")
    if not isinstance(options["listen"], str):
        return
    try:
        host, _ = parse_address(options["listen"])
    except ValueError as error:
        problems.add(where / "listen", str(error))
        return
    if host not in _LOOPBACK and options["token"] is None and options["hmac_secret"] is None:
        problems.add(
            where / "listen",
            "anybody could send events to this address",
            "set token or hmac_secret, or listen on 127.0.0.1",
        )


def _check_sink(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    _check_url(options["url"], where / "url", problems)
    if isinstance(options["url"], str) and options["body"] != "document":
        for name in fields_in(options["url"]):
            problems.add(where / "url", f"takes field {name!r} of a document", "set body: document")
    if options["body"] != "document":
        for name in ("document_headers", "idempotency_key"):
            if options[name] is not None:
                problems.add(where / name, "is for requests of single documents", "set body: document")
    method = options["method"]
    if isinstance(method, (dict, list)) or callable(method) or str(method).startswith("$"):
        if options["body"] != "document":
            problems.add(where / "method", "depends on a document", "set body: document")
    elif method not in METHODS:
        problems.add(where / "method", f"must be one of {', '.join(METHODS)}, got {method!r}")
    for name in ("errors_pointer", "error_index_pointer", "error_message_pointer"):
        _check_pointer(options[name], where / name, problems)
        if name != "errors_pointer" and options[name] is not None and options["errors_pointer"] is None:
            problems.add(where / name, "needs errors_pointer", "say where the list of errors is")
    if options["errors_pointer"] is not None and options["body"] == "document":
        problems.add(where / "errors_pointer", "is for the answer to a batch", "leave it out, or set body: array")


def _check_url(url: Any, where: Where, problems: Problems) -> None:
    if not isinstance(url, str):
        return
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        problems.add(where, "is no URL", "write https://host/path")
        return
    if parsed.scheme not in ("http", "https") or not parsed.host:
        problems.add(where, "must be a URL that begins with http:// or https:// and names a host")


def _check_pointer(text: Any, where: Where, problems: Problems) -> None:
    if isinstance(text, str):
        try:
            parse_pointer(text)
        except ValueError as error:
            problems.add(where, str(error))


connector = Connector(
    type="http",
    title="HTTP: polling, webhooks, requests",
    doc=__doc__,
    source=_source,
    sink=HttpSink,
    source_options=(*_POLLING, *_WEBHOOK, _EXTENDED),
    sink_options=(
        Option(
            "url",
            "string",
            "Where to send; with body: document, '{field}' takes a value of the document.",
            also=("endpoint",),
        ),
        Option(
            "method",
            "expression",
            "The method; with body: document, an expression such as {$cond: [$deleted, DELETE, PUT]}.",
            "POST",
        ),
        Option(
            "body",
            "string",
            "'array' or 'lines': one request a batch, a JSON array or JSON Lines; 'document': one request each.",
            "array",
            choices=BODIES,
        ),
        Option("value", "expression", "What is sent of a document: an expression. Unset: the document.", None),
        _HEADERS,
        Option(
            "document_headers",
            "expression",
            "With body: document, header names with an expression each. What is secret stands in headers.",
            None,
        ),
        Option("idempotency_header", "string", "The header for the idempotency key; empty: none.", "Idempotency-Key"),
        Option(
            "idempotency_key",
            "expression",
            "With body: document, the key: an expression such as $orderId. Unset: a hash of its place and text.",
            None,
        ),
        Option("concurrency", "integer", "With body: document, requests at a time; 1 keeps the order.", 8, minimum=1),
        _TIMEOUT,
        Option("retry_statuses", "list", "Answers after which to try again.", list(RETRIED), items="integer"),
        Option("errors_pointer", "string", "JSON Pointer to a list of refused documents in the answer.", None),
        Option("error_index_pointer", "string", "In an entry of it: the document's index; else by place.", None),
        Option("error_message_pointer", "string", "In an entry of it: why the document was refused.", None),
        _EXTENDED,
        _VERIFY,
        _CA,
    ),
    check_source=_check_source,
    check_sink=_check_sink,
)
