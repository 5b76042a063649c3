"""Every policy at the source: reads that fail, records that cannot be decoded, and partitions that cannot be listed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, StreamingErrorPolicy, pipeline
from fluxion_flow.connect.spi import Batch, Cursor, Reject, SourceReader, StreamingSource
from fluxion_flow.runtime import source as runtime_source
from fluxion_flow.runtime.failure import GO_ON


@pytest.fixture(autouse=True)
def short_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_source, "REST", 0.01)


def flow(source: Any, policy: StreamingErrorPolicy) -> PipelineBuilder:
    return pipeline("trial").source(source).sink(MemorySink("out")).on_error(policy)


def test_a_failing_read_ends_the_run_by_default() -> None:
    source = MemorySource(numbered(10), fail_reads={2: "connection lost"})
    outcome = run(flow(source, Policy.fail_fast()))
    assert outcome.error == (
        "pipeline 'trial', step source, source partition '00000', position 0: ConnectionError: connection lost"
    )
    assert outcome.failures() == {"abort": 1}


def test_a_read_is_tried_again_from_the_same_place() -> None:
    source = MemorySource(numbered(10), fail_reads=[1, 2, 4])
    outcome = run(flow(source, retry(3)))
    assert outcome.error == ""
    assert ids(collected("out")) == list(range(10))
    assert outcome.failures() == {"retry": 3}
    assert [context.attempt for context in outcome.recorder.contexts if context.step == "source"][-1] == 1


def test_a_retry_that_runs_out_ends_the_run() -> None:
    source = MemorySource(numbered(10), fail_reads=[1, 2, 3])
    assert run(flow(source, retry(3))).error == (
        "pipeline 'trial', step source, source partition '00000', after 3 attempts: "
        "ConnectionError: told to fail at read 3"
    )


@pytest.mark.parametrize("policy", [Policy.skip_and_continue(), Policy.dead_letter(DEAD)])
def test_a_failing_read_loses_nothing_where_the_policy_goes_on(policy: StreamingErrorPolicy) -> None:
    outcome = run(flow(MemorySource(numbered(10), fail_reads=[2, 3]), policy))
    assert outcome.error == ""
    assert ids(collected("out")) == list(range(10))
    assert outcome.letters == []
    assert outcome.failures() == {policy.action: 2}


def test_reads_that_fail_for_ever_use_up_the_budget() -> None:
    policy = Policy.builder().skip().budget(failures=3).build()
    outcome = run(flow(MemorySource(numbered(10), fail_reads=range(2, 99)), policy))
    assert outcome.error == (
        "pipeline 'trial', step source, source partition '00000', position 0: 3 of 7 documents failed (42.9 %); "
        "the failure budget is 3, so the run stops: find the cause in the dead letters or the log, or raise the "
        "budget. The last failure: ConnectionError: told to fail at read 4"
    )


def test_the_sources_own_policy_is_nearer_than_the_pipelines() -> None:
    source = MemorySource(numbered(4), fail_reads=[1])
    nearer = pipeline("trial").source(source, on_error=retry(2)).sink(MemorySink("out")).on_error("fail_fast")
    assert run(nearer).error == ""
    assert ids(collected("out")) == [0, 1, 2, 3]


def lines(folder: Path) -> dict[str, Any]:
    """Six lines, the third and the fifth of which are no documents."""
    path = folder / "in.jsonl"
    path.write_bytes(b'{"_id":0}\n{"_id":1}\n{"_id":\n{"_id":3}\n[\xff]\n{"_id":5}\n')
    return {"type": "files", "path": str(path)}


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_undecodable_records_never_take_their_neighbours_along(
    tmp_path: Path, batch_size: int, granularity: str
) -> None:
    data = pipeline("trial").source("files", path=lines(tmp_path)["path"]).sink(MemorySink("out"))
    outcome = run(data.on_error(Policy.skip_and_continue()), batch_size=batch_size, granularity=granularity)
    assert outcome.error == ""
    assert ids(collected("out")) == [0, 1, 3, 5]
    assert outcome.skipped == 2
    assert outcome.recorder.total("on_fetched") == 4
    assert outcome.recorder.total("on_fetched", "rejects") == 2


@pytest.mark.parametrize("policy", [Policy.dead_letter(DEAD), retry(3).then(Policy.dead_letter(DEAD))])
def test_undecodable_records_are_dead_lettered_with_their_bytes(tmp_path: Path, policy: StreamingErrorPolicy) -> None:
    data = pipeline("trial").source("files", path=lines(tmp_path)["path"]).sink(MemorySink("out"))
    outcome = run(data.on_error(policy))
    assert ids(collected("out")) == [0, 1, 3, 5]
    assert [base64.b64decode(x["raw"]) for x in outcome.letters] == [b'{"_id":', b"[\xff]"]
    assert [x["_stream_meta"]["source"]["position"] for x in outcome.letters] == [20, 38]
    assert [x["attempts"] for x in outcome.letters] == [1, 1]
    assert outcome.failures() == {"dead_letter": 2}


@pytest.mark.parametrize("policy", [Policy.fail_fast(), retry(3)])
def test_an_undecodable_record_ends_the_run_by_default(tmp_path: Path, policy: StreamingErrorPolicy) -> None:
    data = pipeline("trial").source("files", path=lines(tmp_path)["path"]).sink(MemorySink("out"))
    partition = f"{tmp_path}/in.jsonl@000000000000000"
    assert run(data.on_error(policy)).error == (
        f"pipeline 'trial', step source, source partition '{partition}', position 20: "
        f"is not valid JSON: Input data was truncated{GO_ON}"
    )
    assert collected("out") == []


class Unlisted(MemorySource):
    """Cannot say its partitions at first."""

    def __init__(self, failures: int) -> None:
        super().__init__(numbered(4))
        self.left = failures

    def partitions(self) -> list[str]:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("no broker")
        return super().partitions()


def test_listing_partitions_is_tried_again() -> None:
    assert run(flow(Unlisted(2), retry(3))).error == ""
    assert ids(collected("out")) == [0, 1, 2, 3]


@pytest.mark.parametrize("policy", [Policy.fail_fast(), Policy.skip_and_continue()])
def test_a_source_without_partitions_ends_the_run(policy: StreamingErrorPolicy) -> None:
    line = Unlisted.partitions.__code__.co_firstlineno + 3
    assert run(flow(Unlisted(9), policy)).error == (
        f"pipeline 'trial', step source: ConnectionError: no broker (raised in {__file__}, line {line}, in partitions)"
    )


class Unopened(MemorySource):
    """Cannot be opened at first."""

    def __init__(self, failures: int) -> None:
        super().__init__(numbered(4))
        self.left = failures

    def open(self, partition: str, cursor: Cursor | None) -> Any:
        self.left -= 1
        if self.left >= 0:
            raise ConnectionError("refused")
        return super().open(partition, cursor)


def test_opening_a_partition_is_tried_again() -> None:
    assert run(flow(Unopened(2), retry(3))).error == ""
    assert ids(collected("out")) == [0, 1, 2, 3]


class Careless(SourceReader):
    """Gives four documents; all that nothing depends on fails."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, max_documents: int) -> Batch | None:
        if self.given == 4:
            return None
        self.given += 1
        batch = Batch([{"_id": self.given}], "p", self.given, [self.given])
        batch.rejects = [Reject(b"?", self.given, "odd")] if self.given == 2 else []
        return batch

    @property
    def cursor(self) -> Cursor:
        return self.given

    def lag(self) -> float:
        raise OSError("no lag")

    def committed(self, cursor: Cursor) -> None:
        raise OSError("no commit")

    def close(self) -> None:
        raise OSError("no close")


class CarelessSource(StreamingSource):
    bounded = True

    def partitions(self) -> list[str]:
        return ["p"]

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return Careless()


def test_what_nothing_depends_on_is_logged_when_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    outcome = run(flow(CarelessSource(), Policy.skip_and_continue()))
    assert outcome.error == ""
    assert ids(collected("out")) == [1, 2, 3, 4]
    assert {r.getMessage() for r in caplog.records} == {
        "source partition 'p': asking for the lag failed: OSError: no lag",
        "source partition 'p': noting a commit failed: OSError: no commit",
        "source partition 'p': closing failed: OSError: no close",
    }
