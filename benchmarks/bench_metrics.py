"""What the Prometheus listener costs: the same flow with and without it, by turns, in one process.

A file of orders goes through `$match`, `$set` and `$project` into a file. The flow runs with and without metrics by
turns; the ratio is that of the processor time of the faster half of the runs, for whatever else the machine does only
adds to a run. The microseconds that the listener takes for a batch are steadier still.

    python benchmarks/bench_metrics.py --documents 32000 --rounds 40
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


def faster_half(seconds: list[float]) -> float:
    """The mean of the faster half."""
    return statistics.mean(sorted(seconds)[: (len(seconds) + 1) // 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=32_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_orders(folder / "orders.jsonl", options.documents)
        run(folder, metrics=True)
        run(folder, metrics=False)
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for number in range(options.rounds):
            for metrics in (False, True) if number % 2 else (True, False):
                seconds[metrics].append(run(folder, metrics=metrics))
    without, with_metrics = faster_half(seconds[False]), faster_half(seconds[True])
    print(f"flow without metrics: {without / options.documents * 500 * 1e6:.0f} µs a batch of 500 documents")
    print(f"listener: {microseconds_a_batch():.1f} µs a batch of three stages")
    print(f"ratio with / without metrics, {options.rounds} runs each: {with_metrics / without:.3f}")


if __name__ == "__main__":
    main()
