"""Windows under kill -9 at any moment: the closed windows and the late documents are those of the offline run."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import Job, counted

from fluxion_flow import run_batch
from fluxion_flow.connect.encoding import encode_lines, to_extended
from fluxion_flow.dsl.model import StreamingPipelineDefinition

KILLS = int(os.environ.get("WINDOW_KILLS", "3"))

TIME_FIELD = {"$toDate": "$at"}
TUMBLING = {
    "$tumblingWindow": {
        "interval": {"size": 10, "unit": "second"},
        "allowedLateness": {"size": 4, "unit": "second"},
        "pipeline": [{"$group": {"_id": "$c", "total": {"$sum": "$p"}, "ids": {"$push": "$_id"}}}],
        "streamMeta": True,
    }
}
SESSIONS = {
    "$sessionWindow": {
        "gap": {"size": 3, "unit": "second"},
        "partitionBy": "$c",
        "allowedLateness": {"size": 6, "unit": "second"},
        "pipeline": [{"$sort": {"p": 1}}, {"$limit": 2}],
        "streamMeta": True,
    }
}


@dataclass
class WindowJob(Job):
    """Events in disorder, some of them later than their windows wait, in several partitions of one file."""

    def __post_init__(self) -> None:
        rng = random.Random(11)
        self.bad = 0
        with open(self.folder / "in.jsonl", "wb") as file:
            for i in range(self.records):
                at = 1_700_000_000_000 + i * 40 - rng.choice([0, 0, 0, 500, 3000, 9000])
                document = {"_id": i, "c": f"k{rng.randrange(12)}", "p": rng.random() * 100, "at": at}
                file.write(json.dumps(document).encode() + b"\n")
        self.write()

    def write(self, **changes: Any) -> None:
        source = {
            "type": "files",
            "path": str(self.folder / "in.jsonl"),
            "part_size": 60_000,
            "time_field": TIME_FIELD,
        }
        super().write(**{"source": source, **changes})

    def partitions(self) -> dict[str, list[dict[str, Any]]]:
        """The documents by source partition."""
        data = json.loads((self.folder / "definition.json").read_text())
        source = StreamingPipelineDefinition.from_dict(data).source.open()
        found: dict[str, list[dict[str, Any]]] = {}
        for name in source.partitions():
            reader = source.open(name, None)
            found[name] = []
            while (batch := reader.read(1000)) is not None:
                found[name] += batch.documents
            reader.close()
        assert len(found) > 2
        return found

    def check(self) -> None:
        late: list[dict[str, Any]] = []
        windows = run_batch(self.partitions(), self.stages, time_field=TIME_FIELD, late=late)
        expected = [json.loads(line) for line in encode_lines(windows, False)[0].splitlines()]
        assert counted(self.delivered()) == counted(expected)
        letters = [json.loads(line) for line in (self.folder / "dead.jsonl").open()]
        assert len(letters) == len({letter["id"] for letter in letters})
        assert {letter["errInfo"]["code"] for letter in letters} == {"late"}
        got = [letter["doc"] | {"window": letter["_stream_meta"]["window"]} for letter in letters]
        assert late
        assert counted(got) == counted([to_extended(one["doc"] | {"window": one["window"]}) for one in late])


@pytest.mark.parametrize(
    ("stage", "workers", "processes"),
    [(TUMBLING, 1, 1), (SESSIONS, 2, 1), (TUMBLING, 1, 2), (SESSIONS, 1, 2)],
    ids=["tumbling", "sessions", "tumbling-two-processes", "sessions-two-processes"],
)
def test_windows_killed_at_random_end_as_offline(
    tmp_path: Path, stage: dict[str, Any], workers: int, processes: int
) -> None:
    job = WindowJob(tmp_path, [{"$match": {"p": {"$lt": 95}}}, stage])
    kills = KILLS if processes == 1 else max(KILLS - 1, 1)
    assert job.kill_at_random(workers, kills, random.Random(workers), processes) == kills
    job.check()
