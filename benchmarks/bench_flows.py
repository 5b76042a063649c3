"""Whole flows, file to file, beside other ways to do the same: by turns, each run in a process of its own.

    python benchmarks/bench_flows.py --documents 500000 --rounds 7

The outputs are compared before any time counts. Ratios are of one round, ours and theirs under the same conditions;
the table gives their medians and ranges. It is printed and written to benchmarks/results/flows.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from flow_jobs import FILTER, GROUP, STATELESS
from flow_orders import write_orders
from rounds import alike, by_id

HERE = Path(__file__).parent
RESULTS = HERE / "results"
OURS = "fluxion"
RIVALS = {
    "fluxion_bare": "the same compiled code, no Bytewax",
    "plain_loop": "best plain Python loop (msgspec)",
    "bytewax_json": "Bytewax by hand, json",
    "bytewax_orjson": "Bytewax by hand, orjson",
    "duckdb_sql": "DuckDB, one thread, schema given",
}
NEEDS = {"duckdb_sql": "duckdb", "bytewax_orjson": "orjson"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=500_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--jobs", nargs="*", default=[STATELESS, GROUP, FILTER])
    options.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=list(RIVALS))
    options.add_argument("--write", type=Path, default=RESULTS / "flows.json", help="where the results go")
    given = options.parse_args()

    rivals = [name for name in given.rivals if _is_there(name)]
    report: dict[str, Any] = {
        "documents": given.documents,
        "rounds": given.rounds,
        "machine": {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()},
        "jobs": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "orders.jsonl"
        write_orders(source, given.documents)
        for job in given.jobs:
            _compare(job, rivals, source, Path(folder))
            rounds = [
                {name: _run(name, job, source, Path(folder)) for name in (OURS, *rivals)}
                for number in range(given.rounds + 1)
            ][1:]
            report["jobs"][job] = _report(job, rivals, rounds, given.documents)
    given.write.parent.mkdir(exist_ok=True)
    given.write.write_text(json.dumps(report, indent=2) + "\n")


def _is_there(rival: str) -> bool:
    package = NEEDS.get(rival)
    if package is None or importlib.util.find_spec(package):
        return True
    print(f"{RIVALS[rival]}: left out, {package} is not installed (pip install -e '.[bench]')")
    return False


def _run(rival: str, job: str, source: Path, folder: Path) -> dict[str, float]:
    target = folder / f"{rival}.jsonl"
    target.unlink(missing_ok=True)
    line = [sys.executable, str(HERE / "flow_run.py"), rival, job, str(source), str(target)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{rival} failed at {job}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _compare(job: str, rivals: list[str], source: Path, folder: Path) -> None:
    """Every contender gives the same documents, numbers to a relative 1e-9."""
    few = folder / "few.jsonl"
    with open(source, encoding="ascii") as lines, open(few, "w", encoding="ascii") as out:
        out.writelines(line for _, line in zip(range(20_000), lines, strict=False))
    found: dict[str, list[Any]] = {}
    for name in (OURS, *rivals):
        _run(name, job, few, folder)
        text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
        found[name] = by_id([json.loads(line) for line in text.splitlines()])
    for name in rivals:
        if not alike(found[OURS], found[name]):
            sys.exit(f"{job}: {name} gives another result than we do")


def _report(job: str, rivals: list[str], rounds: list[dict[str, dict[str, float]]], documents: int) -> dict[str, Any]:
    print(f"\n{job}, {documents:,} documents: thousand documents a second, ratio ours / theirs (median, range)")
    report: dict[str, Any] = {}
    for name in (OURS, *rivals):
        seconds = statistics.median(r[name]["seconds"] for r in rounds)
        ratios = sorted(r[name]["seconds"] / r[OURS]["seconds"] for r in rounds)
        report[name] = {
            "documents a second": round(documents / seconds),
            "cpu seconds": statistics.median(r[name]["cpu"] for r in rounds),
            "MiB": statistics.median(r[name]["mib"] for r in rounds),
            "ratio": statistics.median(ratios),
            "ratios": [ratios[0], ratios[-1]],
        }
        title = RIVALS.get(name, "Fluxion Flow")
        line = f"  {title:38} {documents / seconds / 1000:8.0f}   {report[name]['MiB']:6.0f} MiB"
        if name != OURS:
            line += f"   {statistics.median(ratios):6.2f}  ({ratios[0]:.2f} – {ratios[-1]:.2f})"
        print(line)
    return report


if __name__ == "__main__":
    main()
