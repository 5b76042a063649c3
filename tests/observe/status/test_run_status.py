"""The status of a real run of two processes: the page's numbers, `/metrics`, `fluxion top` and the files agree."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error

import pytest
from conftest import DOCUMENTS, POISON, module
from prometheus_client.parser import text_string_to_metric_families
from runs import FLUXION, get, page, running, status, wait_for

from tests.servers.ports import free_neighbours

TOKEN = "token-of-a-real-run"


def samples(port: int, name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a process's `/metrics` by their labels."""
    families = text_string_to_metric_families(get(port, "/metrics").decode())
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    }


def top(port: int, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FLUXION_")}
    return subprocess.run(
        [*FLUXION, "top", str(port), *options],
        capture_output=True,
        text=True,
        env={**clean, "COLUMNS": "140", **environ},
        timeout=60,
    )


def test_processes_are_told_apart_and_add_up(followed):
    port, folder = followed
    whole, parts = status(port), [status(port + n, "/status.json") for n in (0, 1)]
    assert [(one["process"], one["workers"], one["state"]) for one in whole["processes"]] == [
        (0, [0], "running"),
        (1, [1], "running"),
    ]
    assert whole["totals"]["fetched"] == DOCUMENTS == sum(part["totals"]["fetched"] for part in parts)
    assert whole["totals"]["dead_letters"] == POISON == len((folder / "dead.jsonl").read_text().splitlines())
    written = sum(len(path.read_text().splitlines()) for path in folder.glob("out-*.jsonl"))
    assert whole["totals"]["delivered"] == DOCUMENTS - POISON == written
    assert status(port + 1)["totals"] == whole["totals"], "every process can tell of all"
    assert whole["lag"]["unit"] == "documents"
    assert whole["lag"]["total"] == 0
    assert len(whole["lag"]["partitions"]) == 2
    assert [(stage["name"], stage["in"], stage["out"]) for stage in whole["stages"]] == [
        ("stages[0].$match", DOCUMENTS, DOCUMENTS),
        ("stages[1].$set", DOCUMENTS, DOCUMENTS - POISON),
    ]
    assert (whole["environment"], whole["labels"]) == ("test", {"team": "a"})
    assert whole["guarantee"].startswith("exactly once")


def test_the_metrics_of_the_processes_say_the_same_and_nothing_is_counted_twice(followed):
    port, _ = followed
    for name, expected in (
        ("stream_fetched_total", DOCUMENTS),
        ("stream_dead_letters_total", POISON),
        ("stream_stage_documents_total", 2 * DOCUMENTS + 2 * DOCUMENTS - POISON),
    ):
        both = [samples(port + n, name) for n in (0, 1)]
        assert not set(both[0]) & set(both[1]), "a series belongs to one process"
        assert sum(sum(one.values()) for one in both) == expected
    delivered = [samples(port + n, "stream_delivered_total", step="sink") for n in (0, 1)]
    assert sum(sum(one.values()) for one in delivered) == DOCUMENTS - POISON


def test_top_says_the_same(followed):
    port, _ = followed
    data = json.loads(top(port, "--json").stdout)
    assert data["totals"] == status(port)["totals"]
    shown = top(port, "--once").stdout
    for text in ("orders-followed", "3,000 in all", "2,940 in all", "60 dead letters, 0 skipped", "stages[1].$set"):
        assert text in shown
    assert shown == top(port).stdout or "orders-followed" in shown, "without a terminal it is shown once"
    both = subprocess.run(
        [*FLUXION, "top", f"127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(both.stdout)["totals"] == data["totals"]


def test_nothing_of_a_document_shows_but_the_types_of_its_fields(followed):
    port, _ = followed
    found = status(port)
    assert "s3cret" not in json.dumps(found)
    letter = found["letters"][0]
    assert letter["step"] == "stages[1].$set"
    assert letter["reason"] == "stages[1].$set.double.$multiply: $multiply takes numbers, got string"
    assert letter["document"] == {"n": "int", "price": "string", "<b>&": "null"}
    (failure,) = found["failures"]
    assert (failure["count"], failure["class"], failure["decision"]) == (POISON, "EvaluationError", "dead_letter")


def test_it_is_live_and_ready(followed):
    port, _ = followed
    for n in (0, 1):
        assert json.loads(get(port + n, "/ready")) == {"ready": True, "why": "at work"}
        assert json.loads(get(port + n, "/live")) == {"live": True, "why": "the workers make progress"}


def test_the_page_shows_it_in_a_browser(followed, tmp_path):
    port, _ = followed
    shown = page(tmp_path, port)
    for text in ("orders-followed", "3,000 since the start", "2,940 since the start", "60 dead letters, 0 skipped"):
        assert text in shown
    assert 'data-step="stages[1].$set"' in shown
    assert "n: int, price: string, &lt;b&gt;&amp;: null" in shown, "what comes from documents is text"
    assert "s3cret" not in shown
    for process in status(port)["processes"]:
        assert f"pid {process['pid']}" in shown


def test_who_has_the_token_sees_it(tmp_path):
    port = free_neighbours(1)
    with running(module(tmp_path), tmp_path, port, FLUXION_STATUS_TOKEN=TOKEN) as run:
        wait_for(lambda: get(port, "/ready"), run)
        wait_for(lambda: status(port, token=TOKEN)["totals"]["delivered"] == DOCUMENTS - POISON, run)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            status(port)
        answer = top(port, "--once")
        assert (answer.returncode, answer.stdout) == (1, "")
        assert answer.stderr.startswith(f"http://127.0.0.1:{port}: it wants a token; does a run serve its status there")
        assert "orders-followed" in top(port, "--once", FLUXION_STATUS_TOKEN=TOKEN).stdout
        shown = page(tmp_path, port, f"/?token={TOKEN}")
        assert "2,940 since the start" in shown
        assert TOKEN not in shown


def test_a_process_that_does_not_answer_is_named(followed):
    from fluxion_flow.observe.status.peers import whole

    port, _ = followed
    own, nobody = status(port, "/status.json"), free_neighbours(1)
    found = whole(lambda: own, 0, [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{nobody}"], None)
    assert [(one["process"], one["state"]) for one in found["processes"]][1] == (1, "no answer")
    (trouble,) = [one["text"] for one in found["attention"] if one["level"] == "trouble"]
    assert trouble.startswith(f"process 1: http://127.0.0.1:{nobody}: no status (")


def test_a_port_that_is_taken_ends_the_run_with_its_reason(followed, tmp_path):
    port, _ = followed
    command = [*FLUXION, "run", module(tmp_path), "--status-port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"the status page cannot listen on 127.0.0.1:{port} (Address already in use)" in done.stderr
