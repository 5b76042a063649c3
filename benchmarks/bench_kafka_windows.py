"""Kafka → tumbling window → Kafka beside Quix Streams, with 1,000 and with 100,000 keys.

Events of so many keys, in order, lie in windows of one minute of event time; each is counted and summed by key, final
results only. Both sides read the same topic of a real broker; outputs are compared first. What counts is the time
from the last result of the window after which everybody is warm to the last of all, for the events between. Quix
Streams gets fewer windows, because it takes long.

    python benchmarks/bench_kafka_windows.py
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Producer
from kafka_runs import Came, run
from measured import Effort, Row, ratios

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import Kafka, RealKafka, new_topic, why_no_real_broker

START = 1_760_000_040_000
"""A full minute, in milliseconds since the epoch."""

MINUTE = 60_000
SIZES = {1_000: (5_000, 120, 6), 100_000: (100_000, 9, 2)}
"""By keys, the events of a window, how many windows we get, and how many Quix Streams gets."""

OURS, THEIRS = "fluxion_windows", "quix_windows"


class Events:
    """``windows`` windows of ``each`` events with ``keys`` keys, and one event far behind that closes them."""

    def __init__(self, keys: int, each: int, windows: int) -> None:
        self.keys, self.each, self.windows = keys, each, windows
        self.values = []
        self.results: Counter[tuple[int, str]] = Counter()
        for window in range(windows):
            for n in range(each):
                key = f"k{n * 7919 % keys:06d}"
                at = START + window * MINUTE + n * MINUTE // each
                self.values.append((key, {"key": key, "value": n % 100 / 4, "at": at}))
                self.results[window, key] += 1
        self.values.append(("end", {"key": "end", "value": 0, "at": START + (windows + 100) * MINUTE}))

    def topic(self, cluster: Kafka) -> str:
        """A topic with them; each has its key, which is all that Quix Streams groups by."""
        topic = new_topic(cluster)
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 20, "log_level": 0})
        for key, value in self.values:
            while len(producer) > 50_000:
                producer.poll(0.05)
            producer.produce(topic, json.dumps(value).encode(), key.encode(), timestamp=value["at"])
            producer.poll(0)
        if producer.flush(60):
            raise RuntimeError("the broker does not take the events")
        return topic

    def check(self, side: str, came: Came, totals: dict[str, list[Any]]) -> None:
        """Both sides must give the same counts and sums, as many of each."""
        found = sorted(
            ((one["n"], one["total"]) if "n" in one else (one["value"]["n"], one["value"]["total"]))
            for one in map(json.loads, came.values)
        )
        totals[side] = found
        if sum(n for n, _ in found) != len(self.values) - 1:
            sys.exit(f"{side} counts {sum(n for n, _ in found)} events, expected {len(self.values) - 1}")


def microseconds(came: Came, events: Events) -> float:
    """From the last result of the first third of the windows to the last result of all, an event."""
    skipped = max(events.windows // 3, 1)
    return came.seconds(skipped * events.keys) / (events.each * (events.windows - skipped)) * 1e6


def measured_rounds(
    cluster: Kafka, keys: int, each: int, windows: tuple[int, int], numbers: Iterable[int]
) -> dict[str, list[float]]:
    """Microseconds an event of each side, round by round, after both have given the same for the same events."""
    sizes = dict(zip((OURS, THEIRS), (Events(keys, each, count) for count in windows), strict=True))
    topics = {side: events.topic(cluster) for side, events in sizes.items()}
    few, totals = sizes[THEIRS], {}
    few.check(OURS, run(OURS, cluster, topics[THEIRS], len(few.results)), totals)
    found: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in numbers:
        for side, spent in found.items():
            came = run(side, cluster, topics[side], len(sizes[side].results))
            if side not in totals:
                few.check(side, came, totals)
                if totals[OURS] != totals[THEIRS]:
                    sys.exit("Quix Streams gives other results than we do")
            spent.append(microseconds(came, sizes[side]))
    return found


def measure(effort: Effort) -> Iterator[Row]:
    """Raises :class:`RuntimeError` without a real broker, or where Quix Streams cannot be installed."""
    if (reason := why_no_real_broker()) is not None:
        raise RuntimeError(f"a real Kafka broker is needed: {reason}")
    with RealKafka() as cluster:
        for keys, (each, *windows) in SIZES.items():
            if effort.quick:
                keys, each = min(keys, 20_000), min(each, 20_000)
            found = measured_rounds(cluster, keys, each, (windows[0], windows[1]), effort.rounds(3, 70, least=2))
            yield Row(
                f"Kafka → tumbling window → Kafka, {keys:,} keys",
                "Quix Streams",
                5,
                ratios(found[THEIRS], found[OURS]),
                ours=f"{median(found[OURS]):.1f} µs an event",
                theirs=f"{median(found[THEIRS]):.1f} µs an event",
                note=f"windows of {each:,} events, {windows[0]} for us, {windows[1]} for them, "
                "without the first third, by the broker's clock",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for row in measure(Effort(quick=options.quick)):
        print(row.as_data())


if __name__ == "__main__":
    main()
