"""SIGTERM drains: what is in flight is delivered, the exit is clean, and other workers take over from there."""

from __future__ import annotations

import random
import signal
import subprocess
from pathlib import Path

import pytest
from processes import GROUPED, STATELESS, Job, counted


@pytest.mark.parametrize("stages", [STATELESS, GROUPED], ids=["stateless", "grouped"])
def test_drained_runs_hand_over_to_other_numbers_of_workers(tmp_path: Path, stages: list[dict[str, object]]) -> None:
    job = Job(tmp_path, stages)
    rng = random.Random(3)
    drained = 0
    for workers in (1, 3, 2, 1, 2):
        process = job.start(workers, pause=0.02)
        try:
            process.wait(rng.uniform(0.1, 0.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            drained += 1
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    job.finish(2)
    assert drained > 0
    assert counted(job.delivered()) == counted(job.expected())
    job.check_dead_letters()


def test_drained_group_does_not_send_final_values_early(tmp_path: Path) -> None:
    job = Job(tmp_path, GROUPED)
    process = job.start(1, pause=0.05)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.4)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert job.delivered() == []
    job.finish(1)
    assert counted(job.delivered()) == counted(job.expected())
