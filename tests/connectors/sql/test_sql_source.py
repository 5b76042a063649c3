"""The SQL source: pages of rows behind a place, with ties, types and a growing table."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from fluxion_connectors.sql import SqlError, SqlSink, SqlSource
from test_sql_sink import COLUMNS, batch, query

from fluxion_flow.connect.spi import Document
from fluxion_flow.connect.sql.address import parse_url
from fluxion_flow.testing.connector_contract import DOCUMENTS, ReplayableSourceContract, read_all

UTC = dt.timezone.utc


class TestSqlSource(ReplayableSourceContract):
    documents = DOCUMENTS[:9]  # opening a reader asks a database for the table's columns, which takes long
    options: dict[str, Any] = {"page_size": 2}

    @pytest.fixture(autouse=True)
    def _database(self, url: str) -> None:
        self.url = url

    def make_source(self, documents: Sequence[Document]) -> SqlSource:
        sink = SqlSink(self.url, "documents", keys=["n"], create_table=COLUMNS, mode="upsert")
        writer = sink.open("0", None)
        writer.write(batch(*documents))
        writer.close()
        return SqlSource(self.url, **{"table": "documents", **self.options})

    def break_next_read(self, source: Any) -> Callable[[], None]:
        query(self.url, "ALTER TABLE documents RENAME TO elsewhere")
        return lambda: query(self.url, "ALTER TABLE elsewhere RENAME TO documents") and None


class TestSqlSourceByRow(TestSqlSource):
    options = {"page_size": 1, "cursor_columns": ["paid"]}

    def make_source(self, documents: Sequence[Document]) -> SqlSource:
        self.documents = sorted(documents, key=lambda document: (document["paid"], document["n"]))
        return super().make_source(documents)


def read(source: SqlSource, cursor: Any = None, size: int = 2) -> list[Document]:
    (partition,) = source.partitions()
    reader = source.open(partition, cursor)
    documents = read_all(reader, size)
    reader.close()
    return documents


def test_ties_at_the_end_of_a_page_are_neither_lost_nor_repeated(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key, at timestamp)")
    for number in range(1, 10):
        query(url, f"INSERT INTO t VALUES ({number}, '2024-05-01 10:00:0{number // 4}.123456')")
    source = SqlSource(url, table="t", cursor_columns=["at"], page_size=2)
    documents = read(source)
    assert [document["id"] for document in documents] == list(range(1, 10))
    assert documents[0]["at"] == dt.datetime(2024, 5, 1, 10, 0, 0, 123_000, tzinfo=UTC)
    reader = source.open("t", None)
    reader.read(2)
    reader.read(2)
    assert reader.cursor["after"] == [{"at": "2024-05-01T10:00:01.123456"}, 4]
    assert [document["id"] for document in read(source, reader.cursor)] == [5, 6, 7, 8, 9]
    reader.close()


def test_an_endless_source_sees_new_rows(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key)")
    source = SqlSource(url, table="t", bounded=False, poll_interval=0.5)
    assert (source.bounded, source.poll_interval) == (False, 0.5)
    reader = source.open("t", None)
    for expected in ([], [1], [], [2, 3]):
        if expected:
            query(url, "INSERT INTO t VALUES " + ", ".join(f"({number})" for number in expected))
        found = reader.read(10)
        assert found is not None
        assert [document["id"] for document in found.documents] == expected
    assert reader.lag() == 0
    reader.close()


def test_a_query_is_read_by_its_columns_with_parameters_bound(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key, country text, total numeric(10, 2))")
    query(url, "INSERT INTO t VALUES (1, 'DE', 1.50), (2, 'FR', 2), (3, 'DE', 3.25), (4, 'DE', 3.25)")
    source = SqlSource(
        url,
        query="SELECT id, total, '12:30' AS clock FROM t WHERE country = :country;",
        parameters={"country": "DE"},
        cursor_columns=["total"],
        key_columns=["id"],
        page_size=1,
    )
    assert source.partitions() == ["query"]
    documents = read(source)
    assert [document["id"] for document in documents] == [1, 3, 4]
    assert {document["clock"] for document in documents} == {"12:30"}
    malicious = SqlSource(
        url,
        query="SELECT id FROM t WHERE country = :country",
        parameters={"country": "DE' OR '1'='1"},
        key_columns=["id"],
    )
    assert read(malicious) == []


def test_reading_starts_behind_given_values(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key, version integer)")
    query(url, "INSERT INTO t VALUES (1, 10), (2, 20), (3, 20), (4, 30), (5, NULL)")
    source = SqlSource(url, table="t", cursor_columns=["version"], start_after=[10], page_size=1)
    assert [document["id"] for document in read(source)] == [2, 3, 4]


def test_postgres_types_become_values_of_documents(postgres_url: str) -> None:
    query(
        postgres_url,
        """CREATE TABLE t (id uuid primary key, at timestamptz, local timestamp, day date, clock time, price numeric,
           raw bytea, tags text[], data jsonb, span interval, big bigint, ratio double precision, ok boolean,
           place int4range)""",
    )
    names = [uuid.UUID(int=number) for number in (1, 2)]
    for name in names:
        query(
            postgres_url,
            f"""INSERT INTO t VALUES ('{name}', '2024-05-01 12:00:00.123456+02', '2024-05-01 12:00:00', '2024-05-01',
                '12:30', 12.50, '\\x00ff', '{{a,b}}', '{{"a": [1, null]}}', '1 day', 9007199254740993, 0.1, true,
                '[1,5)')""",
        )
    first, second = read(SqlSource(postgres_url, table="t", page_size=1), size=1)
    assert first == {
        "id": str(names[0]),
        "at": dt.datetime(2024, 5, 1, 10, 0, 0, 123_000, tzinfo=UTC),
        "local": dt.datetime(2024, 5, 1, 12, tzinfo=UTC),
        "day": dt.datetime(2024, 5, 1, tzinfo=UTC),
        "clock": "12:30:00",
        "price": Decimal("12.50"),
        "raw": b"\x00\xff",
        "tags": ["a", "b"],
        "data": {"a": [1, None]},
        "span": "1 day, 0:00:00",
        "big": 9007199254740993,
        "ratio": 0.1,
        "ok": True,
        "place": "[1,5)",
    }
    assert second["id"] == str(names[1])


@pytest.mark.parametrize("kind", ["timestamptz", "numeric", "uuid", "date", "bytea", "text"])
def test_any_ordered_type_can_be_a_cursor(postgres_url: str, kind: str) -> None:
    values = {
        "timestamptz": ["2024-05-01 12:00:00.123456+02", "2024-05-01 12:00:00.123457+02", "2024-05-01 10:00:01Z"],
        "numeric": ["0.1000000000000000000001", "0.1000000000000000000002", "7"],
        "uuid": [str(uuid.UUID(int=number)) for number in (1, 2, 3)],
        "date": ["2024-05-01", "2024-05-02", "2024-06-01"],
        "bytea": ["\\x00", "\\x01ff", "\\xff"],
        "text": ["a", "b'", "c"],
    }[kind]
    query(postgres_url, f"CREATE TABLE t (place {kind} primary key, number integer)")
    for number, value in enumerate(values):
        query(postgres_url, "INSERT INTO t VALUES ('{}', {})".format(value.replace("'", "''"), number))
    source = SqlSource(postgres_url, table="t", page_size=1)
    assert [document["number"] for document in read(source, size=1)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"table": "ordres"}, "there is no table 'ordres'; did you mean 'orders'?"),
        ({"table": "orders", "cursor_columns": ["upd"]}, "table 'orders' has no column 'upd'; it has id, v"),
        ({"table": "keyless"}, "table 'keyless' has no primary key to order its rows by; name key_columns"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(url: str, options: dict[str, Any], expected: str) -> None:
    query(url, "CREATE TABLE orders (id integer primary key, v text)")
    query(url, "CREATE TABLE keyless (id integer)")
    with pytest.raises(SqlError) as caught:
        read(SqlSource(url, **options))
    assert str(caught.value) == expected


def test_a_checkpoint_of_another_order_is_refused(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key, v integer)")
    reader = SqlSource(url, table="t").open("t", None)
    cursor = reader.cursor
    reader.close()
    with pytest.raises(SqlError) as caught:
        SqlSource(url, table="t", cursor_columns=["v"]).open("t", cursor)
    assert str(caught.value) == (
        "the checkpoint's rows were ordered by id, and now they are by v, id; "
        "set the columns back, or start without the checkpoint"
    )


def test_tables_are_discovered_with_their_schema(url: str) -> None:
    from fluxion_connectors.sql import connector

    query(url, "CREATE TABLE orders (id integer primary key, at timestamp not null, name text, data json)")
    assert connector.discover_streams is not None
    (stream,) = connector.discover_streams({"url": url})
    assert stream.name == "orders"
    assert stream.cursor_fields == ("id", "at")
    assert stream.schema is not None
    properties = dict(stream.schema["properties"])
    assert properties.pop("id")["type"] in ("integer", ["integer", "null"])
    assert properties == {
        "at": {"type": "string", "format": "date-time"},
        "name": {"type": ["string", "null"]},
        "data": {},
    }


def test_null_places_are_passed_over(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key, at integer)")
    query(url, "INSERT INTO t VALUES (1, NULL), (2, 5)")
    assert [document["id"] for document in read(SqlSource(url, table="t", cursor_columns=["at"]))] == [2]


def test_sqlite_decimals_are_read_exactly(tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    query(url, "CREATE TABLE t (id integer primary key, price numeric(20, 4), total decimal)")
    query(url, "INSERT INTO t VALUES (1, '12345678.125', 0.1)")
    assert read(SqlSource(url, table="t")) == [{"id": 1, "price": Decimal("12345678.125"), "total": Decimal("0.1")}]


def test_the_engine_of_a_closed_reader_holds_no_connection(url: str) -> None:
    query(url, "CREATE TABLE t (id integer primary key)")
    assert read(SqlSource(url, table="t")) == []
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE t"))
    engine.dispose()
