"""`fluxion run` in real processes."""

import contextlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

FLUXION = [sys.executable, "-c", "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"]
WAIT = 60
"""Seconds before a process that does not end is taken for hung."""


def run(*arguments, **more):
    command = [*FLUXION, "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT, **more)


@pytest.fixture
def start():
    """Start `fluxion run` in the background; whatever is left of it ends with the test."""
    started = []

    def start(*arguments):
        command = [*FLUXION, "run", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(condition, process=None):
    end = time.monotonic() + WAIT
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def lines(path):
    return Path(path).read_text().splitlines() if Path(path).exists() else []


@pytest.fixture
def numbers(here):
    Path("in.jsonl").write_text("".join(f'{{"a": {n}}}\n' for n in range(1000)))
    return "in.jsonl"


@pytest.fixture
def follow_yaml(write, numbers):
    return write(
        "follow.yaml",
        """
        name: follow
        source: {type: files, path: in.jsonl, follow: true}
        stages: [{$set: {b: {$add: [$a, 1]}}}]
        sink: {type: files, path: out.jsonl}
        """,
    )


def summary(done):
    """The summary without its time."""
    return done.stderr.splitlines()[-1].rpartition(" in ")[0]


def test_a_definition_file_runs_to_its_end_and_is_summed_up(copy_yaml, numbers):
    done = run(copy_yaml)
    assert (done.returncode, done.stdout) == (0, "")
    assert summary(done) == "copy: read 1,000, delivered 1,000"
    assert [json.loads(line) for line in lines("out.jsonl")] == [{"a": n, "b": n + 1} for n in range(1000)]


@pytest.mark.parametrize("target", ["shop.flows", "shop/flows.py", "shop.flows:copy"])
def test_a_python_module_runs(write, numbers, target):
    write("shop/__init__.py", "")
    write(
        "shop/flows.py",
        """
        from fluxion_flow import pipeline
        copy = pipeline("copy").source("files", path="in.jsonl").sink("files", path="out.jsonl")
        """,
    )
    done = run(target, "-w", "2")
    assert (done.returncode, summary(done)) == (0, "copy: read 1,000, delivered 1,000")


def test_a_working_directory_that_is_a_package(write, copy_yaml, numbers):
    write("__init__.py", "")
    assert run(copy_yaml).returncode == 0


def test_a_dataflow_made_by_hand_runs_as_it_is(write):
    write(
        "hand.py",
        """
        import bytewax.operators as op
        from bytewax.connectors.stdio import StdOutSink
        from bytewax.dataflow import Dataflow
        from bytewax.testing import TestingSource

        flow = Dataflow("hand")
        op.output("out", op.input("in", flow, TestingSource(["a", "b"])), StdOutSink())
        """,
    )
    done = run("hand")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\nb\n", "")


def test_json_is_the_last_line_of_standard_output(copy_yaml, numbers):
    done = run(copy_yaml, "--json")
    data = json.loads(done.stdout)
    seconds = data.pop("seconds")
    assert seconds >= 0
    assert data == {
        "pipeline": "copy",
        "exit_code": 0,
        "read": 1000,
        "delivered": {"sink": 1000},
        "dead_lettered": 0,
        "skipped": 0,
        "retries": 0,
        "error": None,
    }
    assert done.stderr == ""


def test_quiet_says_nothing(copy_yaml, numbers):
    done = run(copy_yaml, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_summary_tells_what_was_left_out_and_where_documents_went(write):
    write("in.jsonl", '{"a": 1}\nnope\n{"a": "x"}\n{"a": 3}\n')
    write(
        "split.yaml",
        """
        name: split
        source: {type: files, path: in.jsonl}
        stages: [{$set: {b: {$add: [$a, 1]}}}]
        sinks:
          - {type: files, path: small.jsonl, name: small, when: {a: {$lt: 2}}}
          - {type: files, path: all.jsonl, name: all}
        on_error: {dead_letter: {type: files, path: dead.jsonl}, granularity: document}
        """,
    )
    done = run("split.yaml")
    assert summary(done) == "split: read 4, delivered 2 to all and 1 to small, dead-lettered 2"
    assert len(lines("dead.jsonl")) == 2


def test_a_failed_run_ends_with_its_reason_and_without_a_traceback(copy_yaml, write):
    write("in.jsonl", '{"a": 1}\n{"a": "x"}\n')
    done = run(copy_yaml)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-2].startswith("pipeline 'copy', step stages[0].$set, source partition 'in.jsonl@")
    assert done.stderr.splitlines()[-2].endswith(
        ": stages[0].$set.b.$add: $add takes numbers and dates, got string; "
        "to go on without what fails, let on_error skip it or send it to dead letters"
    )


def test_a_failed_run_as_json(copy_yaml, write):
    write("in.jsonl", '{"a": "x"}\n')
    done = run(copy_yaml, "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["exit_code"]) == (1, 1)
    assert "$add takes numbers and dates, got string; to go on" in data["error"]


def test_a_bad_definition_is_told_one_problem_a_line(write):
    write("bad.yaml", "source: {type: files}\nstages: [{$sett: {}}]\nsink: {type: stdio}\n")
    done = run("bad.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "source.path: required by connector 'files'\nstages[0]: unknown stage '$sett'; did you mean '$set'?\n"
    )


def test_a_target_that_is_not_there_makes_no_store():
    done = run("nothing.py", "-r", "store")
    assert (done.returncode, done.stderr) == (2, "nothing.py: there is no such file\n")
    assert not Path("store").exists()


def partitions(store):
    return len(list(Path(store).glob("part-*.sqlite3")))


def test_the_store_is_made_when_it_is_missing_and_a_second_run_goes_on(copy_yaml, numbers):
    assert summary(run(copy_yaml, "-r", "made/store", "-s", "1", "-w", "2")) == "copy: read 1,000, delivered 1,000"
    assert partitions("made/store") == 2
    again = run(copy_yaml, "-r", "made/store", "-s", "1")
    assert summary(again) == "copy: read 0, delivered 0"
    assert len(lines("out.jsonl")) == 1000


def test_the_store_has_the_partitions_that_were_asked_for(copy_yaml, numbers):
    assert run(copy_yaml, "-r", "store", "--partitions", "3").returncode == 0
    assert partitions("store") == 3
    other = run(copy_yaml, "-r", "store", "--partitions", "4")
    assert (other.returncode, other.stderr) == (
        2,
        "store: has 3 partitions, not 4; leave --partitions out, or begin a new store\n",
    )


def test_a_store_that_cannot_be_one(copy_yaml, numbers):
    done = run(copy_yaml, "-r", copy_yaml)
    assert (done.returncode, done.stderr) == (2, "copy.yaml: is a file; a checkpoint store is a directory\n")
    done = run(copy_yaml, "--partitions", "2")
    assert done.stderr.endswith("Error: --partitions is for a checkpoint store; give one with -r\n")


def test_a_store_of_another_pipeline_is_refused(copy_yaml, write, numbers):
    run(copy_yaml, "-r", "store")
    write("other.yaml", Path(copy_yaml).read_text().replace("name: copy", "name: other"))
    done = run("other.yaml", "-r", "store")
    assert done.returncode == 3
    assert done.stderr == (
        "checkpoint store 'store' was written by pipeline 'copy', not by 'other'; "
        "rename the pipeline back, or give it a store of its own\n"
    )


def test_a_store_of_another_source_is_refused_in_the_middle_of_starting(copy_yaml, write, numbers):
    run(copy_yaml, "-r", "store")
    text = Path(copy_yaml).read_text()
    write("copy.yaml", text.replace("$set: {b: {$add: [$a, 1]}}", "$group: {_id: $a}"))
    done = run(copy_yaml, "-r", "store")
    assert done.returncode == 3
    assert "  stateful step 'group' is new; it has not seen the documents before the checkpoint\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_run_and_the_next_one_goes_on(follow_yaml, start, number):
    process = start(follow_yaml, "-r", "store", "-s", "1")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (0, "")
    assert err.startswith("follow: read 1,000, delivered 1,000 in ")
    with open("in.jsonl", "a") as file:
        file.write('{"a": 1000}\n')
    again = start(follow_yaml, "-r", "store", "-s", "1", "-w", "2")
    wait_for(lambda: len(lines("out.jsonl")) == 1001, again)
    again.send_signal(number)
    again.communicate(timeout=WAIT)
    assert again.returncode == 0
    assert [json.loads(line)["b"] for line in lines("out.jsonl")] == list(range(1, 1002))


def test_a_run_that_cannot_drain_in_time_ends_by_force(write, start, here):
    write(
        "stuck.py",
        """
        import time
        from pathlib import Path

        from fluxion_flow import StreamingSink, pipeline
        from fluxion_flow.connect.spi import SinkWriter

        class Stuck(StreamingSink, SinkWriter):
            def open(self, part, cursor):
                return self

            def write(self, batch):
                Path("writing").touch()
                while True:
                    time.sleep(0.1)

            def flush(self):
                pass

        documents = [{"a": 1}]
        flow = pipeline("stuck").source("memory", documents=documents).sink(Stuck()).config(drain_timeout="100ms")
        """,
    )
    process = start("stuck")
    wait_for(Path("writing").exists, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT)
    assert process.returncode == 75


def test_a_terminal_shows_progress_and_then_the_summary(follow_yaml):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*FLUXION, "run", follow_yaml], stderr=theirs)
    os.close(theirs)
    seen, asked = "", False
    with contextlib.suppress(OSError):
        while text := os.read(ours, 1024).decode(errors="replace"):
            seen += text
            if "read 1,000  delivered 1,000" in seen and not asked:
                asked = True
                process.send_signal(signal.SIGTERM)
    os.close(ours)
    assert process.wait(timeout=WAIT) == 0
    assert "follow  read 1,000  delivered 1,000" in seen
    assert "follow: read 1,000, delivered 1,000 in " in seen


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_run_on_a_store_is_refused(follow_yaml, start, processes):
    first = start(follow_yaml, "-r", "store", "-s", "1")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, first)
    second = run(follow_yaml, "-r", "store", "-s", "1", "-p", processes)
    assert second.returncode == 3
    refusal = [line for line in second.stderr.splitlines() if "checkpoint store" in line]
    assert refusal == [
        f"checkpoint store 'store' is in use by another run (process id {first.pid}); "
        "wait until it has ended, or give this run a store of its own"
    ]
    assert first.poll() is None


