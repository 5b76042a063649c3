"""`fluxion drill`, `fluxion canary` and `fluxion check --connections`."""

import json
import socket

import pytest

PIPELINE = """
    name: sums
    source: {type: files, path: in.jsonl}
    stages:
      - $set: {b: {$multiply: [$a, 2]}}
      - $group: {_id: {$mod: [$a, 7]}, s: {$sum: $b}}
    sink: {type: files, path: out.jsonl}
    on_error: POLICY
"""
CAREFUL = (
    "{retry: {max_attempts: 3}, then: {dead_letter: {type: files, path: dead.jsonl}}, granularity: document, "
    "circuit_breaker: {minimum_number_of_calls: 2, sliding_window_size: 4}}"
)


@pytest.fixture
def orders(write):
    write("in.jsonl", "".join(f'{{"a": {n}}}\n' for n in range(60)))


def test_a_drill_exercises_retries_letters_breaker_and_a_kill_and_touches_nothing(fluxion, write, orders, here):
    write("p.yaml", PIPELINE.replace("POLICY", CAREFUL))
    done = fluxion("drill", "p.yaml", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["ok"]) == (0, True), report
    came = {one["exercise"]: one["came"] for one in report["exercises"]}
    assert came["retries"] == "delivered 7, retries 2"
    assert came["dead letters"] == "delivered 7, dead-lettered 1 (1 at source)"
    assert "breaker: OPEN" in came["breaker"]
    assert came["kill and resume"] == "the output is that of an undisturbed run"
    assert sorted(path.name for path in here.iterdir()) == ["in.jsonl", "p.yaml"]


def test_a_policy_that_ends_the_run_is_reported_as_that(fluxion, write, orders):
    write("p.yaml", PIPELINE.replace("POLICY", "fail_fast"))
    report = json.loads(fluxion("drill", "p.yaml", "--json").stdout)
    came = {one["exercise"]: one["came"] for one in report["exercises"]}
    assert came["retries"].startswith("the run ends, as its policy says: pipeline 'sums', step source")
    assert report["ok"]


def test_a_canary_compares_counts_and_totals_and_writes_metrics(fluxion, write, orders, here):
    write("p.yaml", PIPELINE.replace("POLICY", CAREFUL))
    same = json.loads(fluxion("canary", "p.yaml", "p.yaml", "--rate", "0.5", "--json").stdout)
    assert same["ok"]
    assert 15 < same["sample"] < 45
    write("q.yaml", PIPELINE.replace("POLICY", CAREFUL).replace("[$a, 2]", "[$a, 3]"))
    done = fluxion("canary", "p.yaml", "q.yaml", "--rate", "0.5", "--metrics", "canary.prom", "--json")
    assert done.exit_code == 1
    rows = {row["what"]: row["difference"] for row in json.loads(done.stdout)["compared"]}
    assert rows["delivered"] == 0
    assert rows["total of s"] == pytest.approx(1 / 3)
    assert fluxion("canary", "p.yaml", "q.yaml", "--tolerance", "0.4").exit_code == 0
    metrics = (here / "canary.prom").read_text()
    assert 'fluxion_canary_difference_ratio{pipeline="sums",what="delivered"} 0.0' in metrics


def test_connections_are_tried_all_at_once_and_nothing_is_written(fluxion, write, orders, here):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        write(
            "p.yaml",
            f"""
            name: p
            source: {{type: files, path: in.jsonl}}
            sinks:
              out: {{type: files, path: out.jsonl}}
              table: {{type: sql, url: "sqlite:///x.db", table: t}}
              web: {{type: http, url: "http://u:secretpw@127.0.0.1:{port}/x"}}
            on_error: {{dead_letter: {{type: files, path: /proc/nowhere/dead.jsonl}}}}
            """,
        )
        done = fluxion("check", "p.yaml", "--connections", "--timeout", "1", "--json")
    (report,) = json.loads(done.stdout)["targets"]
    assert done.exit_code == 1
    answers = {one["where"]: (one["ok"], one["answer"]) for one in report["connections"]}
    assert answers["source"] == (True, "1 partition")
    assert answers["sinks.out"] == (True, "'.' can be written")
    assert answers["sinks.table"][0] is False
    assert answers["sinks.web"] == (False, "no answer within 1 s; check the address, or raise --timeout")
    assert "secretpw" not in done.stdout
    assert not (here / "out.jsonl").exists()


def test_completion_scripts_name_the_program(fluxion):
    for shell in ("bash", "zsh", "fish"):
        assert "_FLUXION_COMPLETE" in fluxion("completion", shell).stdout
