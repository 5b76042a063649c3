"""What the Prometheus listener costs: one flow that is listened to and not, by turns, in one process.

A file of orders goes through `$match`, `$set` and `$project` into a file. Every 64 batches the listener is switched on
or off; the ratio is the median, over all neighbouring pairs, of the processor time with metrics / without. Neighbours
meet the machine in the same state, so that the ratio holds on a busy one too. The microseconds that the listener
takes for all that is told about one batch are measured by themselves.

    python benchmarks/bench_metrics.py --pairs 40
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from bytewax.testing import run_main
from prometheus_client import CollectorRegistry

from fluxion_flow import StreamingContext, StreamingMetricsListener, pipeline
from fluxion_flow.observe.listener import Listeners
from fluxion_flow.observe.prometheus import PrometheusListener

BATCH = 500
BLOCK = 64


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


class Switch(Listeners):
    """Listeners that hear every other block of batches only; ``blocks`` holds the seconds of each block."""

    blocks: ClassVar[dict[bool, list[float]]] = {True: [], False: []}

    def __init__(self, listeners: Sequence[StreamingMetricsListener]) -> None:
        super().__init__(listeners)
        self._on = True
        self._batches = 0
        self._since = time.process_time()

    def wants(self, hook: str) -> bool:
        return self._on and super().wants(hook)

    def tell(self, hook: str, context: StreamingContext, **facts: Any) -> None:
        if hook == "on_fetched":
            self._batches += 1
            if self._batches % BLOCK == 0:
                if self._batches > 2 * BLOCK:  # the first two warm up
                    self.blocks[self._on].append(time.process_time() - self._since)
                self._on = not self._on
                self._since = time.process_time()
        if self._on:
            super().tell(hook, context, **facts)


def run(folder: Path) -> None:
    """Run the flow, switching its listener on and off."""
    importlib.import_module("fluxion_flow.compiler.lower").Listeners = Switch  # type: ignore[attr-defined]
    flow = (
        pipeline("bench-metrics")
        .source("files", path=str(folder / "orders.jsonl"))
        .match({"status": "PAID"})
        .set(total={"$multiply": ["$quantity", "$price", {"$subtract": [1, "$discount"]}]}, country="$customer.country")
        .project({"total": 1, "country": 1, "customer.id": 1})
        .sink("files", path=str(folder / "out.jsonl"))
        .config(batch_size=BATCH)
        .compile()
    )
    run_main(flow)  # type: ignore[no-untyped-call]


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
    parser.add_argument("--pairs", type=int, default=40, help="blocks with metrics, and as many without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_orders(Path(name) / "orders.jsonl", (2 * options.pairs + 3) * BLOCK * BATCH)
        run(Path(name))
    pairs = list(zip(Switch.blocks[True], Switch.blocks[False], strict=False))
    ratio = statistics.median(with_metrics / without for with_metrics, without in pairs)
    batch = statistics.median(Switch.blocks[False]) / BLOCK
    print(f"flow without metrics: {batch * 1e6:.0f} µs a batch of {BATCH} documents")
    print(f"listener: {microseconds_a_batch():.1f} µs a batch of three stages")
    print(f"ratio with / without metrics, {len(pairs)} pairs of {BLOCK} batches: {ratio:.3f}")


if __name__ == "__main__":
    main()
