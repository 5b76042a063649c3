"""A cluster of three brokers that loses the leader of every partition in the middle of a run."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main
from confluent_kafka.admin import AdminClient
from fluxion_connectors.kafka import KafkaSource
from servers.kafka import QUIET, RealKafka, new_topic, produce, records, why_no_real_broker

from fluxion_flow import StreamingErrorPolicy, pipeline

RECORDS = 3000
WANTED = "CI" in os.environ or "KILLS" in os.environ


@pytest.fixture(scope="module")
def three() -> Iterator[RealKafka]:
    reason = why_no_real_broker()
    if reason is not None and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason is not None or not WANTED:
        pytest.skip(reason or "three brokers take long to start: set CI=true or KILLS=30")
    with RealKafka(3) as cluster:
        yield cluster


@pytest.mark.parametrize("transactional", [False, True])
def test_a_change_of_leaders_loses_nothing_and_in_transactions_repeats_nothing(
    three: RealKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transactional: bool
) -> None:
    source, sink = new_topic(three, 2), new_topic(three, 2, min_insync_replicas=2)
    for partition in range(2):
        produce(three, source, [json.dumps({"n": n}).encode() for n in range(partition, RECORDS, 2)], partition)
    admin = AdminClient({"bootstrap.servers": three.bootstrap, **QUIET})
    leader = admin.list_topics(sink, timeout=10).topics[sink].partitions[0].leader
    reached = threading.Event()
    opened = KafkaSource.open

    def open_watched(self: KafkaSource, partition: str, cursor: object) -> object:
        reader = opened(self, partition, cursor)
        read = reader.read

        def watched(most: int) -> object:
            if reader.cursor["offset"] > RECORDS // 8:
                reached.set()
            return read(most)

        reader.read = watched  # type: ignore[method-assign]
        return reader

    monkeypatch.setattr(KafkaSource, "open", open_watched)

    def kill() -> None:
        reached.wait(60)
        three.stop(leader, signal.SIGKILL)

    options = {"transactional_id": f"{sink}-tx"} if transactional else {}
    definition = (
        pipeline("failover")
        .source("kafka", topics=source, bootstrap_servers=three.bootstrap, stop_at_end=True)
        .stages([{"$set": {"m": {"$add": ["$n", 1]}}}])
        .sink("kafka", topic=sink, bootstrap_servers=three.bootstrap, key="$n", **options)
        .on_error(StreamingErrorPolicy.retry(20, backoff=0.5))
        .config(batch_size=20)
        .build()
    )
    init_db_dir(tmp_path, 1)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run_main(definition.compile(), recovery_config=RecoveryConfig(tmp_path))
    finally:
        killer.join()
        three.start(leader)
    found = [json.loads(message.value())["n"] for message in records(three, sink)]
    assert sorted(set(found)) == list(range(RECORDS))
    assert len(found) == RECORDS, "an idempotent producer repeats nothing in one run"
