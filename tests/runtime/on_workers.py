"""Pipelines on some workers of this process, and what came of them."""

from __future__ import annotations

from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main, run_main
from fluxion_connectors.memory import MemorySink, clear

from fluxion_flow.dsl.builder import PipelineBuilder

Documents = list[dict[str, Any]]


def run_on(flow: Dataflow, workers: int) -> None:
    """Run a dataflow to its end."""
    if workers == 1:
        run_main(flow)
    else:
        cluster_main(flow, [], 0, worker_count_per_proc=workers)


def with_late(flow: PipelineBuilder, batch_size: int, workers: int, **config: Any) -> tuple[Documents, Documents]:
    """What the sink of a pipeline got that has none yet, and the late documents, as its dead letters tell them."""
    clear()
    sink, letters = MemorySink("out"), MemorySink("dead")
    given = flow.sink(sink).on_error({"dead_letter": letters})
    run_on(given.config(batch_size=batch_size, metrics=False, **config).compile(), workers)
    late = []
    for letter in letters.collected():
        assert letter["errInfo"]["code"] == "late"
        source, window = letter["_stream_meta"]["source"], letter["_stream_meta"].get("window", {})
        late.append(
            {"doc": letter["doc"], "partition": source["partition"], "position": source["position"], "window": window}
        )
    return sink.collected(), late
