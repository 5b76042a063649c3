"""Two processes beside one: `fluxion run -p 2` and `-p 1` on the same files, by turns, start-up left out.

Four files of orders are read, so that each of two processes has two. What a run takes over a few orders is taken off
what it takes over all of them: that is start-up, which does not grow with the work.

    python benchmarks/bench_processes.py --documents 2000000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median

from flow_jobs import GROUP, STAGES, STATELESS
from flow_orders import write_orders
from measured import Effort, Row, rate, ratios

FILES = 4
FEW = 400


def seconds(job: str, folder: Path, processes: int) -> float:
    """One run of ``folder``'s files, by the clock."""
    out = folder / f"out-{processes}"
    out.mkdir(exist_ok=True)
    for path in out.iterdir():
        path.unlink()
    definition = {
        "name": "measured",
        "source": {"type": "files", "path": str(folder / "in-*.jsonl")},
        "stages": STAGES[job],
        "sink": {"type": "files", "path": str(out / "{part}.jsonl")},
    }
    path = folder / "measured.json"
    path.write_text(json.dumps(definition))
    program = "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"
    line = [sys.executable, "-c", program, "run", str(path), "-q", "-p", str(processes)]
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True)
    spent = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{processes} processes failed at {job}:\n{done.stderr[-3000:]}")
    return spent


def fill(folder: Path, documents: int) -> Path:
    folder.mkdir()
    for number in range(FILES):
        write_orders(folder / f"in-{number}.jsonl", documents // FILES, seed=number)
    return folder


def results(job: str, folder: Path) -> Iterable[str]:
    """The lines of an output; of groups, the newest of each."""
    lines = [line for path in folder.iterdir() for line in path.open()]
    return lines if job == STATELESS else {json.loads(line)["_id"]: line for line in lines}.values()


def measured_rounds(job: str, few: Path, many: Path, numbers: Iterable[int]) -> dict[int, list[float]]:
    """Seconds without start-up of one process and of two, round by round, after their outputs were compared."""
    for processes in (1, 2):
        seconds(job, few, processes)
    one, two = (sorted(results(job, few / f"out-{processes}")) for processes in (1, 2))
    if one != two:
        sys.exit(f"{job}: two processes give another result than one")
    found: dict[int, list[float]] = {1: [], 2: []}
    for _ in numbers:
        for processes, each in found.items():
            start = seconds(job, few, processes)
            each.append(seconds(job, many, processes) - start)
            if each[-1] <= 0:
                raise RuntimeError("start-up took longer than the whole work; take more documents")
    return found


def measure(effort: Effort) -> Iterator[Row]:
    """Both jobs."""
    documents = effort.of(2_000_000, 600_000)
    with tempfile.TemporaryDirectory() as name:
        few, many = fill(Path(name) / "few", FEW), fill(Path(name) / "many", documents)
        for job in (STATELESS, GROUP):
            found = measured_rounds(job, few, many, effort.rounds(5, 40))
            yield Row(
                f"files → {job} → files, two processes",
                "one process",
                1.7,
                ratios(found[1], found[2]),
                ours=rate(found[2], documents),
                theirs=rate(found[1], documents),
                note=f"{documents:,} orders in {FILES} files; start-up left out",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        few, many = fill(Path(name) / "few", FEW), fill(Path(name) / "many", options.documents)
        for job in (STATELESS, GROUP):
            found = measured_rounds(job, few, many, range(options.rounds))
            one, two = median(found[1]), median(found[2])
            print(f"{job}: one {one:.2f} s, two {two:.2f} s, {median(ratios(found[1], found[2])):.2f} times as fast")


if __name__ == "__main__":
    main()
