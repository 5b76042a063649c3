"""`fluxion test` and the pytest plugin: tests that stand as data beside a pipeline, on the real engine."""

import json
import subprocess
import sys

import pytest

from fluxion_flow.testing import FlowTester, SinkRules

PIPELINE = """
    name: orders
    source: {type: kafka, topic: orders, bootstrap_servers: "${KAFKA_BOOTSTRAP}"}
    stages:
      - $match: {status: PAID}
      - $set: {total: {$multiply: [$quantity, $price]}, at: $$NOW}
    sink: {type: http, url: "https://example.com/orders"}
    on_error:
      retry: {max_attempts: 3}
      then: {dead_letter: {type: files, path: dead.jsonl}}
      granularity: document
"""
TESTS = """
    # tests of orders
    env: {KAFKA_BOOTSTRAP: "localhost:1"}
    now: 2026-01-01T00:00:00Z
    tests:
      - name: totals
        source:
          - {_id: 1, status: PAID, quantity: 2, price: 10}  # two of ten
          - {_id: 2, status: NEW}
        expect:
          output:
            # the paid one
            - {_id: 1, status: PAID, quantity: 2, price: 10, total: 20, at: 2026-01-01T00:00:00Z}
          counters: {read: 2, delivered: 1, dead_lettered: 0}
      - name: poison, a sink that fails, and a crash
        source:
          "0": [[{_id: 1, status: PAID, quantity: 2, price: 10}], [{_id: 2, status: PAID, quantity: x, price: 1}]]
          "1": [{$raw: "not json"}, {_id: 3, status: PAID, quantity: 1, price: 1}]
        sinks: {http: {fail: 1}}
        crash_after: [2]
        expect:
          match: subset
          ordered: false
          output: [{_id: 3, total: 1}, {_id: 1, total: 20}]
          dead_letters:
            - {operatorName: source}
            - {errInfo.type: EvaluationError, doc: {_id: 2}}
"""


@pytest.fixture
def tests(write):
    write("orders.yaml", PIPELINE)
    return write("orders.flowtest.yaml", TESTS)


def test_tests_run_on_the_engine_with_failures_and_a_crash(fluxion, tests):
    done = fluxion("test")
    assert (done.exit_code, done.stdout) == (
        0,
        "passed  orders.flowtest.yaml::totals\n"
        "passed  orders.flowtest.yaml::poison, a sink that fails, and a crash\n"
        "2 passed\n",
    )


def test_everything_that_differs_is_told_with_its_path(fluxion, tests, write):
    wrong = TESTS.replace("total: 20}, at", "total: 21}, at").replace("delivered: 1", "delivered: 2")
    wrong = wrong.replace("total: 20, at", "total: 21, at").replace("doc: {_id: 2}", "doc: {_id: 5}")
    write("orders.flowtest.yaml", wrong)
    done = fluxion("test")
    assert done.exit_code == 1
    assert done.stdout == (
        "failed  orders.flowtest.yaml::totals\n"
        "        output[0].total: expected 21, got 20\n"
        "        counters.delivered: expected 2, got 1\n"
        "failed  orders.flowtest.yaml::poison, a sink that fails, and a crash\n"
        "        dead_letters[1].doc._id: expected 5, got 2\n"
        "2 failed\n"
    )


def test_update_writes_what_came_and_keeps_comments(fluxion, tests, write, here):
    write("orders.flowtest.yaml", TESTS.replace("total: 20, at", "total: 21, at").replace("read: 2", "read: 7"))
    done = fluxion("test", "--update", "-k", "totals")
    assert done.stdout == "updated orders.flowtest.yaml::totals\n1 updated\n"
    text = (here / "orders.flowtest.yaml").read_text()
    assert "# tests of orders" in text
    assert "# two of ten" in text
    assert "read: 2" in text
    assert fluxion("test").exit_code == 0


