"""Memory beside Bytewax by hand, file to file: the most that a process has had resident, each in one of its own.

python benchmarks/bench_memory.py --documents 10000000
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench_flows import run_one
from flow_jobs import GROUP, STATELESS
from flow_orders import write_orders
from measured import Effort, Row, ratios

SIDES = ("fluxion", "bytewax_orjson")
BASE = 1_000
"""Documents of a run that shows what is resident whatever the documents."""


def measure(effort: Effort, documents: int | None = None) -> Iterator[Row]:
    """Both jobs."""
    count = documents or effort.of(1_000_000, 50_000, 10_000_000)
    with tempfile.TemporaryDirectory() as name:
        source, few = Path(name) / "orders.jsonl", Path(name) / "few.jsonl"
        write_orders(source, count)
        write_orders(few, BASE)
        for job in (STATELESS, GROUP):
            found: dict[str, list[float]] = {side: [] for side in SIDES}
            for _ in range(1 if effort.quick or effort.long else 2):
                for side, each in found.items():
                    each.append(run_one(side, job, source, Path(name))["mib"])
            ours, theirs = (median(found[side]) for side in SIDES)
            our_base, their_base = (run_one(side, job, few, Path(name))["mib"] for side in SIDES)
            yield Row(
                f"memory, files → {job} → files, {count:,} documents",
                "Bytewax by hand, orjson",
                1.3,
                ratios(found[SIDES[0]], found[SIDES[1]]),
                at_least=False,
                ours=f"{ours:.0f} MiB",
                theirs=f"{theirs:.0f} MiB",
                note="the most that was resident",
                facts={
                    "our_mebibytes": ours,
                    "base_documents": BASE,
                    "base_mebibytes": our_base,
                    "their_base_mebibytes": their_base,
                },
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    for row in measure(Effort(), parser.parse_args().documents):
        print(f"{row.job}: {row.ours}, {row.beside} {row.theirs}; {median(row.values):.2f}")


if __name__ == "__main__":
    main()
