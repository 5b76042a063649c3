"""MariaDB, a real server: the contract, types, restarts, deadlocks, and exactly once; MySQL speaks the same dialect."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
import test_sql_sink
import test_sql_source
from fluxion_connectors.sql import DatabaseUnavailable, SqlError, SqlSink, SqlSource
from mariadb import PASSWORD, MariaServer
from test_sql_sink import batch, make, query

from fluxion_flow.connect.spi import DeliveryError
from fluxion_flow.connect.sql.address import parse_url
from fluxion_flow.testing.connector_contract import TransactionalSinkContract, read_all


@pytest.fixture
def url(mariadb_url: str) -> str:
    return mariadb_url


class TestMariaSink(test_sql_sink.SqlSinkContract, TransactionalSinkContract):
    options = {"mode": "upsert"}

    def delivered(self) -> list[Any]:
        """As the source reads them: MariaDB's own types say less than the documents did."""
        return read_all(SqlSource(self.url, table="documents").open("documents", None))


class TestMariaSource(test_sql_source.TestSqlSource):
    options = {"page_size": 2, "cursor_columns": ["paid"], "key_columns": ["n"]}

    def make_source(self, documents: Any) -> SqlSource:
        self.documents = sorted(documents, key=lambda document: (document["paid"], document["n"]))
        return super().make_source(documents)


def test_types_go_in_and_come_out(url: str) -> None:
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
    moment = dt.datetime(2024, 5, 1, 10, 30, 0, 250_000, tzinfo=dt.timezone.utc)
    document = {
        "id": 1,
        "at": moment,
        "day": moment,
        "price": Decimal("12345678.1250"),
        "raw": b"\x00\xff",
        "tags": [{"price": Decimal("1.50")}, None],
        "text": "größer \U0001f600",
        "ok": True,
    }
    writer = make(url, create_table=kinds).open("0", None)
    writer.write(batch(document, {"id": 2, "tags": None}))
    writer.close()
    first, second = read_all(SqlSource(url, table="t").open("t", None))
    assert first == {
        **document,
        "day": dt.datetime(2024, 5, 1, tzinfo=dt.timezone.utc),
        "tags": [{"price": "1.50"}, None],
    }
    assert first["ok"] is True
    assert second == {"id": 2, **dict.fromkeys(list(kinds)[1:])}


def test_a_unique_violation_and_a_tombstone(url: str) -> None:
    writer = make(url, delete_when="gone").open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(batch({"id": 1, "v": "a"}, {"id": 1, "v": "b"}, {"id": 2, "v": "c"}))
    assert {n: str(error) for n, error in caught.value.errors.items()} == {
        1: "writing to table 't': (1062, \"Duplicate entry '1' for key 'PRIMARY'\")"
    }
    writer.write(batch({"id": 2, "gone": True}))
    assert query(url, "SELECT id, v FROM t") == [(1, "a")]
    writer.close()


def test_a_restart_loses_and_repeats_nothing(mariadb: MariaServer, url: str) -> None:
    writer = make(url, keys=[], create_table={"id": "integer"}).open("0", None)
    writer.write(batch({"id": 1}, cursor=1))
    second = batch({"id": 2}, {"id": 3}, cursor=3)
    mariadb.stop()
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            writer.write(second)
        assert PASSWORD not in str(caught.value)
    finally:
        mariadb.start()
    writer.write(second)
    writer.close()
    assert query(url, "SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]
    owned = make(url, keys=[])
    assert owned.committed_cursors() == {"p": 3}


def test_a_deadlock_is_tried_again(url: str) -> None:
    sink = SqlSink(url, "t", mode="upsert", keys=["id"], create_table={"id": "integer", "v": "string"})
    writer = sink.open("0", None)
    writer.write(batch({"id": 1, "v": "a"}, {"id": 2, "v": "a"}))
    engine = sa.create_engine(parse_url(url))
    outcome: list[BaseException] = []

    def other_order() -> None:
        try:
            writer.write(batch({"id": 2, "v": "b"}, {"id": 1, "v": "b"}))
        except DatabaseUnavailable as error:
            outcome.append(error)

    waiting = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    with engine.connect() as connection:
        # this one has written more, so that the writer is the one to give way
        for number in range(10, 60):
            connection.execute(sa.text(f"INSERT INTO t VALUES ({number}, 'c')"))
        connection.execute(sa.text("UPDATE t SET v = 'c' WHERE id = 1"))
        thread = threading.Thread(target=other_order)
        thread.start()
        while query(url, waiting) == [(0,)]:
            pass
        connection.execute(sa.text("UPDATE t SET v = 'c' WHERE id = 2"))
        connection.commit()
        thread.join()
    engine.dispose()
    (error,) = outcome
    assert "Deadlock found" in str(error)
    writer.write(batch({"id": 2, "v": "b"}, {"id": 1, "v": "b"}))
    assert query(url, "SELECT v FROM t WHERE id < 3 ORDER BY id") == [("b",), ("b",)]
    writer.close()


def test_a_wrong_password_is_said_at_once_and_not_shown(mariadb: MariaServer, url: str) -> None:
    wrong = url.replace(PASSWORD.replace("&", "%26"), "wr0ng-pass")
    with pytest.raises(SqlError) as caught:
        SqlSink(wrong, "t").open("0", None)
    assert not isinstance(caught.value, DatabaseUnavailable)
    assert "Access denied" in str(caught.value)
    assert "wr0ng-pass" not in str(caught.value)
