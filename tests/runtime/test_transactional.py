"""A transactional sink stores the source's position with the documents: a run that begins again repeats nothing."""

from __future__ import annotations

from typing import Any

import pytest
from bytewax.testing import cluster_main, run_main
from fluxion_connectors.memory import MemorySource

from fluxion_flow import StreamingErrorPolicy, pipeline
from fluxion_flow.compiler.guarantee import guarantee
from fluxion_flow.compiler.plan import make_plan
from fluxion_flow.connect.spi import Batch, Cursor, SinkWriter, StreamingSink

DOCUMENTS = [[{"n": n, "items": [n, -n]} for n in range(part * 100, part * 100 + 40)] for part in range(2)]
STAGES: list[dict[str, Any]] = [{"$match": {"n": {"$ne": 7}}}, {"$unwind": "$items"}]


class Table:
    """What a database holds: rows, and by source partition the position that came with them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.cursors: dict[str, Cursor] = {}
        self.writes_left = 10**9


class TransactionalSink(StreamingSink):
    transactional = True

    def __init__(self, table: Table) -> None:
        self.table = table

    def committed_cursors(self) -> dict[str, Cursor]:
        return dict(self.table.cursors)

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        return _Writer(self.table)


class _Writer(SinkWriter):
    def __init__(self, table: Table) -> None:
        self.table = table

    def write(self, batch: Batch) -> None:
        if self.table.writes_left == 0:
            raise ConnectionError("the database is gone")
        self.table.writes_left -= 1
        self.table.rows += batch.documents
        self.table.cursors[batch.partition] = batch.cursor

    def flush(self) -> None:
        """Every write is committed at once."""


def run(table: Table, batch_size: int, workers: int = 1) -> None:
    flow = (
        pipeline("exact")
        .source(MemorySource(DOCUMENTS))
        .stages(STAGES)
        .sink(TransactionalSink(table))
        .config(batch_size=batch_size, metrics=False)
        .compile()
    )
    if workers == 1:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_begins_again_with_other_batches_delivers_only_what_is_missing(workers: int) -> None:
    table = Table()
    for batch_size, writes in ((7, 3), (5, 4), (3, 1)):
        table.writes_left = writes
        with pytest.raises(Exception, match=r".*"):
            run(table, batch_size, workers)
    table.writes_left = 10**9
    run(table, 11, workers)
    expected = sorted(item for part in DOCUMENTS for d in part if d["n"] != 7 for item in (d["n"], -d["n"]))
    assert sorted(row["items"] for row in table.rows) == expected
    run(table, 4, workers)
    assert len(table.rows) == len(expected)


def test_the_guarantee_is_exactly_once_only_where_the_positions_can_be_stored() -> None:
    def level(builder: Any) -> str:
        return guarantee(make_plan(builder.build())).level

    plain = pipeline("p").source(MemorySource(DOCUMENTS))
    sink = TransactionalSink(Table())
    assert level(plain.stages(STAGES).sink(sink)) == "exactly once"
    assert level(plain.group({"_id": "$n"}).sink(sink)) == "at least once"
    assert level(plain.sink(sink).sink("memory", name="second")) == "at least once"
    assert level(plain.sink(sink, on_error=StreamingErrorPolicy.skip_and_continue())) == "at least once"
