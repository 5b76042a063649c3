"""Definitions run in processes of their own, ended by signals at random moments, and what they must end with."""

from __future__ import annotations

import collections
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluxion_flow import run_batch
from tests.servers.ports import free_ports

RUN_FLOW = Path(__file__).with_name("run_flow.py")
STATELESS = [{"$match": {"q": {"$ne": 3}}}, {"$set": {"t": {"$multiply": ["$q", "$p"]}}}]
FILTERS = [{"$match": {"q": {"$ne": 3}}}, {"$match": {"$expr": {"$gte": [{"$multiply": ["$q", "$p"]}, 1]}}}]
GROUPED = [
    *STATELESS,
    {
        "$group": {
            "_id": "$c",
            "total": {"$sum": "$t"},
            "n": {"$count": {}},
            "ids": {"$push": "$_id"},
            "first": {"$first": "$p"},
        }
    },
]


@dataclass
class Job:
    """A flow over a file of orders with malformed lines and poison documents, and what it must end with."""

    folder: Path
    stages: list[dict[str, Any]]
    several_outputs: bool = False
    config: dict[str, Any] | None = None
    records: int = 3000

    def __post_init__(self) -> None:
        rng = random.Random(7)
        self.good: list[dict[str, Any]] = []
        self.bad = 0
        with open(self.folder / "in.jsonl", "wb") as file:
            for i in range(self.records):
                if i % 97 == 5:
                    file.write(b'{"_id": %d, \n' % i)
                    self.bad += 1
                    continue
                document = {"_id": i, "c": f"k{rng.randrange(40)}", "q": rng.randrange(9), "p": rng.random() * 100}
                if i % 61 == 0:
                    document["q"] = "poison"
                    self.bad += 1
                else:
                    self.good.append(document)
                file.write(json.dumps(document).encode() + b"\n")
        self.write()

    def write(self, **changes: Any) -> None:
        """Write the definition, with changes to it."""
        definition = {
            "name": "crash",
            "source": {"type": "files", "path": str(self.folder / "in.jsonl"), "part_size": 20_000},
            "stages": self.stages,
            "sink": {
                "type": "files",
                "path": str(self.folder / ("out-{part}.jsonl" if self.several_outputs else "out.jsonl")),
            },
            "on_error": {
                "dead_letter": {"type": "files", "path": str(self.folder / "dead.jsonl")},
                "granularity": "document",
            },
            "config": {"batch_size": 20, **(self.config or {})},
        }
        (self.folder / "definition.json").write_text(json.dumps({**definition, **changes}))

    def start(self, workers: int, pause: float) -> subprocess.Popen[str]:
        """Start a process and wait until its dataflow is about to run."""
        (process,) = start_flow(self.folder, workers, pause)
        return process

    def kill_at_random(self, workers: int, kills: int, rng: random.Random, processes: int = 1) -> int:
        """Kill ``kills`` runs with SIGKILL, each before it can have come to its end; then let one finish.

        Of several processes one is killed, and the others a moment later, as a supervisor would.
        """
        killed = 0
        while killed < kills:
            started = start_flow(self.folder, workers, 0.05 * workers * processes, processes)
            try:
                started[0].wait(rng.uniform(0.0, 0.55))
            except subprocess.TimeoutExpired:
                kill_all(started, rng)
                killed += 1
                continue
            ended = [process.communicate()[1] for process in started]
            assert [process.returncode for process in started] == [0] * processes, ended
            break
        self.finish(workers, processes)
        return killed

    def finish(self, workers: int, processes: int = 1) -> None:
        """Let a run come to its end, undisturbed."""
        for process in start_flow(self.folder, workers, 0.0, processes):
            _, errors = process.communicate()
            assert process.returncode == 0, errors

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for path in sorted(self.folder.glob("out*.jsonl")) for line in path.open()]

    def expected(self) -> list[dict[str, Any]]:
        documents: list[dict[str, Any]] = json.loads(json.dumps(run_batch(self.good, self.stages)))
        return documents

    def check_dead_letters(self) -> None:
        """Every bad record is dead-lettered, each once."""
        letters = [json.loads(line) for line in (self.folder / "dead.jsonl").open()]
        assert len({letter["id"] for letter in letters}) == len(letters) == self.bad


def start_flow(folder: Path, workers: int, pause: float, processes: int = 1) -> list[subprocess.Popen[str]]:
    """Start the processes of one run of ``folder``'s definition, and wait until their dataflows are about to run."""
    command = [sys.executable, str(RUN_FLOW), str(folder / "definition.json"), str(folder / "store")]
    command += [str(workers), str(pause)]
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(processes))
    started = [
        subprocess.Popen(
            [*command, addresses, str(number)] if processes > 1 else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n", process.communicate()[1]
    return started


def kill_all(processes: list[subprocess.Popen[str]], rng: random.Random) -> None:
    """Kill -9, in any order, with a moment between."""
    for process in rng.sample(processes, len(processes)):
        process.send_signal(signal.SIGKILL)
        if len(processes) > 1:
            time.sleep(rng.uniform(0.0, 0.1))
    for process in processes:
        process.communicate()


def counted(documents: list[dict[str, Any]]) -> collections.Counter[str]:
    """Documents as a multiset, to the bit."""
    return collections.Counter(json.dumps(d, sort_keys=True) for d in documents)
