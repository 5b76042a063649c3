"""What a checkpoint store says of itself, and how a damaged one is answered."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from bytewax.recovery import init_db_dir
from fluxion_connectors.memory import MemorySink, MemorySource
from trial import numbered, run

from fluxion_flow import pipeline
from fluxion_flow.runtime.entry import Entry, entry
from fluxion_flow.runtime.lease import Holder, StoreInUse, holder, release_lease, take_lease
from fluxion_flow.runtime.manifest import IncompatibleCheckpoint, Manifest
from fluxion_flow.runtime.store import (
    StoreUnreadable,
    check_store,
    copy_store,
    read_store,
    store_problems,
    stored_states,
)

GROUP = {"$group": {"_id": {"$mod": ["$n", 3]}, "total": {"$sum": "$n"}}}
MANIFEST = Manifest(
    "trial",
    "MemorySource",
    {"group": {"stage": "$group", "_id": {"$mod": ["$n", 3]}, "fields": {"total": {"$sum": "$n"}}, "partitions": 16}},
    {"MemorySink": "MemorySink"},
)
NEXT = "restore it from a backup of the whole store, or begin with an empty store (and read the source anew)"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of a run that failed after some epochs, in three files."""
    path = tmp_path / "store"
    path.mkdir()
    init_db_dir(path, 3)
    source = MemorySource([numbered(30)], fail_reads=[6])
    flow = pipeline("trial").source(source).stages([GROUP]).sink(MemorySink("out", replays=True))
    assert run(flow, store=path).error != ""
    return path


# -- reading -----------------------------------------------------------------------------------------------------------


def test_a_store_tells_its_pipeline_runs_and_states(store: Path) -> None:
    contents = read_store(store)
    assert (contents.pipelines, contents.partitions) == (("trial",), 3)
    (execution,) = contents.executions
    assert (execution.number, execution.workers, execution.resume_epoch) == (0, 1, 1)
    assert execution.epoch == contents.resume_epoch
    assert contents.manifest is not None
    assert contents.manifest["pipeline"] == "trial"
    steps = {step.step: step for step in contents.steps}
    assert set(steps) == {"trial.group", "trial.source"}
    assert steps["trial.group"].keys == 3
    assert all(step.size > 0 for step in contents.steps)


def test_states_are_those_that_a_resume_would_load(store: Path) -> None:
    contents = read_store(store)
    states = list(stored_states(store, "trial.source"))
    assert [state.part for state in states] == ["00000"]
    assert states[0].epoch < (contents.resume_epoch or 0)
    assert states[0].plain is not None
    assert states[0].plain["cursor"]["index"] == 16


def test_a_store_that_nothing_ran_on_is_empty_and_sound(tmp_path: Path) -> None:
    init_db_dir(tmp_path, 2)
    contents = read_store(tmp_path)
    assert (contents.executions, contents.resume_epoch, contents.manifest, contents.steps) == ((), None, None, ())


def test_a_copy_holds_the_same(store: Path, tmp_path: Path) -> None:
    copy_store(store, tmp_path / "copy")
    assert read_store(tmp_path / "copy").steps == read_store(store).steps
    assert store_problems(tmp_path / "copy", thorough=True) == []


# -- damage ------------------------------------------------------------------------------------------------------------


def wal_into_file(store: Path) -> None:
    for path in store.glob("part-*.sqlite3"):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()


def test_a_lost_file_is_named(store: Path) -> None:
    (store / "part-1.sqlite3").unlink()
    with pytest.raises(StoreUnreadable) as caught:
        check_store(store, MANIFEST)
    assert str(caught.value) == f"checkpoint store {str(store)!r}: part-1.sqlite3 of 3 files is missing; {NEXT}"
    check_store(store, MANIFEST, whole=False)


def test_files_that_are_damaged_are_all_named(store: Path) -> None:
    wal_into_file(store)
    (store / "part-0.sqlite3").write_bytes(b"garbage" * 1000)
    (store / "part-2.sqlite3").write_bytes(b"")
    assert store_problems(store) == [
        "part-0.sqlite3 cannot be read (file is not a database)",
        "part-2.sqlite3 is not a file of a checkpoint store",
    ]


def test_a_damaged_page_is_found_by_a_thorough_look(store: Path) -> None:
    wal_into_file(store)
    path = max(store.glob("part-*.sqlite3"), key=lambda p: p.stat().st_size)
    data = bytearray(path.read_bytes())
    data[-4096:] = os.urandom(4096)
    path.write_bytes(bytes(data))
    assert [text.partition(":")[0].partition(" ")[0] for text in store_problems(store, thorough=True)][:1] == [
        path.name
    ]


