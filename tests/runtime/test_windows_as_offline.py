"""Guarantee 1 over event time: closed windows, late documents and dead letters are those of the offline run.

The offline run knows the source's partitions, for what is late depends on nothing but a partition's records in order.
"""

from __future__ import annotations

import os
from typing import Any

from fluxion_connectors.memory import MemorySource
from hypothesis import given, settings
from hypothesis import strategies as st
from on_workers import with_late
from test_same_as_offline import exact

from fluxion_flow import pipeline, run_batch
from fluxion_flow.connect.encoding import to_extended
from fluxion_flow.core.values import from_millis

EXAMPLES = int(os.environ.get("WINDOW_EXAMPLES", "60"))

EVENTS = st.fixed_dictionaries(
    {"t": st.integers(-3, 40).map(lambda second: from_millis(second * 1000))},
    optional={
        "k": st.sampled_from(["x", "y", 1, 1.0, None]),
        "n": st.sampled_from([0.1, 0.2, -0.3, 1e16, -1e16, 3, -2, 2.5]),
        "drop": st.booleans(),
    },
)
PARTITIONS = st.lists(st.lists(EVENTS, max_size=12), min_size=1, max_size=3)
BEFORE = st.sampled_from(
    [[], [{"$match": {"drop": {"$ne": True}}}], [{"$unset": "t"}, {"$set": {"m": {"$ifNull": ["$n", 7]}}}]]
)
INNER = st.sampled_from(
    [
        [],
        [{"$group": {"_id": "$k", "total": {"$sum": "$n"}, "count": {"$count": {}}}}],
        [{"$group": {"_id": "$k", "all": {"$push": "$n"}, "first": {"$first": "$n"}, "low": {"$min": "$n"}}}],
        [{"$match": {"n": {"$gt": 0}}}, {"$group": {"_id": None, "mean": {"$avg": "$n"}, "v": {"$addToSet": "$k"}}}],
        [{"$group": {"_id": "$k", "n": {"$sum": "$n"}}}, {"$sort": {"n": 1}}, {"$limit": 2}],
        [{"$sort": {"n": -1}}, {"$limit": 3}],
        [{"$group": {"_id": {"$meta": "stream.window.start"}, "c": {"$sum": 1}}}, {"$set": {"d": {"$add": ["$c", 1]}}}],
        [{"$bucketAuto": {"groupBy": "$n", "buckets": 2}}],
        [{"$facet": {"a": [{"$count": "n"}], "b": [{"$sort": {"n": 1}}, {"$limit": 1}]}}],
        [{"$setWindowFields": {"sortBy": {"n": 1}, "output": {"place": {"$rank": {}}}}}],
        [{"$count": "n"}],
    ]
)


def seconds(size: int) -> dict[str, Any]:
    return {"size": size, "unit": "second"}


SPANS = st.one_of(
    st.builds(
        lambda size, offset: {"$tumblingWindow": {"interval": seconds(size), **offset}},
        st.sampled_from([1, 5, 10]),
        st.sampled_from([{}, {"offset": {"offsetFromUtc": 3, "unit": "second"}}]),
    ),
    st.builds(
        lambda size, hop: {"$hoppingWindow": {"interval": seconds(size), "hopSize": seconds(hop)}},
        st.sampled_from([4, 10]),
        st.sampled_from([3, 5, 12]),
    ),
    st.builds(lambda gap: {"$sessionWindow": {"gap": seconds(gap), "partitionBy": "$k"}}, st.sampled_from([2, 6])),
)
OPTIONS = st.fixed_dictionaries(
    {"allowedLateness": st.sampled_from([0, seconds(2), seconds(8), seconds(60)]), "streamMeta": st.just(True)},
    optional={"partitionBy": st.just("$k")},
)
AFTER = st.sampled_from(
    [
        [],
        [{"$set": {"start": {"$meta": "stream.window.start"}}}],
        [{"$group": {"_id": None, "rows": {"$push": "$$ROOT"}}}],
        [{"$limit": 3}],
    ]
)


def window_stage(spans: dict[str, Any], options: dict[str, Any], inner: list[dict[str, Any]]) -> dict[str, Any]:
    ((name, own),) = spans.items()
    return {name: {**options, **own, "pipeline": inner}}


def streamed(
    parts: dict[str, list[dict[str, Any]]],
    stages: list[dict[str, Any]],
    batch_size: int,
    workers: int,
    **config: Any,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the sink got, and the late documents from the dead letters."""
    flow = pipeline("windows").source(MemorySource(parts), time_field="t").stages(stages)
    return with_late(flow, batch_size, workers, **config)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    lists=PARTITIONS,
    before=BEFORE,
    spans=SPANS,
    options=OPTIONS,
    inner=INNER,
    after=AFTER,
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
    partitions=st.sampled_from([1, 3, 16]),
)
def test_closed_windows_and_late_documents_are_those_of_the_offline_run(
    lists: list[list[dict[str, Any]]],
    before: list[dict[str, Any]],
    spans: dict[str, Any],
    options: dict[str, Any],
    inner: list[dict[str, Any]],
    after: list[dict[str, Any]],
    batch_size: int,
    workers: int,
    partitions: int,
) -> None:
    parts = {f"p{number}": documents for number, documents in enumerate(lists)}
    stages = [*before, window_stage(spans, options, inner), *after]
    late: list[dict[str, Any]] = []
    expected = run_batch(parts, stages, time_field="t", late=late)
    got, letters = streamed(parts, stages, batch_size, workers, state_partitions=partitions)
    assert exact(got) == exact(expected)
    assert exact(letters) == exact([to_extended(one) for one in late])


@settings(max_examples=EXAMPLES // 4, deadline=None)
@given(
    lists=PARTITIONS,
    size=st.sampled_from([5, 10]),
    lateness=st.sampled_from([0, seconds(2)]),
    every=st.sampled_from([1, 3]),
    keep=st.sampled_from([5, 20]),
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
)
def test_the_last_result_of_a_corrected_window_is_that_of_the_offline_run(
    lists: list[list[dict[str, Any]]],
    size: int,
    lateness: Any,
    every: int,
    keep: int,
    batch_size: int,
    workers: int,
) -> None:
    parts = {f"p{number}": documents for number, documents in enumerate(lists)}
    window = {
        "interval": seconds(size),
        "allowedLateness": lateness,
        "onLate": {"update": seconds(keep)},
        "emit": {"every": {"count": every}},
        "pipeline": [{"$group": {"_id": None, "n": {"$push": "$n"}, "c": {"$count": {}}}}],
    }
    late: list[dict[str, Any]] = []
    expected = run_batch(parts, [{"$tumblingWindow": window}], time_field="t", late=late)
    got, letters = streamed(parts, [{"$tumblingWindow": window}], batch_size, workers)
    last: dict[Any, dict[str, Any]] = {}
    for document in got:
        meta = document["_stream_meta"]["window"]
        if meta["result"] == "early":
            assert last.get(meta["start"], {"result": "early"})["result"] == "early"
        last[meta["start"]] = meta | {"n": document["n"], "c": document["c"]}
    assert all(one["result"] in ("final", "corrected") for one in last.values())
    for one in last.values():
        one["result"] = "final"
    rows = [one["_stream_meta"]["window"] | {"n": one["n"], "c": one["c"]} for one in expected]
    assert exact(list(last.values())) == exact(rows)
    assert exact(letters) == exact([to_extended(one) for one in late])
