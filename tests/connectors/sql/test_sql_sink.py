"""The SQL sink: rows and the source's position in one transaction, and what becomes of rows that are refused."""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from fluxion_connectors.sql import DatabaseUnavailable, RowRefused, SqlError, SqlSink

from fluxion_flow.connect.expressions import Expression
from fluxion_flow.connect.spi import Batch, DeliveryError
from fluxion_flow.connect.sql.address import parse_url
from fluxion_flow.testing.connector_contract import DOCUMENTS, SinkContract

UTC = dt.timezone.utc
COLUMNS = {
    "n": "integer",
    "name": "string",
    "price": "number",
    "paid": "boolean",
    "note": "string",
    "items": "json",
}


def query(url: str, statement: str) -> list[Any]:
    """All rows that a statement gives; it may also change something."""
    engine = sa.create_engine(parse_url(url))
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement))
        rows = list(map(tuple, result)) if result.returns_rows else []
    engine.dispose()
    return rows


def positions(url: str) -> list[Any]:
    found = query(url, "SELECT sink, partition, cursor FROM fluxion_cursors ORDER BY 1, 2")
    return [(sink, partition, json.loads(cursor)) for sink, partition, cursor in found]


def batch(*documents: dict[str, Any], cursor: Any = None, partition: str = "p") -> Batch:
    return Batch(list(documents), partition, cursor=cursor)


class SqlSinkContract(SinkContract):
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _database(self, url: str) -> None:
        self.url = url

    def make_sink(self) -> SqlSink:
        return SqlSink(self.url, "documents", keys=["n"], create_table=COLUMNS, **self.options)

    def delivered(self) -> list[Any]:
        engine = sa.create_engine(parse_url(self.url))
        with engine.connect() as connection:
            table = sa.Table("documents", sa.MetaData(), autoload_with=connection)
            rows = [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.n)).mappings()]
        engine.dispose()
        return rows

    def refused_document(self) -> Any:
        return {"n": 2**70, "name": "too large"}

    def break_next_write(self, sink: Any, writer: Any) -> Callable[[], None]:
        query(self.url, "ALTER TABLE documents RENAME TO elsewhere")
        return lambda: query(self.url, "ALTER TABLE elsewhere RENAME TO documents") and None


class TestUpsertingSqlSink(SqlSinkContract):
    options = {"mode": "upsert"}


class TestSqlSink(SqlSinkContract):
    """Inserting: what a crash leaves uncommitted is gone, what was committed before is found by its position."""

    def test_a_crash_loses_nothing_and_with_replays_repeats_nothing(self) -> None:
        writer = self.make_sink().open("0", None)
        first, second = self._batch(0, 5), self._batch(5, 9)
        first.cursor, second.cursor = {"v": 1, "index": 5}, {"v": 1, "index": 9}
        writer.write(first)
        writer.write(second)
        del writer
        sink = self.make_sink()
        assert sink.committed_cursors() == {"p": {"v": 1, "index": 9}}
        writer = sink.open("0", None)
        writer.write(self._batch(9, 12))
        writer.close()
        assert self.delivered() == list(DOCUMENTS[:12])


def make(url: str, **options: Any) -> SqlSink:
    return SqlSink(url, "t", **{"create_table": {"id": "integer", "v": "string"}, "keys": ["id"], **options})


def test_rows_and_the_sources_cursor_are_committed_together(url: str) -> None:
    sink = make(url)
    assert sink.transactional
    assert not sink.keyed
    assert sink.committed_cursors() == {}
    writer = sink.open("0", None)
    writer.write(batch({"id": 1, "v": "a"}, cursor={"v": 1, "offset": 10}, partition="a"))
    writer.write(batch({"id": 2, "v": "b"}, cursor={"v": 1, "offset": 20}, partition="a"))
    writer.write(batch({"id": 3, "v": "c"}, cursor={"v": 1, "offset": 5}, partition="b"))
    assert query(url, "SELECT * FROM t ORDER BY id") == [(1, "a"), (2, "b"), (3, "c")]
    assert positions(url) == [("t", "a", {"v": 1, "offset": 20}), ("t", "b", {"v": 1, "offset": 5})]
    assert make(url).committed_cursors() == {"a": {"v": 1, "offset": 20}, "b": {"v": 1, "offset": 5}}
    assert make(url, position_name="other").committed_cursors() == {}
    assert make(url, transactional=False).committed_cursors() == {}
    writer.close()


