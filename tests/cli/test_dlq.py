"""`fluxion dlq`: real runs that leave dead letters, and what comes of them."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from bytewax.testing import run_main
from fluxion_connectors.sql.sink import SqlSink

from fluxion_flow import StreamingPipelineDefinition

PIPELINE = """
    name: orders
    source: {type: files, path: in.jsonl}
    stages:
      - $match: {a: {$exists: true}}
      - $set: {b: {$add: [$a, 1]}}
    sink: {type: files, path: out.jsonl}
    on_error: {dead_letter: {type: files, path: dead.jsonl}, granularity: document}
"""
LINES = '{"a":1}\n{"a":"x"}\nnot json\n{"a":3}\n{"a":"y"}\n'


@pytest.fixture
def failed(write, here):
    """A pipeline that has left three dead letters: two of a stage, one of a record that is no JSON."""
    write("in.jsonl", LINES)
    write("p.yaml", PIPELINE)
    run("p.yaml")
    return "p.yaml"


def run(target):
    run_main(StreamingPipelineDefinition.from_file(target).compile())


def listed(fluxion, *arguments):
    return json.loads(fluxion("dlq", "ls", *arguments, "--json").stdout)["letters"]


def lines(*paths):
    return [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.strip()]


def test_letters_are_listed_with_step_error_and_state(fluxion, failed):
    found = listed(fluxion, failed)
    assert [(one["step"], one["error"]["type"], one["attempts"], one["state"]) for one in found] == [
        ("source", "UndecodableRecord", 1, "pending"),
        ("stages[1].$set", "EvaluationError", 1, "pending"),
        ("stages[1].$set", "EvaluationError", 1, "pending"),
    ]
    shown = fluxion("dlq", "ls", failed)
    assert "stages[1].$set" in shown.stdout
    assert shown.stderr == "3 letters: 3 pending\n"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--step", "stages[1]"], 2),
        (["--step", "source"], 1),
        (["--step", "stages*"], 2),
        (["--error", "Undecodable*"], 1),
        (["--code", "decode"], 1),
        (["--reason", "GOT STRING"], 2),
        (["--since", "1h"], 3),
        (["--until", "1h"], 0),
        (["--since", "2020-01-01", "--step", "sink"], 0),
        (["--state", "replayed"], 0),
    ],
)
def test_letters_are_found_by_what_is_known_of_them(fluxion, failed, options, count):
    assert len(listed(fluxion, failed, *options)) == count


def test_a_replay_delivers_what_the_pipeline_can_take_now_and_counts_the_rest_on(fluxion, failed, here, write):
    before = {one["id"] for one in listed(fluxion, failed)}
    again = fluxion("dlq", "replay", failed, "--step", "stages[1]")
    assert again.stdout == "2 letters replayed; 0 documents delivered; 2 failed again and are dead letters again\n"
    found = listed(fluxion, failed)
    assert {one["id"] for one in found} == before
    assert [(one["attempts"], one["replays"], one["state"]) for one in found] == [
        (1, 0, "pending"),
        (2, 1, "pending"),
        (2, 1, "pending"),
    ]
    write("p.yaml", PIPELINE.replace("{$add: [$a, 1]}", "{$toString: $a}"))
    done = json.loads(fluxion("dlq", "replay", failed, "--step", "stages[1]", "--json").stdout)
    assert (done["replayed"], done["delivered"], done["dead_lettered"]) == (2, {"sink": 2}, 0)
    assert done["guarantee"]["level"] == "exactly once"
    assert lines(here / "out.jsonl") == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert lines(*here.glob("out.replay-*.jsonl")) == [{"a": "x", "b": "x"}, {"a": "y", "b": "y"}]
    assert (
        fluxion("dlq", "replay", failed, "--step", "stages[1]").stdout == "0 letters replayed; 0 documents delivered\n"
    )


def test_a_raw_record_enters_at_the_front(fluxion, failed):
    done = fluxion("dlq", "replay", failed, "--step", "source")
    assert done.stdout == "1 letter replayed; 0 documents delivered; 1 failed again and are dead letters again\n"
    (letter,) = [one for one in listed(fluxion, failed) if one["step"] == "source"]
    assert (letter["attempts"], letter["state"]) == (2, "pending")


def test_purging_leaves_the_size_of_a_file_as_its_checkpoint_counts_on(fluxion, failed, here):
    size = (here / "dead.jsonl").stat().st_size
    assert fluxion("dlq", "purge", failed).exit_code == 2
    assert fluxion("dlq", "purge", failed, "--step", "stages[1]").stdout == (
        "2 letters would be removed; say --yes to remove them\n"
    )
    assert len(listed(fluxion, failed)) == 3
    assert fluxion("dlq", "purge", failed, "--step", "stages[1]", "--yes").stdout == "2 letters removed\n"
    assert [one["step"] for one in listed(fluxion, failed)] == ["source"]
    assert (here / "dead.jsonl").stat().st_size == size


def test_a_letter_is_shown_whole_and_by_the_beginning_of_its_id(fluxion, failed):
    first = listed(fluxion, failed)[1]["id"]
    (shown,) = json.loads(fluxion("dlq", "show", failed, "--id", first[:6], "--json").stdout)
    assert shown["letter"]["doc"] == {"a": "x"}
    assert shown["place"] == "dead.jsonl:2"
    missing = fluxion("dlq", "show", failed, "--id", "zz")
    assert (missing.exit_code, missing.stderr) == (1, "there is no such letter; see: fluxion dlq ls\n")


def test_letters_that_would_go_through_state_are_refused_with_what_to_do(fluxion, write, here):
    write("in.jsonl", LINES)
    write("p.yaml", PIPELINE.replace("sink:", "  - $group: {_id: $b, n: {$count: {}}}\n    sink:"))
    run("p.yaml")
    done = fluxion("dlq", "replay", "p.yaml", "--step", "stages[1]")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[0] == (
        "stages[1].$set: 2 letters refused: would go through stages[2].$group, whose state belongs to the pipeline's "
        "own run: a replay would deliver totals of the replayed letters alone; write the letters to where the pipeline "
        "reads: --at resend --to type=kafka,topic=..."
    )
    resent = fluxion(
        *("dlq", "replay", "p.yaml", "--step", "stages[1]", "--at", "resend", "--force"),
        *("--to", "type=files,path=again.jsonl"),
    )
    assert resent.exit_code == 0, resent.stderr
    assert lines(*here.glob("again.replay-*.jsonl")) == [{"a": "x"}, {"a": "y"}]


def test_a_stage_that_has_moved_is_not_mistaken_for_the_one_that_failed(fluxion, failed, write):
    write("p.yaml", PIPELINE.replace("- $match: {a: {$exists: true}}\n", ""))
    done = fluxion("dlq", "replay", failed, "--step", "stages[1]")
    assert done.exit_code == 1
    assert "failed at stages[1].$set, and there is none now: the pipeline has changed since" in done.stderr


def test_a_document_that_the_sink_refused_goes_to_that_sink_alone(fluxion, write, here):
    write("in.jsonl", '{"_id":1}\n{"_id":1}\n{"_id":2}\n')
    table = "{type: sql, url: 'sqlite:///out.db', table: t, create_table: {_id: integer}, keys: [_id]}"
    write(
        "p.yaml",
        f"""
        name: two-sinks
        source: {{type: files, path: in.jsonl}}
        stages: [{{$match: {{}}}}]
        sinks:
          table: {table}
          file: {{type: files, path: out.jsonl}}
        on_error: {{dead_letter: {{type: files, path: dead.jsonl}}, granularity: document}}
        """,
    )
    run("p.yaml")
    (letter,) = listed(fluxion, "p.yaml")
    assert letter["step"] == "sinks.table"
    with sqlite3.connect(here / "out.db") as connection:
        connection.execute("DELETE FROM t")
    done = json.loads(fluxion("dlq", "replay", "p.yaml", "--json").stdout)
    assert done["delivered"] == {"table": 1}
    with sqlite3.connect(here / "out.db") as connection:
        assert connection.execute("SELECT _id FROM t").fetchall() == [(1,)]
    assert not list(here.glob("out.replay-*"))


LETTERS_TABLE = (
    "{type: sql, url: 'sqlite:///dead.db', table: dead, mode: upsert, keys: [id], extra_fields: ignore, "
    "create_table: {id: string, processorName: string, dlqTime: json, operatorName: string, attempts: integer, "
    "firstFailureTime: json, errInfo: json, doc: json, raw: string, _stream_meta: json, replays: integer}}"
)


def test_letters_in_a_table_are_listed_replayed_and_purged(fluxion, write, here):
    write("in.jsonl", LINES)
    write("p.yaml", PIPELINE.replace("{type: files, path: dead.jsonl}", LETTERS_TABLE))
    run("p.yaml")
    assert len(listed(fluxion, "p.yaml")) == 3
    again = fluxion("dlq", "replay", "p.yaml", "--step", "stages[1]")
    assert again.stdout == "2 letters replayed; 0 documents delivered; 2 failed again and are dead letters again\n"
    assert sorted((one["attempts"], one["state"]) for one in listed(fluxion, "p.yaml")) == [
        (1, "pending"),
        (2, "pending"),
        (2, "pending"),
    ]
    assert fluxion("dlq", "purge", "p.yaml", "--step", "stages[1]", "--yes").stdout == "2 letters removed\n"
    assert [one["step"] for one in listed(fluxion, "p.yaml")] == ["source"]


ENVIRONMENT = {**os.environ, "RUST_BACKTRACE": "0"}


def test_letters_in_a_compressed_file_are_read_and_stay(fluxion, write):
    write("in.jsonl", LINES)
    write("p.yaml", PIPELINE.replace("dead.jsonl", "dead.jsonl.gz"))
    run("p.yaml")
    assert len(listed(fluxion, "p.yaml")) == 3
    purged = fluxion("dlq", "purge", "p.yaml", "--all", "--yes")
    assert (purged.exit_code, purged.stderr) == (
        1,
        "files dead.jsonl.gz: letters cannot be removed: lines of a gzip file cannot be removed; "
        "delete the file as a whole\n",
    )


SLOW = """
import time

