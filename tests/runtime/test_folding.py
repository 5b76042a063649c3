"""Groups that lie on the worker whose batches change them: what a snapshot holds, failures, a second run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main, run_main
from fluxion_connectors.memory import MemorySink, MemorySource, clear

from fluxion_flow import StreamingErrorPolicy, pipeline, run_batch
from fluxion_flow.connect.spi import Batch, SinkWriter, StreamingSink
from fluxion_flow.runtime.store import make_store

GROUP = {"_id": "$k", "n": {"$sum": 1}, "total": {"$sum": {"$add": ["$v", 0]}}, "most": {"$max": "$v"}}
DOCUMENTS: list[dict[str, Any]] = [{"k": n % 7, "v": n * 0.1} for n in range(200)]


class Kept(StreamingSink):
    """Keeps what it gets, and fails at the write with the number ``fails_at``."""

    def __init__(self, fails_at: int = 0) -> None:
        self.fails_at = fails_at
        self.writes = 0
        self.documents: list[dict[str, Any]] = []

    def open(self, part: str, cursor: Any) -> SinkWriter:
        return _KeptWriter(self)


class _KeptWriter(SinkWriter):
    def __init__(self, sink: Kept) -> None:
        self._sink = sink

    def write(self, batch: Batch) -> None:
        self._sink.writes += 1
        if self._sink.writes == self._sink.fails_at:
            raise OSError("full")
        self._sink.documents += batch.documents

    def flush(self) -> None:
        """Nothing is waiting."""


def flow(sink: Any, **config: Any) -> Any:
    made = pipeline("folding").source(MemorySource([DOCUMENTS])).group(GROUP).sink(sink)
    return made.config(batch_size=5, metrics=False, **config).compile()


def by_key(documents: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {document["_id"]: document for document in documents}


EXPECTED = by_key(run_batch(DOCUMENTS, [{"$group": GROUP}]))


@pytest.mark.parametrize("fails_at", [1, 2, 9, 20, 30])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_snapshot_holds_the_documents_of_its_epochs_and_no_others(
    tmp_path: Path, fails_at: int, workers: int
) -> None:
    """With an epoch a batch: a run that ends in the middle is gone on with, and no document counts twice."""
    make_store(tmp_path, 1)

    def run(sink: Any) -> None:
        clear()
        settings = {"epoch_interval": timedelta(0), "recovery_config": RecoveryConfig(tmp_path, timedelta(0))}
        made = flow(sink, emit="update", state_partitions=3)
        cluster_main(made, [], 0, worker_count_per_proc=workers, **settings) if workers > 1 else run_main(
            made, **settings
        )

    with pytest.raises(Exception, match="on_batch"):
        run(Kept(fails_at))
    sink = Kept()
    run(sink)
    got = by_key(sink.documents)
    assert got == {key: EXPECTED[key] for key in got}
    assert fails_at > 1 or got == EXPECTED


def test_a_second_run_of_the_same_dataflow_begins_with_no_groups() -> None:
    clear()
    sink = MemorySink("out")
    made = flow(sink)
    run_main(made)
    run_main(made)
    assert by_key(sink.collected()[:7]) == by_key(sink.collected()[7:]) == EXPECTED


@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_a_document_that_fails_leaves_nothing_in_the_groups(granularity: str) -> None:
    clear()
    documents = [*DOCUMENTS[:7], {"k": 0, "v": "text"}, *DOCUMENTS[7:]]
    sink = MemorySink("out")
    policy = StreamingErrorPolicy.skip_and_continue()
    policy = policy.per_document() if granularity == "document" else policy
    made = pipeline("folding").source(MemorySource([documents])).group(GROUP).sink(sink).on_error(policy)
    run_main(made.config(batch_size=5, metrics=False).compile())
    kept = documents[:7] + documents[8:] if granularity == "document" else documents[:5] + documents[10:]
    assert by_key(sink.collected()) == by_key(run_batch(kept, [{"$group": GROUP}]))