def test_an_empty_batch_moves_the_cursor(url: str) -> None:
    writer = make(url).open("0", None)
    writer.write(batch(cursor={"v": 1, "offset": 7}))
    assert make(url).committed_cursors() == {"p": {"v": 1, "offset": 7}}
    writer.close()


def test_without_transactions_no_table_of_positions_is_made(url: str) -> None:
    writer = make(url, transactional=False).open("0", None)
    writer.write(batch({"id": 1}, cursor={"v": 1}))
    writer.close()
    engine = sa.create_engine(parse_url(url))
    assert sa.inspect(engine).get_table_names() == ["t"]
    engine.dispose()


def test_a_unique_violation_names_its_document_and_the_others_stay(url: str) -> None:
    writer = make(url).open("0", None)
    writer.write(batch({"id": 5, "v": "first"}))
    documents = [{"id": number, "v": "x"} for number in range(10)]
    with pytest.raises(DeliveryError) as caught:
        writer.write(batch(*documents, cursor={"v": 1, "offset": 10}))
    assert list(caught.value.errors) == [5]
    assert isinstance(caught.value.errors[5], RowRefused)
    assert "writing to table 't': " in str(caught.value.errors[5])
    assert "nique constraint" in str(caught.value.errors[5]) or "UNIQUE" in str(caught.value.errors[5])
    # the policy has not decided yet: a run that ends here must read the batch again, all of it
    assert query(url, "SELECT count(*) FROM t") == [(1,)]
    assert make(url).committed_cursors() == {}
    writer.flush()
    assert query(url, "SELECT id, v FROM t WHERE id IN (4, 5, 6) ORDER BY id") == [(4, "x"), (5, "first"), (6, "x")]
    assert query(url, "SELECT count(*) FROM t") == [(10,)]
    assert make(url).committed_cursors() == {"p": {"v": 1, "offset": 10}}
    writer.close()


