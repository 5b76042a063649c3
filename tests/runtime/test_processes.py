"""Real processes of `python -m bytewax.run`: drains by signals, one run a store, and how errors look."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from flow_processes import COUNTING, EXPECTED, HALF, Flow, ended
from trial import ids

from fluxion_flow.runtime.drain import EXIT_DRAIN_TIMEOUT
from fluxion_flow.runtime.failure import GO_ON
from tests.servers.ports import free_ports


@pytest.mark.parametrize(("by", "first", "second"), [(signal.SIGTERM, 1, 2), (signal.SIGINT, 2, 1)])
def test_a_signal_drains_and_the_next_run_goes_on(tmp_path: Path, by: signal.Signals, first: int, second: int) -> None:
    flow = Flow(tmp_path)
    flow.hold()
    process = flow.start("-w", str(first))
    flow.wait_for_half()
    assert ended(process, by=by) == [(0, "")]
    assert ids(flow.delivered()) == HALF
    flow.go_on()
    assert flow.run("-w", str(second)) == (0, "")
    assert ids(flow.delivered()) == EXPECTED


def test_two_processes_drain_together(tmp_path: Path) -> None:
    flow = Flow(tmp_path)
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    flow.hold()
    both = [flow.start("-i", str(i), "-a", addresses) for i in range(2)]
    flow.wait_for_half()
    assert ended(*both) == [(0, ""), (0, "")]
    assert ids(flow.delivered()) == HALF
    flow.go_on()
    assert flow.run() == (0, "")
    assert ids(flow.delivered()) == EXPECTED


def test_a_second_run_on_a_store_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    flow = Flow(tmp_path)
    flow.hold()
    process = flow.start()
    flow.wait_for_half()
    code, errors = flow.run()
    assert code == 1
    assert errors == (
        f"checkpoint store 'store' is in use by another run (process id {process.pid}); "
        "wait until it has ended, or give this run a store of its own\n"
    )
    flow.go_on()
    assert process.communicate() == ("", "")
    assert process.returncode == 0
    assert ids(flow.delivered()) == EXPECTED


def test_the_store_of_a_killed_run_is_free_again(tmp_path: Path) -> None:
    flow = Flow(tmp_path)
    flow.hold()
    process = flow.start("-w", "2")
    flow.wait_for_half()
    assert ended(process, by=signal.SIGKILL) == [(-9, "")]
    flow.go_on()
    assert flow.run("-w", "2") == (0, "")
    assert ids(flow.delivered()) == EXPECTED


def test_the_store_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    assert Flow(tmp_path).run() == (0, "")
    code, errors = Flow(tmp_path, COUNTING.replace('"counting"', '"renamed"')).run()
    assert code == 1
    assert errors == (
        "checkpoint store 'store' was written by pipeline 'counting', not by 'renamed'; "
        "rename the pipeline back, or give it a store of its own\n"
    )
    assert Flow(tmp_path).run() == (0, "")
    assert ids(Flow(tmp_path).delivered()) == EXPECTED


STUCK = """
class Stuck(StreamingSink):
    def open(self, part, cursor):
        return StuckWriter()


class StuckWriter(SinkWriter):
    def write(self, batch):
        if os.environ.get("STUCK"):
            print("stuck\\n", end="", flush=True)
            raise ConnectionError("no answer to " + secret("TOKEN").resolve())
        with open("out.jsonl", "a") as file:
            file.writelines('{"_id": %d}\\n' % document["_id"] for document in batch.documents)

    def flush(self):
        pass


