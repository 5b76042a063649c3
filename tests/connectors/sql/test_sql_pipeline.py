"""Whole pipelines into tables: the error policy decides what becomes of rows that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from test_sql_sink import query

from fluxion_flow import StreamingPipelineDefinition

COLUMNS = {"id": "integer", "name": "string"}


def run(folder: Path, url: str, on_error: Any, **sink: Any) -> None:
    path = folder / "in.jsonl"
    lines = [{"id": n if n not in (13, 57) else 1, "name": f"name {n}"} for n in range(100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    definition = {
        "name": "into-sql",
        "source": {"type": "files", "path": str(path)},
        "stages": [],
        "sink": {"type": "sql", "url": url, "table": "t", "keys": ["id"], "create_table": COLUMNS, **sink},
        "on_error": on_error,
        "config": {"batch_size": 10},
    }
    run_main(StreamingPipelineDefinition.from_dict(definition).compile())


def test_refused_rows_become_dead_letters_and_the_others_stay(url: str, tmp_path: Path) -> None:
    letters = tmp_path / "dead.jsonl"
    run(tmp_path, url, {"dead_letter": {"type": "files", "path": str(letters)}, "granularity": "document"})
    assert query(url, "SELECT id FROM t ORDER BY id") == [(n,) for n in range(100) if n not in (13, 57)]
    found = [json.loads(line) for line in letters.open()]
    assert [letter["doc"]["name"] for letter in found] == ["name 13", "name 57"]
    assert {letter["errInfo"]["type"] for letter in found} == {"RowRefused"}


def test_dead_letters_can_go_into_the_same_database(url: str, tmp_path: Path) -> None:
    letters = {
        "type": "sql",
        "url": url,
        "table": "dead",
        "columns": {"id": "id", "reason": "errInfo.reason", "doc": "doc"},
        "create_table": {"id": "string", "reason": "string", "doc": "json"},
    }
    run(tmp_path, url, {"dead_letter": letters, "granularity": "document"})
    assert query(url, "SELECT count(*) FROM t") == [(98,)]
    assert query(url, "SELECT count(*) FROM dead") == [(2,)]


def test_a_run_that_aborts_leaves_nothing_of_the_failed_batch(url: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="into-sql"):
        run(tmp_path, url, "fail_fast")
    assert query(url, "SELECT count(*) FROM t") == [(10,)]


def test_an_upsert_takes_the_last_document_of_a_key(url: str, tmp_path: Path) -> None:
    run(tmp_path, url, "fail_fast", mode="upsert")
    assert query(url, "SELECT name FROM t WHERE id = 1") == [("name 57",)]
    assert query(url, "SELECT count(*) FROM t") == [(98,)]
