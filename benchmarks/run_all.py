"""Every benchmark of the page, one after another, and then the page: docs/benchmarks.md, its plots and its figures.

    python benchmarks/run_all.py            about a quarter of an hour on two cores
    python benchmarks/run_all.py --quick    whether everything works, in a few minutes; the page is left alone, unless
                                            --page is given too: it says then that these are no measurements to go by
    python benchmarks/run_all.py --only bench_kafka bench_latency
    python benchmarks/run_all.py --page     only write the page anew, from docs/benchmarks/results.json and soak.json

Sides take turns within a benchmark, and each has its share of the time: it does fewer rounds where the machine
is slow. What cannot be measured is told, and stands on the page; the exit code is 1 then. `--only` keeps the other rows
of the results that are there.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from machine import machine
from measured import Effort

BENCHES = (
    "bench_startup",
    "bench_flows",
    "bench_windows",
    "bench_checkpoints",
    "bench_metrics",
    "bench_memory",
    "bench_processes",
    "bench_kafka",
    "bench_kafka_windows",
    "bench_latency",
)
FOLDER = Path(__file__).parents[1] / "docs" / "benchmarks"
RESULTS = FOLDER / "results.json"


def measured(bench: str, effort: Effort) -> dict[str, Any]:
    """The rows of one benchmark, and why it has none or not all, if so."""
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    failure = None
    try:
        for row in importlib.import_module(bench).measure(effort):
            rows.append(row.as_data())
            print(told(rows[-1]), flush=True)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the others are still to be measured
        traceback.print_exc()
        failure = f"{type(error).__name__}: {error}"[:500]
    spent = round(time.monotonic() - began)
    print(f"  {bench}: {spent} s", flush=True)
    return {"bench": bench, "seconds": spent, "rows": rows, "failure": failure}


def told(row: dict[str, Any]) -> str:
    """A row for the terminal."""
    sign, unit = ("≥", "") if row["at_least"] else ("≤", "")
    unit = f" {row['unit']}" if row["unit"] else ""
    return (
        f"{'  ' if row['reached'] else '! '}{row['median']:7.2f}{unit} ({row['low']:.2f} – {row['high']:.2f}), "
        f"to reach {sign} {row['target']:g}: {row['job']} beside {row['beside']}; {row['ours']}, {row['theirs']}"
    )


def keep(results: dict[str, Any]) -> None:
    """Write what is known so far, so that an interrupted run is not lost."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small jobs, one round, no page")
    parser.add_argument("--long", action="store_true", help="memory with 10,000,000 documents")
    parser.add_argument("--only", nargs="+", choices=BENCHES, metavar="BENCH", help=f"of {', '.join(BENCHES)}")
    parser.add_argument("--page", action="store_true", help="measure nothing (but with --quick), write the page")
    options = parser.parse_args()
    failed = False
    if options.quick or not options.page:
        effort = Effort(options.quick, options.long)
        stated = machine()
        print(f"{stated['cpu']}, {stated['cores']} cores, load {stated['load']}, {stated['python']}", flush=True)
        found: dict[str, Any] = {}
        if options.only and RESULTS.exists():
            found = {bench["bench"]: bench for bench in json.loads(RESULTS.read_text())["benches"]}
        for bench in options.only or BENCHES:
            found[bench] = measured(bench, effort)
            failed = failed or bool(found[bench]["failure"])
            if options.page or not options.quick:
                stated["load_after"] = machine()["load"]
                keep(
                    {
                        "quick": options.quick,
                        "machine": stated,
                        "benches": [found[name] for name in BENCHES if name in found],
                    }
                )
        if options.quick and not options.page:
            sys.exit(failed)
    importlib.import_module("page").write(FOLDER)
    sys.exit(failed)


if __name__ == "__main__":
    main()
