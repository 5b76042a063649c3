"""$streamJoin and $lookup into a stream: what they find, held against a plain loop, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow import PipelineError, run_batch
from fluxion_flow.core.environment import Environment
from fluxion_flow.core.resources import Resources, Stream
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.core.stages.stream_join import StreamJoin
from fluxion_flow.core.stages.windowed import Piece
from fluxion_flow.core.streams import StreamInput
from fluxion_flow.core.values import from_millis
from fluxion_flow.errors import Problems, Where


def span(size: int, unit: str = "second") -> dict[str, Any]:
    return {"size": size, "unit": unit}


def at(second: float, **fields: Any) -> dict[str, Any]:
    return {"_ts": from_millis(round(second * 1000)), **fields}


def join(**options: Any) -> dict[str, Any]:
    given = {"from": "payments", "localField": "id", "foreignField": "order", "as": "payments"}
    return {"$streamJoin": {**given, "within": {"before": span(5), "after": span(60)}, **options}}


ORDERS = [at(0, id="a"), at(10, id="b"), at(20, id=None), at(30)]
PAYMENTS = [
    at(-5, order="a", n=1),
    at(-6, order="a", n=0),
    at(20, order=None),
    at(60, order="a", n=2),
    at(71, order="b"),
]


def test_documents_that_happened_within_the_span_are_found_in_their_order_bounds_included() -> None:
    out = run_batch(ORDERS, [join(pipeline=[{"$project": {"n": 1}}])], streams={"payments": PAYMENTS})
    assert out == [
        at(0, id="a", payments=[{"n": 1}, {"n": 2}]),
        at(10, id="b", payments=[]),
        at(20, id=None, payments=[]),
        at(30, payments=[]),
    ]


def test_an_inner_join_drops_what_finds_nothing_its_pipeline_included() -> None:
    stages = [join(type="inner", pipeline=[{"$match": {"n": {"$gt": 1}}}, {"$unset": "_ts"}])]
    out = run_batch(ORDERS, stages, streams={"payments": PAYMENTS})
    assert out == [at(0, id="a", payments=[{"order": "a", "n": 2}])]


def test_a_stream_has_stages_and_a_time_field_of_its_own() -> None:
    payments = [{"paid": from_millis(1000), "o": {"id": "a"}}, {"paid": from_millis(2000), "o": {"id": "a"}, "bad": 1}]
    stages = [{"$match": {"bad": None}}, {"$project": {"order": "$o.id"}}]
    out = run_batch(ORDERS[:1], [join()], streams={"payments": StreamInput(payments, "paid", stages)})
    assert out == [at(0, id="a", payments=[{"order": "a"}])]


LOOKUP = {"from": "rates", "localField": "c", "foreignField": "c", "as": "rate"}
RATES = [at(1, c="EUR", r=1), at(5, c="EUR", r=2), at(9, c="EUR", r=3)]


@pytest.mark.parametrize(
    ("second", "more", "found"),
    [
        (0.5, {}, []),
        (1, {}, [RATES[0]]),
        (8.9, {}, [RATES[1]]),
        (1000, {}, [RATES[2]]),
        (12, {"within": {"before": span(3)}}, [RATES[2]]),
        (13, {"within": {"before": span(3)}}, []),
    ],
)
def test_a_lookup_in_a_stream_finds_the_last_one_at_that_time(second: float, more: Any, found: Any) -> None:
    (out,) = run_batch([at(second, c="EUR")], [{"$lookup": {**LOOKUP, **more}}], streams={"rates": RATES})
    assert out["rate"] == found


EVENTS = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("xy")), max_size=25)


@settings(max_examples=60, deadline=None)
@given(
    left=EVENTS,
    right=EVENTS,
    before=st.sampled_from([0, 1, 7]),
    after=st.sampled_from([0, 2, 9]),
    latest=st.sampled_from([None, 4, 100]),
    steps=st.lists(st.integers(0, 80), max_size=6).map(sorted),
)
def test_what_is_forgotten_on_the_way_is_missed_by_nobody(
    left: Any, right: Any, before: int, after: int, latest: int | None, steps: list[int]
) -> None:
    """Documents come when the watermark is just before them, and it moves in steps."""
    spec = join(within={"before": span(before, "ms"), "after": span(after, "ms")})
    if latest is not None:
        within = {} if latest == 100 else {"within": {"before": span(latest, "ms")}}
        spec = {"$lookup": {**LOOKUP, "from": "payments", **within}}
    problems = Problems()
    (stage,) = parse_stages([spec], Where.at("stages"), problems, Resources(streams={"payments": Stream()}))
    assert isinstance(stage, StreamJoin)
    memory = stage.memory()
    events = sorted([(t, 0, k, i) for i, (t, k) in enumerate(left)] + [(t, 1, k, i) for i, (t, k) in enumerate(right)])
    out: list[dict[str, Any]] = []
    for watermark in [*steps, 1 << 60]:
        while events and events[0][0] <= watermark + 5:
            t, side, key, i = events.pop(0)
            memory.add(Piece(side, 0, key, "p", i, 0, 1, None, [{"t": t, "k": key, "i": i}], [0], [t]))
        out += memory.release(watermark, Environment())
        again = stage.memory()
        again.load(memory.dump())
        memory = again
    others = sorted((t, i, k) for i, (t, k) in enumerate(right))
    expected = []
    for t, i, k in sorted((t, i, k) for i, (t, k) in enumerate(left)):
        if latest is None:
            found = [o for o in others if o[2] == k and t - before <= o[0] <= t + after]
        else:
            found = [o for o in others if o[2] == k and (latest == 100 or t - latest <= o[0]) and o[0] <= t][-1:]
        name = "payments" if latest is None else "rate"
        expected.append({"t": t, "k": k, "i": i, name: [{"t": o[0], "k": o[2], "i": o[1]} for o in found]})
    assert out == expected
    if latest != 100:
        assert len(memory) == 0


def test_everything_wrong_with_a_join_is_told_at_once() -> None:
    stages = [
        join(**{"from": "payment", "as": "$x", "type": "outer", "within": {"befor": span(1)}, "let": {}}),
        {"$streamJoin": {"from": "payments", "on": {"local": 7, "foreign": "$a"}, "localField": "b", "as": "x"}},
        join(within={}, pipeline=[{"$set": {"x": {"$rand": {}}}}], onLate="update"),
        {"$lookup": {**LOOKUP, "from": "payments", "within": {"after": span(1, "hours")}}},
        {"$facet": {"a": [join()]}},
    ]
    with pytest.raises(PipelineError) as caught:
        run_batch([], stages, streams={"payments": []})
    one, two, three, four = (f"stages[{n}].$streamJoin" for n in range(4))
    four = "stages[3].$lookup"
    assert str(caught.value).splitlines() == [
        f"{one}.let: unknown argument; known are from, within, as, localField, foreignField, on, type, pipeline, "
        "allowedLateness, onLate",
        f"{one}.from: unknown stream 'payment'; did you mean 'payments'?",
        f"{one}.within.befor: unknown argument; did you mean 'before'?",
        f"{one}.as: takes a field name without '$', got '$x'",
        f"{one}.type: takes 'left' or 'inner', got 'outer'",
        f"{two}.within: required argument is missing",
        f"{two}.localField: given beside on; keep one of the two",
        f"{two}.on.local: is the same for all documents; name a field, such as '$orderId'",
        f"{three}.within: takes before, after, or both; such as {{after: {{size: 1, unit: hour}}}}",
        f"{three}.pipeline: $rand has no meaning for documents of two streams; use it before the join, or behind it",
        f"{three}.onLate: takes 'dead_letter' or 'drop', got 'update'",
        f"{four}.within.after: unknown argument; known are before",
        f"{four}.within.before: required argument is missing",
        "stages[4].$facet.a[0].$streamJoin: a join of streams cannot stand inside another stage; "
        "put it into the main pipeline",
    ]


def test_streams_are_read_by_one_stage_each_and_only_per_document_stages_stand_in_front() -> None:
    window = {"$tumblingWindow": {"interval": span(1), "pipeline": []}}
    streams = {"payments": StreamInput([], stages=[{"$sort": {"a": 1}}]), "refunds": []}
    with pytest.raises(PipelineError) as caught:
        run_batch([], [join(), window], streams=streams)
    assert str(caught.value).splitlines() == [
        "streams.payments.stages[0].$sort: only per-document stages may stand in front of a join; "
        "put it behind the join, or into a pipeline of its own",
        "stages[1].$tumblingWindow: stands behind $streamJoin, whose documents have no event time; "
        "put it before; only per-document stages may stand before a window stage",
    ]
    with pytest.raises(PipelineError) as caught:
        run_batch([], [join()], streams={"payments": [], "refunds": []})
    assert str(caught.value) == (
        "streams.refunds: no stage reads the stream; join it with $streamJoin or $lookup, or leave it out"
    )
    with pytest.raises(ValueError, match=r"partition 'payments/0' of the source .* rename the stream"):
        run_batch({"payments/0": []}, [join()], streams={"payments": []})