def test_files_of_two_stores_are_told_apart(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    init_db_dir(other, 2)
    (other / "part-1.sqlite3").replace(store / "part-1.sqlite3")
    for left in ("part-1.sqlite3-wal", "part-1.sqlite3-shm"):
        (store / left).unlink(missing_ok=True)
    assert store_problems(store) == [
        "its files belong to different stores (part-1.sqlite3: of 2; part-0.sqlite3, part-2.sqlite3: of 3)"
    ]


def test_what_is_no_store(tmp_path: Path) -> None:
    assert store_problems(tmp_path / "none") == ["there is no such directory"]
    assert store_problems(tmp_path) == ["it holds no file part-N.sqlite3"]


def test_the_store_of_another_pipeline(store: Path) -> None:
    with pytest.raises(IncompatibleCheckpoint, match="was written by pipeline 'trial', not by 'other'"):
        check_store(store, Manifest("other", "MemorySource", {}))


# -- the lease ---------------------------------------------------------------------------------------------------------


def hold(store: Path, process: int, content: str) -> int:
    """Hold a lock file as another process would."""
    file = os.open(store / f"fluxion-{process}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.write(file, content.encode())
    return file


@pytest.mark.parametrize(("process", "addresses"), [(0, "a:1;b:1"), (1, "c:1;d:1"), (1, "")])
def test_a_process_of_another_run_is_met_whatever_its_number(tmp_path: Path, process: int, addresses: str) -> None:
    file = hold(tmp_path, process, f'{{"pid": 17, "host": "elsewhere", "addresses": "{addresses}"}}')
    try:
        with pytest.raises(StoreInUse) as caught:
            take_lease(tmp_path, 0, "a:1;b:1")
        assert str(caught.value) == (
            f"checkpoint store {str(tmp_path)!r} is in use by another run (process id 17 on elsewhere); "
            "wait until it has ended, or give this run a store of its own"
        )
    finally:
        os.close(file)
    take_lease(tmp_path, 0, "a:1;b:1")
    release_lease(tmp_path, 0)


def test_processes_of_one_run_share_a_store(tmp_path: Path) -> None:
    file = hold(tmp_path, 1, '{"pid": 17, "host": "b", "addresses": "a:1;b:1"}')
    assert holder(tmp_path) == Holder(17, "b", "a:1;b:1")
    take_lease(tmp_path, 0, "a:1;b:1")
    release_lease(tmp_path, 0)
    os.close(file)
    assert holder(tmp_path) is None


def test_the_command_line_and_a_stateful_set_say_who_this_is(tmp_path: Path) -> None:
    assert entry(["flow", "-r", "s", "-i", "1", "-a", "x:1;y:1"], {}) == Entry(Path("s"), 1, "x:1;y:1")
    hosts = tmp_path / "hosts"
    hosts.write_text("x:1\ny:1\n")
    environ = {
        "BYTEWAX_POD_NAME": "orders-2",
        "BYTEWAX_STATEFULSET_NAME": "orders",
        "BYTEWAX_HOSTFILE_PATH": str(hosts),
        "BYTEWAX_RECOVERY_DIRECTORY": "s",
    }
    assert entry(["flow"], environ) == Entry(Path("s"), 2, "x:1;y:1")
    assert entry(["flow"], {}) == Entry(None, 0, "")


def held_for_a_moment(path: Path, how: int, then: str) -> tuple[threading.Thread, int]:
    """A lock on a file, as another process has it before it writes ``then``, or looks at the file."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(file, how)

    def go_on() -> None:
        time.sleep(0.1)
        os.write(file, then.encode())
        if how == fcntl.LOCK_SH:
            fcntl.flock(file, fcntl.LOCK_UN)

    thread = threading.Thread(target=go_on)
    thread.start()
    return thread, file


def test_processes_that_start_together_are_not_taken_for_another_run(tmp_path: Path) -> None:
    me = json.dumps({"pid": 1, "host": "h", "addresses": "a:1;b:1"})
    locked_not_written = held_for_a_moment(tmp_path / "fluxion-1.lock", fcntl.LOCK_EX, me)
    take_lease(tmp_path, 0, "a:1;b:1")
    looked_at = held_for_a_moment(tmp_path / "fluxion-2.lock", fcntl.LOCK_SH, "")
    take_lease(tmp_path, 2, "a:1;b:1")
    for thread, file in (locked_not_written, looked_at):
        thread.join()
        os.close(file)
    release_lease(tmp_path, 0)
    release_lease(tmp_path, 2)
