"""kafka → stages → kafka under kill -9 at random moments: nothing missing, and in transactions nothing repeated."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from servers.kafka import Kafka, new_topic, produce, records

RUN = Path(__file__).with_name("run_topic_flow.py")
KILLS = int(os.environ.get("KILLS", "6" if os.environ.get("CI") == "true" else "2"))
"""Two in a quick run, six under ``CI=true``; ``KILLS=30`` for a thorough one."""
RECORDS, PARTITIONS = 1500, 3


def _definition(cluster: Kafka, source: str, sink: str, **options: Any) -> dict[str, Any]:
    kafka = {"type": "kafka", "bootstrap_servers": cluster.bootstrap}
    return {
        "name": "copy",
        "source": {**kafka, "topics": source, "stop_at_end": True, "group_id": f"{source}-group"},
        "stages": [{"$match": {"n": {"$mod": [10, 0]}}}, {"$set": {"double": {"$multiply": ["$n", 2]}}}],
        "sink": {**kafka, "topic": sink, "key": "$n", **options},
        "config": {"batch_size": 20, "flush_interval": "50ms"},
    }


@pytest.mark.parametrize("transactional", [False, True])
def test_a_copy_killed_at_random_loses_nothing_and_in_transactions_repeats_nothing(
    real_cluster: Kafka, tmp_path: Path, transactional: bool
) -> None:
    source, sink = new_topic(real_cluster, PARTITIONS), new_topic(real_cluster, 2)
    for partition in range(PARTITIONS):
        numbers = range(partition, RECORDS * 10, PARTITIONS)
        produce(real_cluster, source, [json.dumps({"n": n}).encode() for n in numbers], partition)
    options = {"transactional_id": f"{sink}-tx"} if transactional else {}
    definition = tmp_path / "definition.json"
    definition.write_text(json.dumps(_definition(real_cluster, source, sink, **options)))
    rng = random.Random(5 + transactional)
    killed = 0
    while killed < KILLS:
        process = _start(tmp_path, pause=0.03)
        try:
            process.wait(rng.uniform(0.0, 8 / KILLS))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += 1
        _, errors = process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
    assert killed == KILLS
    last = _start(tmp_path, pause=0.0)
    _, errors = last.communicate()
    assert last.returncode == 0, errors

    found = Counter(json.loads(message.value())["n"] for message in records(real_cluster, sink))
    missing = [n for n in range(0, RECORDS * 10, 10) if n not in found]
    repeated = sum(found.values()) - len(found)
    assert (missing, set(found) - set(range(0, RECORDS * 10, 10))) == ([], set())
    if transactional:
        assert repeated == 0


def _start(folder: Path, pause: float) -> subprocess.Popen[str]:
    """Start a run and wait until it has read something."""
    command = [sys.executable, str(RUN), str(folder / "definition.json"), str(folder / "store"), "2", str(pause)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line in ("reading\n", "complete\n"), process.communicate()[1]
    return process
