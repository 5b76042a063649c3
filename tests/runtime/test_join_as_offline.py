"""Joins of two streams end with the offline result: answers, late documents of both sides, dead letters."""

from __future__ import annotations

import os
from typing import Any

from fluxion_connectors.memory import MemorySource
from hypothesis import given, settings
from hypothesis import strategies as st
from on_workers import with_late
from test_same_as_offline import exact
from test_windows_as_offline import PARTITIONS, seconds

from fluxion_flow import pipeline, run_batch
from fluxion_flow.connect.encoding import to_extended
from fluxion_flow.core.streams import StreamInput

EXAMPLES = int(os.environ.get("JOIN_EXAMPLES", "40"))

Partitions = dict[str, list[dict[str, Any]]]

STAGES = st.sampled_from([[], [{"$match": {"drop": {"$ne": True}}}], [{"$set": {"m": {"$ifNull": ["$n", 7]}}}]])
PIPELINE = st.sampled_from(
    [
        {},
        {"pipeline": [{"$match": {"n": {"$gt": 0}}}, {"$project": {"n": 1, "t": 1}}]},
        {"pipeline": [{"$group": {"_id": None, "all": {"$push": "$n"}, "total": {"$sum": "$n"}}}]},
        {"pipeline": [{"$sort": {"n": -1}}, {"$limit": 1}]},
    ]
)
KEYS = st.sampled_from(
    [{"localField": "k", "foreignField": "k"}, {"on": {"local": {"a": "$k"}, "foreign": {"a": "$k"}}}]
)
BOUNDS = st.sampled_from([0, seconds(1), seconds(4), seconds(30)])
JOINS = st.one_of(
    st.builds(
        lambda keys, before, after, kind, inner: {
            "$streamJoin": {
                "from": "other",
                "as": "found",
                "within": {"before": before, "after": after},
                "type": kind,
                **keys,
                **inner,
            }
        },
        KEYS,
        BOUNDS,
        BOUNDS,
        st.sampled_from(["left", "inner"]),
        PIPELINE,
    ),
    st.builds(
        lambda within, inner: {
            "$lookup": {"from": "other", "as": "last.one", "localField": "k", "foreignField": "k", **within, **inner}
        },
        st.sampled_from([{}, {"within": {"before": seconds(2)}}, {"within": {"before": seconds(9)}}]),
        PIPELINE,
    ),
)
AFTER = st.sampled_from(
    [[], [{"$match": {"found": {"$ne": []}}}], [{"$group": {"_id": "$k", "n": {"$count": {}}, "low": {"$min": "$n"}}}]]
)


def streamed(
    left: Partitions,
    right: Partitions,
    stages: list[dict[str, Any]],
    own: list[dict[str, Any]],
    batch_size: int,
    workers: int,
    **config: Any,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What the sink got, and the late documents of both streams from the dead letters."""
    flow = (
        pipeline("joins")
        .source(MemorySource(left), time_field="t")
        .stream("other", MemorySource(right), time_field="t", stages=own)
        .stages(stages)
    )
    return with_late(flow, batch_size, workers, **config)


def named(lists: list[list[dict[str, Any]]]) -> Partitions:
    return {f"p{number}": documents for number, documents in enumerate(lists)}


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    left=PARTITIONS,
    right=PARTITIONS,
    before=STAGES,
    own=STAGES,
    join=JOINS,
    lateness=st.sampled_from([0, seconds(2), seconds(8), seconds(60)]),
    after=AFTER,
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
    partitions=st.sampled_from([1, 3, 16]),
)
def test_joins_and_late_documents_are_those_of_the_offline_run(
    left: list[list[dict[str, Any]]],
    right: list[list[dict[str, Any]]],
    before: list[dict[str, Any]],
    own: list[dict[str, Any]],
    join: dict[str, Any],
    lateness: Any,
    after: list[dict[str, Any]],
    batch_size: int,
    workers: int,
    partitions: int,
) -> None:
    ((name, spec),) = join.items()
    stages = [*before, {name: {**spec, "allowedLateness": lateness}}, *after]
    late: list[dict[str, Any]] = []
    other = {"other": StreamInput(named(right), "t", own)}
    expected = run_batch(named(left), stages, time_field="t", late=late, streams=other)
    got, letters = streamed(
        named(left), named(right), stages, own, batch_size, workers, state_partitions=partitions, emit="final"
    )
    assert exact(got) == exact(expected)
    assert exact(letters) == exact([to_extended(one) for one in late])