def test_several_processes_share_one_run(write):
    orders = "".join(json.dumps({"c": n % 7, "v": n}) + "\n" for n in range(5000))
    write("in.jsonl", orders)
    write(
        "sums.yaml",
        """
        name: sums
        source: {type: files, path: in.jsonl, part_size: 4KB}
        stages: [{$group: {_id: $c, total: {$sum: $v}}}]
        sink: {type: files, path: out.jsonl}
        """,
    )
    done = run("sums.yaml", "-p", "2", "-r", "store")
    assert (done.returncode, summary(done)) == (0, "sums: read 5,000, delivered 7")
    totals = {d["_id"]: d["total"] for d in map(json.loads, lines("out.jsonl"))}
    assert totals == {c: sum(n for n in range(5000) if n % 7 == c) for c in range(7)}
    assert partitions("store") == 2


def test_several_processes_drain_together(follow_yaml, start):
    process = start(follow_yaml, "-r", "store", "-s", "1", "-p", "2", "--json")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    data = json.loads(out)
    assert (data["exit_code"], data["read"], data["delivered"]) == (0, 1000, {"sink": 1000})


def children_of(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="lists processes as Linux' ps does")
def test_when_one_process_dies_the_others_are_stopped(follow_yaml, start):
    process = start(follow_yaml, "-r", "store", "-s", "1", "-p", "3")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, process)
    children = children_of(process.pid)
    os.kill(children[1], signal.SIGKILL)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 128 + signal.SIGKILL
    assert "process 1 was ended by SIGKILL; nothing is lost: the next run resumes from the last checkpoint\n" in err
    assert children_of(process.pid) == []
    assert not any(Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.skipif(sys.platform != "linux", reason="lists processes as Linux' ps does")
def test_when_the_first_process_is_killed_the_others_do_not_live_on(follow_yaml, start):
    process = start(follow_yaml, "-r", "store", "-s", "1", "-p", "2")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, process)
    children = children_of(process.pid)
    assert len(children) == 2
    process.kill()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_a_failure_in_one_of_several_processes_is_told_once(copy_yaml, write):
    write("in.jsonl", '{"a": 1}\n{"a": "x"}\n')
    done = run(copy_yaml, "-p", "2")
    assert done.returncode == 1
    reasons = [line for line in done.stderr.splitlines() if "$add takes numbers and dates" in line]
    assert len(reasons) == 1
    assert "Traceback" not in done.stderr


