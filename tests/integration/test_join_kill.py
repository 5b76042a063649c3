"""Joins of two streams under kill -9 at any moment: answers and late documents are those of the offline run."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import Job, counted
from test_window_kill import TIME_FIELD

from fluxion_flow import run_batch
from fluxion_flow.connect.encoding import encode_lines, to_extended
from fluxion_flow.core.streams import StreamInput
from fluxion_flow.dsl.model import StreamingPipelineDefinition

KILLS = int(os.environ.get("JOIN_KILLS", "2"))

COMMON = {"from": "other", "localField": "c", "foreignField": "c", "as": "found"}
LATENESS = {"allowedLateness": {"size": 4, "unit": "second"}}
INTERVAL = {
    "$streamJoin": {
        **COMMON,
        **LATENESS,
        "within": {"before": {"size": 2, "unit": "second"}, "after": {"size": 1, "unit": "second"}},
        "pipeline": [{"$project": {"p": 1}}],
    }
}
LATEST = {"$lookup": {**COMMON, **LATENESS, "within": {"before": {"size": 5, "unit": "second"}}}}
OWN = [{"$match": {"p": {"$gte": 20}}}]


@dataclass
class JoinJob(Job):
    """Two streams of events in disorder, some of them too late, each in several partitions of one file."""

    def __post_init__(self) -> None:
        self.bad = 0
        for name, seed in (("in", 11), ("other", 12)):
            rng = random.Random(seed)
            with open(self.folder / f"{name}.jsonl", "wb") as file:
                for i in range(self.records):
                    at = 1_700_000_000_000 + i * 40 - rng.choice([0, 0, 0, 500, 3000, 9000])
                    document = {"_id": i, "c": f"k{rng.randrange(12)}", "p": rng.random() * 100, "at": at}
                    file.write(json.dumps(document).encode() + b"\n")
        self.write(source=self.source("in"), streams={"other": {"source": self.source("other"), "stages": OWN}})

    def source(self, name: str) -> dict[str, Any]:
        path = str(self.folder / f"{name}.jsonl")
        return {"type": "files", "path": path, "part_size": 30_000, "time_field": TIME_FIELD}

    def partitions(self, name: str) -> dict[str, list[dict[str, Any]]]:
        """The documents of a stream by source partition."""
        data = {"name": "x", "source": self.source(name), "sink": {"type": "stdio"}}
        source = StreamingPipelineDefinition.from_dict(data).source.open()
        found: dict[str, list[dict[str, Any]]] = {}
        for partition in source.partitions():
            reader = source.open(partition, None)
            found[partition] = []
            while (batch := reader.read(1000)) is not None:
                found[partition] += batch.documents
            reader.close()
        assert len(found) > 2
        return found

    def check(self) -> None:
        late: list[dict[str, Any]] = []
        other = {"other": StreamInput(self.partitions("other"), TIME_FIELD, OWN)}
        answers = run_batch(self.partitions("in"), self.stages, time_field=TIME_FIELD, late=late, streams=other)
        expected = [json.loads(line) for line in encode_lines(answers, False)[0].splitlines()]
        assert counted(self.delivered()) == counted(expected)
        letters = [json.loads(line) for line in (self.folder / "dead.jsonl").open()]
        assert len(letters) == len({letter["id"] for letter in letters})
        assert {one["partition"].startswith("other/") for one in late} == {True, False}
        assert counted([letter["doc"] for letter in letters]) == counted([to_extended(one["doc"]) for one in late])


@pytest.mark.parametrize(
    ("stage", "workers", "processes"),
    [(INTERVAL, 2, 1), (LATEST, 1, 2)],
    ids=["interval", "latest-two-processes"],
)
def test_joins_killed_at_random_end_as_offline(
    tmp_path: Path, stage: dict[str, Any], workers: int, processes: int
) -> None:
    job = JoinJob(tmp_path, [{"$match": {"p": {"$lt": 95}}}, stage], records=1500)
    kills = KILLS if processes == 1 else max(KILLS - 1, 1)
    assert job.kill_at_random(workers, kills, random.Random(workers), processes) == kills
    job.check()
