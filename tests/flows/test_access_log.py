"""The gallery's own connector keeps the contract of connectors, and its pipeline counts what the log says."""

import importlib
import json
import sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import pytest
from bytewax.testing import run_main

from fluxion_flow.testing.connector_contract import ReplayableSourceContract

ROOT = Path(__file__).parents[2]
LOG = ROOT / "flows" / "data" / "access.log"


@pytest.fixture
def access_log(tmp_path, monkeypatch):
    """The module of the flow, writing into ``tmp_path``."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PAGES_OUT", str(tmp_path))
    sys.modules.pop("flows.access_log", None)
    return importlib.import_module("flows.access_log")


class TestAccessLogContract(ReplayableSourceContract):
    documents = tuple(
        {
            "client": f"10.0.0.{n}",
            "at": datetime(2025, 3, 1, 8, 0, n, tzinfo=timezone.utc),
            "method": "GET",
            "page": f"/tea?n={n}",
            "status": 200 + n,
            "bytes": n,
        }
        for n in range(23)
    )

    @pytest.fixture(autouse=True)
    def _prepare(self, access_log, tmp_path):
        self.module, self.path = access_log, tmp_path / "access.log"

    def make_source(self, documents):
        line = '{client} - - [{at:%d/%b/%Y:%H:%M:%S %z}] "{method} {page} HTTP/1.1" {status} {bytes}\n'
        self.path.write_text("".join(line.format(**document) for document in documents))
        return self.module.AccessLog(str(self.path))


def test_pages_are_counted_and_torn_lines_are_put_aside(access_log, tmp_path):
    run_main(access_log.flow)
    pages = {page["_id"]: page for page in map(json.loads, (tmp_path / "pages.jsonl").open())}
    rejects = [json.loads(line) for line in (tmp_path / "access-rejects.jsonl").open()]
    lines = LOG.read_text().splitlines()
    whole = [line.split() for line in lines if len(line.split()) == 10]
    assert {page: entry["requests"] for page, entry in pages.items()} == Counter(
        parts[6].partition("?")[0] for parts in whole
    )
    assert sum(entry["failed"] for entry in pages.values()) == sum(parts[8].startswith("5") for parts in whole) > 0
    assert len(rejects) == len(lines) - len(whole) > 0
    assert {letter["errInfo"]["reason"] for letter in rejects} == {"is no line of an access log"}
