"""`fluxion verify` and `fluxion sample`: a pipeline run in many ways, in real processes, and a look at its start."""

import json

import pytest

GOOD = """
    name: sums
    source: {type: files, path: in.jsonl}
    stages:
      - $set: {b: {$multiply: [$a, 0.1]}, r: {$rand: {}}}
      - $group: {_id: {$mod: [$a, 7]}, s: {$sum: $b}, r: {$sum: $r}, ids: {$push: $a}}
    sink: {type: files, path: out.jsonl}
"""
NOISY = """
    name: noisy
    source: {type: files, path: in.jsonl}
    functions: {noisy: "noisy:noisy"}
    stages:
      - $set: {b: {$function: {body: noisy, args: [$a], lang: python}}}
    sink: {type: files, path: out.jsonl}
"""
MODULE = """
    import random

    def noisy(a):
        return a + random.random() * (a == 37)
"""


@pytest.fixture
def orders(write, here):
    write("in.jsonl", "".join(f'{{"a": {n}}}\n' for n in range(200)))


def test_all_ways_to_run_give_the_same_and_nothing_is_delivered(fluxion, orders, write, here):
    write("p.yaml", GOOD)
    done = fluxion("verify", "p.yaml", "--batch-size", "9", "-w", "2", "-p", "1", "--kills", "1", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["ok"]) == (0, True), report
    assert [(run["run"], run["result"], run["kills"]) for run in report["runs"]] == [
        ("offline", "reference", 0),
        ("streamed, batch size 9", "same", 0),
        ("2 workers", "same", 0),
        ("1 kill -9", "same", 1),
        ("2 workers, 1 kill -9", "same", 1),
    ]
    assert not (here / "out.jsonl").exists()


def test_a_module_that_compiles_its_flow_is_verified_with_kills(fluxion, orders, write):
    module = f"""
        from fluxion_flow import StreamingPipelineDefinition
        from fluxion_flow.dsl.files import read_yaml

        definition = StreamingPipelineDefinition.from_dict(read_yaml({GOOD!r}))
        flow = definition.compile()
    """
    write("flowmodule.py", module)
    done = fluxion("verify", "flowmodule", "--batch-size", "9", "-w", "1", "-p", "1", "--kills", "1", "--json")
    report = json.loads(done.stdout)
    assert [run["result"] for run in report["runs"]] == ["reference", "same", "same"], report


def test_a_stage_that_is_not_deterministic_is_caught_with_the_first_document(fluxion, orders, write):
    write("p.yaml", NOISY)
    write("noisy.py", MODULE)
    done = fluxion("verify", "p.yaml", "--batch-size", "9", "-w", "1", "-p", "1", "--kills", "0", "--json")
    assert done.exit_code == 1
    (_, streamed) = json.loads(done.stdout)["runs"]
    assert streamed["result"] == "differs"
    assert streamed["difference"].startswith("output[37].b: expected 37.")


def test_a_sample_shows_what_comes_out_and_what_fails(fluxion, write, here):
    write("in.jsonl", '{"a": 1}\n{"a": "x"}\nno\n{"a": 3}\n')
    write(
        "p.yaml", GOOD.replace("- $group: {_id: {$mod: [$a, 7]}, s: {$sum: $b}, r: {$sum: $r}, ids: {$push: $a}}", "")
    )
    done = fluxion("sample", "p.yaml", "-n", "3")
    assert done.exit_code == 1
    assert [json.loads(line)["a"] for line in done.stdout.splitlines()] == [1, 3]
    assert done.stderr.splitlines()[-1] == "read 3, 2 came out, 2 failed"
    assert "position 20: is not valid JSON" in done.stderr
    assert not (here / "out.jsonl").exists()
    assert len(fluxion("sample", "p.yaml", "-n", "1", "--input-only").stdout.splitlines()) == 1


def test_a_source_that_cannot_be_read_says_why(fluxion, write):
    write("p.yaml", GOOD)
    done = fluxion("sample", "p.yaml")
    assert done.exit_code == 1
    assert done.stderr.startswith("source: ")
