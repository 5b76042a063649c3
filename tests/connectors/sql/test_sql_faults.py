"""What a database does to a pipeline: restarts, deadlocks, lost connections, kills of the process that writes."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from fluxion_connectors.sql import DatabaseUnavailable, SqlError, SqlSink, SqlSource
from postgres import PASSWORD, PostgresServer
from test_sql_sink import batch, make, positions, query

from fluxion_flow.connect.sql.address import parse_url
from fluxion_flow.testing.connector_contract import read_all


@pytest.mark.parametrize("at_once", [True, False])
def test_a_restart_of_the_server_loses_and_repeats_nothing(
    postgres: PostgresServer, postgres_url: str, at_once: bool
) -> None:
    writer = make(postgres_url, keys=[]).open("0", None)
    writer.write(batch({"id": 1}, cursor={"v": 1}))
    second = batch({"id": 2}, {"id": 3}, cursor={"v": 3})
    postgres.stop(at_once=at_once)
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            writer.write(second)
        assert PASSWORD not in str(caught.value)
        assert str(caught.value).startswith("writing to table 't': ")
    finally:
        postgres.start()
    writer.write(second)
    assert query(postgres_url, "SELECT id FROM t ORDER BY id") == [(1,), (2,), (3,)]
    assert positions(postgres_url) == [("t", "p", {"v": 3})]
    writer.close()


def test_a_connection_cut_within_a_transaction_is_made_anew(postgres_url: str) -> None:
    writer = make(postgres_url).open("0", None)
    real = writer._execute

    def cut(connection: Any, changes: Any) -> None:
        real(connection, changes)
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        query(postgres_url, f"SELECT pg_terminate_backend({pid})")

    writer._execute = cut
    given = batch({"id": 1}, {"id": 2}, cursor={"v": 2})
    with pytest.raises(DatabaseUnavailable):
        writer.write(given)
    writer._execute = real
    assert query(postgres_url, "SELECT count(*) FROM t") == [(0,)]
    writer.write(given)
    assert query(postgres_url, "SELECT count(*) FROM t") == [(2,)]
    writer.close()


def test_a_commit_whose_answer_was_lost_is_not_made_twice(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = make(url, keys=[], create_table={"id": "integer"}).open("0", None)
    real = sa.Connection.commit

    def answer_lost(connection: sa.Connection) -> None:
        real(connection)
        raise sa.exc.OperationalError(
            "COMMIT", {}, Exception("server closed the connection"), connection_invalidated=True
        )

    given = batch({"id": 1}, {"id": 2}, cursor={"v": 2})
    monkeypatch.setattr(sa.Connection, "commit", answer_lost)
    with pytest.raises(DatabaseUnavailable):
        writer.write(given)
    monkeypatch.undo()
    writer.write(given)
    assert query(url, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    writer.write(batch({"id": 1}, cursor={"v": 3}))
    assert query(url, "SELECT id FROM t ORDER BY id") == [(1,), (1,), (2,)]
    writer.close()


def test_a_commit_that_did_not_take_place_is_made(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = make(url, keys=[], create_table={"id": "integer"}).open("0", None)

    def request_lost(connection: sa.Connection) -> None:
        connection.rollback()
        raise sa.exc.OperationalError(
            "COMMIT", {}, Exception("server closed the connection"), connection_invalidated=True
        )

    given = batch({"id": 1}, {"id": 2}, cursor={"v": 2})
    monkeypatch.setattr(sa.Connection, "commit", request_lost)
    with pytest.raises(DatabaseUnavailable):
        writer.write(given)
    monkeypatch.undo()
    writer.write(given)
    assert query(url, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    writer.close()


def test_a_deadlock_ends_for_one_writer_with_trying_again(postgres_url: str) -> None:
    columns = {"id": "integer", "v": "string"}
    sink = SqlSink(postgres_url, "t", mode="upsert", keys=["id"], create_table=columns, transactional=False)
    writer = sink.open("0", None)
    writer.write(batch({"id": 1, "v": "a"}, {"id": 2, "v": "a"}))
    engine = sa.create_engine(parse_url(postgres_url))
    outcome: list[BaseException] = []

    def other_order() -> None:
        try:
            writer.write(batch({"id": 2, "v": "b"}, {"id": 1, "v": "b"}))
        except DatabaseUnavailable as error:
            outcome.append(error)

    with engine.connect() as connection:
        # a long wait before this one looks for a deadlock: the writer is the one that finds it
        connection.execute(sa.text("SET deadlock_timeout = '60s'"))
        connection.execute(sa.text("UPDATE t SET v = 'c' WHERE id = 1"))
        thread = threading.Thread(target=other_order)
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while query(postgres_url, waiting) == [(0,)]:
            pass
        connection.execute(sa.text("UPDATE t SET v = 'c' WHERE id = 2"))
        connection.commit()
        thread.join()
    engine.dispose()
    (error,) = outcome
    assert "deadlock detected" in str(error)
    assert query(postgres_url, "SELECT v FROM t ORDER BY id") == [("c",), ("c",)]
    writer.write(batch({"id": 2, "v": "b"}, {"id": 1, "v": "b"}))
    assert query(postgres_url, "SELECT v FROM t ORDER BY id") == [("b",), ("b",)]
    writer.close()


def test_a_wrong_password_is_said_at_once_and_not_shown(postgres: PostgresServer) -> None:
    for make_it in (
        lambda url: SqlSink(url, "t").open("0", None),
        lambda url: SqlSink(url, "t").committed_cursors(),
        lambda url: SqlSource(url, table="t").open("t", None),
    ):
        with pytest.raises(SqlError) as caught:
            make_it(postgres.url(password="wr0ng-pass"))
        assert not isinstance(caught.value, DatabaseUnavailable)
        assert "password authentication failed" in str(caught.value)
        assert "wr0ng-pass" not in str(caught.value)
    assert "wr0ng-pass" not in repr(SqlSink(postgres.url(password="wr0ng-pass"), "t"))


def test_a_server_that_is_down_is_unavailable(postgres: PostgresServer, postgres_url: str) -> None:
    sink = make(postgres_url)
    source = SqlSource(postgres_url, table="t")
    sink.open("0", None).close()
    reader = source.open("t", None)
    postgres.stop()
    try:
        for call in (lambda: sink.open("0", None), sink.committed_cursors, lambda: reader.read(1), source_open(source)):
            with pytest.raises(DatabaseUnavailable):
                call()
    finally:
        postgres.start()
    assert read_all(reader) == []
    reader.close()


def source_open(source: SqlSource) -> Any:
    return lambda: source.open("t", None)


def test_a_reader_goes_on_after_a_restart(postgres: PostgresServer, postgres_url: str) -> None:
    writer = make(postgres_url).open("0", None)
    writer.write(batch(*({"id": n} for n in range(6))))
    writer.close()
    reader = SqlSource(postgres_url, table="t", page_size=2).open("t", None)
    found = reader.read(2).documents  # type: ignore[union-attr]
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            reader.read(2)
    finally:
        postgres.start()
    found += read_all(reader)
    assert [document["id"] for document in found] == list(range(6))
    reader.close()


def test_values_stand_in_no_error_of_a_whole_batch(url: str) -> None:
    writer = make(url).open("0", None)
    query(url, "ALTER TABLE t RENAME TO elsewhere")
    with pytest.raises(SqlError) as caught:
        writer.write(batch({"id": 1, "v": "a-private-value"}))
    assert not isinstance(caught.value, DatabaseUnavailable)
    assert "a-private-value" not in str(caught.value)
    writer.close()
