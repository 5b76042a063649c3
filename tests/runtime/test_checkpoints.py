"""Checkpoints: what a run resumes from, which changes of a definition it refuses, and when readers hear of a commit."""

from __future__ import annotations

import io
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import DEAD, ids, numbered, run

from fluxion_flow import PipelineBuilder, pipeline
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource
from fluxion_flow.runtime import manifest, snapshots
from fluxion_flow.runtime import source as runtime_source

GROUP = {"$group": {"_id": {"$mod": ["$n", 3]}, "total": {"$sum": "$n"}}}
COUNTED = {**GROUP["$group"], "n": {"$count": {}}}
SUMS = {"$add": [135, {"$multiply": [10, "$_id"]}]}
"""What the totals are, from the key."""

DOUBLE = {"$set": {"n": {"$multiply": ["$n", 2]}}}


def flow(
    *stages: dict[str, Any], name: str = "trial", crash: int | None = None, source: Any = None, sink: Any = None
) -> PipelineBuilder:
    """Thirty numbers through stages; ``crash``: the number of the read that fails, after some epochs."""
    source = source or MemorySource([numbered(30)], fail_reads=[] if crash is None else [crash])
    return pipeline(name).source(source).stages(list(stages)).sink(sink or MemorySink("out", replays=True))


def crashed(store: Path, *stages: dict[str, Any], **config: Any) -> None:
    error = run(flow(*stages, crash=6), store=store, **config).error
    assert error.endswith("ConnectionError: told to fail at read 6")


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", range(1, 9))
@pytest.mark.parametrize("workers", [(1, 1), (1, 2), (2, 1)])
def test_a_run_resumes_where_the_checkpoint_stands(tmp_path: Path, crash: int, workers: tuple[int, int]) -> None:
    first = run(flow(DOUBLE, GROUP, crash=crash), store=tmp_path / "s", workers=workers[0])
    assert "told to fail" in first.error
    second = run(flow(DOUBLE, GROUP), store=tmp_path / "s", workers=workers[1])
    assert second.error == ""
    totals = {document["_id"]: document["total"] for document in collected("out")}
    assert totals == {k: 2 * sum(n for n in range(30) if 2 * n % 3 == k) for k in range(3)}
    assert len(collected("out")) == 3
    read_again = first.recorder.total("on_fetched") + second.recorder.total("on_fetched") - 30
    assert 0 <= read_again <= 16


def test_a_run_that_was_complete_does_nothing_more(tmp_path: Path) -> None:
    for _ in range(2):
        outcome = run(flow(DOUBLE, GROUP), store=tmp_path / "s")
        assert outcome.error == ""
    assert outcome.recorder.total("on_fetched") == 0
    assert len(collected("out")) == 3


ALLOWED = [
    ("nothing", [GROUP], {}),
    ("a stateless stage in front", [{"$match": {"n": {"$gte": 0}}}, GROUP], {}),
    ("a stateless stage behind", [GROUP, {"$set": {"x": 1}}], {}),
    ("another batch size", [GROUP], {"batch_size": 7}),
    ("another error policy", [{**GROUP, "on_error": {"dead_letter": DEAD}}], {}),
    ("a new sink", [GROUP], {"more": True}),
    ("another name, with an alias", [{**GROUP, "name": "totals"}], {"state_aliases": {"group": "totals"}}),
    (
        "a field less",
        [{"$group": {"_id": {"$mod": ["$n", 3]}}}, {"$set": {"total": SUMS}}],
        {},
    ),
    (
        "a field more, which may begin empty",
        [{"$group": {**GROUP["$group"], "n": {"$count": {}}}}],
        {"start_empty": ["group.n"]},
    ),
]


@pytest.mark.parametrize(("title", "stages", "changes"), ALLOWED, ids=[title for title, _, _ in ALLOWED])
def test_changes_that_keep_the_meaning_of_the_state(
    tmp_path: Path, title: str, stages: list[dict[str, Any]], changes: dict[str, Any]
) -> None:
    crashed(tmp_path / "s", GROUP)
    data = flow(*stages)
    if changes.pop("more", False):
        data = data.sink(MemorySink("more"), name="more")
    assert run(data, store=tmp_path / "s", **changes).error == ""
    assert {x["_id"]: x["total"] for x in collected("out")} == {0: 135, 1: 145, 2: 155}


