"""A run from Kafka, seen from outside: page, `top`, `/metrics` and the broker agree; trouble looks like trouble.

`KAFKA_STATUS=long` runs the slow sink and the stop of the broker as well; `SCREENSHOTS=1` draws the pages of
docs/observe.md anew.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from runs import FLUXION, page, running, status, wait_for
from test_run_status import samples

from tests.servers.ports import free_neighbours

sys.path.insert(0, str(Path(__file__).parents[2] / "servers"))

from http_server import Answer, ScriptedServer

from tests.servers.kafka import QUIET, RealKafka, create_topic, why_no_real_broker

IMAGES = Path(__file__).parents[3] / "docs" / "images"
LONG = os.environ.get("KAFKA_STATUS") == "long" or bool(os.environ.get("SCREENSHOTS"))
takes_long = pytest.mark.skipif(not LONG, reason="takes half a minute each: KAFKA_STATUS=long runs it")
TOPIC, GROUP = "orders.v1", "orders-ltv"
PARTS = 4


class Feed:
    """Writes orders to the topic, one partition after the other; every ``poison``-th cannot be multiplied."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2, **QUIET})
        self.written = 0

    def write(self, count: int, poison: int = 0) -> None:
        for _ in range(count):
            number = self.written
            self.written += 1
            bad = poison and number % poison == 0
            order = {
                "_id": number,
                "status": "PAID",
                "customer": f"c-{number % 100}",
                "quantity": "three" if bad else number % 5 + 1,
                "price": 2.5,
                "email": "s3cret@example.org",
            }
            self._producer.produce(TOPIC, json.dumps(order), partition=number % PARTS)
            self._producer.poll(0)
        assert self._producer.flush(30) == 0

    def write_on(self, rate: int, seconds: float, poison: int = 0) -> None:
        """Write so many a second for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.write(rate // 5, poison)
            time.sleep(0.2)


class Scene:
    """The broker, the run that reads from it, and the server that it delivers to."""

    def __init__(self, broker: RealKafka, server: ScriptedServer, folder: Path, port: int) -> None:
        self.broker, self.server, self.folder, self.port = broker, server, folder, port
        self.feed = Feed(broker.bootstrap)
        self.answer = Answer(200)
        server.handler = lambda request: self.answer
        self.run: subprocess.Popen[bytes] | None = None

    def status(self, condition, seconds=120.0):
        """The status once ``condition(status)`` holds."""

        last = {}

        def found():
            last.update(status(self.port))
            return dict(last) if condition(last) else None

        assert self.run is not None
        try:
            return wait_for(found, self.run, seconds)
        except AssertionError as error:
            seen = {name: last.get(name) for name in ("attention", "totals", "lag", "processes", "failures")}
            raise AssertionError(f"{error}; the last status: {json.dumps(seen, indent=1)}") from None

    def ends(self) -> tuple[int, int]:
        """By the broker: the sum of the ends of the topic's partitions, and of the group's committed offsets."""
        consumer = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": GROUP, **QUIET})
        parts = [TopicPartition(TOPIC, part) for part in range(PARTS)]
        ends = sum(consumer.get_watermark_offsets(part, timeout=10)[1] for part in parts)
        committed = sum(max(part.offset, 0) for part in consumer.committed(parts, timeout=10))
        consumer.close()
        return ends, committed

    def picture(self, name: str, *, dark: bool = False) -> None:
        if os.environ.get("SCREENSHOTS"):
            page(self.folder, self.port, picture=IMAGES / f"{name}.png", dark=dark)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    reason = why_no_real_broker()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"a real Kafka broker is required under CI=true, but {reason}")
        pytest.skip(f"this needs a real broker that can be stopped: {reason}")
    folder = tmp_path_factory.mktemp("kafka-status")
    server = ScriptedServer()
    with RealKafka() as broker:
        create_topic(broker, TOPIC, PARTS)
        create_topic(broker, "orders.dead")
        made = Scene(broker, server, folder, free_neighbours(2))
        kafka = {"type": "kafka", "bootstrap_servers": broker.bootstrap}
        patient = {"retry": {"max_attempts": "unlimited", "backoff": "200ms", "max_backoff": "1s"}}
        definition = {
            "name": "orders-ltv",
            "source": {**kafka, "topic": TOPIC, "group_id": GROUP, "on_error": patient},
            "stages": [
                {"$match": {"status": "PAID"}},
                {"$set": {"value": {"$multiply": ["$quantity", "$price"]}}},
                {"$project": {"value": 1, "customer": 1}},
            ],
            "sink": {"type": "http", "endpoint": f"{server.url}/orders", "on_error": patient},
            "on_error": {"dead_letter": {**kafka, "topic": "orders.dead"}, "granularity": "document"},
            "config": {"environment": "staging", "labels": {"team": "orders"}, "batch_size": 250},
        }
        path = folder / "orders.json"
        path.write_text(json.dumps(definition))
        with running(str(path), folder, made.port, "-p", "2", "-r", str(folder / "store")) as made.run:
            yield made
    server.close()


def drawn(scene: Scene) -> str:
    """The page's text in a browser, where there is one."""
    if shutil.which("chromium") is None and os.environ.get("CI") != "true":
        return ""
    return page(scene.folder, scene.port)


