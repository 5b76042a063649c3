"""A soak of keyed state: `fluxion run` over a growing file, killed at random, watched for memory, then compared.

A writer appends events for `--keys` customers to a file; the run counts and sums them, with a checkpoint each second.
It is killed with SIGKILL every few seconds and started again, and drained at the end. Then the last value of every
customer must be what the events give: nothing lost, nothing counted twice. Memory is told for each life of the process.

    python benchmarks/soak_state.py --seconds 300 --keys 100000
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

DEFINITION = """
name: soak
source: {{type: files, path: {folder}/in.jsonl, follow: true}}
stages: [{{$group: {{_id: $k, n: {{$count: {{}}}}, total: {{$sum: $v}}}}}}]
sink: {{type: files, path: {folder}/out.jsonl}}
config: {{state_partitions: 8, metrics: false}}
"""


class Writer(threading.Thread):
    """Appends events until it is told to stop; ``count`` and ``total`` are what they add up to, by key."""

    def __init__(self, path: Path, keys: int, rate: int) -> None:
        super().__init__(daemon=True)
        self.path, self.keys, self.rate = path, keys, rate
        self.count: Counter[int] = Counter()
        self.total: Counter[int] = Counter()
        self.stopped = threading.Event()

    def run(self) -> None:
        rng = random.Random(1)
        with self.path.open("a") as file:
            while not self.stopped.wait(0.1):
                for _ in range(self.rate // 10):
                    key, value = rng.randrange(self.keys), rng.randrange(100)
                    self.count[key] += 1
                    self.total[key] += value
                    file.write(f'{{"k": {key}, "v": {value}}}\n')
                file.flush()


def start(folder: Path) -> subprocess.Popen[bytes]:
    program = "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"
    options = ["-r", str(folder / "store"), "-s", "1", "-q"]
    return subprocess.Popen([sys.executable, "-c", program, "run", str(folder / "soak.yaml"), *options])


def memory(process: subprocess.Popen[bytes]) -> int:
    """Resident megabytes of a process; 0 when it is gone."""
    try:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * 4096 // 2**20


def last_values(path: Path) -> dict[int, tuple[int, int]]:
    found = {}
    with path.open() as lines:
        for line in lines:
            document = json.loads(line)
            found[document["_id"]] = (document["n"], document["total"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--keys", type=int, default=20_000)
    parser.add_argument("--rate", type=int, default=5_000, help="events a second")
    options = parser.parse_args()
    rng = random.Random(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.jsonl").touch()
        (folder / "soak.yaml").write_text(DEFINITION.format(folder=folder))
        writer = Writer(folder / "in.jsonl", options.keys, options.rate)
        writer.start()
        ends = time.monotonic() + options.seconds
        kills = 0
        while time.monotonic() < ends:
            process, peak = start(folder), 0
            until = time.monotonic() + rng.uniform(4, 12)
            while time.monotonic() < until and process.poll() is None:
                peak = max(peak, memory(process))
                time.sleep(0.1)
            if process.poll() is not None:
                sys.exit(f"the run ended with exit code {process.returncode}")
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            print(f"killed {kills}: {writer.count.total():,} events, {peak} MB", flush=True)
        writer.stopped.set()
        writer.join()
        process = start(folder)
        expected = {key: (count, writer.total[key]) for key, count in writer.count.items()}
        patience = time.monotonic() + 120 + options.seconds
        while (found := last_values(folder / "out.jsonl") if process.poll() is None else {}) != expected:
            if process.poll() is not None or time.monotonic() > patience:
                wrong = sum(found.get(key) != value for key, value in expected.items())
                process.kill()
                sys.exit(f"{wrong} of {len(expected)} keys have another value than their events give")
            time.sleep(1)
        time.sleep(5)  # all may have been there before this process was up, and it must be, to drain
        process.send_signal(signal.SIGTERM)
        if process.wait() != 0:
            sys.exit(f"the drain ended with exit code {process.returncode}")
        print(f"{writer.count.total():,} events, {len(expected):,} keys, {kills} kills: nothing lost, nothing repeated")


if __name__ == "__main__":
    main()
