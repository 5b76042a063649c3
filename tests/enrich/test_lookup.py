"""$lookup in tables, in collections of HTTP servers and in reference files."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, event, text

from fluxion_flow import PipelineError, run_batch
from fluxion_flow.core.program import DocumentError
from fluxion_flow.enrich import sql as enrich_sql
from tests.servers.http_server import Answer

CUSTOMERS = [{"id": 7, "name": "Ada", "vip": True}, {"id": 8, "name": "Bob", "vip": False}]
JOIN = {"localField": "c", "foreignField": "id", "as": "r"}


def joined(documents, lookup, connections=None, **more):
    return [d["r"] for d in run_batch(documents, [{"$lookup": lookup}], connections=connections, **more)]


@pytest.fixture(params=["sqlite", "postgresql"])
def table(request, tmp_path):
    """The connection ``db`` with the table ``customers``."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("create table customers (id integer primary key, name text, vip boolean)"))
        connection.execute(text("insert into customers values (7, 'Ada', true), (8, 'Bob', false), (9, null, null)"))
    engine.dispose()
    return {"db": {"type": "sql", "url": url}}


@pytest.fixture
def statements(monkeypatch):
    """The SELECTs that enrichments send."""
    sent = []
    made = enrich_sql.SqlClient.__init__

    def watched(self, name, engine):
        made(self, name, engine)

        @event.listens_for(engine, "before_cursor_execute")
        def note(connection, cursor, statement, parameters, context, many):
            if "FROM customers" in statement and "catalog" not in statement:
                sent.append(statement)

    monkeypatch.setattr(enrich_sql.SqlClient, "__init__", watched)
    return sent


def test_a_table_is_joined_as_the_same_documents_in_memory_would_be(table):
    values = [7, 7.0, Decimal("8"), 8, 10, None, "7", True, [7, 8], [], {"a": 1}, 7.5, float("nan"), 2**70]
    documents = [{"c": value} for value in values] + [{}]
    rows = [*CUSTOMERS, {"id": 9, "name": None, "vip": None}]
    for lookup in (JOIN, {**JOIN, "foreignField": "name"}, {**JOIN, "foreignField": "vip"}):
        expected = joined(documents, {**lookup, "from": "rows"}, collections={"rows": rows})
        assert joined(documents, {**lookup, "from": {"connection": "db", "table": "customers"}}, table) == expected


def test_one_query_serves_a_batch(table, statements):
    documents = [{"c": i % 10} for i in range(100)]
    assert joined(documents, {**JOIN, "from": {"connection": "db", "table": "customers"}}, table)[7] == [CUSTOMERS[0]]
    assert len(statements) == 1
    joined(documents, {**JOIN, "from": {"connection": "db", "table": "customers", "batchSize": 4}}, table)
    assert len(statements) == 1 + 3


def test_columns_and_order_may_be_chosen(table):
    lookup = {"from": {"connection": "db", "table": "customers", "columns": ["name"], "orderBy": ["name"]}, **JOIN}
    assert joined([{"c": [8, 7]}], lookup, table) == [[{"name": "Bob", "id": 8}, {"name": "Ada", "id": 7}]]


def test_a_pipeline_may_begin_with_the_equality(table):
    pipeline = [
        {"$match": {"$expr": {"$eq": ["$id", "$$c"]}}},
        {"$project": {"_id": 0, "name": 1, "loud": {"$toUpper": "$name"}}},
    ]
    lookup = {"from": {"connection": "db", "table": "customers"}, "let": {"c": "$c"}, "pipeline": pipeline, "as": "r"}
    assert joined([{"c": 7}, {"c": 1}, {}, {"c": [7]}], lookup, table) == [
        [{"name": "Ada", "loud": "ADA"}],
        [],
        [],
        [],
    ]


def test_names_of_columns_cannot_carry_sql(table):
    lookup = {**JOIN, "from": {"connection": "db", "table": "customers; drop table customers"}}
    with pytest.raises(DocumentError, match="there is no table 'customers; drop table customers'"):
        joined([{"c": 7}], lookup, table)
    with pytest.raises(DocumentError, match="has no column 'nam'; did you mean 'name'"):
        joined([{"c": 7}], {**JOIN, "foreignField": "nam", "from": {"connection": "db", "table": "customers"}}, table)


def test_a_named_collection_may_stand_outside(table):
    collections = {"customers": {"connection": "db", "table": "customers"}}
    assert joined([{"c": 7}], {**JOIN, "from": "customers"}, table, collections=collections) == [[CUSTOMERS[0]]]


@pytest.fixture
def api(server):
    """The connection ``api`` with the collection ``customers``; it answers to ``ids`` and, without it, with all."""

    def answer(request):
        wanted = request.query.get("ids")
        found = [c for c in CUSTOMERS if wanted is None or str(c["id"]) in wanted.split(",")]
        return Answer(200, {"items": found})

    server.handler = answer
    described = {"customers": {"path": "/customers", "param": "ids", "items": "/items"}}
    return {"api": {"type": "http", "url": server.url, "collections": described}}


def test_one_request_serves_a_batch(api, server):
    documents = [{"c": i % 10} for i in range(100)] + [{}, {"c": [7, 8]}, {"c": "7"}]
    found = joined(documents, {**JOIN, "from": {"connection": "api", "collection": "customers"}}, api)
    assert (found[7], found[8], found[9], found[-2], found[-1]) == ([CUSTOMERS[0]], [CUSTOMERS[1]], [], CUSTOMERS, [])
    assert sorted(server.requests[0].query["ids"].split(",")) == sorted([*map(str, range(10)), "7"])
    assert len(server.requests) == 1


