"""`fluxion checkpoint` on a store that a kill -9 left."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main

from fluxion_flow import StreamingPipelineDefinition

PIPELINE = """
    name: sums
    source: {type: files, path: in.jsonl, part_size: 20000}
    stages:
      - $group: {_id: {$mod: [$a, 7]}, s: {$sum: $a}}
    sink: {type: files, path: out.jsonl}
    config: {batch_size: 5, emit: update}
"""


@pytest.fixture
def killed(write, here):
    """The store of a run that was killed with SIGKILL while it delivered."""
    write("in.jsonl", "".join(f'{{"a": {n}}}\n' for n in range(40_000)))
    write("p.yaml", PIPELINE)
    command = "from fluxion_flow.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "run", "-q", "-r", "store", "-s", "0", "p.yaml"],
        env={**os.environ, "RUST_BACKTRACE": "0"},
    )
    out = here / "out.jsonl"
    until = time.monotonic() + 60
    while not (out.exists() and out.stat().st_size > 2000) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return "store"


def test_a_store_left_by_a_kill_is_inspected_checked_copied_and_resumed_from(fluxion, killed, here, write):
    shown = json.loads(fluxion("checkpoint", "inspect", killed, "--keys", "3", "--json").stdout)
    assert (shown["pipelines"], shown["files"], shown["held_by"]) == (["sums"], 1, None)
    (execution,) = shown["executions"]
    assert execution["epoch"] == shown["resume_epoch"] > execution["from"]
    first = min(shown["cursors"])
    assert shown["cursors"][first]["offset"] > 0
    (group,) = [step for step in shown["steps"] if step["step"] == "group"]
    assert (group["keys"], group["bytes"] > 0, len(group["sample"])) == (7, True, 3)
    assert "group" in fluxion("checkpoint", "inspect", killed).stdout

    assert fluxion("checkpoint", "check", killed).stdout == "store: ok\n"

    accepted = fluxion("checkpoint", "diff", "p.yaml", killed)
    assert (accepted.exit_code, accepted.stdout) == (0, "a resume is accepted: no state is lost or misread\n")
    write("q.yaml", PIPELINE.replace("$sum: $a", "$avg: $a"))
    refused = fluxion("checkpoint", "diff", "q.yaml", killed)
    assert refused.exit_code == 3
    assert refused.stdout == "stateful step 'group' changed: fields.s was {'$sum': '$a'}, now {'$avg': '$a'}\n"
    other = fluxion("checkpoint", "diff", write("r.yaml", PIPELINE.replace("sums", "other")), killed)
    assert (other.exit_code, other.stdout) == (3, "the store was written by pipeline 'sums', not by 'other'\n")

    epoch = shown["resume_epoch"]
    copied = json.loads(fluxion("checkpoint", "backup", killed, "copy", "--json").stdout)
    assert copied == {"store": "store", "copy": "copy", "files": 1, "resume_epoch": epoch}
    moved = json.loads(fluxion("checkpoint", "reset", killed, "--json").stdout)["moved_to"]
    assert json.loads(fluxion("checkpoint", "inspect", killed, "--json").stdout)["pipelines"] == []
    assert json.loads(fluxion("checkpoint", "inspect", moved, "--json").stdout)["resume_epoch"] == epoch

    flow = StreamingPipelineDefinition.from_file("p.yaml").compile()
    run_main(flow, recovery_config=RecoveryConfig("copy"))
    last = {}
    for line in (here / "out.jsonl").read_text().splitlines():
        document = json.loads(line)
        last[document["_id"]] = document["s"]
    assert last == {key: sum(range(key, 40_000, 7)) for key in range(7)}


def test_a_damaged_store_and_wrong_directories_are_answered_with_what_to_do(fluxion, here):
    assert fluxion("checkpoint", "init", "new", "--partitions", "2").stdout == (
        "new: an empty checkpoint store with 2 files\n"
    )
    again = fluxion("checkpoint", "init", "new")
    assert (again.exit_code, again.stderr) == (
        2,
        "new: is a checkpoint store already; leave it, or move it aside: fluxion checkpoint reset\n",
    )
    (here / "new" / "part-1.sqlite3").write_bytes(b"rubbish" * 1000)
    damaged = fluxion("checkpoint", "check", "new")
    assert damaged.exit_code == 3
    assert "part-1.sqlite3" in damaged.stdout
    assert fluxion("checkpoint", "inspect", "nowhere").exit_code == 3
    assert fluxion("checkpoint", "reset", ".").exit_code == 2
