"""Checkpoints and sinks: how far a sink was written is state too; dead-letter sinks may be swapped from run to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource
from test_checkpoints import TAIL
from trial import numbered, run

from fluxion_flow import PipelineBuilder, pipeline


def flow(*fail_reads: int) -> PipelineBuilder:
    source = MemorySource(numbered(30, 5, 25), fail_reads=fail_reads)
    return pipeline("trial").source(source, on_error="fail_fast")


def test_a_sink_that_is_gone_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "out.jsonl")
    assert "told to fail" in run(flow(6).sink("files", path=path, name="out"), store=tmp_path / "s").error
    before = Path(path).read_text()
    assert run(flow().sink("files", path=path, name="renamed"), store=tmp_path / "s").error == (
        "pipeline 'trial' cannot resume from this checkpoint:\n"
        f"  sink 'out' is gone (renamed or removed); how far it was written would be lost\n{TAIL}"
    )
    assert Path(path).read_text() == before
    assert run(flow().sink(MemorySink(), name="out"), store=tmp_path / "s").error == (
        f"pipeline 'trial' cannot resume from this checkpoint:\n  sink 'out': was 'files', now 'MemorySink'\n{TAIL}"
    )
    more = flow().sink("files", path=str(tmp_path / "more.jsonl"), name="more")
    assert run(more.sink("files", path=path, name="out"), store=tmp_path / "s").error == ""
    assert [json.loads(line)["_id"] for line in Path(path).read_text().splitlines()] == list(range(30))


DOUBLE = {"$set": {"m": {"$multiply": ["$n", 2]}}}


def letters(path: Path) -> list[Any]:
    return [json.loads(line)["doc"]["_id"] for line in path.open()]


@pytest.mark.parametrize("other", ["skip", "other file", "one more before"])
def test_dead_letter_files_may_be_swapped_between_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    def policy(name: str) -> str:
        return json.dumps({"dead_letter": {"type": "files", "path": str(tmp_path / name)}, "granularity": "document"})

    def data(*fail_reads: int) -> PipelineBuilder:
        return flow(*fail_reads).stages([{**DOUBLE, "name": "double"}]).sink(MemorySink("out", replays=True))

    monkeypatch.setenv("FLUXION_ON_ERROR", policy("one.jsonl"))
    assert "told to fail" in run(data(6), store=tmp_path / "s").error
    assert letters(tmp_path / "one.jsonl") == [5]
    variables = {
        "skip": ("FLUXION_ON_ERROR", "{skip: {}, granularity: document}"),
        "other file": ("FLUXION_ON_ERROR", policy("two.jsonl")),
        "one more before": ("FLUXION_STAGE_ON_ERROR__DOUBLE", policy("two.jsonl")),
    }
    monkeypatch.setenv(*variables[other])
    assert run(data(), store=tmp_path / "s").error == ""
    assert letters(tmp_path / "one.jsonl") == [5]
    assert other == "skip" or letters(tmp_path / "two.jsonl") == [25]
