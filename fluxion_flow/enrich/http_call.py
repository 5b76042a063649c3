"""``$httpCall``: an HTTP request for a document."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from fluxion_flow.connect.encoding import encode_value
from fluxion_flow.connect.http import is_header_name
from fluxion_flow.core.expressions.nodes import Ask, Const, Node
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.expressions.registry import form
from fluxion_flow.core.values import MISSING
from fluxion_flow.enrich.asking import Enrichment
from fluxion_flow.enrich.connections import call_settings, check_names, read_connection, reference
from fluxion_flow.enrich.extract import extracted, parse_extract
from fluxion_flow.enrich.failures import CallRefused
from fluxion_flow.enrich.http import OPTIONS, HttpClient, HttpRequest, HttpTarget
from fluxion_flow.enrich.on_error import OnError, read_on_error
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.enrich.templates import (
    filled,
    header_value,
    host_part,
    places_in,
    query_pairs,
)
from fluxion_flow.errors import Where

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing, so that documents may share an answer."""
PARSES = ("json", "text", "bytes")
ARGUMENTS = (
    *("connection", "connectionRef", "connection_ref", "method", "url", "path", "params", "pathParams", "path_params"),
    *("query", "headers", "body", "responsePath", "response_path", "response", "parse", "onError", "on_error"),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class HttpAsker(Enrichment):
    """Makes requests of the values of its arguments, which come in the order path, query, headers, body."""

    target: HttpTarget
    method: str = "GET"
    template: str = ""
    in_path: tuple[str, ...] = ()
    in_query: tuple[str, ...] = ()
    in_headers: tuple[str, ...] = ()
    constant_headers: tuple[tuple[str, str], ...] = ()
    has_body: bool = False
    parse: str = "json"
    extract: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        return self.method in SAFE or self.settings.cache is not None

    def question(self, values: tuple[Any, ...]) -> Hashable:
        paths = dict(zip(self.in_path, values, strict=False))
        at = len(self.in_path)
        url = filled(self.template, paths, self.title)
        pairs: list[tuple[str, str]] = []
        for name, value in zip(self.in_query, values[at:], strict=False):
            pairs += query_pairs(name, value, self.title)
        at += len(self.in_query)
        if pairs:
            url += ("&" if "?" in url else "?") + urlencode(pairs)
        headers = list(self.constant_headers)
        for name, value in zip(self.in_headers, values[at:], strict=False):
            if value is not None and value is not MISSING:
                headers.append((name, header_value(name, value, self.title)))
        content = None
        if self.has_body:
            content, kind = self._body(values[-1])
            if kind and not any(name.lower() == "content-type" for name, _ in headers):
                headers.append(("Content-Type", kind))
        return HttpRequest(self.method, url, tuple(headers), content, self.parse)

    def _body(self, value: Any) -> tuple[bytes | None, str]:
        if value is MISSING or value is None:
            return None, ""
        if value.__class__ is str:
            return value.encode(), "text/plain; charset=utf-8"
        if value.__class__ is bytes:
            return value, "application/octet-stream"
        try:
            return encode_value(value), "application/json"
        except ValueError as error:
            raise CallRefused(f"{self.title}: the body {error}") from None

    def perform(self, client: HttpClient, what: Any) -> Any:
        whole = what if host_part(self.template) else replace(what, url=client.address(what.url))
        return client.request(whole, self.settings)

    def taken(self, value: Any) -> Any:
        return extracted(value, self.extract) if self.extract else value


@form(
    "$httpCall",
    arity="{connection, method, url or path, params, pathParams, query, headers, body, responsePath, …}",
    outside=True,
    examples=[
        (
            {"userId": 7},
            {"$httpCall": {"connection": "users", "path": "/users/{id}", "pathParams": {"id": "$userId"}}},
            {"id": 7, "name": "Ada"},
        ),
        (
            {"userId": 7},
            {
                "$httpCall": {
                    "connection": "users",
                    "path": "/users",
                    "query": {"id": "$userId"},
                    "responsePath": "/items/0/name",
                    "onError": {"value": "unknown"},
                }
            },
            "Ada",
        ),
        (
            {"name": "Ada"},
            {"$httpCall": {"connection": "users", "method": "POST", "path": "/users", "body": {"name": "$name"}}},
            {"created": True},
        ),
    ],
)
def http_call(spec: Any, where: Where, parser: Parser) -> Node:
    """What an HTTP server answers to a request that is made of the document.

    ``connection`` names a connection of type ``http``, which gives the server and how it is called. ``url`` or ``path``
    is a template below it: ``{name}`` takes ``pathParams.name`` or ``params.name``, percent-encoded; what of ``params``
    is not in the template, and ``query``, become query parameters. ``headers`` and ``body`` are expressions; an object
    or array is sent as JSON. ``method`` is ``GET`` unless given. The answer is read as JSON (``parse``: ``json``,
    ``text`` or ``bytes``); ``responsePath`` or ``response.extract`` chooses a part by JSON Pointer (``/data``) or path
    (``$.data``), null where there is none. A status of 400 or more is an error. ``onError`` says what then: ``fail``,
    ``null``, ``{value: expression}``, or ``deadLetter``. ``retry``, ``circuitBreaker``, ``rateLimit``, ``cache``,
    ``concurrency``, ``connectTimeoutMs``, ``readTimeoutMs``, ``timeoutMs`` and ``record`` override those of the
    connection. Fluxion: $httpCall.
    """
    if not isinstance(spec, Mapping):
        parser.problems.add(where, "takes an object of named arguments", "such as {connection: users, path: /users}")
        return Const(where, None)
    return _Reader(spec, where, parser).read()


class _Reader:
    """Reads one $httpCall."""

    def __init__(self, spec: Mapping[str, Any], where: Where, parser: Parser) -> None:
        self.spec = spec
        self.where = where
        self.parser = parser
        self.problems = parser.problems

    def read(self) -> Node:
        before = len(self.problems.found)
        check_names(self.spec, ARGUMENTS, self.where, self.parser)
        template, template_place = self._template()
        target, inherited = self._target(template, template_place)
        settings = call_settings(self.spec, self.where, self.problems, inherited)
        method = self._method()
        paths, queries = self._parameters(template, template_place)
        constant_headers, headers = self._headers()
        body = [self.parser.expression(self.spec["body"], self.where / "body")] if "body" in self.spec else []
        parse, extract = self._response()
        on_error = read_on_error(self.spec, self.where, self.parser)
        if len(self.problems.found) > before or target is None:
            return Const(self.where, None)
        asker = HttpAsker(
            name="$httpCall",
            where=self.where,
            site=site(self.where),
            target=target,
            settings=settings,
            identity="http",
            dead_letters=on_error.dead_letters,
            method=method,
            template=template,
            in_path=tuple(paths),
            in_query=tuple(queries),
            in_headers=tuple(headers),
            constant_headers=constant_headers,
            has_body=bool(body),
            parse=parse,
            extract=extract,
        )
        return asking(asker, [*paths.values(), *queries.values(), *headers.values(), *body], on_error, self.parser)

    def _template(self) -> tuple[str, Where]:
        given = [name for name in ("url", "path") if name in self.spec]
        if len(given) > 1:
            self.problems.add(self.where / "path", "given beside url", "keep one of the two")
        if not given:
            return "", self.where / "url"
        template, place = self.spec[given[0]], self.where / given[0]
        if not isinstance(template, str) or template.startswith("$"):
            hint = "a template with {names}, whose values pathParams gives"
            self.problems.add(place, "must be a text that does not depend on the document", hint)
            return "", place
        if places_in(host_part(template)):
            self.problems.add(place, "a document cannot choose the server", "put {names} behind the host")
        if template.count("{") != len(places_in(template)) or template.count("}") != len(places_in(template)):
            self.problems.add(place, "has a brace without its other", "write {name}")
        return template, place

    def _target(self, template: str, place: Where) -> tuple[HttpTarget | None, Settings]:
        name, at = reference(self.spec, self.where, self.parser)
        origin = host_part(template)
        if name is None:
            if at.parts[-1] in self.spec:
                return None, Settings()
            if origin:
                return self._anonymous(origin, place)
            self.problems.add(self.where / "connection", "required", "name a connection of type http")
            return None, Settings()
        named = read_connection(name, at, self.parser.resources, self.problems, ("http",), {"http": OPTIONS})
        if named is None:
            return None, Settings()
        target = HttpTarget(named)
        address = target.url
        if address is None and not origin:
            self.problems.add(place, f"connection '{name}' has no url", "give the whole address")
        if address is None and origin:
            return HttpTarget(named, origin), named.settings
        if isinstance(address, str) and origin and urlsplit(address)[:2] != urlsplit(origin)[:2]:
            what = f"is another server than that of connection '{name}', whose headers it would be given"
            self.problems.add(place, what, "name a connection of its own")
        return target, named.settings

    def _anonymous(self, origin: str, place: Where) -> tuple[HttpTarget | None, Settings]:
        if urlsplit(origin).scheme not in ("http", "https") or "@" in origin:
            self.problems.add(place, "must begin with http:// or https://, without a user", "or name a connection")
            return None, Settings()
        return HttpTarget(None, origin), Settings()

    def _method(self) -> str:
        method = self.spec.get("method", "GET")
        if not isinstance(method, str) or method.upper() not in METHODS:
            self.problems.add(self.where / "method", f"unknown method {method!r}", f"known are {', '.join(METHODS)}")
            return "GET"
        return method.upper()

    def _parameters(self, template: str, place: Where) -> tuple[dict[str, Node], dict[str, Node]]:
        """The expressions for the template, and those for the query."""
        wanted = list(dict.fromkeys(places_in(template)))
        paths: dict[str, Node] = {}
        queries: dict[str, Node] = {}
        for section in ("pathParams", "path_params", "params", "query"):
            for name, expression in self._section(section).items():
                node = self.parser.expression(expression, self.where / section / name)
                in_template = name in wanted and section != "query"
                if in_template and name in paths:
                    self.problems.add(self.where / section / name, f"'{name}' is given already", "keep one")
                elif in_template:
                    paths[name] = node
                elif section in ("params", "query"):
                    queries[name] = node
                else:
                    there = f"it has {', '.join(map(repr, wanted))}" if wanted else "it has no {names}"
                    self.problems.add(self.where / section / name, "is not in the template", there)
        for name in wanted:
            if name not in paths:
                self.problems.add(place, f"has no value for '{{{name}}}'", f"give pathParams: {{{name}: …}}")
        return {name: paths[name] for name in wanted if name in paths}, queries

    def _section(self, name: str) -> Mapping[str, Any]:
        given = self.spec.get(name)
        if given is None:
            return {}
        if not isinstance(given, Mapping) or any(str(key).startswith("$") for key in given):
            self.problems.add(self.where / name, "must map names to expressions")
            return {}
        return {str(key): value for key, value in given.items()}

    def _headers(self) -> tuple[tuple[tuple[str, str], ...], dict[str, Node]]:
        constants: list[tuple[str, str]] = []
        computed: dict[str, Node] = {}
        for name, expression in self._section("headers").items():
            place = self.where / "headers" / name
            node = self.parser.expression(expression, place)
            if not is_header_name(name):
                self.problems.add(place, "is no name of a header")
            elif isinstance(node, Const):
                try:
                    constants.append((name, header_value(name, node.value, "$httpCall")))
                except CallRefused:
                    self.problems.add(place, "is no value of a header", "a text on one line")
            else:
                computed[name] = node
        return tuple(constants), computed

    def _response(self) -> tuple[str, tuple[str, ...]]:
        response = self.spec.get("response", {})
        if not isinstance(response, Mapping):
            self.problems.add(self.where / "response", "must be a mapping", "such as {extract: /data}")
            response = {}
        for name in response:
            if name not in ("extract", "parse"):
                self.problems.add(
                    self.where / "response" / str(name), "unknown argument", "known are extract and parse"
                )
        parses = {"parse": self.spec.get("parse"), "response.parse": response.get("parse")}
        parse = next((value for value in parses.values() if value is not None), "json")
        if parse not in PARSES:
            self.problems.add(self.where / "parse", f"unknown mode {parse!r}", f"known are {', '.join(PARSES)}")
        places: list[tuple[Where, Any]] = [
            (self.where / name, self.spec[name]) for name in ("responsePath", "response_path") if name in self.spec
        ]
        if "extract" in response:
            places.append((self.where / "response" / "extract", response["extract"]))
        if len(places) > 1:
            self.problems.add(places[1][0], "the part of the answer is chosen twice", "keep one")
        if not places:
            return str(parse), ()
        if parse != "json":
            self.problems.add(places[0][0], f"there are no parts in an answer that is read as {parse}", "remove it")
        try:
            return str(parse), parse_extract(places[0][1])
        except ValueError as error:
            self.problems.add(places[0][0], str(error))
            return str(parse), ()


def asking(asker: Enrichment, arguments: Sequence[Node], on_error: OnError, parser: Parser) -> Node:
    """The node of an enrichment; the parser takes note of it."""
    parser.asks.append(asker)
    return Ask(asker.where, asker, tuple(arguments), on_error.fallback)