def test_a_crash_that_never_comes_fails_the_test(fluxion, tests, write):
    write("orders.flowtest.yaml", TESTS.replace("crash_after: [2]", "crash_after: [99]"))
    done = fluxion("test", "-k", "poison", "--json")
    (report,) = json.loads(done.stdout)["tests"]
    assert report["differences"] == ["crash_after: 1 crashes, but the source was at its end after 0"]


def test_every_problem_of_a_file_is_told_at_once(fluxion, write):
    write("orders.yaml", PIPELINE)
    write(
        "orders.flowtest.yaml",
        """
        nwo: 2026-01-01T00:00:00Z
        tests:
          - source: 5
            batch_size: 0
            expect: {outputt: [], match: most}
        """,
    )
    done = fluxion("test")
    assert done.exit_code == 2
    assert done.stdout == (
        "error   orders.flowtest.yaml\n"
        "        orders.flowtest.yaml.nwo: unknown key; did you mean 'now'?\n"
        "        orders.flowtest.yaml.tests[0].source: must be a list of documents; "
        "or a mapping of partitions to lists\n"
        "        orders.flowtest.yaml.tests[0].batch_size: must be a number from 1 up\n"
        "        orders.flowtest.yaml.tests[0].expect.outputt: unknown key; did you mean 'output'?\n"
        "        orders.flowtest.yaml.tests[0].expect.match: must be exact or subset\n"
        "1 error\n"
    )


def test_without_tests_nothing_has_passed(fluxion):
    done = fluxion("test")
    assert (done.exit_code, done.stdout) == (
        2,
        "no tests; write some into a file such as orders.flowtest.yaml\n",
    )


def test_pytest_collects_the_same_files(tests, here):
    (here / tests).write_text((here / tests).read_text().replace("total: 20, at", "total: 22, at"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True)
    assert done.returncode == 1
    assert "output[0].total: expected 22, got 20" in done.stdout
    assert "1 failed, 1 passed" in done.stdout


def test_a_tester_in_python_answers_outputs_letters_counters_and_errors():
    definition = {
        "name": "two",
        "source": {"type": "files", "path": "in.jsonl"},
        "stages": [{"$set": {"b": {"$add": ["$a", 1]}}}],
        "sinks": {"all": {"type": "stdio"}, "big": {"type": "files", "path": "big.jsonl", "when": {"a": {"$gt": 1}}}},
    }
    tester = FlowTester(definition)
    result = tester.run([{"a": 1}, {"a": 2}])
    assert result.outputs == {"all": [{"a": 1, "b": 2}, {"a": 2, "b": 3}], "big": [{"a": 2, "b": 3}]}
    with pytest.raises(ValueError, match=r"there are several sinks, all, big; use outputs\[name\]"):
        _ = result.output
    failed = tester.run([{"a": 1}], sinks={"big": SinkRules(), "all": SinkRules(reject=({"a": 1},))})
    assert "step sinks.all" in failed.error
    assert failed.counters["failures"] == 1


ENRICHED = """
    name: enriched
    source: {type: files, path: in.jsonl}
    connections:
      users: {type: http, url: "https://users.invalid"}
    stages:
      - $set: {user: {$httpCall: {connection: users, path: "/users/{id}", pathParams: {id: $userId}}}}
    sink: {type: stdio}
    on_error: {dead_letter: {type: files, path: dead.jsonl}, granularity: document}
"""


def test_enrichments_are_mocked_and_a_question_that_is_not_fails(fluxion, write):
    write("enriched.yaml", ENRICHED)
    write(
        "enriched.flowtest.yaml",
        """
        tests:
          - name: users
            source: [{userId: 7}, {userId: 8}, {userId: 9}]
            enrichments:
              users:
                - {when: /users/7, answer: {name: Ada}}
                - {when: /users/8, fail: it is down}
            expect:
              output: [{userId: 7, user: {name: Ada}}]
              dead_letters:
                - {doc: {userId: 8}, errInfo.code: enrich}
                - {doc: {userId: 9}}
        """,
    )
    done = fluxion("test")
    assert done.exit_code == 0, done.stdout
