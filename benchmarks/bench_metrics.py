"""What the Prometheus listener costs: one flow that is listened to and not, by turns, in one process.

A file of orders goes through `$match`, `$set` and `$project` into a file. Every 20 batches a coin says whether the
listener hears the next ones, so that both ways meet the machine in the same state; the ratio is that of the processor
time with metrics / without. Beside it: the time in the listener itself, for all that is told about one batch.

    python benchmarks/bench_metrics.py --pairs 150
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar

from bytewax.testing import run_main

from fluxion_flow import StreamingContext, StreamingMetricsListener, pipeline
from fluxion_flow.observe.listener import Listeners

BATCH = 500
WARM_UP = 10
STAGES = 3
BLOCK = 20  # batches; a source reads up to four at a time


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
    """Listeners that hear half of the blocks of batches, at random; ``blocks`` holds the seconds of each block."""

    blocks: ClassVar[dict[bool, list[float]]] = {True: [], False: []}
    told: ClassVar[dict[str, list[float]]] = defaultdict(list)
    """Seconds in the listener by hook, for calls around one batch of sixteen."""

    def __init__(self, listeners: Sequence[StreamingMetricsListener]) -> None:
        super().__init__(listeners)
        self._on = True
        self._coin = random.Random(7)
        self._batches = 0
        self._since = time.process_time()

    def wants(self, hook: str) -> bool:
        return self._on and super().wants(hook)

    def tell(self, hook: str, context: StreamingContext, **facts: Any) -> None:
        if hook == "on_fetched":
            self._batches += 1
            if self._batches % BLOCK == 1:
                self._switch()
        if self._on and self._batches % 16 == 0 and self._batches > WARM_UP * BLOCK:
            started = time.thread_time()
            super().tell(hook, context, **facts)
            self.told[hook].append(time.thread_time() - started)
        elif self._on:
            super().tell(hook, context, **facts)

    def _switch(self) -> None:
        if self._batches > WARM_UP * BLOCK:
            self.blocks[self._on].append(time.process_time() - self._since)
        self._on = self._coin.random() < 0.5
        self._since = time.process_time()


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
    gc.collect()  # as in a process of its own: collections are few, and none falls into one block by chance
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    run_main(flow)  # type: ignore[no-untyped-call]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=150, help="blocks with metrics, and as many without")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_orders(Path(name) / "orders.jsonl", (2 * options.pairs + WARM_UP + 1) * BLOCK * BATCH)
        run(Path(name))
    with_metrics, without = Switch.blocks[True], Switch.blocks[False]
    told = sum(mean(spent) * (STAGES if hook == "on_stage" else 1) for hook, spent in Switch.told.items())
    print(f"flow without metrics: {mean(without) / BLOCK * 1e6:.0f} µs a batch of {BATCH} documents")
    print(f"in the listener: {told * 1e6:.1f} µs a batch")
    ratio = mean(with_metrics) / mean(without)
    print(f"ratio with / without metrics, {len(without)} blocks of {BLOCK} batches each: {ratio:.3f}")


if __name__ == "__main__":
    main()
