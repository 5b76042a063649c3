"""Nothing is lost or repeated under kill -9 at any moment: real processes, files, and a real recovery store."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from processes import FILTERS, GROUPED, STATELESS, Job, counted

KILLS = 11


@pytest.mark.parametrize("workers", [1, 2])
def test_stateless_flow_killed_at_random_ends_as_offline(tmp_path: Path, workers: int) -> None:
    job = Job(tmp_path, STATELESS, several_outputs=workers > 1)
    killed = job.kill_at_random(workers, KILLS, random.Random(workers))
    assert killed == KILLS
    assert counted(job.delivered()) == counted(job.expected())
    job.check_dead_letters()


def test_lines_that_are_only_let_through_are_written_as_they_came_whatever_is_killed(tmp_path: Path) -> None:
    job = Job(tmp_path, FILTERS)
    assert job.kill_at_random(1, 3, random.Random(30)) == 3
    assert counted(job.delivered()) == counted(job.expected())
    job.check_dead_letters()
    written = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert set(written) <= set((tmp_path / "in.jsonl").read_bytes().splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_grouped_flow_killed_at_random_ends_as_offline(tmp_path: Path, workers: int) -> None:
    job = Job(tmp_path, GROUPED)
    killed = job.kill_at_random(workers, KILLS, random.Random(10 + workers))
    assert killed == KILLS
    assert counted(job.delivered()) == counted(job.expected())
    job.check_dead_letters()


def test_updating_group_killed_at_random_ends_with_the_offline_value_of_every_key(tmp_path: Path) -> None:
    job = Job(tmp_path, GROUPED, config={"emit": "update"})
    killed = job.kill_at_random(2, KILLS, random.Random(20))
    assert killed == KILLS
    last = {document["_id"]: document for document in job.delivered()}
    assert counted(list(last.values())) == counted(job.expected())
    job.check_dead_letters()
