"""A drain that is asked for in the process: sources stop, what is in flight is delivered, waits end in time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import Policy, ids, numbered, run

from fluxion_flow import PipelineBuilder, StreamingContext, StreamingMetricsListener, pipeline
from fluxion_flow.runtime import drain


class Stop(StreamingMetricsListener):
    """Asks all runs to end once it has heard a hook so often."""

    def __init__(self, hook: str, times: int) -> None:
        self.left = times
        setattr(self, hook, self.hear)

    def hear(self, context: StreamingContext, **facts: Any) -> None:
        if "after" in facts and facts["before"] == facts["after"]:  # a breaker says that it is there
            return
        self.left -= 1
        if self.left == 0:
            for one in list(drain._drains):
                one.request()

    def on_fetched(self, context: StreamingContext, **facts: Any) -> None:
        """Replaced where it is the hook."""

    def on_retry(self, context: StreamingContext, **facts: Any) -> None:
        """Replaced where it is the hook."""

    def on_breaker(self, context: StreamingContext, **facts: Any) -> None:
        """Replaced where it is the hook."""


def flow(source: Any, sink: Any = None) -> PipelineBuilder:
    return pipeline("trial").source(source).sink(sink or MemorySink("out", replays=True))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("stages", [[], [{"$group": {"_id": None, "ids": {"$push": "$_id"}}}]], ids=["plain", "group"])
def test_what_is_in_flight_is_delivered_and_the_next_run_goes_on(
    tmp_path: Path, workers: int, stages: list[dict[str, Any]]
) -> None:
    source = MemorySource([numbered(50)])
    first = run(flow(source).stages(stages).listen(Stop("on_fetched", 6)), store=tmp_path / "s", workers=workers)
    assert first.error == ""
    fetched = first.recorder.total("on_fetched")
    assert 24 <= fetched < 50
    assert len(first.recorder.all("on_drain")) == 1
    assert ids(collected("out")) == ([] if stages else list(range(fetched)))
    second = run(flow(source).stages(stages), store=tmp_path / "s")
    assert second.error == ""
    assert second.recorder.total("on_fetched") == 50 - fetched
    expected = [{"_id": None, "ids": list(range(50))}] if stages else numbered(50)
    assert collected("out") == expected


LONG = Policy.builder().retry(None, backoff="1h", max_backoff="1h").build()
WAITING = (
    "the run was to end and the drain timeout has passed, waiting to try again after: {}; nothing is lost: the next "
    "run resumes from the last checkpoint"
)


def test_a_sink_that_waits_to_try_again_fails_when_the_time_is_up(tmp_path: Path) -> None:
    source = MemorySource([numbered(20)])
    sink = MemorySink("out", replays=True, fail_writes=[4])
    data = flow(source, sink).on_error(LONG).listen(Stop("on_retry", 1))
    assert run(data, store=tmp_path / "s", drain_timeout=0.05).error == (
        "pipeline 'trial', step sink, source partition '00000', position 12: "
        + WAITING.format("ConnectionError: told to fail at write 4")
    )
    assert run(flow(source), store=tmp_path / "s").error == ""
    assert ids(collected("out")) == list(range(20))


@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_a_stage_that_waits_to_try_again_fails_when_the_time_is_up(granularity: str) -> None:
    double = {"$set": {"m": {"$multiply": ["$n", 2]}}}
    data = flow(MemorySource(numbered(10, 5))).stages([double]).on_error(LONG).listen(Stop("on_retry", 1))
    reason = "stages[0].$set.m.$multiply: $multiply takes numbers, got string"
    assert run(data, drain_timeout=0.05, granularity=granularity).error == (
        "pipeline 'trial', step stages[0].$set, source partition '00000', position 4: " + WAITING.format(reason)
    )


def test_a_sink_that_waits_for_its_breaker_fails_when_the_time_is_up() -> None:
    breaker = {"failure_rate_threshold": 10, "minimum_number_of_calls": 1, "wait_duration_in_open_state": "1h"}
    policy = Policy.builder().circuit_breaker(**breaker).skip().build()
    data = flow(MemorySource(numbered(20)), MemorySink(fail_writes=[2])).on_error(policy)
    assert run(data.listen(Stop("on_breaker", 1)), drain_timeout=0.05).error == (
        "pipeline 'trial', step sink, source partition '00000', position 8: the run was to end and the drain timeout "
        "has passed, waiting for its circuit breaker; nothing is lost: the next run resumes from the last checkpoint"
    )


def test_a_source_that_waits_to_try_again_ends_at_once() -> None:
    data = flow(MemorySource(numbered(20), fail_reads=[3])).on_error(LONG).listen(Stop("on_retry", 1))
    assert run(data).error == ""
    assert ids(collected("out")) == list(range(8))


def test_a_deadline_comes_once_and_only_when_its_time_is_up() -> None:
    calls: list[int] = []
    one = drain.Drain(0.02)
    one.on_deadline(lambda: calls.append(1))
    one.request()
    one.request()
    later = drain.Drain(60)
    later.request()
    assert not later.timed_out
    while not one.timed_out:
        time.sleep(0.005)
    assert calls == [1]