def test_a_field_that_begins_empty_knows_what_came_since_and_others_keep_their_order(tmp_path: Path) -> None:
    crashed(tmp_path / "s", GROUP)
    group = {"_id": {"$mod": ["$n", 3]}, "seen": {"$push": "$n"}, "n": {"$count": {}}, "total": {"$sum": "$n"}}
    new = ["group.n", "group.seen"]
    assert run(flow({"$group": group}, crash=2), store=tmp_path / "s", start_empty=new).error != ""
    assert run(flow({"$group": group}), store=tmp_path / "s", start_empty=new).error == ""
    found = {x["_id"]: x for x in collected("out")}
    assert {k: x["total"] for k, x in found.items()} == {0: 135, 1: 145, 2: 155}
    assert sorted(n for x in found.values() for n in x["seen"]) == list(range(16, 30))
    assert sum(x["n"] for x in found.values()) == 14


def test_what_has_changed_and_does_no_harm_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crashed(tmp_path / "s", GROUP)
    caplog.set_level("INFO", "fluxion_flow.runtime.manifest")
    manifest._said.clear()
    group = {"_id": {"$mod": ["$n", 3]}, "n": {"$count": {}}}
    assert run(flow(DOUBLE, {"$group": group}), store=tmp_path / "s", start_empty="group.n").error == ""
    manifest._said.clear()
    assert run(flow({"$group": group}), store=tmp_path / "s", start_empty="group.n").error == ""
    assert [record.getMessage() for record in caplog.records] == [
        "pipeline 'trial' resumes: field 'n' of step 'group' is new and begins empty in the groups that are there",
        "pipeline 'trial' resumes: field 'total' of step 'group' is gone, its state is dropped",
        "pipeline 'trial' resumes: stages without state have changed; what was delivered stays as it is",
    ]


# -- refusals ----------------------------------------------------------------------------------------------------------

TAIL = "Run the definition that wrote it, or start with an empty checkpoint store (and read the source anew)."


def changed(**fields: Any) -> dict[str, Any]:
    return {"$group": {**GROUP["$group"], **fields}}


REFUSED = [
    (
        "renamed",
        [{**GROUP, "name": "totals"}],
        {},
        [
            "stateful step 'group' is gone (renamed or removed); its state would be lost; "
            "if it is 'totals' now, set state_aliases to {group: totals}",
            "stateful step 'totals' is new; it has not seen the documents before the checkpoint",
        ],
    ),
    ("removed", [DOUBLE], {}, ["stateful step 'group' is gone (renamed or removed); its state would be lost"]),
    (
        "new",
        [GROUP, {"$sort": {"_id": 1}}],
        {},
        ["stateful step 'group-order' is new; it has not seen the documents before the checkpoint"],
    ),
    ("another key", [changed(_id="$n")], {}, ["stateful step 'group' changed: _id was {'$mod': ['$n', 3]}, now '$n'"]),
    (
        "another accumulator",
        [changed(total={"$max": "$n"})],
        {},
        ["stateful step 'group' changed: fields.total was {'$sum': '$n'}, now {'$max': '$n'}"],
    ),
    (
        "another field",
        [changed(n={"$count": {}})],
        {},
        [
            "stateful step 'group' changed: fields.n is new: {'$count': {}}; "
            "to have it begin empty, set start_empty to [group.n]"
        ],
    ),
    (
        "more partitions",
        [GROUP],
        {"state_partitions": 8},
        ["stateful step 'group' changed: partitions was 16, now 8; set state_partitions to 16"],
    ),
]


@pytest.mark.parametrize(("title", "stages", "config", "changes"), REFUSED, ids=[case[0] for case in REFUSED])
@pytest.mark.parametrize("workers", [1, 2])
def test_changes_that_are_refused(
    tmp_path: Path, title: str, stages: list[dict[str, Any]], config: dict[str, Any], changes: list[str], workers: int
) -> None:
    crashed(tmp_path / "s", GROUP)
    listed = "".join(f"  {change}\n" for change in changes)
    assert run(flow(*stages), store=tmp_path / "s", workers=workers, **config).error == (
        f"pipeline 'trial' cannot resume from this checkpoint:\n{listed}{TAIL}"
    )
    assert run(flow(GROUP), store=tmp_path / "s").error == ""
    assert {x["_id"]: x["total"] for x in collected("out")} == {0: 135, 1: 145, 2: 155}


class OtherSource(MemorySource):
    """Another type of source with the same partitions."""


def test_another_source_is_refused(tmp_path: Path) -> None:
    crashed(tmp_path / "s", GROUP)
    assert run(flow(GROUP, source=OtherSource([numbered(30)])), store=tmp_path / "s").error == (
        f"pipeline 'trial' cannot resume from this checkpoint:\n  source: was 'MemorySource', now 'OtherSource'\n{TAIL}"
    )