def slowly(a):
    time.sleep(0.002)
    return a + 1
"""


@pytest.mark.parametrize("sink", ["files", "sql"])
def test_a_replay_that_is_killed_replays_the_rest_and_nothing_twice(fluxion, write, here, sink):
    count, kills = 300, int(os.environ.get("DLQ_KILLS", "1"))
    write("in.jsonl", "".join(f'{{"_id":{n},"a":"{n}"}}\n' for n in range(count)))
    write("slow.py", SLOW)
    target = (
        "{type: files, path: out.jsonl}"
        if sink == "files"
        else "{type: sql, url: 'sqlite:///out.db', table: t, create_table: {_id: integer, b: integer}, "
        "extra_fields: ignore, on_error: fail_fast}"
    )
    broken = """
    name: orders
    source: {type: files, path: in.jsonl}
    stages: [{$set: {b: {$add: [$a, 1]}}}]
    sink: SINK
    on_error: {dead_letter: {type: files, path: dead.jsonl}, granularity: document}
    """.replace("SINK", target)
    write("p.yaml", broken)
    run("p.yaml")
    mended = "functions: {slowly: 'slow:slowly'}\n" + broken.replace("\n    ", "\n").replace(
        "{$add: [$a, 1]}", "{$function: {body: slowly, args: [{$toInt: $a}], lang: python}}"
    )
    write("p.yaml", mended)
    rng = random.Random(3)
    command = "from fluxion_flow.cli.main import main; main()"
    killed = 0
    while killed < kills:
        process = subprocess.Popen(
            [sys.executable, "-c", command, "dlq", "replay", "p.yaml"], stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        while process.poll() is None and not _begun(here, sink):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        killed += 1
    last = subprocess.run(
        [sys.executable, "-c", command, "dlq", "replay", "p.yaml", "--json"], capture_output=True, env=ENVIRONMENT
    )
    assert last.returncode == 0, last.stderr
    report = json.loads(last.stdout)
    assert report["guarantee"]["level"] == "exactly once"
    assert (report["replayed"], report["resumed"]) == (count, count)
    if sink == "files":
        delivered = [one["_id"] for one in lines(*here.glob("out.replay-*.jsonl"))]
    else:
        with sqlite3.connect(here / "out.db") as connection:
            delivered = [row[0] for row in connection.execute("SELECT _id FROM t")]
    assert sorted(delivered) == list(range(count))
    assert {one["state"] for one in listed(fluxion, "p.yaml", "-n", "5000")} == {"replayed"}


def _begun(here, sink):
    """Whether something of the replay has been delivered."""
    if sink == "files":
        return any(path.stat().st_size for path in here.glob("out.replay-*.jsonl"))
    try:
        with sqlite3.connect(here / "out.db") as connection:
            return bool(connection.execute("SELECT count(*) FROM t").fetchone()[0])
    except sqlite3.Error:
        return False


def test_sinks_beside_keep_positions_of_their_own():
    sink = SqlSink("sqlite:///x.db", "t")
    sink.owner = "orders.sink"
    assert sink.beside("replay-1").position_name == "orders.sink.t.replay-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ls"], "give a TARGET, or --from where they are"),
        (["ls", "p.yaml", "--since", "soon"], "--since: is no time: 'soon'; such as 2026-11-25T10:00:00Z, or 2h"),
        (["ls", "--from", "dead.jsonl"], "--from: is no place: 'dead.jsonl'; such as type=files,path=dead.jsonl"),
        (
            ["ls", "--from", "type=stdio"],
            "--from.type: connector 'stdio' cannot read back what it wrote; those that can: files, kafka, memory, sql",
        ),
        (["replay", "p.yaml", "--at", "resend"], "--at resend needs --to: where the pipeline reads"),
        (
            ["ls", "none.yaml"],
            "on_error: 'none' has no dead-letter sink; say where dead letters are, such as --from type=files",
        ),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(fluxion, write, arguments, said):
    write("p.yaml", PIPELINE)
    write("none.yaml", "source: {type: files, path: in.jsonl}\nsink: {type: files, path: out.jsonl}\n")
    done = fluxion("dlq", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
