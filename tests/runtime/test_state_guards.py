"""Limits of keyed state, and keys that are forgotten by the time of the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import numbered, run

from fluxion_flow import PipelineBuilder, PipelineError, pipeline
from fluxion_flow.connect.spi import Batch, Cursor, SourceReader, StreamingSource
from fluxion_flow.runtime import chunks
from fluxion_flow.runtime.forget import Recency

COUNT = {"$group": {"_id": "$k", "n": {"$count": {}}}}
NEXT = (
    "run more processes, forget keys by a time to live (ttl), or group by fewer keys. Nothing is lost: the next run "
    "resumes from the last checkpoint"
)


# -- limits ------------------------------------------------------------------------------------------------------------


def by_number(stage: dict[str, Any], count: int = 200) -> PipelineBuilder:
    source = MemorySource([numbered(count)])
    return pipeline("trial").source(source).stages([stage]).sink(MemorySink("out", replays=True))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_step_with_too_many_keys_ends_the_run_and_a_higher_limit_goes_on(tmp_path: Path, workers: int) -> None:
    stage = {"$group": {"_id": "$n", "twice": {"$sum": "$n"}}}
    error = run(by_number(stage), store=tmp_path / "s", workers=workers, max_keys=150).error
    start, _, rest = error.partition(" keys in this process, ")
    assert start.startswith("pipeline 'trial', step group: its state holds 15")
    assert rest == f"and max_keys allows 150; raise max_keys, {NEXT}"
    assert run(by_number(stage), store=tmp_path / "s", workers=workers, max_keys=200).error == ""
    assert len(collected("out")) == 200


@pytest.mark.parametrize("small", [1, 2000])
def test_a_step_with_too_many_bytes_ends_the_run(tmp_path: Path, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "SMALL", small)
    stage = {"$group": {"_id": {"$mod": ["$n", 2]}, "all": {"$push": "$$ROOT"}}}
    error = run(by_number(stage), store=tmp_path / "s", max_bytes="2KB").error
    assert error.startswith("pipeline 'trial', step group: its state holds 2,")
    assert f" bytes in this process, and max_bytes allows 2,000; raise max_bytes, {NEXT}" in error


def test_superseded_entries_are_not_what_makes_a_state_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "SMALL", 1)
    stage = {"$group": {"_id": {"$mod": ["$n", 50]}, "n": {"$count": {}}}}
    outcome = run(by_number(stage, 1000), store=tmp_path / "s", max_bytes=3000, state_partitions=1)
    assert outcome.error == ""
    assert max(facts["size"] for facts in outcome.recorder.all("on_state")) <= 3000
    assert outcome.recorder.all("on_state")[-1]["keys"] == 50


def test_a_gathering_step_is_limited_in_documents(tmp_path: Path) -> None:
    error = run(by_number({"$sort": {"n": 1}}), store=tmp_path / "s", max_keys=100).error
    assert "step sort: its state holds 1" in error
    assert " documents in this process, and max_keys allows 100" in error


# -- time to live ------------------------------------------------------------------------------------------------------


class Timed(StreamingSource):
    """Partitions of batches ``(seconds, keys)``; ``crash``: how many reads of a partition succeed."""

    bounded = True
    poll_interval = 0.0

    def __init__(self, *parts: list[tuple[float, list[str]]], crash: int | None = None) -> None:
        self.parts = parts
        self.crash = crash

    def partitions(self) -> list[str]:
        return [str(number) for number in range(len(self.parts))]

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return TimedReader(self, partition, cursor or 0)


class TimedReader(SourceReader):
    def __init__(self, source: Timed, partition: str, at: int) -> None:
        self.source, self.partition, self.at = source, partition, at
        self.reads = 0

    def read(self, max_documents: int) -> Batch | None:
        batches = self.source.parts[int(self.partition)]
        if self.reads == self.source.crash:
            raise ConnectionError("crash")
        if self.at == len(batches):
            return None
        seconds, keys = batches[self.at]
        self.at += 1
        self.reads += 1
        return Batch([{"k": key} for key in keys], self.partition, self.at * 10, timestamp=int(seconds * 1000))

    @property
    def cursor(self) -> Cursor:
        return self.at


def counted(source: Timed, tmp_path: Path, **config: Any) -> str:
    flow = pipeline("trial").source(source).stages([COUNT]).sink(MemorySink("out", replays=True))
    return run(flow, store=tmp_path / "s", emit="update", **config).error


def last_counts() -> dict[str, int]:
    return {document["_id"]: document["n"] for document in collected("out")}


VISITS = [(0, ["a", "b"]), (50, ["a"]), (100, ["a"]), (120, ["b"]), (181, ["c"]), (182, ["a", "c"]), (240, ["a"])]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("crash", [None, 1, 3, 5])
def test_a_key_begins_anew_after_its_time_whenever_the_run_was_resumed(
    tmp_path: Path, crash: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "SMALL", 1)
    if crash is not None:
        assert "crash" in counted(Timed(VISITS, crash=crash), tmp_path, ttl=60)
    assert counted(Timed(VISITS), tmp_path, ttl=60, workers=workers) == ""
    # a: visits at 0, 50 and 100 are one life, those at 182 and 240 the next; b begins anew at 120
    assert last_counts() == {"a": 2, "b": 1, "c": 2}


def test_without_a_time_to_live_all_visits_count(tmp_path: Path) -> None:
    assert counted(Timed(VISITS), tmp_path) == ""
    assert last_counts() == {"a": 5, "b": 2, "c": 2}


def test_a_time_to_live_does_not_go_with_final_results() -> None:
    with pytest.raises(PipelineError) as caught:
        pipeline("trial").source(Timed(VISITS)).stages([COUNT]).sink(MemorySink("out")).config(ttl=60).compile()
    assert str(caught.value) == (
        "config.ttl: keys that are forgotten would be missing from final results; "
        "leave ttl out, or set emit to 'update'"
    )


@pytest.mark.parametrize(
    "stage",
    [
        {"$tumblingWindow": {"interval": {"size": 1, "unit": "hour"}, "pipeline": [COUNT]}},
        {"$dedupe": {"key": "$user", "within": {"size": 1, "unit": "hour"}}},
    ],
)
def test_a_time_to_live_is_for_groups(stage: dict[str, Any]) -> None:
    data = pipeline("trial").source(MemorySource([{}]), time_field="$at").stages([stage]).sink(MemorySink("out"))
    with pytest.raises(PipelineError) as caught:
        data.config(ttl=60).compile()
    assert str(caught.value) == (
        "config.ttl: no step has keys for it to forget: windows, joins and $dedupe forget by event time anyway; "
        "leave ttl out"
    )


def test_keys_are_forgotten_once_every_partition_is_past_their_time() -> None:
    recency = Recency(60)
    assert recency.touch(["a", "b"], 0, "p") == ([], [])
    assert recency.touch(["c"], 10, "q") == ([], [])
    assert recency.touch(["c"], 65, "p") == ([], [])
    assert recency.touch(["d"], 61, "q") == (["a", "b"], [])
    recency.completed("q")
    assert recency.touch(["e"], 200, "p") == (["c", "d"], [])


def test_records_of_a_life_that_is_over_come_too_late() -> None:
    recency = Recency(60)
    assert recency.touch(["a"], 0, "p") == ([], [])
    assert recency.touch(["a"], 100, "q") == (["a"], [])
    assert recency.touch(["a"], 39, "p") == ([], ["a"])
    assert recency.touch(["a"], 41, "p") == ([], [])


# -- settings ----------------------------------------------------------------------------------------------------------

WRONG = [
    (
        {"max_bytes": "lots"},
        "config.max_bytes: must be a size in bytes, got 'lots'; such as 500000000, 500MB or 2GiB",
    ),
    ({"max_keys": 0}, "config.max_keys: must be an integer of at least 1, got 0"),
    ({"ttl": 0}, "config.ttl: must be longer than 0, got 0"),
    (
        {"state_aliases": {"group": "totls"}},
        "config.state_aliases.group: there is no stateful step 'totls'; did you mean 'totals'?",
    ),
    ({"start_empty": ["totals.m"]}, "config.start_empty: there is no field 'totals.m' of a step with state; "),
]


@pytest.mark.parametrize(("config", "text"), WRONG, ids=[next(iter(config)) for config, _ in WRONG])
def test_settings_that_do_not_fit_are_answered(config: dict[str, Any], text: str) -> None:
    stages = [{**COUNT, "name": "totals"}]
    with pytest.raises(PipelineError) as caught:
        pipeline("trial").source(Timed(VISITS)).stages(stages).sink(MemorySink("out")).config(**config).compile()
    assert str(caught.value).startswith(text)
