"""Window stages on a stream beyond the offline run: silence, early results, failures, what is told and refused."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import trial
from bytewax.testing import run_main
from fluxion_connectors.memory import MemorySink, MemorySource, clear, collected

from fluxion_flow import PipelineError, StreamingErrorPolicy, StreamingMetricsListener, pipeline
from fluxion_flow.compiler import make_plan
from fluxion_flow.compiler.explain import explain
from fluxion_flow.connect.spi import Batch, SourceReader, StreamingSource
from fluxion_flow.core.values import from_millis

COUNT = [{"$group": {"_id": {"$meta": "stream.window.start"}, "n": {"$count": {}}}}]


def at(second: float) -> Any:
    return from_millis(second * 1000)


def seconds(size: int) -> dict[str, Any]:
    return {"size": size, "unit": "second"}


class Script(StreamingSource):
    """Gives lists of documents by partition; a number is a silence of so many seconds. It says that it never ends."""

    poll_interval = 0.02

    def __init__(self, parts: dict[str, list[Any]]) -> None:
        self.parts = parts

    def partitions(self) -> list[str]:
        return sorted(self.parts)

    def open(self, partition: str, cursor: Any) -> SourceReader:
        return _ScriptReader(partition, self.parts[partition])


class _ScriptReader(SourceReader):
    def __init__(self, partition: str, lines: list[Any]) -> None:
        self._partition = partition
        self._lines = list(lines)
        self._position = 0
        self._until = 0.0

    def read(self, max_documents: int) -> Batch | None:
        if time.monotonic() < self._until:
            return Batch([], self._partition, self._position)
        if not self._lines:
            return None
        line = self._lines.pop(0)
        if not isinstance(line, list):
            self._until = time.monotonic() + line
            return Batch([], self._partition, self._position)
        self._position += len(line)
        return Batch(line, self._partition, self._position - len(line))

    @property
    def cursor(self) -> int:
        return self._position


def run(
    source: Any, window: dict[str, Any], *, letters: MemorySink | None = None, listener: Any = None, **endpoint: Any
) -> list[dict[str, Any]]:
    sink = MemorySink("out")
    made = pipeline("windows").source(source, time_field="t", **endpoint).tumbling_window(window).sink(sink)
    if letters is not None:
        made = made.on_error(StreamingErrorPolicy.dead_letter(letters).per_document())
    if listener is not None:
        made = made.listen(listener)
    run_main(made.config(metrics=False).compile())
    return sink.collected()


def test_a_silent_partition_holds_nothing_back_and_what_it_has_for_closed_windows_is_late() -> None:
    letters = MemorySink("dead")
    source = Script(
        {
            "a": [[{"t": at(1)}, {"t": at(12)}], 1.5, [{"t": at(25)}], 0.3],
            "b": [[{"t": at(2)}], 1.1, [{"t": at(3), "late": True}, {"t": at(11)}], 0.5],
        }
    )
    window = {"interval": seconds(10), "allowedLateness": 0, "pipeline": COUNT}
    found = run(source, window, letters=letters, partition_idle_timeout="200ms")
    assert sorted(found, key=lambda one: one["_id"]) == [
        {"_id": at(0), "n": 2},
        {"_id": at(10), "n": 2},
        {"_id": at(20), "n": 1},
    ]
    (letter,) = letters.collected()
    assert letter["doc"] == {"t": {"$date": "1970-01-01T00:00:03.000Z"}, "late": True}
    assert letter["errInfo"]["code"] == "late"


def test_windows_close_by_the_clock_when_the_whole_source_is_silent() -> None:
    told: list[str] = []

    class Ear(StreamingMetricsListener):
        def on_watermark(self, context: Any, *, event_time_ms: int, lag_seconds: float) -> None:
            told.append("closed" if event_time_ms >= 10_000 else "open")

        def on_fetched(self, context: Any, *, documents: int, rejects: int, waited: float) -> None:
            told.append("fetched")

    source = Script({"a": [[{"t": at(9.9)}], 1.2, [{"t": at(30)}]]})
    window = {"interval": seconds(10), "idleTimeout": {"size": 200, "unit": "ms"}, "pipeline": COUNT}
    assert run(source, window, listener=Ear()) == [{"_id": at(0), "n": 1}, {"_id": at(30), "n": 1}]
    assert "closed" in told[: told.index("fetched", 1)]


def test_early_results_by_the_clock_are_marked_and_followed_by_the_final_one() -> None:
    source = Script({"a": [[{"t": at(1)}, {"t": at(2)}], 0.6, [{"t": at(3)}]]})
    every = {"every": {"interval": {"size": 200, "unit": "ms"}}}
    found = run(source, {"interval": seconds(10), "emit": every, "pipeline": COUNT})
    results = [(one["n"], one["_stream_meta"]["window"]["result"]) for one in found]
    assert results == [(2, "early"), (3, "final")]


def test_windows_of_the_time_of_the_fetch_close_by_the_clock() -> None:
    source = Script({"a": [[{"n": 1}, {"n": 2}], 1.3, [{"n": 3}]]})
    window = {
        "interval": seconds(1),
        "boundary": "processingTime",
        "pipeline": [{"$group": {"_id": None, "n": {"$push": "$n"}}}],
    }
    assert run(source, window) == [{"_id": None, "n": [1, 2]}, {"_id": None, "n": [3]}]


def test_documents_that_no_window_can_take_are_failures_of_the_stage() -> None:
    letters = MemorySink("dead")
    documents = [{"t": at(1), "n": 1}, {"t": "noon", "n": 2}, {"t": at(2), "n": "x"}, {"t": at(3), "n": 4}]
    total = [{"$group": {"_id": None, "total": {"$sum": {"$multiply": ["$n", 2]}}}}]
    found = run(MemorySource(documents), {"interval": seconds(10), "pipeline": total}, letters=letters)
    assert found == [{"_id": None, "total": 10}]
    place = "stages[0].$tumblingWindow"
    assert [(one["operatorName"], one["doc"]["n"], one["errInfo"]["code"]) for one in letters.collected()] == [
        (place, 2, "stage"),
        (place, "x", "stage"),
    ]


def test_a_window_whose_pipeline_fails_at_its_close_is_given_up_as_a_whole() -> None:
    letters = MemorySink("dead")
    documents = [{"t": at(1), "n": 0}, {"t": at(12), "n": 2}]
    inner = [{"$group": {"_id": None, "n": {"$sum": "$n"}}}, {"$set": {"inverse": {"$divide": [1, "$n"]}}}]
    found = run(MemorySource(documents), {"interval": seconds(10), "pipeline": inner}, letters=letters)
    assert found == [{"_id": None, "n": 2, "inverse": 0.5}]
    (letter,) = letters.collected()
    assert letter["doc"] == {"_id": None, "n": 0}
    assert letter["_stream_meta"]["window"]["start"] == {"$date": "1970-01-01T00:00:00.000Z"}


def test_stages_that_cannot_stand_around_a_window_are_refused_all_at_once() -> None:
    window = {"interval": seconds(10), "pipeline": COUNT, "emit": {"every": {"count": 5}}}
    made = (
        pipeline("x")
        .source(Script({"a": []}), time_field={"$toDate": "$at"}, partition_idle_timeout="soon")
        .group({"_id": "$k"})
        .tumbling_window(window)
        .sink(MemorySink("out"))
    )
    with pytest.raises(PipelineError) as caught:
        made.compile()
    assert str(caught.value).splitlines() == [
        'source.partition_idle_timeout: must be a duration: seconds, or a text such as "500ms", "5s", "2m", "1h", '
        "got 'soon'; or {size: 30, unit: second}",
        "stages[1].$tumblingWindow: stands behind $group, whose documents have no event time; "
        "put it before; only per-document stages may stand before a window stage",
    ]
    after = pipeline("x").source(Script({"a": []})).tumbling_window(window).group({"_id": None}).sort({"a": 1})
    with pytest.raises(PipelineError) as caught:
        after.sink(MemorySink("out")).compile()
    again = "stands behind $tumblingWindow, which sends early or corrected results of the same window again"
    hint = "only per-document stages may follow; leave out emit and onLate: update"
    assert str(caught.value).splitlines()[:2] == [
        f"stages[1].$group: {again}; {hint}",
        f"stages[2].$sort: {again}; {hint}",
    ]


def test_explain_tells_what_a_window_holds_when_it_closes_and_where_late_documents_go() -> None:
    window = {"interval": {"size": 1, "unit": "hour"}, "allowedLateness": seconds(90), "pipeline": COUNT}
    made = pipeline("x").source(Script({"a": []}), time_field="t", partition_idle_timeout=30).tumbling_window(window)
    told = explain(make_plan(made.sink(MemorySink("out")).build()))
    (step,) = told.steps
    assert (step.id, step.kind, step.state) == ("tumblingWindow", "windows", "tumblingWindow")
    assert step.facts == (
        "groups of open windows, combined within the batch, in 16 partitions",
        "closes a window when the watermark of every source partition, 90 seconds behind the newest event time, "
        "has passed its end",
        "a source partition that is silent for 30 seconds holds nothing back",
        "late documents are left out",
    )
    assert told.warnings == (
        "tumblingWindow: late documents are counted and left out, for there are no dead letters; "
        "give on_error a dead_letter sink, or say onLate: drop",
    )


def test_time_settings_of_a_source_are_data() -> None:
    data = {
        "name": "timed",
        "source": {
            "type": "memory",
            "name": "in",
            "timeField": {"$toDate": "$at"},
            "partitionIdleTimeout": {"size": 5, "unit": "second"},
        },
        "stages": [{"$tumblingWindow": {"interval": seconds(5), "pipeline": COUNT}}],
        "sink": {"type": "memory", "name": "out"},
    }
    from fluxion_flow import StreamingPipelineDefinition

    definition = StreamingPipelineDefinition.from_dict(data)
    written = definition.to_dict()
    assert written["source"] == {
        "type": "memory",
        "name": "in",
        "time_field": {"$toDate": "$at"},
        "partition_idle_timeout": {"size": 5, "unit": "second"},
    }
    assert StreamingPipelineDefinition.from_dict(written) == definition
    plan = make_plan(definition)
    assert plan.clocks is not None
    assert plan.clocks.idle == 5000


SECONDS_OF_MINUTE = [{"t": at(second), "n": second} for second in range(60)]
RESUMES = "Nothing is lost: the next run resumes from the last checkpoint"


@pytest.mark.parametrize(
    ("stage", "step", "held", "advice"),
    [
        (
            {"$tumblingWindow": {"interval": seconds(40), "pipeline": [{"$group": {"_id": "$n"}}]}},
            "tumblingWindow",
            "groups of open windows",
            "or hold less: shorter windows, less allowedLateness, or a pipeline that begins with $group",
        ),
        (
            {"$sessionWindow": {"gap": seconds(5), "partitionBy": "$k", "pipeline": [{"$sort": {"n": 1}}]}},
            "sessionWindow",
            "documents of open windows",
            "or hold less: shorter windows, less allowedLateness, or a pipeline that begins with $group",
        ),
        (
            {"$dedupe": {"key": "$n", "within": seconds(90)}},
            "dedupe",
            "keys",
            "or hold less: fewer keys, less allowedLateness, or a shorter look back",
        ),
    ],
)
def test_a_step_with_windows_that_holds_too_much_ends_the_run_and_a_higher_limit_goes_on(
    tmp_path: Path, stage: dict[str, Any], step: str, held: str, advice: str
) -> None:
    def go(**limits: Any) -> str:
        made = pipeline("trial").source(MemorySource(SECONDS_OF_MINUTE), time_field="t").stages([stage])
        return trial.run(made.sink(MemorySink("out", replays=True)), store=tmp_path / "s", **limits).error

    error = go(max_keys=30)
    start, _, rest = error.partition(f" {held} in this process, ")
    assert start.startswith(f"pipeline 'trial', step {step}: its state holds 3")
    assert rest == f"and max_keys allows 30; raise max_keys, run more processes, {advice}. {RESUMES}"
    assert f"step {step}: its state holds" in go(max_bytes=400)
    assert go(max_keys=60, max_bytes="1MB") == ""
    found = collected("out")
    assert len(found) == 60
    clear()


def test_what_closed_windows_and_forgotten_keys_held_does_not_count() -> None:
    stages: list[dict[str, Any]] = [
        {
            "$hoppingWindow": {
                "interval": seconds(4),
                "hopSize": seconds(2),
                "allowedLateness": 0,
                "onLate": {"update": seconds(2)},
                "pipeline": [{"$group": {"_id": "$n"}}],
            }
        },
        {"$sessionWindow": {"gap": seconds(1), "partitionBy": "$n", "allowedLateness": 0, "pipeline": []}},
        {"$dedupe": {"key": "$n", "within": seconds(1), "allowedLateness": 0}},
    ]
    documents = [{"t": at(second), "n": second} for second in range(600)]
    for stage in stages:
        made = pipeline("trial").source(MemorySource(documents), time_field="t").stages([stage])
        outcome = trial.run(made.sink(MemorySink("out")), batch_size=1, max_keys=100, state_partitions=1)
        assert outcome.error == "", stage
        clear()


def test_explain_warns_of_keys_that_are_never_forgotten() -> None:
    def warnings(partition_by: Any, window: dict[str, Any]) -> tuple[str, ...]:
        spec = {"partitionBy": partition_by, "sortBy": {"t": 1}, "output": {"s": {"$sum": "$n", "window": window}}}
        made = pipeline("x").source(Script({"a": []}), time_field="t").stages([{"$setWindowFields": spec}])
        made = made.sink(MemorySink("out")).on_error(StreamingErrorPolicy.dead_letter(MemorySink("d")).per_document())
        return explain(make_plan(made.build())).warnings

    by_number = {"documents": [-2, "current"]}
    assert warnings("$k", by_number) == (
        "setWindowFields: its state grows with every new key: what it looks back to by number of documents is never "
        "forgotten; look back by a range with a unit, or set max_keys or max_bytes",
    )
    assert warnings(None, by_number) == ()
    assert warnings("$k", {"range": [-2, "current"], "unit": "minute"}) == ()
