"""Stores that earlier versions wrote are resumed: each is a run of this flow that failed in its middle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import numbered, run

from fluxion_flow import pipeline, run_batch
from fluxion_flow.runtime.store import read_store, stored_states

STORES = Path(__file__).with_name("stores")
STAGES = [
    {
        "$group": {
            "_id": {"$mod": ["$n", 7]},
            "total": {"$sum": "$n"},
            "mean": {"$avg": "$n"},
            "seen": {"$push": "$n"},
            "last": {"$last": "$n"},
        }
    },
    {"$sort": {"_id": 1}},
]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_store_of_each_version_is_resumed(tmp_path: Path, version: int, workers: int) -> None:
    store = tmp_path / "store"
    shutil.copytree(STORES / f"v{version}", store)
    assert {s.plain and s.plain["v"] for s in stored_states(store, "stored.group")} == {version}
    assert read_store(store).pipelines == ("stored",)
    flow = pipeline("stored").source(MemorySource([numbered(60)])).stages(STAGES)
    outcome = run(flow.sink(MemorySink("out", replays=True)), store=store, workers=workers, state_partitions=2)
    assert outcome.error == ""
    assert outcome.recorder.total("on_fetched") == 60 - 32
    assert collected("out") == run_batch(numbered(60), STAGES)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    import pickle
    import sqlite3

    store = tmp_path / "store"
    shutil.copytree(STORES / "v2", store)
    with sqlite3.connect(store / "part-0.sqlite3") as connection:
        rows = connection.execute("SELECT rowid, ser_change FROM snaps WHERE step_id = 'stored.group'").fetchall()
        for rowid, data in rows:
            later = pickle.dumps({**pickle.loads(data), "v": 9})
            connection.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", (later, rowid))
    connection.close()
    flow = pipeline("stored").source(MemorySource([numbered(60)])).stages(STAGES)
    outcome = run(flow.sink(MemorySink("out", replays=True)), store=store, state_partitions=2)
    assert outcome.error == (
        "the state of step 'group' has version 9, and this Fluxion Flow knows up to 2; "
        "run the version that wrote it, or a later one"
    )
