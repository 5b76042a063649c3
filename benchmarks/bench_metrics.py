"""What the Prometheus listener costs: the same flow with and without it, by turns, in one process.

A file of orders goes through `$match`, `$set` and `$project` into a file. Every round runs the flow four times
(without, with, with, without); the ratio is the median over the rounds of the processor time with metrics / without.
On a busy machine a ratio needs many rounds; the microseconds that the listener takes for a batch are steadier.

    python benchmarks/bench_metrics.py --documents 64000 --rounds 15
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import timeit
from pathlib import Path

from bytewax.testing import run_main
from prometheus_client import CollectorRegistry

from fluxion_flow import StreamingContext, pipeline
from fluxion_flow.observe.prometheus import PrometheusListener


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


def run(folder: Path, *, metrics: bool) -> float:
    """Seconds of processor time that one run takes."""
    out = folder / "out.jsonl"
    out.unlink(missing_ok=True)
    flow = (
        pipeline("bench-metrics")
        .source("files", path=str(folder / "orders.jsonl"))
        .match({"status": "PAID"})
        .set(total={"$multiply": ["$quantity", "$price", {"$subtract": [1, "$discount"]}]}, country="$customer.country")
        .project({"total": 1, "country": 1, "customer.id": 1})
        .sink("files", path=str(out))
        .config(metrics=metrics)
        .compile()
    )
    started = time.process_time()
    run_main(flow)
    return time.process_time() - started


def microseconds_a_batch() -> float:
    """What the listener takes for everything that is told about one batch of three stages."""
    listener = PrometheusListener(CollectorRegistry())
    source, sink = StreamingContext("p", "source"), StreamingContext("p", "sink")
    stages = [StreamingContext("p", f"stages[{k}].$set") for k in range(3)]
    first = StreamingContext("p", stages[0].step)

    def batch() -> None:
        listener.on_fetched(source, documents=500, rejects=0, waited=0.001)
        listener.on_lag(source, lag=100.0)
        for stage in stages:
            listener.on_stage(stage, stage=stage.step, size_in=500, size_out=500, nanoseconds=None)
        listener.on_batch(first, seconds=0.001, size_in=500, size_out=500)
        listener.on_delivered(sink, documents=500, seconds=0.0001)

    return min(timeit.repeat(batch, number=2000, repeat=5)) / 2000 * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=64_000)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_orders(folder / "orders.jsonl", options.documents)
        run(folder, metrics=True)
        run(folder, metrics=False)
        rounds = []
        for _ in range(options.rounds):
            order = [run(folder, metrics=metrics) for metrics in (False, True, True, False)]
            rounds.append((order[1] + order[2], order[0] + order[3]))
    ratio = statistics.median(with_metrics / without for with_metrics, without in rounds)
    batch = min(without for _, without in rounds) / 2 / options.documents * 500 * 1e6
    print(f"flow without metrics: {batch:.0f} µs a batch of 500 documents")
    print(f"listener: {microseconds_a_batch():.1f} µs a batch of three stages")
    print(f"ratio with / without metrics, median of {options.rounds} rounds: {ratio:.3f}")


if __name__ == "__main__":
    main()
