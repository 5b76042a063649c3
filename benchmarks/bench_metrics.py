"""What observation costs: one flow without listeners, and the same with each way of observing it, by turns.

A file of orders goes through `$match`, `$set` and `$project` into a file. Each round runs every way once, in an order
by chance, in one process; the ratio of a round is the processor time of a way / that without listeners. Shown are the
medians of the ratios, with the range of the median over 2,000 resampled sets of rounds (nineteen times in twenty).

    python benchmarks/bench_metrics.py --rounds 60
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from bytewax.testing import run_main
from measured import Effort, Row
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from fluxion_flow import StreamingMetricsListener, pipeline
from fluxion_flow.observe.alerts import AlertRule, Alerts
from fluxion_flow.observe.opentelemetry import OpenTelemetryListener
from fluxion_flow.observe.prometheus import PrometheusListener
from fluxion_flow.observe.status.history import History
from fluxion_flow.observe.status.journal import Journal
from fluxion_flow.observe.status.numbers import Numbers

BATCH = 500
WARM_UP = 2

Listeners = list[StreamingMetricsListener]


def write_orders(path: Path, count: int) -> None:
    """Orders of about 220 bytes, three in four of them paid."""
    with path.open("w") as file:
        for i in range(count):
            order = {
                "_id": f"o-{i:09d}",
                "status": "OPEN" if i % 4 == 0 else "PAID",
                "customer": {"id": f"c-{i % 1000:05d}", "country": ("DE", "FR", "IT")[i % 3]},
                "quantity": i % 9 + 1,
                "price": (i % 10_000) / 100,
                "discount": 0.1,
                "createdAt": "2025-03-01T10:00:00Z",
                "note": "ring twice, then leave it with the neighbours",
            }
            file.write(json.dumps(order) + "\n")


def run(folder: Path, listeners: Listeners, policies: bool = False) -> float:
    """Processor seconds of one run. ``policies``: a failing document is retried, then a dead letter; none fails."""
    made = (
        pipeline("bench-metrics")
        .source("files", path=str(folder / "orders.jsonl"))
        .match({"status": "PAID"})
        .set(total={"$multiply": ["$quantity", "$price", {"$subtract": [1, "$discount"]}]}, country="$customer.country")
        .project({"total": 1, "country": 1, "customer.id": 1})
        .sink("files", path=str(folder / "out.jsonl"))
        .config(batch_size=BATCH, metrics=False)
    )
    if policies:
        letters = {"dead_letter": {"type": "files", "path": str(folder / "dead.jsonl")}}
        made = made.on_error({"retry": {"max_attempts": 3}, "then": letters, "granularity": "document"})
    for listener in listeners:
        made = made.listen(listener)
    flow = made.compile()
    gc.collect()
    started = time.process_time()
    run_main(flow)  # type: ignore[no-untyped-call]
    return time.process_time() - started


def prometheus() -> Listeners:
    return [PrometheusListener(CollectorRegistry())]


def with_journal_and_alerts() -> Listeners:
    """What a run with a status page and an alert listens with. Its threads take a sample, and a look, a second."""
    told = prometheus()
    numbers = Numbers(told[0].series, "bench-metrics")  # type: ignore[attr-defined]
    HISTORIES.append(History(numbers.counters))
    HISTORIES[-1].start()
    return [*told, Journal(), Alerts([AlertRule("lag", above=1e12)], [])]


def opentelemetry() -> Listeners:
    return [OpenTelemetryListener(MeterProvider([InMemoryMetricReader()]))]


HISTORIES: list[History] = []
WAYS: dict[str, Callable[[], Listeners]] = {
    "prometheus": prometheus,
    "prometheus, status page and alerts": with_journal_and_alerts,
    "opentelemetry": opentelemetry,
}


def interval(ratios: list[float], chance: random.Random) -> tuple[float, float]:
    """The range of the median over resampled rounds."""
    medians = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[-51]


def measure(effort: Effort) -> Iterator[Row]:
    """Metrics for Prometheus and error policies, beside a run without both."""
    documents = effort.of(60_000, 10_000)
    with_, without = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_orders(folder / "orders.jsonl", documents)
        gc.set_threshold(50_000, 20, 50)
        for number in effort.rounds(60, 60, least=15):
            pair = [lambda: with_.append(run(folder, prometheus(), True)), lambda: without.append(run(folder, []))]
            for one in pair if number % 2 else pair[::-1]:
                one()
    yield Row(
        "metrics and policies on",
        "off",
        1.03,
        [a / b for a, b in zip(with_, without, strict=True)],
        at_least=False,
        ours=f"{median(with_) / documents * 1e6:.2f} µs a document",
        theirs=f"{median(without) / documents * 1e6:.2f} µs a document",
        note=f"files → match+set+project → files, {documents:,} orders a run; processor seconds",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--documents", type=int, default=60_000)
    options = parser.parse_args()
    chance = random.Random(7)
    seconds: dict[str, list[float]] = {way: [] for way in ("without", *WAYS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_orders(folder / "orders.jsonl", options.documents)
        gc.set_threshold(50_000, 20, 50)  # as in a process of its own: collections are few
        for number in range(WARM_UP + options.rounds):
            for way in chance.sample(list(seconds), len(seconds)):
                spent = run(folder, WAYS[way]() if way in WAYS else [])
                while HISTORIES:
                    HISTORIES.pop().stop()
                if number >= WARM_UP:
                    seconds[way].append(spent)
    batches = options.documents / BATCH
    print(f"without listeners: {median(seconds['without']) / batches * 1e6:.0f} µs a batch of {BATCH} documents")
    for way in WAYS:
        ratios = [one / other for one, other in zip(seconds[way], seconds["without"], strict=True)]
        low, high = interval(ratios, chance)
        print(f"{way} / without, {options.rounds} rounds: {median(ratios):.3f} (95 %: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
