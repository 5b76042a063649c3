"""Start-up: import, check, compile, the first documents; of the orders quickstart, and of the same by hand in Bytewax.

``python benchmarks/bench_startup.py [rounds]``: whole processes (``python -m bytewax.run``) over twenty orders, in
turn, so that both meet the machine in the same states; the median of the rounds' differences, in wall-clock and in
processor time. Both results are compared before any time counts.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from measured import Effort, Row
from rounds import alike, by_id

ROOT = Path(__file__).parents[1]
SIDES = {"by hand": ("startup_bare", ROOT / "benchmarks"), "Fluxion Flow": ("flows.orders_quickstart", ROOT)}
ORDERS = 20


def run(side: str, source: Path, target: Path) -> tuple[float, float]:
    """Wall-clock and processor seconds of one process."""
    module, folder = SIDES[side]
    target.mkdir(exist_ok=True)
    environment = {**os.environ, "ORDERS_FILE": str(source), "ORDERS_OUT": str(target)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bytewax.run", module], cwd=folder, env=environment, check=True, capture_output=True
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured_rounds(numbers: Iterable[int]) -> dict[str, list[tuple[float, float]]]:
    """Wall-clock and processor seconds of each side in each round, after both have run once and agreed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "orders.jsonl"
        with open(ROOT / "flows" / "data" / "orders.jsonl", encoding="utf-8") as orders:
            source.write_text("".join(line for line, _ in zip(orders, range(ORDERS), strict=False)), encoding="utf-8")
        targets = {side: Path(folder) / side for side in SIDES}
        for side, target in targets.items():
            run(side, source, target)
        ours, theirs = (
            by_id([json.loads(line) for line in (target / "customers.jsonl").read_text().splitlines()])
            for target in targets.values()
        )
        assert ours
        assert alike(ours, theirs), "the two sides disagree"
        found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
        for _ in numbers:
            for side, target in targets.items():
                found[side].append(run(side, source, target))
    return found


def measure(effort: Effort) -> Iterator[Row]:
    """Wall-clock seconds more than the same by hand."""
    found = measured_rounds(effort.rounds(11, 40))
    by_hand, ours = ([each[0] for each in found[side]] for side in SIDES)
    yield Row(
        "start-up: import, check, compile, first documents",
        "the same by hand in Bytewax",
        0.3,
        [b - a for a, b in zip(by_hand, ours, strict=True)],
        at_least=False,
        unit="s more",
        ours=f"{statistics.median(ours):.2f} s",
        theirs=f"{statistics.median(by_hand):.2f} s",
        note=f"whole processes over {ORDERS} orders, by the clock",
        facts={
            "more_processor_seconds": statistics.median(
                b[1] - a[1] for a, b in zip(*(found[side] for side in SIDES), strict=True)
            )
        },
    )


def main() -> None:
    found = measured_rounds(range(int(sys.argv[1]) if len(sys.argv) > 1 else 11))
    for number, what in enumerate(("wall-clock", "processor")):
        for side, times in found.items():
            print(f"{what:10} {side:14} {statistics.median(each[number] for each in times):.3f} s")
        more = [b[number] - a[number] for a, b in zip(*found.values(), strict=True)]
        print(f"{what:10} more           {statistics.median(more):.3f} s ({min(more):.3f} to {max(more):.3f})")


if __name__ == "__main__":
    main()
