"""Guarantee 1: whatever the batch size and the number of workers, a stream ends with the offline result, to the bit."""

from __future__ import annotations

import collections
from typing import Any

from fluxion_connectors.memory import MemorySink, MemorySource, clear
from hypothesis import given, settings
from hypothesis import strategies as st
from on_workers import run_on

from fluxion_flow import pipeline, run_batch
from fluxion_flow.core.program import DocumentError

NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.1, 0.2, -0.3, 1e16, -1e16, 1e-9, 2.5, 1.0, -0.0, 2**53 + 1]),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
)
SCALARS = st.one_of(NUMBERS, st.none(), st.booleans(), st.sampled_from(["a", "b", "", "1"]))
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "k": st.one_of(st.sampled_from(["x", "y", "z"]), SCALARS),
        "n": NUMBERS,
        "v": SCALARS,
        "o": st.fixed_dictionaries({}, optional={"p": SCALARS, "q": st.lists(NUMBERS, max_size=3)}),
        "a": st.lists(st.one_of(SCALARS, st.fixed_dictionaries({"b": SCALARS})), max_size=3),
    },
)
PATHS = st.sampled_from(["$k", "$n", "$v", "$o.p", "$o.q", "$a", "$a.b", "$missing"])
EXPRESSIONS = st.one_of(
    PATHS,
    st.builds(lambda a, b: {"$cond": [{"$gt": [a, b]}, a, b]}, PATHS, PATHS),
    st.builds(lambda a, b: {"$ifNull": [a, b]}, PATHS, PATHS),
    st.builds(lambda a: {"$type": a}, PATHS),
    st.builds(lambda a: {"x": a, "y": "$n"}, PATHS),
    st.builds(lambda a: {"$eq": [a, 1]}, PATHS),
    st.just({"$multiply": ["$n", 3]}),
    st.just({"$add": ["$n", "$v"]}),
)
PER_DOCUMENT = st.one_of(
    st.builds(lambda x: {"$match": {"n": {"$gte": x}}}, st.integers(-3, 3)),
    st.just({"$match": {"o.p": {"$ne": None}}}),
    st.builds(lambda e: {"$set": {"s": e}}, EXPRESSIONS),
    st.builds(lambda e: {"$set": {"o.p": e}}, PATHS),
    st.builds(lambda e: {"$project": {"k": 1, "n": 1, "c": e}}, EXPRESSIONS),
    st.just({"$unset": ["v", "o.q"]}),
    st.just({"$unwind": "$a"}),
    st.just({"$unwind": {"path": "$o.q", "preserveNullAndEmptyArrays": True, "includeArrayIndex": "i"}}),
)
ACCUMULATORS = st.sampled_from(
    [
        {"$sum": "$n"},
        {"$sum": 1},
        {"$avg": "$n"},
        {"$min": "$v"},
        {"$max": "$v"},
        {"$count": {}},
        {"$push": "$v"},
        {"$addToSet": "$v"},
        {"$first": "$n"},
        {"$last": "$v"},
        {"$stdDevPop": "$n"},
    ]
)
GROUPS = st.builds(
    lambda key, one, two: {"$group": {"_id": key, "one": one, "two": two}},
    st.one_of(EXPRESSIONS, st.none()),
    ACCUMULATORS,
    ACCUMULATORS,
)
WHOLE = st.sampled_from([{"$sort": {"n": 1}}, {"$sort": {"k": -1, "v": 1}}, {"$limit": 4}, {"$skip": 2}])
PIPELINES = st.one_of(
    st.lists(PER_DOCUMENT, max_size=4),
    st.builds(
        lambda a, g, b: [*a, g, *b], st.lists(PER_DOCUMENT, max_size=2), GROUPS, st.lists(PER_DOCUMENT, max_size=1)
    ),
    st.builds(lambda a, w, g: [*a, w, g], st.lists(PER_DOCUMENT, max_size=2), WHOLE, GROUPS),
    st.builds(
        lambda g, w, b: [g, *w, *b], GROUPS, st.lists(WHOLE, min_size=1, max_size=2), st.lists(PER_DOCUMENT, max_size=1)
    ),
    st.builds(lambda g, h: [g, h], GROUPS, GROUPS),
)


def exact(documents: list[dict[str, Any]]) -> collections.Counter[str]:
    """Documents as a multiset of their exact texts: type, sign of zero and last bit count."""
    return collections.Counter(repr(_ordered(d)) for d in documents)


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def streamed(
    parts: list[list[dict[str, Any]]], stages: list[dict[str, Any]], batch_size: int, workers: int, **config: Any
) -> list[dict[str, Any]]:
    clear()
    sink = MemorySink("out")
    flow = (
        pipeline("same")
        .source(MemorySource(parts))
        .stages(stages)
        .sink(sink)
        .config(batch_size=batch_size, metrics=False, **config)
        .compile()
    )
    run_on(flow, workers)
    return sink.collected()


@settings(max_examples=150, deadline=None)
@given(
    documents=st.lists(DOCUMENTS, max_size=25),
    stages=PIPELINES,
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
    cut=st.integers(0, 25),
)
def test_a_stream_ends_with_the_offline_result(
    documents: list[dict[str, Any]], stages: list[dict[str, Any]], batch_size: int, workers: int, cut: int
) -> None:
    try:
        expected = exact(run_batch(documents, stages))
    except DocumentError:
        return
    assert exact(streamed([documents[:cut], documents[cut:]], stages, batch_size, workers)) == expected


@settings(max_examples=60, deadline=None)
@given(
    documents=st.lists(DOCUMENTS, max_size=25),
    before=st.lists(PER_DOCUMENT, max_size=2),
    group=GROUPS,
    batch_size=st.integers(1, 7),
    workers=st.integers(1, 3),
    cut=st.integers(0, 25),
)
def test_an_updating_group_ends_with_the_offline_value_of_every_key(
    documents: list[dict[str, Any]],
    before: list[dict[str, Any]],
    group: dict[str, Any],
    batch_size: int,
    workers: int,
    cut: int,
) -> None:
    stages = [*before, group]
    try:
        expected = run_batch(documents, stages)
    except DocumentError:
        return
    from fluxion_flow.core.ordering import canonical

    got = streamed([documents[:cut], documents[cut:]], stages, batch_size, workers, emit="update", state_partitions=3)
    last = {canonical(document["_id"]): document for document in got}
    assert exact(list(last.values())) == exact(expected)
