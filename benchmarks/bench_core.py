"""Core beside plain Python, mongomock and mingo: two jobs over the same orders, by turns, in documents a second.

    python benchmarks/bench_core.py --documents 100000 --rounds 7

Outputs are compared before any time counts. The table is printed and written to benchmarks/results/core.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import JOBS, Job
from orders import make_orders
from other_engines import Mingo, Mongomock, Unavailable
from rounds import Contender, alike, by_id, by_turns, median_ratio, medians

from fluxion_flow import run_batch

OURS = "fluxion"
LOOP = "plain Python: "
FEWER = 20
"""mongomock gets one order in so many, or the measurement would take hours."""

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--without", nargs="*", default=[], choices=["mingo", "mongomock"])
    options.add_argument("--write", type=Path, default=RESULTS / "core.json", help="where the results go")
    options.add_argument(
        "--processor-time", action="store_true", help="on a busy machine: not the clock on the wall; leaves out mingo"
    )
    given = options.parse_args()
    clock = time.process_time if given.processor_time else time.perf_counter

    orders = make_orders(given.documents)
    left_out: dict[str, str] = dict.fromkeys(given.without, "left out by an option")
    if given.processor_time:
        left_out["mingo"] = "its processor time, with the threads of node, is not comparable"
    mingo = _engine("mingo", lambda: Mingo(orders, {job.name: job.stages for job in JOBS}), left_out)
    few = orders[: given.documents // FEWER]
    mongomock = _engine("mongomock", lambda: Mongomock(few), left_out)
    versions = {engine: made.version for engine, made in (("mingo", mingo), ("mongomock", mongomock)) if made}
    report: dict[str, Any] = {
        "documents": given.documents,
        "clock": "processor time" if given.processor_time else "wall time",
        "rounds": given.rounds,
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
        "engines": versions,
        "left out": left_out,
        "jobs": {},
    }
    for job in JOBS:
        count = len(orders)
        contenders = [
            Contender(OURS, count, lambda job=job: run_batch(orders, job.stages)),
            *(
                Contender(LOOP + name, count, lambda loop=loop: loop(orders))
                for name, loop in {**job.loops, **job.same_bits}.items()
            ),
        ]
        if mingo:
            result, timed = (lambda job=job: mingo.result(job.name)), (lambda job=job: mingo.seconds(job.name))
            contenders.append(Contender("mingo", count, result, timed))
        _compare(job, contenders)
        for name, loop in job.same_bits.items():
            if by_id(loop(orders)) != by_id(run_batch(orders, job.stages)):
                sys.exit(f"{job.name}: {name} differs in some bit")
        if mongomock:
            contenders.append(Contender("mongomock", len(few), lambda job=job: mongomock.result(job.stages)))
            _compare(job, [Contender(OURS, len(few), lambda job=job: run_batch(few, job.stages)), contenders[-1]])
        report["jobs"][job.name] = _report(job, by_turns(contenders, given.rounds, clock))
    if mingo:
        mingo.close()
    given.write.parent.mkdir(exist_ok=True)
    given.write.write_text(json.dumps(report, indent=2) + "\n")
    for name, reason in left_out.items():
        print(f"{name}: {reason}")


def _engine(name: str, make: Callable[[], Any], left_out: dict[str, str]) -> Any:
    if name in left_out:
        return None
    try:
        return make()
    except Unavailable as reason:
        left_out[name] = str(reason)
        return None


def _compare(job: Job, contenders: list[Contender]) -> None:
    """Stop the measurement when contenders do not do the same."""
    expected = by_id(contenders[0].run())
    for contender in contenders[1:]:
        if not alike(by_id(contender.run()), expected):
            sys.exit(f"{job.name}: {contender.name} gives something else than {contenders[0].name}")


def _report(job: Job, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Print a job's table, and give it as data. ``seconds`` are those a document, by contender and round."""
    middle = medians(seconds)
    best = min((name for name in middle if name.startswith(LOOP)), key=middle.__getitem__)
    print(f"\n{job.name}, medians of {len(seconds[OURS])} rounds")
    rows = {}
    for name, median in sorted(middle.items(), key=lambda row: row[1]):
        ratio = median_ratio(seconds[name], seconds[OURS])
        rows[name] = {
            "documents a second": round(1 / median),
            "microseconds a document": [round(s * 1e6, 3) for s in seconds[name]],
            "fluxion is so many times as fast": round(ratio, 3),
        }
        mark = "  <- the best loop" if name == best else ""
        print(f"  {name:28} {1 / median:12,.0f} documents/s   fluxion × {ratio:.2f}{mark}")
    return {"best loop": best, "contenders": rows}


if __name__ == "__main__":
    main()