def test_a_bad_definition_in_several_processes_is_told_once(write):
    write("bad.yaml", "source: {type: files}\nsink: {type: stdio}\n")
    done = run("bad.yaml", "-p", "2")
    assert (done.returncode, done.stderr) == (2, "source.path: required by connector 'files'\n")


def test_the_store_can_be_read_by_others_after_the_run(copy_yaml, numbers):
    run(copy_yaml, "-r", "store")
    with sqlite3.connect("store/part-0.sqlite3") as store:
        assert store.execute("SELECT COUNT(*) FROM snaps").fetchone()[0] > 0


def test_another_number_of_processes_takes_over_after_a_drain(write, numbers, start):
    write(
        "sums.yaml",
        """
        name: sums
        source: {type: files, path: in.jsonl, part_size: 1KB, follow: true}
        stages: [{$group: {_id: {$mod: [$a, 7]}, total: {$sum: $a}}}]
        sink: {type: files, path: "out-{part}.jsonl"}
        """,
    )

    def totals():
        written = [json.loads(line) for path in Path().glob("out-*.jsonl") for line in lines(path) if line[-1:] == "}"]
        found = {}
        for document in written:
            found[document["_id"]] = max(document["total"], found.get(document["_id"], 0))
        return found

    count = 1000
    for processes in (2, 1, 2):
        process = start("sums.yaml", "-r", "store", "-s", "1", "-p", processes)
        expected = {c: sum(n for n in range(count) if n % 7 == c) for c in range(7)}
        wait_for(lambda expected=expected: totals() == expected, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT)
        assert process.returncode == 0
        with open("in.jsonl", "a") as file:
            file.writelines(f'{{"a": {n}}}\n' for n in range(count, count + 100))
        count += 100


