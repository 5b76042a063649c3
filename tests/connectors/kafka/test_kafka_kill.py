"""Topics copied into topics, tables and an HTTP endpoint under kill -9 at random moments: nothing is missing, and
nothing repeated where that is promised.

A quick run kills twice, with one process, in transactions, into PostgreSQL and the endpoint. ``KILLS=30`` kills thirty
times, with one process and with two, and takes everything.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from kill_runs import EXPECTED, TopicJob, missing_and_repeated
from servers.http_server import Answer, Request, ScriptedServer
from servers.kafka import Kafka, new_topic, records
from servers.postgres import postgres, postgres_url

from fluxion_flow.connect.sql.address import parse_url

__all__ = ["postgres", "postgres_url"]

THOROUGH = "KILLS" in os.environ
KILLS = int(os.environ.get("KILLS", "4" if os.environ.get("CI") == "true" else "2"))
PROCESSES = [1, 2] if THOROUGH else [1]


def _told(record_property: Any, job: TopicJob, result: tuple[list[int], int]) -> None:
    record_property("kills", KILLS)
    record_property("missing, repeated", (len(result[0]), result[1]))
    print(f"{job.sink['type']} processes={job.processes} kills={KILLS} missing={len(result[0])} repeated={result[1]}")


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("transactional", [False, True] if THOROUGH else [True])
def test_into_a_topic_nothing_is_lost_and_in_transactions_nothing_repeated(
    real_cluster: Kafka, tmp_path: Path, transactional: bool, processes: int, record_property: Any
) -> None:
    topic = new_topic(real_cluster, 2)
    sink = {"type": "kafka", "bootstrap_servers": real_cluster.bootstrap, "topic": topic, "key": "$n"}
    if transactional:
        sink["transactional_id"] = f"{topic}-tx"
    job = TopicJob(real_cluster, tmp_path / "job", sink, processes)
    job.run(KILLS, random.Random(5 + transactional))
    result = missing_and_repeated(json.loads(message.value())["n"] for message in records(real_cluster, topic))
    _told(record_property, job, result)
    assert result[0] == []
    if transactional:
        assert result[1] == 0


@pytest.mark.parametrize("processes", PROCESSES)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"] if THOROUGH else ["postgresql"])
def test_into_a_table_nothing_is_lost_and_nothing_repeated(
    real_cluster: Kafka, tmp_path: Path, request: Any, database: str, processes: int, record_property: Any
) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}" if database == "sqlite" else request.getfixturevalue("postgres_url")
    columns = {"n": "integer", "double": "integer"}
    job = TopicJob(
        real_cluster, tmp_path / "job", {"type": "sql", "url": url, "table": "copy", "create_table": columns}, processes
    )
    job.run(KILLS, random.Random(11))
    engine = sa.create_engine(parse_url(url))
    with engine.connect() as connection:
        numbers = [row[0] for row in connection.execute(sa.text("SELECT n FROM copy"))]
    engine.dispose()
    result = missing_and_repeated(numbers)
    _told(record_property, job, result)
    assert result == ([], 0)


@pytest.mark.parametrize("processes", PROCESSES)
def test_into_an_endpoint_nothing_is_lost_and_what_is_repeated_has_the_same_key(
    real_cluster: Kafka, tmp_path: Path, processes: int, record_property: Any
) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    lock = threading.Lock()

    def store(request: Request) -> Answer:
        with lock:
            seen[request.headers["idempotency-key"], request.json()["n"]] += 1
        return Answer()

    server = ScriptedServer(store)
    try:
        sink = {"type": "http", "endpoint": f"{server.url}/orders", "body": "document"}
        job = TopicJob(real_cluster, tmp_path / "job", sink, processes)
        job.run(KILLS, random.Random(17))
    finally:
        server.close()
    missing, repeated = missing_and_repeated(n for (_, n), times in seen.items() for _ in range(times))
    _told(record_property, job, (missing, repeated))
    assert missing == []
    assert len(seen) == len(EXPECTED), "a key a document: what comes again has the key that it had"