def test_the_page_top_metrics_and_the_broker_agree(scene):
    if os.environ.get("SCREENSHOTS"):
        scene.feed.write_on(1500, 25)
        scene.picture("status-well")
        scene.picture("status-dark", dark=True)
        wide = {**os.environ, "COLUMNS": "100"}
        shown = subprocess.run([*FLUXION, "top", str(scene.port), "--once"], capture_output=True, text=True, env=wide)
        (IMAGES / "top.txt").write_text(shown.stdout)
    scene.feed.write(2000)
    written = scene.feed.written
    found = scene.status(lambda now: now["totals"]["delivered"] == written and now["lag"]["total"] == 0)
    wait_for(lambda: scene.ends() == (written, written), scene.run)
    assert found["attention"] == []
    assert found["totals"]["fetched"] == written
    assert len(found["lag"]["partitions"]) == PARTS
    fetched = [samples(scene.port + n, "stream_fetched_total") for n in (0, 1)]
    assert sum(sum(one.values()) for one in fetched) == written
    assert all(sum(one.values()) > 0 for one in fetched), "both processes read"
    top = subprocess.run([*FLUXION, "top", str(scene.port), "--json"], capture_output=True, text=True, check=True)
    assert json.loads(top.stdout)["totals"] == found["totals"]
    text = drawn(scene)
    assert not text or (f"{written:,} since the start" in text and "✓ All is well" in text)


def test_a_sink_that_is_down_is_trouble_and_the_lag_is_the_brokers(scene):
    scene.answer = Answer(503)
    scene.feed.write(4000)
    found = scene.status(lambda now: _says(now, "sink is tried again and again: HttpUnavailable"))
    assert any(one["level"] == "trouble" for one in found["attention"])
    # More comes while a worker waits to try again: the lag of its partitions goes on being told. A worker that has come
    # to the end of its epoch waits for that one and tells nothing new, so the sum is the broker's at most.
    before = found["lag"]["total"]
    scene.feed.write(3000)
    ends, committed = scene.ends()
    found = scene.status(lambda now: now["lag"]["total"] >= before + 1000)
    assert found["lag"]["total"] <= ends - found["totals"]["fetched"]
    assert ends - committed >= found["lag"]["total"]
    text = drawn(scene)
    assert not text or ("✕ In trouble" in text and "sink is tried again and again: HttpUnavailable" in text)
    if os.environ.get("SCREENSHOTS"):
        scene.feed.write_on(1500, 20)
        scene.picture("status-down")
    scene.answer = Answer(200)
    scene.status(lambda now: now["totals"]["delivered"] == scene.feed.written, 120)
    scene.status(lambda now: now["attention"] == [])


def test_a_burst_of_poison_needs_a_look(scene):
    scene.feed.write(7000, poison=7)
    bad = scene.feed.written // 7 if scene.feed.written < 7000 else None
    found = scene.status(lambda now: _says(now, "stages[1].$set: ") and now["letters"])
    assert {one["level"] for one in found["attention"]} == {"look"}
    assert "s3cret" not in json.dumps(found)
    assert found["letters"][0]["document"]["quantity"] == "string"
    assert found["letters"][0]["source"]["topic"] == TOPIC
    assert bad is None or found["totals"]["dead_letters"] <= bad
    if os.environ.get("SCREENSHOTS"):
        scene.feed.write_on(1500, 15, poison=7)
        scene.picture("status-poison")
    text = drawn(scene)
    assert not text or ("go to the dead letters" in text and "quantity: string" in text)
    scene.status(lambda now: now["totals"]["delivered"] + now["totals"]["dead_letters"] == scene.feed.written)
    scene.status(lambda now: now["attention"] == [])


@takes_long
def test_a_slow_sink_shows_in_its_time_and_in_the_lag(scene):
    scene.answer = Answer(200, delay=1.0)
    stopped = threading.Event()
    feeding = threading.Thread(target=lambda: [scene.feed.write_on(1500, 1) for _ in iter(stopped.is_set, True)])
    feeding.start()
    try:
        found = scene.status(lambda now: now["sinks"][0]["seconds"] is not None and now["sinks"][0]["seconds"] > 0.5)
        assert found["sinks"][0]["name"] == "sink"
        grown = scene.status(lambda now: now["lag"]["total"] > 2000)
        assert grown["rates"]["delivered"] < 1500
        if os.environ.get("SCREENSHOTS"):
            scene.status(lambda now: _says(now, "the lag grows"), 120)
            time.sleep(15)
            scene.picture("status-slow")
    finally:
        stopped.set()
        feeding.join()
        scene.answer = Answer(200)
    scene.status(lambda now: now["lag"]["total"] == 0, 120)


@takes_long
def test_a_broker_that_is_gone_is_trouble_and_is_over_when_it_is_back(scene):
    scene.broker.stop()
    found = scene.status(lambda now: _says(now, "source is tried again and again: KafkaUnavailable"))
    assert all(process["live"] for process in found["processes"]), "a run that waits for its broker is alive"
    if os.environ.get("SCREENSHOTS"):
        time.sleep(10)
        scene.picture("status-broker")
    scene.broker.start()
    before = status(scene.port)["totals"]["delivered"]
    scene.feed.write(100)
    scene.status(lambda now: now["totals"]["delivered"] == before + 100, 120)
    scene.status(lambda now: now["attention"] == [])


def _says(found: dict, text: str) -> bool:
    return any(one["text"].startswith(text) for one in found["attention"])
