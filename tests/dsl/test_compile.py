"""From a definition to a dataflow that runs."""

import json
import subprocess
import sys

import pytest
from bytewax.testing import run_main
from fluxion_connectors.memory import MemorySink, MemorySource

from fluxion_flow import PipelineError, pipeline, run_batch

ORDERS = [
    {"customer": c, "price": p, "qty": 2, "status": s}
    for c, p, s in [("a", 1, "PAID"), ("b", 2, "OPEN"), ("a", 3, "PAID")]
]
STAGES = [
    {"$match": {"status": "PAID"}},
    {"$set": {"total": {"$multiply": ["$price", "$qty"]}}},
    {"$group": {"_id": "$customer", "total": {"$sum": "$total"}}},
]


def test_a_built_pipeline_runs():
    sink = MemorySink("test-compile")
    run_main(pipeline("orders").source(MemorySource(ORDERS)).stages(STAGES).sink(sink).compile())
    assert sink.collected() == run_batch(ORDERS, STAGES) == [{"_id": "a", "total": 8}]


def test_compile_uses_the_environment(monkeypatch):
    monkeypatch.setenv("FLUXION_BATCH_SIZ", "5")
    built = pipeline("orders").source(MemorySource(ORDERS)).stages(STAGES).sink(MemorySink("test-compile"))
    with pytest.raises(PipelineError) as caught:
        built.compile()
    assert str(caught.value) == "FLUXION_BATCH_SIZ: unknown variable; did you mean 'FLUXION_BATCH_SIZE'?"


def run_file(tmp_path, definition):
    (tmp_path / "orders.yaml").write_text(json.dumps(definition))
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps(order) + "\n" for order in ORDERS))
    command = [sys.executable, "-m", "bytewax.run", "fluxion_flow.flow:load('orders.yaml')"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_definition_file_runs_without_any_python(tmp_path):
    definition = {
        "source": {"type": "files", "path": "orders.jsonl"},
        "stages": STAGES,
        "sink": {"type": "files", "path": "out.jsonl"},
    }
    run = run_file(tmp_path, definition)
    assert run.returncode == 0, run.stderr
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"_id": "a", "total": 8}
    ]


def test_a_bad_definition_file_is_answered_before_anything_runs(tmp_path):
    definition = {
        "source": {"type": "files", "pth": "orders.jsonl"},
        "stages": [{"$mtach": {}}],
        "sink": {"type": "files", "path": "out.jsonl"},
    }
    run = run_file(tmp_path, definition)
    assert run.returncode != 0
    assert run.stderr.splitlines()[-3:] == [
        "fluxion_flow.errors.PipelineError: source.pth: unknown option of connector 'files'; did you mean 'path'?",
        "source.path: required by connector 'files'",
        "stages[0]: unknown stage '$mtach'; did you mean '$match'?",
    ]
    assert not (tmp_path / "out.jsonl").exists()
