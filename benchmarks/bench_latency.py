"""Latency from topic to topic at half of the load that Bytewax by hand can take: ours beside it, by turns.

A feeder writes orders at a steady rate. A record's latency is the broker's time of the record that was written for it
minus the time of the one that was read, both by the same clock, to the millisecond. The first seconds do not count.

    python benchmarks/bench_latency.py --seconds 10 --rounds 3
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median, quantiles

from bench_kafka import microseconds, orders, paid
from confluent_kafka import Producer
from kafka_runs import fill, run, running, until
from measured import Effort, Row, ratios

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import Kafka, RealKafka, new_topic, produce, records, why_no_real_broker

SIDES = ("fluxion", "bytewax_orjson")
WARM_UP = 3.0
LOAD = 0.5


class Feeder(threading.Thread):
    """Writes orders at a rate for so many seconds."""

    def __init__(self, cluster: Kafka, topic: str, rate: float, seconds: float) -> None:
        super().__init__(daemon=True)
        self.topic, self.rate, self.seconds = topic, rate, seconds
        self.orders = orders(int(rate * seconds))
        self.producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 1, "log_level": 0})

    def run(self) -> None:
        began, sent = time.monotonic(), 0
        while sent < len(self.orders):
            due = min(int((time.monotonic() - began) * self.rate), len(self.orders))
            for value in self.orders[sent:due]:
                self.producer.produce(self.topic, value)
            sent = max(due, sent)
            self.producer.poll(0.002)
        self.producer.flush(60)


def milliseconds(side: str, cluster: Kafka, rate: float, seconds: float) -> list[int]:
    """The latencies of a run, without its first seconds."""
    source, sink = (new_topic(cluster, message_timestamp_type="LogAppendTime") for _ in range(2))
    with running(side, cluster, source, sink, "follow") as process:
        produce(cluster, source, orders(2))
        until(side, cluster, sink, 1, process)
        feeder = Feeder(cluster, source, rate, WARM_UP + seconds)
        feeder.start()
        feeder.join()
        until(side, cluster, sink, 1 + paid(len(feeder.orders)), process)
    read = [message.timestamp()[1] for message in records(cluster, source)][2:]
    get_through = [stamp for n, stamp in enumerate(read) if n % 3]
    written = [message.timestamp()[1] for message in records(cluster, sink)][1:]
    return [b - a for a, b in zip(get_through, written, strict=True)][int(rate * WARM_UP * 2 / 3) :]


def measured_rounds(
    cluster: Kafka, rate: float, seconds: float, numbers: Iterable[int]
) -> dict[str, list[tuple[float, float]]]:
    """The median and the 99th percentile, in milliseconds, of each side and round."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for _ in numbers:
        for side, each in found.items():
            cuts = quantiles(milliseconds(side, cluster, rate, seconds), n=100)
            each.append((max(cuts[49], 0.5), max(cuts[98], 0.5)))
    return found


def half_load(cluster: Kafka, messages: int) -> float:
    """Messages a second: half of what Bytewax by hand takes here."""
    source = fill(cluster, orders(messages))
    return LOAD / microseconds(run("bytewax_orjson", cluster, source, paid(messages)), messages) * 1e6


def measure(effort: Effort) -> Iterator[Row]:
    """Both percentiles. Raises :class:`RuntimeError` without a real broker."""
    if (reason := why_no_real_broker()) is not None:
        raise RuntimeError(f"a real Kafka broker is needed: {reason}")
    with RealKafka() as cluster:
        rate = half_load(cluster, effort.of(100_000, 20_000))
        found = measured_rounds(cluster, rate, effort.of(8, 2), effort.rounds(3, 90))
    for index, name in enumerate(("p50", "p99")):
        ours, theirs = ([pair[index] for pair in found[side]] for side in SIDES)
        yield Row(
            f"latency {name} at half load, Kafka → stages → Kafka",
            "Bytewax by hand, orjson",
            1.0,
            ratios(ours, theirs),
            at_least=False,
            ours=f"{median(ours):.1f} ms",
            theirs=f"{median(theirs):.1f} ms",
            note=f"{rate:,.0f} messages a second; from the broker's receipt of a record to that of its result",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with RealKafka() as cluster:
        rate = half_load(cluster, 100_000)
        found = measured_rounds(cluster, rate, options.seconds, range(options.rounds))
    for side, each in found.items():
        middle, most = (median(pair[index] for pair in each) for index in (0, 1))
        print(f"{side:16} {rate:9,.0f} messages a second: p50 {middle:.1f} ms, p99 {most:.1f} ms")


if __name__ == "__main__":
    main()
