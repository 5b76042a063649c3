"""Kafka → stages → Kafka beside a hand-written Bytewax flow, in one run: microseconds a message, and their ratio.

    python benchmarks/bench_kafka.py [MESSAGES] [ROUNDS]

Both sides read the same topic of an Apache Kafka broker (or of librdkafka's mock cluster, where there is no Java) with
1,000 messages a fetch, keep paid orders, compute two fields, and write to a topic until the broker has confirmed
everything. The hand-written side uses Bytewax's own Kafka connectors and orjson (json, where it is not installed), one
item a message, as its documentation shows. Sides alternate; the ratio is the median of those of the pairs.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink as BytewaxKafkaSink
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from confluent_kafka import OFFSET_BEGINNING

from fluxion_flow import pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import Kafka, kafka, new_topic, produce, records

try:
    import orjson

    loads, dumps, CODEC = orjson.loads, orjson.dumps, "orjson"
except ImportError:
    loads, CODEC = json.loads, "json"

    def dumps(value: Any) -> bytes:
        return json.dumps(value).encode()


def _orders(count: int) -> list[bytes]:
    return [
        json.dumps(
            {
                "orderId": f"o{n:07}",
                "status": "PAID" if n % 3 else "NEW",
                "customer": {"id": f"c{n % 997}", "country": "FR", "tier": "gold"},
                "qty": n % 7,
                "price": 1.25 * (n % 11),
                "channel": "web",
                "notes": "gift wrap, please",
            }
        ).encode()
        for n in range(count)
    ]


def fluxion(cluster: Kafka, source: str, sink: str) -> Any:
    """Our side."""
    return (
        pipeline("bench")
        .source("kafka", topics=source, bootstrap_servers=cluster.bootstrap, stop_at_end=True)
        .stages(
            [
                {"$match": {"status": "PAID"}},
                {"$set": {"total": {"$multiply": ["$qty", "$price"]}, "country": "$customer.country"}},
            ]
        )
        .sink("kafka", topic=sink, key="$customer.id", bootstrap_servers=cluster.bootstrap)
        .config(batch_size=1000, metrics=False)
        .compile()
    )


def by_hand(cluster: Kafka, source: str, sink: str) -> Any:
    """A typical flow."""

    def step(message: Any) -> Any:
        order = loads(message.value)
        if order["status"] != "PAID":
            return None
        order["total"] = order["qty"] * order["price"]
        order["country"] = order["customer"]["country"]
        return KafkaSinkMessage(order["customer"]["id"].encode(), dumps(order))

    brokers = cluster.bootstrap.split(",")
    flow = Dataflow("by_hand")
    config = {"log_level": "0"}
    read = KafkaSource(
        brokers, [source], tail=False, starting_offset=OFFSET_BEGINNING, batch_size=1000, add_config=config
    )
    stream = op.filter_map("step", op.input("in", flow, read), step)
    op.output("out", stream, BytewaxKafkaSink(brokers, sink, add_config={**config, "linger.ms": "5"}))
    return flow


def timed(make: Any, cluster: Kafka, source: str, messages: int) -> float:
    """Microseconds a message, without the time to build the flow."""
    sink = new_topic(cluster)
    flow = make(cluster, source, sink)
    started = time.perf_counter()
    run_main(flow)
    spent = time.perf_counter() - started
    arrived = len(records(cluster, sink))
    expected = sum(1 for n in range(messages) if n % 3)
    assert arrived == expected, f"{arrived} of {expected} messages arrived"
    return spent / messages * 1e6


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with kafka() as cluster:
        source = new_topic(cluster)
        orders = _orders(messages)
        for start in range(0, messages, 50_000):
            produce(cluster, source, orders[start : start + 50_000])
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(timed(by_hand, cluster, source, messages))
            ours.append(timed(fluxion, cluster, source, messages))
            print(f"by hand ({CODEC}) {theirs[-1]:6.2f} µs   fluxion {ours[-1]:6.2f} µs a message", flush=True)
        ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
        print(f"fluxion is {ratio:.2f} times as fast (median of {rounds} pairs; real broker: {cluster.real})")


if __name__ == "__main__":
    main()
