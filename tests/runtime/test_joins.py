"""Joins in a run: what is refused, what a checkpoint takes over, silence, limits, policies of both streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource
from trial import DEAD, run

from fluxion_flow import PipelineBuilder, PipelineError, StreamingPipelineDefinition, pipeline
from fluxion_flow.compiler.lower import manifest_of
from fluxion_flow.compiler.plan import make_plan
from fluxion_flow.core.values import from_millis
from fluxion_flow.runtime.items import Completed, Progress
from fluxion_flow.runtime.watermark import Watermark
from fluxion_flow.testing import FlowTester


def span(size: int, unit: str = "second") -> dict[str, Any]:
    return {"size": size, "unit": unit}


JOIN = {
    "from": "payments",
    "localField": "id",
    "foreignField": "order",
    "within": {"after": span(60)},
    "as": "payments",
    "allowedLateness": 0,
}


def at(second: int, **fields: Any) -> dict[str, Any]:
    return {"_ts": from_millis(second * 1000), **fields}


def flow(left: Any, right: Any, sink: Any, stages: Any = (), **changes: Any) -> PipelineBuilder:
    made = pipeline("joined").source(MemorySource(left)).stream("payments", MemorySource(right), stages=stages)
    return made.stream_join({**JOIN, **changes}).sink(sink)


def test_everything_wrong_with_streams_is_told_at_once() -> None:
    with pytest.raises(PipelineError) as caught:
        StreamingPipelineDefinition.from_dict(
            {
                "name": "x",
                "source": {"type": "memory", "name": "a"},
                "stages": [{"$streamJoin": {**JOIN, "from": "payment"}}],
                "sink": {"type": "memory", "name": "b"},
                "streams": {
                    "payments": {
                        "source": {
                            "type": "memry",
                            "time_field": 7,
                            "partition_idle_timeout": {"size": 1, "unit": "s"},
                        },
                        "stages": [{"$mach": {}}, {"$sort": {"a": 1}}],
                    },
                    "refunds": {"type": "memory", "name": "r"},
                    "a b": 3,
                },
            }
        )
    assert str(caught.value).splitlines() == [
        "stages[0].$streamJoin.from: unknown stream 'payment'; did you mean 'payments'?",
        "streams.payments.source.type: unknown connector 'memry'; did you mean 'memory'?",
        "streams.payments.source.time_field: takes a field or an expression that gives a time, got 7; such as '$at'",
        "streams.payments.source.partition_idle_timeout.unit: unknown unit of time 's'; did you mean 'ms'?",
        "streams.payments.stages[0]: unknown stage '$mach'; did you mean '$match'?",
        "streams.payments.stages[1].$sort: only per-document stages may stand in front of a join; "
        "put it behind the join, or into a pipeline of its own",
        "streams.refunds.type: unknown key of a stream; put it into streams.refunds.source",
        "streams.refunds.name: unknown key of a stream; known are source, stages",
        "streams.refunds.source: is missing; say where documents come from, such as {type: files, path: orders.jsonl}",
        "streams.a b: must be a mapping with a source, got a number; such as {source: {type: files, path: "
        "payments.jsonl}}",
    ]


def test_a_checkpoint_goes_on_with_another_name_of_the_array_and_not_with_another_span(tmp_path: Path) -> None:
    left, right = [at(0, id=1), at(1, id=2)], [at(5, order=1)]
    assert run(flow(left, right, MemorySink("out")), store=tmp_path / "store").error == ""
    assert run(flow(left, right, MemorySink("out"), **{"as": "paid"}), store=tmp_path / "store").error == ""
    changed = flow(left, right, MemorySink("out"), within={"after": span(30)})
    assert run(changed, store=tmp_path / "store").error == (
        "pipeline 'joined' cannot resume from this checkpoint:\n"
        "  stateful step 'streamJoin' changed: after was 60000, now 30000\n"
        "Run the definition that wrote it, or start with an empty checkpoint store (and read the source anew)."
    )
    renamed = (
        pipeline("joined")
        .source(MemorySource(left))
        .stream("refunds", MemorySource(right))
        .stream_join({**JOIN, "from": "refunds"})
        .sink(MemorySink("out"))
    )
    before = manifest_of(make_plan(flow(left, right, MemorySink("out")).build()))
    assert manifest_of(make_plan(renamed.build())).changes(before.plain) == [
        "stream 'payments' is gone (renamed or removed)",
        "stream 'refunds' is new",
        "stateful step 'streamJoin' changed: from was 'payments', now 'refunds'",
    ]


def test_a_partition_is_silent_by_the_timeout_of_its_own_stream() -> None:
    made = (
        pipeline("silent")
        .source(MemorySource([]))
        .stream("payments", MemorySource([]), partition_idle_timeout="1s")
        .stream_join(JOIN)
        .sink(MemorySink("out"))
    )
    (place,) = make_plan(made.build()).windows
    watermark = Watermark(place)
    watermark.heard(Progress("0", 2, 50_000))
    watermark.heard(Progress("payments/0", 2, 10_000))
    assert watermark.value == 10_000
    watermark.heard(Progress("0", 2, 50_000, idle=60_000))
    assert watermark.value == 10_000
    watermark.heard(Progress("payments/0", 2, 10_000, idle=1000))
    assert watermark.value == 50_000
    watermark.heard(Progress("0", 2, 70_000))
    watermark.heard(Completed("source", "payments/0", 2))
    assert watermark.value == 70_000


def test_documents_that_fail_on_the_way_to_a_join_are_dead_letters_of_their_own_stream() -> None:
    left = [at(0, id=1), at(1, id={"$bad": 1})]
    right = [at(5, order=1, n="x"), at(6, order=1, n=2)]
    sink = MemorySink("out")
    made = flow(left, right, sink, [{"$set": {"n": {"$multiply": ["$n", 2]}}}])
    done = run(made.on_error({"dead_letter": DEAD, "granularity": "document"}))
    assert done.error == ""
    (letter,) = done.letters
    assert letter["operatorName"] == "streams.payments.stages[0].$set"
    source = letter["_stream_meta"]["source"]
    assert (source["type"], source["partition"], source["position"]) == ("MemorySource", "payments/00000", 0)
    assert [one["payments"] for one in sink.collected()] == [[at(6, order=1, n=4)], []]


def test_a_join_that_would_hold_too_many_keys_ends_the_run() -> None:
    left = [at(n, id=n) for n in range(40)]
    done = run(flow(left, [at(0, order=1)], MemorySink("out")), max_keys=10)
    assert "its state holds 11 keys in this process, and max_keys allows 10" in done.error


def test_a_tester_feeds_every_stream_and_crashes() -> None:
    definition = {
        "name": "paid",
        "source": {"type": "files", "path": "orders.jsonl"},
        "streams": {"payments": {"source": {"type": "files", "path": "payments.jsonl"}}},
        "stages": [
            {"$streamJoin": {**JOIN, "type": "inner"}},
            {"$project": {"_id": 0, "id": 1, "n": {"$size": "$payments"}}},
        ],
        "sink": {"type": "stdio"},
    }
    orders = [at(n, id=n) for n in range(20)]
    payments = [at(n + 5, order=n // 2) for n in range(20)]
    tester = FlowTester(definition)
    plain = tester.run(orders, streams={"payments": payments}, batch_size=3)
    assert plain.output == [{"id": n, "n": 2} for n in range(10)]
    crashed = tester.run(orders, streams={"payments": {"a": payments}}, batch_size=3, crash_after=[6], workers=2)
    assert (crashed.crashes, sorted(one["id"] for one in crashed.output)) == (1, list(range(10)))
    with pytest.raises(ValueError, match="the pipeline has no stream 'refunds'"):
        tester.run(orders, streams={"refunds": []})