def test_what_was_held_is_committed_with_the_next_batch(url: str) -> None:
    writer = make(url).open("0", None)
    with pytest.raises(DeliveryError):
        writer.write(batch({"id": 1}, {"id": 1}, cursor={"v": 1, "offset": 2}))
    writer.write(batch({"id": 2}, cursor={"v": 1, "offset": 3}))
    assert query(url, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    assert make(url).committed_cursors() == {"p": {"v": 1, "offset": 3}}
    writer.close()


def test_every_refused_row_is_found(url: str) -> None:
    writer = make(url).open("0", None)
    documents = [{"id": number // 2 if number in (7, 20) else number} for number in range(30)]
    with pytest.raises(DeliveryError) as caught:
        writer.write(batch(*documents, {"v": "no key"}, {"id": 99, "other": 1}))
    assert list(caught.value.errors) == [7, 20, 30, 31]
    assert str(caught.value.errors[30]) == "key column 'id' of table 't' has no value"
    assert str(caught.value.errors[31]) == (
        "field 'other' has no column in table 't'; add the column, map it in columns, or set extra_fields: ignore"
    )
    writer.flush()
    assert query(url, "SELECT count(*) FROM t") == [(28,)]
    writer.close()


def test_upsert_changes_the_columns_that_a_document_has(url: str) -> None:
    sink = make(url, mode="upsert", create_table={"id": "integer", "v": "string", "w": "string"})
    assert sink.keyed
    writer = sink.open("0", None)
    writer.write(batch({"id": 1, "v": "a", "w": "x"}, {"id": 2, "v": "b", "w": "y"}))
    writer.write(batch({"id": 1, "v": "c"}, {"id": 1, "v": "d"}, {"id": 2, "w": None}, {"id": 3}))
    assert query(url, "SELECT id, v, w FROM t ORDER BY id") == [(1, "d", "x"), (2, "b", None), (3, None, None)]
    writer.close()


def test_a_tombstone_deletes_the_row_of_its_keys(url: str) -> None:
    sink = make(url, mode="upsert", delete_when="$deleted")
    writer = sink.open("0", None)
    writer.write(batch({"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c", "deleted": False}))
    writer.write(batch({"id": 1, "deleted": True}, {"id": 2, "deleted": True}, {"id": 2, "v": "again"}))
    assert query(url, "SELECT id, v FROM t ORDER BY id") == [(2, "again"), (3, "c")]
    writer.close()


def test_columns_take_values_from_paths(url: str) -> None:
    sink = SqlSink(
        url,
        'odd "table"',
        columns={"who": "$customer.name", "select": "total", "all": "customer"},
        create_table={"who": "string", "select": "number", "all": "json"},
    )
    writer = sink.open("0", None)
    writer.write(batch({"customer": {"name": "Ada"}, "total": 2.5, "ignored": 1}, {"total": 1}))
    found = query(url, 'SELECT who, "select" FROM "odd ""table""" ORDER BY 2 DESC')
    assert found == [("Ada", 2.5), (None, 1.0)]
    writer.close()


def test_a_row_is_what_its_expression_makes_of_a_document(url: str) -> None:
    row = Expression({"id": "$order.id", "v": {"$concat": ["$who", "-", {"$toString": "$order.n"}]}})
    writer = make(url, mode="upsert", row=row, delete_when="gone").open("0", None)
    good = [
        {"order": {"id": 1, "n": 7}, "who": "a", "more": True},
        {"order": {"id": 2}, "gone": True},
        {"order": {"id": 3}},
    ]
    writer.write(batch({"order": {"id": 2, "n": 1}, "who": "b"}))
    with pytest.raises(DeliveryError) as caught:
        writer.write(batch(*good, {"who": "c"}, {"order": {"id": 4, "n": 1}, "who": 5}))
    writer.flush()
    assert query(url, "SELECT id, v FROM t ORDER BY id") == [(1, "a-7"), (3, None)]
    first, second = (str(caught.value.errors[index]) for index in (3, 4))
    assert list(caught.value.errors) == [3, 4]
    assert first == "key column 'id' of table 't' has no value"
    assert second.startswith("$concat") or "$concat" in second
    writer.close()


def test_an_expression_that_makes_no_row_refuses_its_document(url: str) -> None:
    writer = make(url, row=Expression("$made"), extra_fields="refuse").open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(batch({"made": {"id": 1}}, {"made": 5}, {}, {"made": {"id": 2, "w": 1}}))
    assert {index: str(error).partition(";")[0] for index, error in caught.value.errors.items()} == {
        1: "the row of table 't' must be an object, got int",
        2: "key column 'id' of table 't' has no value",
        3: "field 'w' has no column in table 't'",
    }
    writer.close()


def test_types_are_stored_as_the_database_has_them(url: str) -> None:
    kinds = {
        "id": "integer",
        "at": "timestamp",
        "day": "date",
        "price": "decimal(20,4)",
        "raw": "binary",
        "tags": "json",
        "text": "string",
        "ok": "boolean",
    }
    moment = dt.datetime(2024, 5, 1, 10, 30, 0, 250_000, tzinfo=UTC)
    document = {
        "id": 1,
        "at": moment,
        "day": moment,
        "price": Decimal("12345678.1250"),
        "raw": b"\x00\xff",
        "tags": [{"at": moment, "price": Decimal("1.50")}],
        "text": {"nested": [1, 2]},
        "ok": True,
    }
    writer = make(url, create_table=kinds).open("0", None)
    writer.write(batch(document, {"id": 2, "at": "2024-05-01T12:30:00+02:00", "text": moment, "tags": None}))
    engine = sa.create_engine(parse_url(url))
    with engine.connect() as connection:
        table = sa.Table("t", sa.MetaData(), autoload_with=connection)
        first, second = (dict(row) for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings())
    engine.dispose()
    zone = UTC if url.startswith("postgresql") else None
    assert first == {
        "id": 1,
        "at": moment.replace(tzinfo=zone),
        "day": dt.date(2024, 5, 1),
        "price": Decimal("12345678.1250"),
        "raw": b"\x00\xff",
        "tags": [{"at": "2024-05-01T10:30:00.250000Z", "price": "1.50"}],
        "text": '{"nested":[1,2]}',
        "ok": True,
    }
    assert second["at"] == dt.datetime(2024, 5, 1, 10, 30, tzinfo=zone)
    assert second["text"] == "2024-05-01T10:30:00.250000Z"
    assert second["tags"] is None
    assert query(url, "SELECT id FROM t WHERE tags IS NULL") == [(2,)]
    writer.close()


def test_a_table_can_be_created_from_a_json_schema(url: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "items": {"type": "array"},
            "any": {},
        },
    }
    writer = make(url, create_table=schema).open("0", None)
    writer.write(batch({"id": 1, "at": dt.datetime(2024, 1, 1, tzinfo=UTC), "items": [1], "any": {"a": 1}}))
    writer.close()
    engine = sa.create_engine(parse_url(url))
    columns = {column["name"]: str(column["type"]) for column in sa.inspect(engine).get_columns("t")}
    engine.dispose()
    expected = {"id": "BIGINT", "at": "DATETIME", "items": "JSON", "any": "JSON"}
    if url.startswith("postgresql"):
        expected = {"id": "BIGINT", "at": "TIMESTAMP", "items": "JSONB", "any": "JSONB"}
    assert columns == expected


def test_several_writers_of_one_table_wait_for_each_other(url: str) -> None:
    sink = make(url)
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            writer = sink.open(str(worker), None)
            for number in range(20):
                writer.write(batch({"id": worker * 100 + number}, cursor={"v": number}, partition=str(worker)))
            writer.close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert query(url, "SELECT count(*) FROM t") == [(80,)]
    assert sink.committed_cursors() == {str(worker): {"v": 19} for worker in range(4)}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"create_table": None}, "there is no table 't'; create it, or set create_table"),
        (
            {"columns": {"id": "id", "valeu": "v"}, "create_table": {"id": "integer", "value": "string"}},
            "table 't' has no column 'valeu'; did you mean 'value'?",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(url: str, options: dict[str, Any], expected: str) -> None:
    with pytest.raises(SqlError) as caught:
        make(url, **options).open("0", None)
    assert str(caught.value) == expected


def test_upsert_needs_a_table_that_holds_the_keys_unique(url: str) -> None:
    query(url, "CREATE TABLE t (id integer, v text)")
    with pytest.raises(SqlError) as caught:
        make(url, mode="upsert", create_table=None).open("0", None)
    assert str(caught.value) == (
        "table 't' does not hold id unique, so rows cannot be found by them; "
        "add a primary key or a unique index on exactly (id)"
    )
    query(url, "CREATE UNIQUE INDEX one ON t (id)")
    make(url, mode="upsert", create_table=None).open("0", None).close()


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(SqlError) as caught:
        SqlSink("mysql://root:hunter22@localhost/x", "t")
    assert str(caught.value) == (
        "url: mysql needs the package 'pymysql', which is not installed; pip install 'fluxion-flow[mysql]'"
    )
    with pytest.raises(SqlError) as caught:
        SqlSink("nosuch://localhost/x", "t")
    assert str(caught.value) == "url: no database is known by 'nosuch'; use sqlite, postgresql, mysql or mariadb"


def test_sqlite_that_stays_locked_is_unavailable(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxion_connectors.sql.database.LOCK_WAIT", 0.05)
    url = f"sqlite:///{tmp_path / 'test.db'}"
    writer = make(url).open("0", None)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable) as caught:
            writer.write(batch({"id": 1}))
        assert str(caught.value) == "writing to table 't': database is locked"
    writer.write(batch({"id": 1}))
    assert query(url, "SELECT id FROM t") == [(1,)]
    writer.close()
    engine.dispose()
