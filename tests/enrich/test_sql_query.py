"""$sqlQuery against SQLite and PostgreSQL."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text

from fluxion_flow import PipelineError, run_batch
from fluxion_flow.core.program import DocumentError
from fluxion_flow.enrich.statements import StatementError, parse_statement

ORDERS = "select id, total from orders where customer_id = ? order by id"


def queried(documents, call, connections):
    stage = {"$set": {"r": {"$sqlQuery": {"connection": "orders-db", **call}}}}
    return [document["r"] for document in run_batch(documents, [stage], connections=connections)]


def test_rows_become_documents_with_the_columns_names(databases):
    documents = [{"c": 7}, {"c": 8}, {"c": 9}]
    assert queried(documents, {"sql": ORDERS, "params": ["$c"]}, databases) == [
        [{"id": 1, "total": 20.5}, {"id": 2, "total": 5.0}],
        [{"id": 3, "total": 1.0}],
        [],
    ]


def test_a_single_row_is_wanted(databases):
    call = {"query": "select total from orders where customer_id = :c and id > :n", "expectSingle": True}
    found = queried([{"c": 7}, {"c": 9}], {**call, "params": {"c": "$c", "n": 1}}, databases)
    assert found == [{"total": 5.0}, None]


def test_values_of_documents_are_bound_whatever_they_hold(databases):
    call = {"sql": "select id from customers where name = ?", "params": ["$name"]}
    evil = "x' or '1'='1"
    assert queried([{"name": evil}, {"name": "'; drop table orders; --"}, {"name": "Ada"}], call, databases) == [
        [],
        [],
        [{"id": 7}],
    ]
    assert len(queried([{"c": 7}], {"sql": ORDERS, "params": ["$c"]}, databases)[0]) == 2


def test_types_of_columns_are_those_of_documents(postgres_databases):
    sql = (
        "select 1::bigint as big, 1.50::numeric as dec, timestamptz '2026-01-02 03:04:05.678+02' as at, "
        "date '2026-01-02' as day, 'a'::bytea as raw, '{\"a\": [1]}'::jsonb as doc, array[1,2] as list, "
        "null as nothing, true as yes, '7d444840-9dc0-11d1-b245-5ffdce74fad2'::uuid as id, '?' as mark"
    )
    utc = datetime.timezone.utc
    assert queried([{}], {"sql": sql.replace("'?'", "'?'"), "expectSingle": True}, postgres_databases) == [
        {
            "big": 1,
            "dec": Decimal("1.50"),
            "at": datetime.datetime(2026, 1, 2, 1, 4, 5, 678000, tzinfo=utc),
            "day": datetime.datetime(2026, 1, 2, tzinfo=utc),
            "raw": b"a",
            "doc": {"a": [1]},
            "list": [1, 2],
            "nothing": None,
            "yes": True,
            "id": str(uuid.UUID("7d444840-9dc0-11d1-b245-5ffdce74fad2")),
            "mark": "?",
        }
    ]


def test_dates_decimals_and_missing_values_are_bound(databases):
    call = {"sql": "select id from orders where placed >= ? and total < ? and (? is null) order by id"}
    if "postgresql" in databases["orders-db"]["url"]:
        call = {"sql": "select id from orders where placed >= ? and total < ? and (?::text is null) order by id"}
    moment = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    documents = [{"at": moment, "max": Decimal("10.5")}]
    assert queried(documents, {**call, "params": ["$at", "$max", "$none"]}, databases) == [[{"id": 2}, {"id": 3}]]


def test_documents_with_equal_values_share_a_query_and_1_is_not_true(databases):
    call = {"sql": "select ? as v", "params": ["$v"]}
    if "postgresql" in databases["orders-db"]["url"]:
        call = {"sql": "select ?::text as v", "params": ["$v"]}
    values = ["a", "b", "a"]
    assert queried([{"v": v} for v in values], call, databases) == [[{"v": v}] for v in values]


def test_a_statement_that_writes_is_committed_for_every_document(databases):
    call = {"sql": "insert into log (note) values (:note)", "params": {"note": "$n"}}
    assert queried([{"n": "same"}] * 3, call, databases) == [[], [], []]
    assert queried([{}], {"sql": "select count(*) as n from log", "expectSingle": True}, databases) == [{"n": 3}]


def test_a_statement_that_the_database_refuses_is_an_error_without_its_values(databases):
    with pytest.raises(DocumentError) as raised:
        queried([{"c": "s3cr3t-value"}], {"sql": "select nope from orders where name = ?", "params": ["$c"]}, databases)
    assert str(raised.value).startswith("stages[0].$set.r.$sqlQuery: connection 'orders-db': ")
    assert "nope" in str(raised.value)
    assert "s3cr3t-value" not in str(raised.value)
    assert raised.value.cause.retryable is False


def test_too_many_rows_are_an_error(databases):
    with pytest.raises(DocumentError, match="there are more than 2 rows; narrow the statement, or raise maxRows"):
        queried([{}], {"sql": "select id from orders", "maxRows": 2}, databases)


def test_a_database_that_is_down_is_worth_another_try(tmp_path):
    connections = {"orders-db": {"type": "sql", "url": "postgresql://u:p4ssw0rd@127.0.0.1:1/x"}}
    with pytest.raises(DocumentError) as raised:
        queried([{}], {"sql": "select 1"}, connections)
    assert raised.value.cause.retryable is True
    assert "p4ssw0rd" not in str(raised.value)
    assert queried([{}], {"sql": "select 1", "onError": {"value": "down"}}, connections) == ["down"]


def test_a_connection_may_be_written_as_jdbc_has_it(postgres_url):
    from sqlalchemy import make_url

    url = make_url(postgres_url)
    connections = {
        "orders-db": {
            "type": "sql",
            "jdbcUrl": f"jdbc:postgresql://{url.host}:{url.port}/{url.database}",
            "username": url.username,
            "password": url.password,
        }
    }
    assert queried([{}], {"sql": "select 1 as one"}, connections) == [[{"one": 1}]]


def test_every_problem_is_reported_at_once(databases):
    calls = {
        "a": {"connection": "orders", "sql": "select 1"},
        "b": {"sql": "select * from orders where id = $id and name = '{name}'", "connection": "orders-db"},
        "c": {"connection": "orders-db", "sql": "select ? + ?", "params": ["$a"]},
        "d": {"connection": "orders-db", "query": "select :a, :b", "params": {"a": 1, "c": 2}},
        "e": {"connection": "orders-db", "sql": "select 1; drop table orders"},
        "f": {"connection": "orders-db", "sql": "select ?, :x", "params": {"x": 1}, "expectSingle": "yes"},
        "g": {"connection": "orders-db", "parms": []},
        "h": {"connection": "orders-db", "sql": "select 'open"},
    }
    stages = [{"$set": {name: {"$sqlQuery": call} for name, call in calls.items()}}]
    with pytest.raises(PipelineError) as raised:
        run_batch([], stages, connections=databases)
    bound = "write ? or :name, and give the value in params: it is bound, whatever it holds"
    assert str(raised.value).splitlines() == [
        "stages[0].$set.a.$sqlQuery.connection: unknown connection 'orders'; did you mean 'orders-db'?",
        f"stages[0].$set.b.$sqlQuery.sql: would splice $id into the statement; {bound}",
        "stages[0].$set.c.$sqlQuery.sql: has 2 ?, but there are 1 params; give a value for each",
        "stages[0].$set.d.$sqlQuery.params.c: the statement has no :c; it has :a, :b",
        "stages[0].$set.d.$sqlQuery.query: has no value for :b; give params: {b: …}",
        "stages[0].$set.e.$sqlQuery.sql: holds several statements; make a call of each",
        "stages[0].$set.f.$sqlQuery.sql: mixes ? and :name; use one of the two",
        "stages[0].$set.f.$sqlQuery.expectSingle: must be true or false, got 'yes'",
        "stages[0].$set.g.$sqlQuery.parms: unknown argument; did you mean 'params'?",
        "stages[0].$set.g.$sqlQuery.sql: required; such as SELECT name FROM users WHERE id = ?",
        "stages[0].$set.h.$sqlQuery.sql: has a quote without its end",
    ]


@pytest.mark.parametrize(
    ("sql", "positions", "names", "reads"),
    [
        ("select ?", 1, (), True),
        ("select '?', \"a?b\", `?` -- ?\n, ? /* ? */", 1, (), True),
        ("select a ?? 'b' from t where x = :x and y::int = :y and z = ':no'", 0, ("x", "y"), True),
        ("with a as (select 1) select * from a;", 0, (), True),
        ("with a as (delete from t returning *) select * from a", 0, (), False),
        ("update t set a = ?", 1, (), False),
        ("select $$a ? :b$$, $t$ ? $t$", 0, (), True),
    ],
)
def test_parameters_are_found_outside_of_quotes_and_comments(sql, positions, names, reads):
    found = parse_statement(sql)
    assert (found.positions, found.names, found.reads) == (positions, names, reads)


@pytest.mark.parametrize("sql", ["select ${id}", "select {id}", "select %(id)s", "select { $id }", ""])
def test_a_statement_that_splices_values_is_refused(sql):
    with pytest.raises(StatementError):
        parse_statement(sql)


def filled(url):
    """A database with customers and orders."""
    engine = create_engine(url)
    moment = "timestamp" if url.startswith("postgresql") else "datetime"
    serial = "serial primary key" if url.startswith("postgresql") else "integer primary key"
    with engine.begin() as connection:
        for statement in (
            "create table customers (id integer primary key, name text, vip boolean)",
            "insert into customers values (7, 'Ada', true), (8, 'Bob', false), (9, null, null)",
            f"create table orders (id integer primary key, customer_id integer, total float, placed {moment})",
            "insert into orders values (1, 7, 20.5, '2026-01-01 00:00:00.000000'), "
            "(2, 7, 5.0, '2026-01-02 00:00:00.000000'), (3, 8, 1.0, '2026-01-03 00:00:00.000000')",
            f"create table log (id {serial}, note text)",
        ):
            connection.execute(text(statement))
    engine.dispose()
    return {"orders-db": {"type": "sql", "url": url}}


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request, tmp_path):
    """The connection ``orders-db`` to a database with customers and orders."""
    if request.param == "sqlite":
        return filled(f"sqlite:///{tmp_path / 'test.db'}")
    return filled(request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://"))


@pytest.fixture
def postgres_databases(postgres_url):
    return filled(postgres_url.replace("postgresql://", "postgresql+psycopg://"))


def test_a_password_that_is_written_out_leaves_a_definition_as_a_reference(databases):
    from fluxion_flow import StreamingPipelineDefinition

    url = "jdbc:postgresql://db/x"
    definition = StreamingPipelineDefinition.from_dict(
        {
            "name": "p",
            "source": {"type": "memory", "name": "in"},
            "stages": [{"$set": {"r": {"$sqlQuery": {"connection": "db", "sql": "select 1"}}}}],
            "sink": {"type": "memory", "name": "out"},
            "connections": {"db": {"type": "sql", "jdbcUrl": url, "username": "u", "password": "p4ss-w0rd"}},
        }
    )
    assert definition.to_dict()["connections"]["db"]["password"] == {"$secret": "CONNECTIONS_DB_PASSWORD"}


def test_no_database_library_is_imported_before_it_is_used():
    import subprocess
    import sys

    code = "import sys; from fluxion_flow.core.expressions.registry import all_operators; all_operators(); "
    code += "print([m for m in ('httpx', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
