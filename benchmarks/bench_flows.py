"""Whole flows, file to file, beside other ways to do the same: by turns, each run in a process of its own.

    python benchmarks/bench_flows.py --documents 500000 --rounds 7

The outputs are compared before any time counts. Ratios are of one round, ours and theirs under the same conditions;
the table gives their medians and ranges.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from flow_jobs import FILTER, GROUP, STATELESS
from flow_orders import write_orders
from measured import Effort, Row, rate, ratios
from rivals.plain_loop import DECODE
from rounds import alike, by_id

HERE = Path(__file__).parent
OURS = "fluxion"
RIVALS = {
    "fluxion_bare": "the same compiled code, no Bytewax",
    "plain_loop": "best plain Python loop (msgspec)",
    "bytewax_json": "Bytewax by hand, json",
    "bytewax_orjson": "Bytewax by hand, orjson",
    "duckdb_sql": "DuckDB, one thread, schema given",
}
NEEDS = {"duckdb_sql": "duckdb", "bytewax_orjson": "orjson"}


TARGETS = {
    STATELESS: {"bytewax_json": 5, "bytewax_orjson": 2.8, "fluxion_bare": 0.92, "plain_loop": 0.95, "duckdb_sql": 0.7},
    GROUP: {"bytewax_json": 4.5, "bytewax_orjson": 2.6, "fluxion_bare": 0.92, "plain_loop": 0.95, "duckdb_sql": 0.7},
    FILTER: {"plain_loop": 3},
}


def measure(effort: Effort) -> Iterator[Row]:
    """Every job beside its rivals."""
    documents = effort.of(500_000, 20_000)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "orders.jsonl"
        write_orders(source, documents)
        decode = decoding(source)
        for job, targets in TARGETS.items():
            rivals = [name for name in targets if _is_there(name)]
            rounds = measured_rounds(job, rivals, source, Path(folder), effort.rounds(7, 90 if len(rivals) > 1 else 20))
            ours = [each[OURS]["seconds"] for each in rounds]
            for name in rivals:
                theirs = [each[name]["seconds"] for each in rounds]
                facts = {"our_microseconds": median(ours) / documents * 1e6, "decode_microseconds": decode}
                yield Row(
                    f"files → {job} → files",
                    RIVALS[name] if job != FILTER else "decode and re-encode loop (msgspec)",
                    targets[name],
                    ratios(theirs, ours),
                    ours=rate(ours, documents),
                    theirs=rate(theirs, documents),
                    note=f"{documents:,} orders; seconds of the whole flow in a process of its own, start-up left out",
                    facts=facts,
                )


def decoding(source: Path, documents: int = 20_000) -> float:
    """Microseconds that msgspec takes to decode an order, and nothing else is done."""
    with open(source, "rb") as lines:
        records = [line for _, line in zip(range(documents), lines, strict=False)]
    spent = []
    for _ in range(7):
        started = time.process_time()
        for record in records:
            DECODE(record)
        spent.append((time.process_time() - started) / len(records) * 1e6)
    return median(spent)


def measured_rounds(
    job: str, rivals: list[str], source: Path, folder: Path, numbers: Iterable[int]
) -> list[dict[str, dict[str, float]]]:
    """What each contender took in each round, after their outputs have been compared and each has run once."""
    _compare(job, rivals, source, folder)
    return [{name: run_one(name, job, source, folder) for name in (OURS, *rivals)} for _ in numbers]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=500_000)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--jobs", nargs="*", default=[STATELESS, GROUP, FILTER])
    options.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=list(RIVALS))
    given = options.parse_args()

    rivals = [name for name in given.rivals if _is_there(name)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "orders.jsonl"
        write_orders(source, given.documents)
        for job in given.jobs:
            rounds = measured_rounds(job, rivals, source, Path(folder), range(given.rounds))
            _report(job, rivals, rounds, given.documents)


def _is_there(rival: str) -> bool:
    package = NEEDS.get(rival)
    if package is None or importlib.util.find_spec(package):
        return True
    print(f"{RIVALS[rival]}: left out, {package} is not installed (pip install -e '.[bench]')")
    return False


def run_one(rival: str, job: str, source: Path, folder: Path) -> dict[str, float]:
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
        run_one(name, job, few, folder)
        text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
        found[name] = by_id([json.loads(line) for line in text.splitlines()])
    for name in rivals:
        if not alike(found[OURS], found[name]):
            sys.exit(f"{job}: {name} gives another result than we do")


def _report(job: str, rivals: list[str], rounds: list[dict[str, dict[str, float]]], documents: int) -> None:
    print(f"\n{job}, {documents:,} documents: thousand documents a second, ratio ours / theirs (median, range)")
    for name in (OURS, *rivals):
        seconds = median(r[name]["seconds"] for r in rounds)
        found = sorted(r[name]["seconds"] / r[OURS]["seconds"] for r in rounds)
        memory = median(r[name]["mib"] for r in rounds)
        line = f"  {RIVALS.get(name, 'Fluxion Flow'):38} {documents / seconds / 1000:8.0f}   {memory:6.0f} MiB"
        if name != OURS:
            line += f"   {median(found):6.2f}  ({found[0]:.2f} – {found[-1]:.2f})"
        print(line)


if __name__ == "__main__":
    main()
