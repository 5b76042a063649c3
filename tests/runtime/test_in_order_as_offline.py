"""Stages in the order of event time: $dedupe and $setWindowFields on an open stream end with the offline result."""

from __future__ import annotations

from typing import Any

import pytest
from bytewax.testing import run_main
from fluxion_connectors.memory import MemorySink, MemorySource, clear
from hypothesis import given, settings
from hypothesis import strategies as st
from test_same_as_offline import exact
from test_windows_as_offline import EVENTS, PARTITIONS, seconds, streamed

from fluxion_flow import PipelineError, pipeline, run_batch
from fluxion_flow.connect.encoding import to_extended


class OpenSource(MemorySource):
    """Says that it never completes, and does."""

    def __init__(self, documents: Any) -> None:
        super().__init__(documents)
        self.bounded = False

    def open(self, partition: str, cursor: Any) -> Any:
        reader = super().open(partition, cursor)
        reader._bounded = True
        return reader


@settings(max_examples=25, deadline=None)
@given(
    lists=PARTITIONS,
    within=st.sampled_from([1, 4, 30]),
    lateness=st.sampled_from([0, seconds(3), seconds(60)]),
    before=st.sampled_from([[], [{"$match": {"drop": {"$ne": True}}}]]),
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
)
def test_dedupe_passes_on_what_the_offline_run_does(
    lists: list[list[dict[str, Any]]],
    within: int,
    lateness: Any,
    before: list[dict[str, Any]],
    batch_size: int,
    workers: int,
) -> None:
    parts = {f"p{number}": documents for number, documents in enumerate(lists)}
    stages = [*before, {"$dedupe": {"key": "$k", "within": seconds(within), "allowedLateness": lateness}}]
    late: list[dict[str, Any]] = []
    expected = run_batch(parts, stages, time_field="t", late=late)
    got, letters = streamed(parts, stages, batch_size, workers)
    assert exact(got) == exact(expected)
    assert exact(letters) == exact([to_extended(one) for one in late])


OUTPUTS = {
    "sum3": {"$sum": "$n", "window": {"documents": [-2, "current"]}},
    "before": {"$shift": {"output": "$n", "by": -1, "default": "none"}},
    "recent": {"$push": "$n", "window": {"range": [-5, "current"], "unit": "second"}},
    "mean": {"$avg": "$n", "window": {"range": [-9, 0], "unit": "second"}},
}


@settings(max_examples=25, deadline=None)
@given(
    lists=st.lists(st.lists(EVENTS, max_size=12), min_size=1, max_size=3),
    names=st.sets(st.sampled_from(list(OUTPUTS)), min_size=1),
    batch_size=st.integers(1, 7),
)
def test_set_window_fields_looks_back_as_the_offline_run_does(
    lists: list[list[dict[str, Any]]], names: set[str], batch_size: int
) -> None:
    parts = {f"p{number}": documents for number, documents in enumerate(lists)}
    output = {name: OUTPUTS[name] for name in sorted(names)}
    stages = [
        {
            "$setWindowFields": {
                "partitionBy": "$k",
                "sortBy": {"t": 1},
                "output": output,
                "allowedLateness": seconds(60),
            }
        }
    ]
    everything = [document for name in sorted(parts) for document in parts[name]]
    clear()
    sink = MemorySink("out")
    made = pipeline("look-back").source(OpenSource(parts), time_field="t").stages(stages).sink(sink)
    run_main(made.config(batch_size=batch_size, metrics=False).compile())
    assert exact(sink.collected()) == exact(run_batch(everything, stages))


def test_what_an_open_stream_cannot_look_at_is_refused_all_at_once() -> None:
    stage = {
        "$setWindowFields": {
            "sortBy": {"n": 1},
            "output": {
                "rank": {"$rank": {}},
                "next": {"$shift": {"output": "$n", "by": 1}},
                "all": {"$sum": "$n"},
                "far": {"$sum": "$n", "window": {"range": ["unbounded", "current"]}},
            },
        }
    }
    with pytest.raises(PipelineError) as caught:
        pipeline("x").source(OpenSource([]), time_field="t").stages([stage]).sink(MemorySink("y")).compile()
    place, instead = "stages[0].$setWindowFields", "use it inside a window stage, or a bounded source"
    memory = "goes by all documents before it, of which a stream keeps no more than a window"
    future = "looks at documents that are still to come"
    assert str(caught.value).splitlines() == [
        f"{place}.sortBy: needs the documents in the order of event time on a source that never completes; "
        f"sort by t, ascending; or {instead}",
        f"{place}.output.rank: {memory}; {instead}",
        f"{place}.output.next: {future}; {instead}",
        f"{place}.output.all: {future}; {instead}",
        f"{place}.output.far: {memory}; {instead}",
    ]


@pytest.mark.parametrize(("stage", "expected"), [({"$limit": 5}, range(5)), ({"$skip": 7}, range(7, 10))])
def test_documents_of_an_open_stream_are_counted_as_they_arrive(stage: dict[str, Any], expected: range) -> None:
    sink = MemorySink("out")
    made = pipeline("first").source(OpenSource([{"n": n} for n in range(10)])).stages([stage]).sink(sink)
    run_main(made.config(batch_size=3, metrics=False).compile())
    assert sink.collected() == [{"n": n} for n in expected]