def test_a_collection_may_come_as_a_whole_and_be_kept(api, server):
    lookup = {**JOIN, "from": {"connection": "api", "path": "/customers", "items": "$.items", "cache": "1m"}}
    assert joined([{"c": 7}, {"c": [7, 8]}, {"c": 1}], lookup, api) == [[CUSTOMERS[0]], CUSTOMERS, []]
    assert len(server.requests) == 1


def test_a_server_that_fails_fails_the_documents_or_gives_none(api, server):
    server.handler = lambda request: Answer(503)
    lookup = {**JOIN, "from": {"connection": "api", "collection": "customers"}}
    with pytest.raises(DocumentError, match=r"stages\[0\].\$lookup: GET .*/customers: the server answered 503"):
        joined([{"c": 7}], lookup, api)
    lookup["from"]["onError"] = None
    assert joined([{"c": 7}], lookup, api) == [[]]


def test_reference_files_are_read(tmp_path):
    lines, table = tmp_path / "customers.jsonl", tmp_path / "customers.csv"
    lines.write_text("".join(json.dumps(c) + "\n" for c in CUSTOMERS))
    table.write_text('id,name,vip,note\n7,Ada,true,"a, b"\n8,Bob,false,\n')
    assert joined([{"c": 7}, {"c": 9}], {**JOIN, "from": {"file": str(lines)}}) == [[CUSTOMERS[0]], []]
    types = {"id": "int", "vip": "bool"}
    assert joined([{"c": [7, 8]}], {**JOIN, "from": {"file": str(table), "types": types}}) == [
        [{"id": 7, "name": "Ada", "vip": True, "note": "a, b"}, {"id": 8, "name": "Bob", "vip": False, "note": ""}]
    ]
    pipeline = [{"$match": {"$expr": {"$gt": ["$id", "$$c"]}}}, {"$project": {"_id": 0, "name": 1}}]
    lookup = {"from": {"file": str(lines)}, "let": {"c": "$c"}, "pipeline": pipeline, "as": "r"}
    assert joined([{"c": 7}, {"c": 0}], lookup) == [[{"name": "Bob"}], [{"name": "Ada"}, {"name": "Bob"}]]


@pytest.mark.parametrize(
    ("name", "content", "more", "message"),
    [
        ("x.jsonl", '{"id": 1}\n{"id"\n', {}, "line 2: "),
        ("x.csv", "id,name\n1\n", {}, "line 2: has not as many cells as the header"),
        ("x.csv", "id,name\nx,y\n", {"types": {"id": "int"}}, "line 2: invalid literal"),
        ("x.csv", "id,name\nx,y\n", {"types": {"no": "int"}}, "has no column 'no'"),
        ("x.json", '{"a": 1}', {}, "holds no array of objects"),
        ("x.jsonl", None, {}, "cannot be read (No such file or directory)"),
    ],
)
def test_a_reference_file_that_cannot_be_read_fails_the_documents(tmp_path, name, content, more, message):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DocumentError) as raised:
        joined([{"c": 7}], {**JOIN, "from": {"file": str(tmp_path / name), **more}})
    assert message in str(raised.value)


def test_every_problem_is_reported_at_once(table, api):
    lookups = [
        {**JOIN, "from": {"connection": "db", "tabel": "customers"}},
        {**JOIN, "from": {"connection": "api", "collection": "products"}},
        {**JOIN, "from": {"connection": "nope", "table": "x"}},
        {**JOIN, "from": {"file": "x.csv", "types": {"a": "integer"}, "format": "xls"}},
        {"from": {"connection": "db", "table": "customers"}, "pipeline": [{"$match": {"vip": True}}], "as": "r"},
        {**JOIN, "from": {"connection": "api", "path": "/x/{id}", "join": "pipe", "batchSize": 0}},
        {**JOIN, "from": {"collection": "customers"}},
    ]
    with pytest.raises(PipelineError) as raised:
        run_batch([], [{"$lookup": lookup} for lookup in lookups], connections={**table, **api})
    assert str(raised.value).splitlines() == [
        "stages[0].$lookup.from.tabel: unknown argument; did you mean 'table'?",
        "stages[0].$lookup.from.table: required",
        "stages[1].$lookup.from.collection: connection 'api' has no collection 'products'; it has customers",
        "stages[2].$lookup.from.connection: unknown connection 'nope'; known: api, db",
        "stages[3].$lookup.from.format: unknown format 'xls'; known are jsonl, json, csv",
        "stages[3].$lookup.from.types.a: unknown type 'integer'; known are string, int, double, bool",
        "stages[3].$lookup.from.types: are for CSV, whose values are texts; remove them",
        "stages[4].$lookup: would read the whole collection for every document; give localField and foreignField, or "
        "begin the pipeline with a $match on {$expr: {$eq: [field, $$name]}}",
        "stages[5].$lookup.from.path: cannot hold {names}; the values that are wanted go into param",
        "stages[5].$lookup.from.join: unknown way to join values: 'pipe'; known are comma and repeat",
        "stages[5].$lookup.from.batchSize: must be a whole number from 1 to 10000, got 0",
        "stages[6].$lookup.from: names neither a connection nor a file; such as {connection: db, table: customers} or "
        "{file: countries.csv}",
    ]
