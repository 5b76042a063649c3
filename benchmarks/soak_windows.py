"""A soak of event time: `fluxion run` with windows and with `$dedupe`, killed at random, then compared.

Several files of events in disorder are read to their end, each a source partition: some events come later than windows
wait. Every few seconds all processes of the run are killed with SIGKILL, and it is started again, until it completes.
Then every result and every late document must be those of a plain loop over the events: nothing lost, nothing repeated.

    python benchmarks/soak_windows.py --events 10000000 --processes 2
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter, defaultdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

SPAN = 10_000
"""Milliseconds of a window; `$dedupe` takes it for `within`."""

LATENESS = 2_000

START = 1_700_000_000_000

WINDOWS = {
    "$tumblingWindow": {
        "interval": {"size": SPAN, "unit": "ms"},
        "allowedLateness": {"size": LATENESS, "unit": "ms"},
        "pipeline": [{"$group": {"_id": "$k", "n": {"$count": {}}, "total": {"$sum": "$v"}}}],
        "streamMeta": True,
    }
}
DEDUPE = {
    "$dedupe": {
        "key": "$k",
        "within": {"size": SPAN, "unit": "ms"},
        "allowedLateness": {"size": LATENESS, "unit": "ms"},
    }
}


class Events:
    """Events in files, and what must come of them: by window and key, by key and time, and what is late."""

    def __init__(self, folder: Path, count: int, files: int, keys: int) -> None:
        rng = random.Random(1)
        self.windows: dict[tuple[int, int], list[int]] = {}
        self.late_for_windows: Counter[tuple[int, int]] = Counter()
        self.late_in_order: Counter[tuple[int, int]] = Counter()
        times: dict[int, array[int]] = defaultdict(lambda: array("q"))
        for number in range(files):
            newest = 0
            with (folder / f"in-{number}.jsonl").open("w") as file:
                for i in range(count // files):
                    chance = rng.random()
                    behind = 0 if chance < 0.7 else int(chance * 2000) if chance < 0.99 else rng.randrange(15_000)
                    moment, key = START + i - behind, int(rng.random() * keys)
                    file.write(f'{{"t":{moment},"k":{key},"v":{i % 100}}}\n')
                    start = moment - moment % SPAN
                    if start + SPAN <= newest - LATENESS:
                        self.late_for_windows[key, moment] += 1
                    else:
                        held = self.windows.setdefault((start, key), [0, 0])
                        held[0] += 1
                        held[1] += i % 100
                    if moment < newest - LATENESS:
                        self.late_in_order[key, moment] += 1
                    else:
                        times[key].append(moment)
                    newest = max(newest, moment)
        self.passed: Counter[tuple[int, int]] = Counter()
        for key, moments in times.items():
            last = 0
            for moment in sorted(moments):
                if moment - last >= SPAN:
                    self.passed[key, moment] = 1
                    last = moment


def start(folder: Path, processes: int) -> subprocess.Popen[bytes]:
    program = "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"
    options = ["-r", str(folder / "store"), "-s", "1", "-q", "-p", str(processes)]
    return subprocess.Popen([sys.executable, "-c", program, "run", str(folder / "soak.json"), *options])


def kill(process: subprocess.Popen[bytes], rng: random.Random) -> None:
    """Kill a run and all of its processes, in any order."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    victims = [process.pid, *map(int, children)]
    rng.shuffle(victims)
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself meanwhile
            os.kill(victim, signal.SIGKILL)
        time.sleep(rng.uniform(0, 0.05))
    process.wait()
    while any(Path(f"/proc/{victim}").exists() for victim in victims):
        time.sleep(0.02)


def run_with_kills(
    folder: Path, stage: dict[str, Any], options: argparse.Namespace, rng: random.Random, **parts: Any
) -> int:
    """Run the pipeline, with further parts of its definition, to its end; answer how often it was killed."""
    definition = {
        "name": "soak",
        "source": {"type": "files", "path": str(folder.parent / "in-*.jsonl"), "time_field": "$t"},
        "stages": [stage],
        "sink": {"type": "files", "path": str(folder / "out.jsonl")},
        "on_error": {
            "dead_letter": {"type": "files", "path": str(folder / "dead.jsonl")},
            "granularity": "document",
        },
        "config": {"metrics": False},
        **parts,
    }
    (folder / "soak.json").write_text(json.dumps(definition))
    kills = 0
    while True:
        process = start(folder, options.processes)
        try:
            code = process.wait(rng.uniform(*options.between))
        except subprocess.TimeoutExpired:
            kill(process, rng)
            kills += 1
            continue
        if code != 0:
            sys.exit(f"the run ended with exit code {code}")
        return kills


def lines(path: Path) -> Any:
    with path.open() as file:
        for line in file:
            yield json.loads(line)


def compare(what: str, found: Any, expected: Any) -> None:
    if found != expected:
        wrong = [key for key in {*found, *expected} if found.get(key) != expected.get(key)]
        sys.exit(f"{what}: {len(wrong)} of {len(expected)} differ, such as {wrong[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--between", type=float, nargs=2, default=(1.5, 4.0), help="seconds between two kills")
    parser.add_argument("--only", choices=("windows", "dedupe"))
    options = parser.parse_args()
    rng = random.Random(2)
    with tempfile.TemporaryDirectory() as name:
        events = Events(Path(name), options.events, options.files, options.keys)
        for what, stage in {"windows": WINDOWS, "dedupe": DEDUPE}.items():
            if options.only not in (None, what):
                continue
            folder = Path(name) / what
            folder.mkdir()
            began = time.monotonic()
            kills = run_with_kills(folder, stage, options, rng)
            seconds = time.monotonic() - began
            if not kills:
                sys.exit(f"{what}: the run was over before it was killed; give it more events")
            late = Counter((letter["doc"]["k"], letter["doc"]["t"]) for letter in lines(folder / "dead.jsonl"))
            if what == "windows":
                results: dict[tuple[int, int], list[list[int]]] = defaultdict(list)
                for one in lines(folder / "out.jsonl"):
                    results[millis(one["_stream_meta"]["window"]["start"]), one["_id"]].append([one["n"], one["total"]])
                compare("windows", results, {key: [value] for key, value in events.windows.items()})
                compare("late documents", late, events.late_for_windows)
            else:
                passed = Counter((one["k"], one["t"]) for one in lines(folder / "out.jsonl"))
                compare("passed on", passed, events.passed)
                compare("late documents", late, events.late_in_order)
            print(
                f"{what}: {options.events:,} events in {options.files} files, {late.total():,} late, {kills} kills in "
                f"{seconds:.0f} s: nothing lost, nothing repeated",
                flush=True,
            )


@cache
def millis(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


if __name__ == "__main__":
    main()
