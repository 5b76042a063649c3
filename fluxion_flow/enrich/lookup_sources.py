"""Collections of ``$lookup`` that stand outside: a table, a collection of an HTTP server, a reference file.

``from`` of a ``$lookup``, or an entry of ``collections`` that it names, is an object then:

- ``{connection: db, table: customers}`` with ``schema``, ``columns``, ``orderBy``, ``batchSize``
- ``{connection: api, collection: products}``, which the connection describes under ``collections``, or the description
  itself: ``{connection: api, path: /products, param: ids, items: /data}`` with ``join``, ``batchSize``, ``headers``
- ``{file: countries.csv}`` with ``format`` and ``types``

The documents that a batch needs are asked for together: ``batchSize`` values in one ``IN (…)``, or one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_flow.connect.connections import CONNECTIONS
from fluxion_flow.connect.http import is_header_name
from fluxion_flow.core.expressions.operators.randomness import site
from fluxion_flow.core.expressions.parse import Parser
from fluxion_flow.core.stages.external import ExternalCollection, opens_collections
from fluxion_flow.enrich.connections import REFERENCES, call_settings, check_names, read_connection, reference
from fluxion_flow.enrich.extract import parse_extract
from fluxion_flow.enrich.failures import CallRefused
from fluxion_flow.enrich.http import OPTIONS as HTTP_OPTIONS
from fluxion_flow.enrich.http import HttpTarget
from fluxion_flow.enrich.lookup_files import FORMATS, TYPES, FileAsker, FileCollection, FileTarget, format_of
from fluxion_flow.enrich.lookup_http import HttpCollection
from fluxion_flow.enrich.lookup_sql import TableCollection
from fluxion_flow.enrich.on_error import ON_ERROR, read_on_error
from fluxion_flow.enrich.settings import Settings
from fluxion_flow.enrich.sql import OPTIONS as SQL_OPTIONS
from fluxion_flow.enrich.sql import SqlTarget
from fluxion_flow.enrich.templates import header_value, places_in
from fluxion_flow.errors import Where

OWN = {"sql": SQL_OPTIONS, "http": HTTP_OPTIONS}
TABLE = (*REFERENCES, "table", "schema", "columns", "orderBy", "order_by", "batchSize", "batch_size", *ON_ERROR)
SERVED = ("path", "param", "items", "join", "headers", "batchSize", "batch_size")
FILE = ("file", "format", "types", "type")


@opens_collections
def external_collection(spec: Mapping[str, Any], where: Where, parser: Parser) -> ExternalCollection | None:
    """The collection that an object describes; ``None`` after reporting what is wrong."""
    if "file" in spec:
        return _file(spec, where, parser)
    before = len(parser.problems.found)
    name, place = reference(spec, where, parser)
    if name is None:
        if place.parts[-1] not in spec:
            hint = "such as {connection: db, table: customers} or {file: countries.csv}"
            parser.problems.add(where, "names neither a connection nor a file", hint)
        return None
    named = read_connection(name, place, parser.resources, parser.problems, ("sql", "http"), OWN)
    if named is None:
        return None
    settings = call_settings(spec, where, parser.problems, named.settings)
    on_error = read_on_error(spec, where, parser)
    shared: dict[str, Any] = {
        "where": where,
        "site": site(where),
        "settings": settings,
        "dead_letters": on_error.dead_letters,
        "empty": on_error.fallback is not None,
    }
    made: ExternalCollection | None
    if named.type == "sql":
        made = _table(spec, where, parser, SqlTarget(named), shared)
    else:
        made = _served(spec, where, parser, HttpTarget(named), named.options.get("collections"), name, shared)
    return made if len(parser.problems.found) == before else None


def _table(
    spec: Mapping[str, Any], where: Where, parser: Parser, target: SqlTarget, shared: dict[str, Any]
) -> ExternalCollection | None:
    check_names(spec, TABLE, where, parser)
    table = _text(spec, "table", where, parser, required=True)
    schema = _text(spec, "schema", where, parser)
    columns = _names(spec, ("columns",), where, parser)
    order = _names(spec, ("orderBy", "order_by"), where, parser)
    size = _size(spec, where, parser, 500)
    return TableCollection(target, table, schema, tuple(columns), tuple(order), size, shared)


def _served(
    spec: Mapping[str, Any],
    where: Where,
    parser: Parser,
    target: HttpTarget,
    described: Any,
    name: str,
    shared: dict[str, Any],
) -> ExternalCollection | None:
    check_names(spec, (*REFERENCES, "collection", *SERVED, *ON_ERROR), where, parser)
    description, place = spec, where
    if "collection" in spec:
        known = described if isinstance(described, Mapping) else {}
        wanted = spec["collection"]
        if wanted not in known or not isinstance(known[wanted], Mapping):
            hint = f"it has {', '.join(sorted(map(str, known)))}" if known else "describe it under its collections"
            parser.problems.add(where / "collection", f"connection '{name}' has no collection {wanted!r}", hint)
            return None
        description, place = {**known[wanted], **{k: spec[k] for k in SERVED if k in spec}}, CONNECTIONS / name
        place = place / "collections" / str(wanted)
        for key in known[wanted]:
            if key not in SERVED:
                parser.problems.add(
                    place / str(key), "unknown option of a collection", f"known are {', '.join(SERVED)}"
                )
    path = _text(description, "path", place, parser, required=True)
    if places_in(path):
        parser.problems.add(place / "path", "cannot hold {names}", "the values that are wanted go into param")
    param = _text(description, "param", place, parser)
    join = description.get("join", "comma")
    if join not in ("comma", "repeat"):
        parser.problems.add(place / "join", f"unknown way to join values: {join!r}", "known are comma and repeat")
    try:
        items = parse_extract(description.get("items", ""))
    except ValueError as error:
        parser.problems.add(place / "items", str(error))
        items = ()
    headers = []
    for header, value in (description.get("headers") or {}).items():
        try:
            if not is_header_name(header):
                raise CallRefused("")
            headers.append((header, header_value(header, value, "$lookup")))
        except CallRefused:
            parser.problems.add(place / "headers" / str(header), "is no header", "a name, and a text on one line")
    size = _size(description, place, parser, 100)
    return HttpCollection(target, path, param or None, join == "repeat", items, tuple(headers), size, shared)


def _file(spec: Mapping[str, Any], where: Where, parser: Parser) -> ExternalCollection | None:
    before = len(parser.problems.found)
    for key in spec:
        if key not in FILE:
            parser.problems.add(where / str(key), "unknown argument", f"known are {', '.join(FILE)}")
    path = _text(spec, "file", where, parser, required=True)
    form = spec.get("format") or format_of(path)
    if form not in FORMATS:
        parser.problems.add(where / "format", f"unknown format {form!r}", f"known are {', '.join(FORMATS)}")
    types = spec.get("types", {})
    if not isinstance(types, Mapping):
        parser.problems.add(where / "types", "must map columns to types", "such as {population: int}")
        types = {}
    for column, kind in types.items():
        if kind not in TYPES:
            parser.problems.add(
                where / "types" / str(column), f"unknown type {kind!r}", f"known are {', '.join(TYPES)}"
            )
    if types and form != "csv":
        parser.problems.add(where / "types", "are for CSV, whose values are texts", "remove them")
    if len(parser.problems.found) > before:
        return None
    target = FileTarget(path, form, tuple(types.items()))
    return FileCollection(FileAsker(name="$lookup", where=where, site=site(where), target=target, settings=Settings()))


def _text(given: Mapping[str, Any], name: str, where: Where, parser: Parser, *, required: bool = False) -> str:
    value = given.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or not value:
        what = "required" if value is None else f"must be a text, got {value!r}"
        parser.problems.add(where / name, what)
        return ""
    return value


def _names(given: Mapping[str, Any], names: tuple[str, ...], where: Where, parser: Parser) -> list[str]:
    for name in names:
        if name in given:
            value = given[name]
            if isinstance(value, (list, tuple)) and all(isinstance(item, str) and item for item in value):
                return list(value)
            parser.problems.add(where / name, "must be a list of columns")
    return []


def _size(given: Mapping[str, Any], where: Where, parser: Parser, default: int) -> int:
    for name in ("batchSize", "batch_size"):
        if name in given:
            value = given[name]
            if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
                return value
            parser.problems.add(where / name, f"must be a whole number from 1 to 10000, got {value!r}")
    return default