# -- what is stored ----------------------------------------------------------------------------------------------------


class Strict(pickle.Unpickler):
    """Reads nothing but plain data and our own packed bytes."""

    def find_class(self, module: str, name: str) -> Any:
        raise AssertionError(f"a snapshot names {module}.{name}")


def stored(store: Path) -> dict[str, list[Any]]:
    """The snapshots in a recovery store by step, read without running any code."""
    found: dict[str, list[Any]] = {}
    for path in store.glob("part-*.sqlite3"):
        for step, data in sqlite3.connect(path).execute("SELECT step_id, ser_change FROM snaps ORDER BY snap_epoch"):
            found.setdefault(step, []).append(data)
    return found


def test_snapshots_hold_plain_data_with_a_version(tmp_path: Path) -> None:
    stages = [DOUBLE, {"$group": {"_id": "$n", "at": {"$max": "$$NOW"}, "total": {"$sum": {"$divide": ["$n", 3]}}}}]
    source = MemorySource(numbered(30, 1), fail_reads=[6])
    data = flow(*stages, source=source, sink=MemorySink("out", fail_documents={"_id": 0}))
    data = data.source(source, on_error="fail_fast").on_error({"dead_letter": DEAD, "granularity": "document"})
    assert run(data, store=tmp_path / "s", emit="update").error != ""
    snaps = stored(tmp_path / "s")
    assert {step.partition("_")[0] for step in snaps} == {"trial.dead", "trial.group", "trial.sink", "trial.source"}
    for step, states in snaps.items():
        for state in states:
            plain = Strict(io.BytesIO(state)).load()
            assert plain["v"] == (2 if step == "trial.group" else 1), step
            for packed in (plain.get("letters"), *plain.get("pieces", ())):
                if packed is not None:
                    snapshots.unpack(packed)


def test_a_snapshot_that_names_a_class_is_not_read() -> None:
    data = pickle.dumps({"a": Path("x")})
    with pytest.raises(snapshots.SnapshotError) as caught:
        snapshots.unpack(data)
    assert str(caught.value) == "a stored state names pathlib.PosixPath, which is not plain data"


# -- commits -----------------------------------------------------------------------------------------------------------


class Noting(StreamingSource):
    """Numbers up to ``size`` in one partition; notes what it was told, and what was durable then."""

    bounded = True
    poll_interval = 0.0

    def __init__(self, size: int, sink: MemorySink, crash: int | None = None) -> None:
        self.size = size
        self.sink = sink
        self.crash = crash
        self.committed: list[tuple[int, int]] = []

    def partitions(self) -> list[str]:
        return ["p"]

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return NotingReader(self, cursor or 0)


class NotingReader(SourceReader):
    def __init__(self, source: Noting, start: int) -> None:
        self.source = source
        self.at = start

    def read(self, max_documents: int) -> Batch | None:
        if self.at == self.source.crash:
            raise ConnectionError("crash")
        if self.at == self.source.size:
            return None
        self.at += 1
        return Batch([{"_id": self.at}], "p", self.at)

    @property
    def cursor(self) -> Cursor:
        return self.at

    def committed(self, cursor: Cursor) -> None:
        self.source.committed.append((cursor, len(self.source.sink.collected())))


@pytest.mark.parametrize("epoch", [0.0, 0.01, 60.0])
def test_readers_hear_of_a_commit_once_everything_before_it_is_durable(
    tmp_path: Path, epoch: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_source, "LAST_EPOCH", 0.1)
    sink = MemorySink("out", replays=True)
    source = Noting(20, sink)
    assert run(flow(source=source, sink=sink), store=tmp_path / "s", epoch=epoch).error == ""
    assert all(cursor <= durable for cursor, durable in source.committed)
    cursors = [cursor for cursor, _ in source.committed]
    assert cursors == sorted(cursors)
    assert epoch > 1 or cursors[-1] == 20


def test_a_crash_commits_nothing_that_is_not_in_the_checkpoint(tmp_path: Path) -> None:
    sink = MemorySink("out", replays=True)
    source = Noting(20, sink, crash=11)
    assert run(flow(source=source, sink=sink), store=tmp_path / "s").error != ""
    last = source.committed[-1][0]
    again = Noting(20, sink)
    assert run(flow(source=again, sink=sink), store=tmp_path / "s").error == ""
    assert ids(sink.collected()) == list(range(1, 21))
    assert last <= 11
    assert again.committed[0][0] >= last
    assert again.committed[-1][0] == 20