def test_what_several_processes_log_is_told_apart(write, numbers):
    write(
        "loud.py",
        """
        import sys
        from fluxion_flow import pipeline
        print("hello", file=sys.stderr)
        print('{"level": "INFO"}', file=sys.stderr)
        copy = pipeline("copy").source("files", path="in.jsonl").sink("files", path="out.jsonl")
        """,
    )
    done = run("loud.py", "-p", "2", "-q")
    assert sorted(done.stderr.splitlines()) == ["[0] hello", "[1] hello", '{"level": "INFO"}', '{"level": "INFO"}']


# -- standby -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "processes"), [(signal.SIGTERM, 1), (signal.SIGKILL, 1), (signal.SIGTERM, 2)])
def test_a_standby_takes_over_when_the_active_run_drains_or_dies(follow_yaml, start, by, processes):
    active = start(follow_yaml, "-r", "store", "-s", "1")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, active)
    standby = start(follow_yaml, "-r", "store", "-s", "1", "-p", processes, "--standby")
    wait_for(lambda: is_waited_for("store/fluxion-0.lock"), standby)
    active.send_signal(by)
    active.wait(timeout=WAIT)
    ended = time.monotonic()
    with open("in.jsonl", "a") as file:
        file.write('{"a": 1000}\n')
    wait_for(lambda: len(lines("out.jsonl")) == 1001, standby)
    print(f"gap: {time.monotonic() - ended:.2f} s")
    standby.send_signal(signal.SIGTERM)
    standby.communicate(timeout=WAIT)
    assert standby.returncode == 0
    assert [json.loads(line)["b"] for line in lines("out.jsonl")] == list(range(1, 1002))


def is_waited_for(path):
    """Whether a process waits for the lock of a file."""
    inode = Path(path).stat().st_ino
    return any("->" in line and f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_standby_that_is_asked_to_end_while_it_waits_ends_well(follow_yaml, start):
    active = start(follow_yaml, "-r", "store", "-s", "1")
    wait_for(lambda: len(lines("out.jsonl")) == 1000, active)
    standby = start(follow_yaml, "-r", "store", "-s", "1", "--standby", "-q")
    wait_for(lambda: is_waited_for("store/fluxion-0.lock"), standby)
    standby.send_signal(signal.SIGTERM)
    assert standby.communicate(timeout=WAIT) == ("", "")
    assert standby.returncode == 0
    assert active.poll() is None


def test_a_standby_needs_a_store(copy_yaml, numbers):
    assert run(copy_yaml, "--standby").stderr.endswith(
        "Error: --standby waits for a checkpoint store; give one with -r\n"
    )
