"""One run of two processes whose source never completes; the tests look at its status."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.servers.ports import free_neighbours

sys.path.insert(0, str(Path(__file__).parent))

from runs import running, status, wait_for

DOCUMENTS = 3000
POISON = 60
"""Documents that cannot be multiplied: every fiftieth."""


MODULE = """
from fluxion_connectors.memory import MemorySource
from fluxion_flow import pipeline

def documents(part):
    return [
        {{"n": n, "price": "s3cret-price" if n % 50 == 0 else 2, "<b>&": None}} for n in range(part, {documents}, 2)
    ]

folder = {folder!r}
flow = (
    pipeline("orders-followed")
    .source(MemorySource([documents(0), documents(1)], bounded=False))
    .match({{"n": {{"$gte": 0}}}})
    .set({{"double": {{"$multiply": ["$price", 2]}}}})
    .sink("files", path=folder + "/out-{{part}}.jsonl")
    .on_error({{"dead_letter": {{"type": "files", "path": folder + "/dead.jsonl"}}, "granularity": "document"}})
    .config(environment="test", labels={{"team": "a"}}, batch_size=100)
    .build()
)
"""


def module(folder: Path) -> str:
    """Write a pipeline over two partitions that never complete, with dead letters; the answer is its path."""
    path = folder / "orders_followed.py"
    path.write_text(MODULE.format(folder=str(folder), documents=DOCUMENTS))
    return str(path)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The first port of a run that has read and delivered everything, and its folder."""
    folder = tmp_path_factory.mktemp("followed")
    port = free_neighbours(2)
    with running(module(folder), folder, port, "-p", "2", "-r", str(folder / "store")) as run:

        def done():
            found = status(port)
            return found["totals"]["delivered"] == DOCUMENTS - POISON and _at_rest(found)

        wait_for(done, run)
        yield port, folder


def _at_rest(found: dict) -> bool:
    letters = [sink["delivered"] for sink in found["sinks"] if sink["name"] == "dead_letter sink"]
    made = [process["checkpoint"]["at"] for process in found["processes"] if process["checkpoint"]["age"]]
    return letters == [POISON] and bool(made) and found["lag"]["total"] == 0