built = (
    pipeline("stuck")
    .source(Held())
    .sink(Stuck(), on_error={"retry": {"max_attempts": "unlimited", "backoff": "1h", "max_backoff": "1h"}})
    .config(drain_timeout=0.3)
)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_drain_that_waits_for_a_retry_ends_when_its_time_is_up(tmp_path: Path, workers: str) -> None:
    flow = Flow(tmp_path, STUCK)
    process = flow.start("-w", workers, STUCK="yes", TOKEN="s3cr3t")
    assert process.stdout is not None
    assert process.stdout.readline() == "stuck\n"
    ((code, errors),) = ended(process)
    assert code == EXIT_DRAIN_TIMEOUT
    assert "s3cr3t" not in errors
    (line,) = (line for line in errors.splitlines() if "no answer" in line)
    assert line.startswith("pipeline 'stuck', step sink, source partition '0000")
    assert line.endswith(
        ", position 0: the run was to end and the drain timeout has passed, waiting to try again after: "
        f"ConnectionError: no answer to *** (raised in {tmp_path}/flow.py, line 39, in write); "
        "nothing is lost: the next run resumes from the last checkpoint"
    )
    assert flow.run("-w", workers, TOKEN="s3cr3t") == (0, "")
    assert ids(flow.delivered()) == sorted([*EXPECTED, 7, 107, 207, 307])


HANGING = STUCK.replace('raise ConnectionError("no answer to " + secret("TOKEN").resolve())', "time.sleep(3600)")


def test_a_drain_of_a_sink_that_hangs_ends_by_force(tmp_path: Path) -> None:
    flow = Flow(tmp_path, HANGING)
    process = flow.start("-w", "2", STUCK="yes")
    assert process.stdout is not None
    assert process.stdout.readline() == "stuck\n"
    ((code, errors),) = ended(process)
    assert code == EXIT_DRAIN_TIMEOUT
    assert errors == (
        "the run did not drain within 0.3 s and is ended by force; nothing is lost: the next run resumes from the last "
        "checkpoint. Raise drain_timeout if sinks need longer.\n"
    )


FAILING = """
def price(value):
    if value == 3:
        raise ValueError("cannot price with " + secret("TOKEN").resolve())
    return value


built = (
    pipeline("failing")
    .source(Held())
    .stages([{"$set": {"price": {"$function": {"body": price, "args": ["$n"], "lang": "python"}}}}])
    .sink("files", path="out.jsonl")
)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_failing_run_says_what_and_where_once_and_no_secret(tmp_path: Path, workers: str) -> None:
    code, errors = Flow(tmp_path, FAILING).run("-w", workers, TOKEN="s3cr3t")
    assert code == 1
    assert "s3cr3t" not in errors
    (line,) = errors.splitlines()
    assert line.startswith("pipeline 'failing', step stages[0].$set, source partition '0000")
    assert line.endswith(
        "', position 3: stages[0].$set.price.$function: ValueError: cannot price with *** "
        f"(raised in {tmp_path}/flow.py, line 32, in price){GO_ON}"
    )


def test_who_wants_a_backtrace_has_it(tmp_path: Path) -> None:
    _, errors = Flow(tmp_path, FAILING).run(TOKEN="s3cr3t", RUST_BACKTRACE="1")
    assert "panicked at" in errors
    assert errors.splitlines()[-1].startswith("pipeline 'failing', step stages[0].$set, source partition '0000")


def test_a_failing_run_of_two_processes_says_what_and_where(tmp_path: Path) -> None:
    flow = Flow(tmp_path, FAILING)
    addresses = ";".join(f"127.0.0.1:{port}" for port in free_ports(2))
    both = [flow.start("-i", str(i), "-a", addresses, TOKEN="s3cr3t") for i in range(2)]
    errors = "".join(process.communicate()[1] for process in both)
    assert all(process.returncode != 0 for process in both)
    assert "step stages[0].$set, source partition '0000" in errors
    assert "s3cr3t" not in errors


def test_problems_of_a_definition_end_before_anything_runs(tmp_path: Path) -> None:
    code, errors = Flow(tmp_path, FAILING.replace("$set", "$sett")).run()
    assert code == 1
    assert errors.splitlines()[-1] == (
        "fluxion_flow.errors.PipelineError: stages[0]: unknown stage '$sett'; did you mean '$set'?"
    )
    assert not (tmp_path / "out.jsonl").exists()
