"""Dead letters in a table: read back, replayed and purged, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from click.testing import CliRunner

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.cli.main import main

COLUMNS = {
    **dict.fromkeys(("id", "processorName", "operatorName", "raw"), "string"),
    **dict.fromkeys(("attempts", "replays"), "integer"),
    **dict.fromkeys(("dlqTime", "firstFailureTime", "errInfo", "doc", "_stream_meta"), "json"),
}


def fluxion(*arguments: str) -> Any:
    done = CliRunner().invoke(main, ["dlq", *arguments, "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout)


def test_letters_in_a_table_are_listed_replayed_and_purged(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.jsonl").write_text('{"n": 1}\n{"n": "x"}\n{"n": \n')
    letters = {"type": "sql", "url": url, "table": "dead", "mode": "upsert", "keys": ["id"], "extra_fields": "ignore"}
    definition: dict[str, Any] = {
        "name": "poison",
        "source": {"type": "files", "path": "in.jsonl"},
        "stages": [{"$set": {"m": {"$add": ["$n", 1]}}}],
        "sink": {"type": "sql", "url": url, "table": "out", "create_table": {"n": "string", "m": "string"}},
        "on_error": {"dead_letter": {**letters, "create_table": COLUMNS}, "granularity": "document"},
    }
    definition["sink"]["columns"] = {"m": "m"}
    run_main(StreamingPipelineDefinition.from_dict(definition).compile())
    definition["stages"] = [{"$set": {"m": {"$toString": "$n"}}}]
    Path("p.json").write_text(json.dumps(definition))
    found = fluxion("ls", "p.json", "--step", "stages[0]")["letters"]
    assert [(letter["attempts"], letter["state"]) for letter in found] == [(1, "pending")]
    done = fluxion("replay", "p.json")
    assert (done["replayed"], done["delivered"], done["dead_lettered"]) == (2, {"sink": 1}, 1)
    states = {letter["step"]: (letter["attempts"], letter["state"]) for letter in fluxion("ls", "p.json")["letters"]}
    assert states == {"source": (2, "pending"), "stages[0].$set": (1, "replayed")}
    assert fluxion("purge", "p.json", "--all", "--yes")["removed"] == 2
    assert fluxion("ls", "p.json")["letters"] == []
