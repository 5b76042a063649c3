"""Kafka → stages → Kafka on a real broker, acks=all: ours beside Bytewax by hand, Quix Streams, Faust and a bare loop.

Every contender is a program of its own (benchmarks/kafka_sides), reads the same topic, keeps paid orders, computes two
fields and writes to a topic of its own. The outputs are compared before any time counts. Sides take turns; a ratio is
that of one round. Slow contenders get fewer messages: what counts is the time a message.

    python benchmarks/bench_kafka.py --messages 300000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from confluent_kafka import Consumer, Producer, TopicPartition
from kafka_runs import Came, documents, fill, run
from measured import Effort, Row, ratios
from rounds import alike

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import Kafka, RealKafka, new_topic, why_no_real_broker

JOB = "Kafka → stages → Kafka, acks=all"
OURS = "fluxion"
SIDES = {
    "bytewax_orjson": ("Bytewax by hand, orjson", 4.0),
    "quix": ("Quix Streams", 6.0),
    "faust": ("Faust (faust-streaming)", 6.0),
    "plain_loop": ("bare loop on confluent-kafka (msgspec): the limit", 0.9),
}
NOTE = (
    "one partition, one broker on the same machine; from the broker's receipt of the first record to that of the last"
)
SHARES = {"quix": 6, "faust": 30}
"""Slow contenders get a part of the messages."""


def orders(count: int) -> list[bytes]:
    """Orders of about 170 bytes, two in three of them paid."""
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


def measured_rounds(
    cluster: Kafka, messages: int, numbers: Iterable[int]
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Microseconds a message of each contender, round by round, and why contenders are missing."""
    sizes = {name: messages // SHARES.get(name, 1) for name in (OURS, *SIDES)}
    few = min(sizes.values())
    topics = {size: fill(cluster, orders(size)) for size in set(sizes.values())}
    wanted = documents(run(OURS, cluster, topics[few], paid(few)).values, "orderId")
    missing: dict[str, str] = {}
    for name in SIDES:
        try:
            came = run(name, cluster, topics[few], paid(few))
        except RuntimeError as error:
            missing[name] = str(error)
            continue
        if not alike(wanted, documents(came.values, "orderId")):
            sys.exit(f"{name} writes other orders than we do")
    found: dict[str, list[float]] = {name: [] for name in sizes if name not in missing}
    for _ in numbers:
        for name, each in found.items():
            each.append(microseconds(run(name, cluster, topics[sizes[name]], paid(sizes[name])), sizes[name]))
    return found, missing


def client_costs(cluster: Kafka, topic: str, values: list[bytes]) -> dict[str, float]:
    """Microseconds of the calling thread that the client library takes to give and to take a message, by itself.

    ``broker_rate``: how many messages a second the broker has confirmed to one producer that does nothing else.
    """
    settings = {"bootstrap.servers": cluster.bootstrap, "log_level": 0}
    consumer = Consumer({**settings, "group.id": "costs", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, began = 0, time.thread_time()
    while found < len(values):
        found += len(consumer.consume(1000, 0.1))
    consumed = time.thread_time() - began
    consumer.close()
    producer = Producer({**settings, "acks": "all", "queue.buffering.max.messages": len(values) + 1})
    sink = new_topic(cluster)
    clock, began = time.perf_counter(), time.thread_time()
    for value in values:
        producer.produce(sink, value, b"c123")
    produced = time.thread_time() - began
    producer.flush(60)
    taken = len(values) / (time.perf_counter() - clock)
    each = 1e6 / len(values)
    return {"consume_microseconds": consumed * each, "produce_microseconds": produced * each, "broker_rate": taken}


def paid(count: int) -> int:
    """How many orders get through."""
    return sum(1 for n in range(count) if n % 3)


def microseconds(came: Came, messages: int) -> float:
    """Of the last two thirds of the messages: what comes before is the beginning."""
    skipped = len(came.stamps) // 3
    return came.seconds(skipped) / (messages * (1 - skipped / len(came.stamps))) * 1e6


def measure(effort: Effort) -> Iterator[Row]:
    """Raises :class:`RuntimeError` without a real broker."""
    if (reason := why_no_real_broker()) is not None:
        raise RuntimeError(f"a real Kafka broker is needed: {reason}")
    messages = effort.of(300_000, 100_000)
    with RealKafka() as cluster:
        found, missing = measured_rounds(cluster, messages, effort.rounds(5, 120))
        values = orders(messages // 5)
        costs = client_costs(cluster, fill(cluster, values), values)
    for name in found:
        if name == OURS:
            continue
        title, target = SIDES[name]
        yield Row(
            JOB,
            title,
            target,
            ratios(found[name], found[OURS]),
            ours=f"{median(found[OURS]):.2f} µs a message",
            theirs=f"{median(found[name]):.2f} µs a message",
            note=NOTE,
            facts={"our_microseconds": median(found[OURS]), "their_microseconds": median(found[name]), **costs},
        )
    if missing:
        raise RuntimeError("; ".join(f"{SIDES[name][0]}: {why}" for name, why in missing.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with RealKafka() as cluster:
        found, missing = measured_rounds(cluster, options.messages, range(options.rounds))
    for name, why in missing.items():
        print(f"{SIDES[name][0]}: {why}")
    for name, each in found.items():
        title = SIDES[name][0] if name != OURS else "Fluxion Flow"
        print(f"{title:52} {median(each):7.2f} µs a message   {median(ratios(each, found[OURS])):6.2f}")


if __name__ == "__main__":
    main()
