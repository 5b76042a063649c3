"""The series on Bytewax's own page, from a process that runs a pipeline."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.servers.ports import free_ports

MODULE = """
import os
from fluxion_flow import pipeline, secret

folder = os.environ["FOLDER"]
flow = (
    pipeline("paged")
    .source("files", path=folder + "/in.jsonl", follow=True)
    .match({"n": {"$gte": 0}})
    .set({"half": {"$divide": [1, "$n"]}})
    .sink("files", path=folder + "/out-{part}.jsonl")
    .on_error({"dead_letter": {"type": "files", "path": folder + "/dead.jsonl"}, "granularity": "document"})
    .config(environment="test", labels={"team": "a", "owner": secret("PAGE_TOKEN").resolve()}, batch_size=100)
    .compile()
)
"""
TOKEN = "page-s3cret-token"
RECORDS = 2300


def samples(page):
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


def total(page, name, **labels):
    return sum(s.value for s in samples(page) if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture
def page_of_a_run(tmp_path):
    """The page once everything is delivered, the exit code of the run after SIGTERM, and the folder of its files."""
    # every 100th line is no JSON, and a zero cannot be divided by
    lines = ["{broken" if n % 100 == 50 else json.dumps({"n": n % 40}) for n in range(RECORDS)]
    bad = sum(n % 100 == 50 or n % 40 == 0 for n in range(RECORDS))
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "paged.py").write_text(MODULE)
    port = free_ports(1)[0]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FLUXION_", "BYTEWAX_"))},
        "FOLDER": str(tmp_path),
        "PAGE_TOKEN": TOKEN,
        "BYTEWAX_DATAFLOW_API_ENABLED": "1",
        "BYTEWAX_DATAFLOW_API_PORT": str(port),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bytewax.run", "paged:flow", "-w", "2"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    page = ""
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            page = fetch(port) or page
            delivered = total(page, "stream_delivered_total", step="sink")
            letters = total(page, "stream_delivered_total", step="dead_letter sink")
            if (delivered, letters) == (RECORDS - bad, bad):
                break
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=60)
    assert page, log
    return page, process.returncode, tmp_path


def fetch(port):
    """The page; empty as long as nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def count_lines(pattern: str, folder: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in folder.glob(pattern))


def test_the_page_adds_up_to_the_files(page_of_a_run):
    page, code, folder = page_of_a_run
    assert code == 0
    undecodable = RECORDS // 100
    documents = RECORDS - undecodable
    labels = {"pipeline": "paged", "connector": "files", "environment": "test", "team": "a"}
    assert total(page, "stream_fetched_total", **labels) == documents
    assert total(page, "stream_rejected_total", **labels) == undecodable
    assert total(page, "stream_dead_letters_total", step="source") == undecodable
    poison = total(page, "stream_dead_letters_total", step="stages[1].$set")
    assert poison == total(page, "stream_failures_total", **{"class": "EvaluationError"}) > 0
    assert total(page, "stream_delivered_total", step="sink", **labels) == documents - poison
    assert documents - poison == count_lines("out-*.jsonl", folder)
    assert undecodable + poison == count_lines("dead.jsonl", folder)
    assert total(page, "stream_stage_documents_total", stage="stages[0].$match", direction="in") == documents
    assert total(page, "stream_batch_size_sum", direction="in", step="stages[0].$match") == documents
    assert total(page, "stream_lag") == 0
    assert {s.labels["worker"] for s in samples(page) if s.name == "stream_start_timestamp_seconds"} == {"0", "1"}
    assert any(sample.name.startswith("bytewax_") for sample in samples(page)), "it is Bytewax's page"
    assert TOKEN not in page
    assert all(s.labels["owner"] == "***" for s in samples(page) if s.name.startswith("stream_"))
