"""A topic copied by processes that are killed at random moments."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.recovery import init_db_dir
from servers.kafka import Kafka, new_topic, produce

from tests.servers.ports import free_ports

RUN = Path(__file__).with_name("run_topic_flow.py")
RECORDS, PARTITIONS = 1500, 3
EXPECTED = range(0, RECORDS * 10, 10)
"""The numbers that get through."""


SIGNS = ("reading\n", "complete\n")


@dataclass
class TopicJob:
    """A copy of every tenth number of a topic into ``sink``."""

    cluster: Kafka
    folder: Path
    sink: dict[str, Any]
    processes: int = 1

    def __post_init__(self) -> None:
        source = new_topic(self.cluster, PARTITIONS)
        for partition in range(PARTITIONS):
            numbers = range(partition, RECORDS * 10, PARTITIONS)
            produce(self.cluster, source, [json.dumps({"n": n}).encode() for n in numbers], partition)
        kafka = {"type": "kafka", "bootstrap_servers": self.cluster.bootstrap}
        definition = {
            "name": "copy",
            "source": {**kafka, "topics": source, "stop_at_end": True, "group_id": f"{source}-group"},
            "stages": [{"$match": {"n": {"$mod": [10, 0]}}}, {"$set": {"double": {"$multiply": ["$n", 2]}}}],
            "sink": self.sink,
            "config": {"batch_size": 20, "flush_interval": "50ms"},
        }
        self.folder.mkdir(exist_ok=True)
        (self.folder / "definition.json").write_text(json.dumps(definition))
        (self.folder / "store").mkdir()
        init_db_dir(self.folder / "store", 2)

    def run(self, kills: int, rng: random.Random) -> None:
        """Run, kill and start again ``kills`` times, then run to the end. Raises :class:`AssertionError`."""
        killed = 0
        while killed < kills:
            running = self._start(pause=0.03)
            ended = self._wait(running[0], rng.uniform(0.0, 8 / kills))
            if not ended:
                victims = rng.sample(running, len(running))  # one after the other, as when a machine dies by and by
                for victim in victims:
                    victim.send_signal(signal.SIGKILL)
                killed += 1
            errors = [process.communicate()[1] for process in running]
            if ended:
                assert [process.returncode for process in running] == [0] * len(running), errors
                break
        assert killed == kills, f"the copy was complete after {killed} kills"
        running = self._start(pause=0.0)
        errors = [process.communicate()[1] for process in running]
        assert [process.returncode for process in running] == [0] * len(running), errors

    @staticmethod
    def _wait(process: subprocess.Popen[str], seconds: float) -> bool:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _start(self, pause: float) -> list[subprocess.Popen[str]]:
        """Start a run and wait until it has read something."""
        addresses = [f"127.0.0.1:{port}" for port in free_ports(self.processes)] if self.processes > 1 else []
        workers = "2" if self.processes == 1 else "1"
        base = [sys.executable, str(RUN), str(self.folder / "definition.json"), str(self.folder / "store"), workers]
        running = [
            subprocess.Popen(
                [*base, str(pause), *([str(number), *addresses] if addresses else [])],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(self.processes)
        ]
        for process in running:
            assert process.stdout is not None
            line = next((line for line in process.stdout if line in SIGNS), "")  # the engine talks there, too
            if not line:
                for each in running:
                    each.kill()
                raise AssertionError([each.communicate()[1] for each in running])
        return running


def missing_and_repeated(numbers: Iterable[int]) -> tuple[list[int], int]:
    """Which numbers did not arrive, and how many arrived once too often. What was never there is an error."""
    found = Counter(numbers)
    assert set(found) <= set(EXPECTED)
    return [n for n in EXPECTED if n not in found], sum(found.values()) - len(found)
