"""Dead letters: what is in them, that their ids are the same whatever the run, and that none is ever lost."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, clear, collected
from test_delivery import Bulk
from trial import DEAD, Policy, ids, numbered, retry, run

from fluxion_flow import PipelineBuilder, pipeline, secret
from fluxion_flow.connect.encoding import from_extended
from fluxion_flow.runtime.failure import GO_ON

REPLAYED = {"type": "memory", "name": "dead", "replays": True}
DOUBLE = {"$set": {"m": {"$multiply": ["$n", 2]}}}
TS = 1_700_000_000_000


def letter_of(policy: Policy, **parts: Any) -> dict[str, Any]:
    """The only letter of a run, with its times checked and taken out."""
    stages = parts.get("stages", [])
    source = {"source": parts["source"]} if isinstance(parts["source"], MemorySource) else parts["source"]
    data = pipeline("trial").source(source.pop("source", None) or source.pop("type"), **source)
    data = data.stages(stages).sink(parts.get("sink") or MemorySink())
    before = datetime.datetime.now(datetime.timezone.utc)
    outcome = run(data.on_error(policy), **parts.get("config", {}))
    assert outcome.error == ""
    (letter,) = outcome.letters
    first, last = (from_extended(letter.pop(name)) for name in ("firstFailureTime", "dlqTime"))
    assert before - datetime.timedelta(milliseconds=1) <= first <= last <= datetime.datetime.now(datetime.timezone.utc)
    return letter


def test_the_letter_of_a_stage() -> None:
    source = MemorySource({"eu": numbered(3, 1)}, timestamp=TS)
    assert letter_of(retry(2).then(Policy.dead_letter(DEAD)).per_document(), source=source, stages=[DOUBLE]) == {
        "schemaVersion": 1,
        "id": "23b41bce09d5730852b44802324f83dd",
        "processorName": "trial",
        "pipelineVersion": "a2edd9846f85",
        "operatorName": "stages[0].$set",
        "attempts": 2,
        "errInfo": {
            "reason": "stages[0].$set.m.$multiply: $multiply takes numbers, got string",
            "type": "EvaluationError",
            "code": "stage",
        },
        "doc": {"_id": 1, "n": "bad"},
        "_stream_meta": {
            "source": {
                "type": "MemorySource",
                "partition": "eu",
                "position": 1,
                "ts": {"$date": "2023-11-14T22:13:20.000Z"},
            }
        },
    }


def test_the_letter_of_a_sink() -> None:
    sink = MemorySink(fail_documents=lambda d: ConnectionError("full") if d["_id"] == 1 else None)
    source = MemorySource({"eu": numbered(3)})
    letter = letter_of(Policy.dead_letter(DEAD), source=source, sink=sink, stages=[{"$match": {"_id": {"$gt": 0}}}])
    assert letter == {
        "schemaVersion": 1,
        "id": "5622ceb27615c8ba0e8c6174d27bec6a",
        "processorName": "trial",
        "pipelineVersion": "4ff29f7c3982",
        "operatorName": "sink",
        "attempts": 1,
        "errInfo": {"reason": "full", "type": "ConnectionError", "code": "sink"},
        "doc": {"_id": 1, "n": 1},
        "_stream_meta": {"source": {"type": "MemorySource", "partition": "eu", "position": 1}},
    }


def test_the_letter_of_a_record_that_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b'{"_id":1}\nnot JSON\n')
    letter = letter_of(Policy.dead_letter(DEAD), source={"type": "files", "path": str(tmp_path / "in.jsonl")})
    assert len(letter.pop("id")) == 32  # it depends on the file's name
    assert letter["_stream_meta"]["source"].pop("ts") is not None
    assert letter == {
        "schemaVersion": 1,
        "processorName": "trial",
        "pipelineVersion": "f3b570de2ed3",
        "operatorName": "source",
        "attempts": 1,
        "errInfo": {
            "reason": "is not valid JSON: invalid character (byte 4)",
            "type": "UndecodableRecord",
            "code": "decode",
        },
        "raw": "bm90IEpTT04=",
        "_stream_meta": {
            "source": {"type": "files", "partition": f"{tmp_path}/in.jsonl@000000000000000", "position": 10}
        },
    }


def deliveries(parts: list[list[dict[str, Any]]], batch_size: int, workers: int, retries: int) -> PipelineBuilder:
    stages = [{"$match": {"_id": {"$mod": [3, 0]}}}, {"$set": {"n": ["$n", 0]}}, {"$unwind": "$n"}, DOUBLE]
    sink = MemorySink(fail_documents=lambda d: ValueError("no") if d["_id"] % 2 else None)
    policy = (retry(retries) if retries > 1 else Policy()).then(Policy.dead_letter(DEAD)).per_document()
    return pipeline("trial").source(MemorySource(parts)).stages(stages).sink(sink).on_error(policy)


def test_ids_depend_on_the_record_and_the_step_alone() -> None:
    same = {"_id": 9, "n": "bad"}
    parts = [[*numbered(40, 6, 9, 12, 21), same, same], numbered(20, 3)]
    found = []
    for batch_size, workers, retries in [(1, 1, 1), (3, 1, 1), (500, 1, 2), (7, 2, 1), (2, 3, 3)]:
        clear()
        outcome = run(deliveries(parts, batch_size, workers, retries), batch_size=batch_size, workers=workers)
        assert outcome.error == ""
        letters = [(x["id"], x["doc"]["_id"], x["operatorName"]) for x in outcome.letters]
        assert len({id for id, _, _ in letters}) == len(letters)
        found.append(sorted(letters))
    assert found[1:] == found[:-1]
    assert {step for _, _, step in found[0]} == {"stages[3].$set", "sink"}
    assert len(found[0]) == 26


@pytest.mark.parametrize("failing", ["fail_writes", "fail_flushes"])
def test_a_dead_letter_that_cannot_be_written_ends_the_run(failing: str) -> None:
    dead = {**DEAD, failing: [1]}
    data = pipeline("trial").source(MemorySource({"eu": numbered(10, 5)})).stages([DOUBLE]).sink(MemorySink())
    outcome = run(data.on_error(Policy.dead_letter(dead).per_document()))
    call = failing.removeprefix("fail_").removesuffix("s").removesuffix("e") + ("e" if "write" in failing else "")
    assert outcome.error == (
        "pipeline 'trial', step dead_letter sink, source partition 'eu', position 5: "
        f"ConnectionError: told to fail at {call} 1"
    )


@pytest.mark.parametrize("crash", range(1, 9))
@pytest.mark.parametrize("granularity", ["batch", "document"])
def test_no_letter_is_lost_or_repeated_by_a_crash(tmp_path: Path, crash: int, granularity: str) -> None:
    """The sink refuses documents at the flush of an epoch's end; the crash (a failing read) comes then or later."""
    sink = Bulk(3, 6, 9)
    for fail_reads in ([crash], []):
        source = MemorySource(numbered(12), fail_reads=fail_reads)
        data = pipeline("trial").source(source).sink(sink, name="bulk")
        data = data.on_error(Policy.dead_letter(REPLAYED)).source(source, on_error="fail_fast")
        outcome = run(data, store=tmp_path / "store", batch_size=2, granularity=granularity)
        assert bool(outcome.error) == bool(fail_reads and crash < 8)
    assert sorted(collected("dead"), key=lambda x: x["doc"]["_id"]) == collected("dead")
    assert ids([x["doc"] for x in collected("dead")]) == [3, 6, 9]
    assert sorted(set(sink.stored)) == [i for i in range(12) if i not in (3, 6, 9)]


def test_letters_that_wait_in_a_checkpoint_are_not_dropped_by_another_policy(tmp_path: Path) -> None:
    sink = Bulk(3, 6)

    def attempt(policy: Any, *fail_reads: int) -> str:
        source = MemorySource(numbered(12), fail_reads=fail_reads)
        data = pipeline("trial").source(source, on_error="fail_fast").sink(sink, on_error=policy)
        return run(data, store=tmp_path / "store", batch_size=2).error

    assert "told to fail at read 5" in attempt(Policy.dead_letter(REPLAYED), 5)
    assert collected("dead") == []
    assert attempt(Policy.skip_and_continue()) == (
        "pipeline 'trial', step sink: the checkpoint holds 2 dead letters that are not written yet, and the error "
        "policy has no dead-letter sink any more; run once with the policy that the checkpoint was written under"
    )
    assert attempt(Policy.dead_letter({**REPLAYED, "name": "other"})) == ""
    assert ids([x["doc"] for x in collected("other")]) == [3, 6]


TOKEN = "s3cr3t-t0ken"


def test_no_secret_is_in_a_letter_or_a_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    token = secret("TOKEN").resolve()

    def ask(value: int) -> int:
        if value == 2:
            raise ConnectionError(f"GET https://user:pw@host/?key={token} was refused")
        return value

    def refuse(document: dict[str, Any]) -> Exception | None:
        return ValueError(f"key {token} is no good") if document["_id"] == 1 else None

    call = {"$set": {"m": {"$function": {"body": "ask", "args": ["$n"], "lang": "python"}}}}
    data = pipeline("trial").source(MemorySource(numbered(3))).stages([call]).function("ask", ask)
    data = data.sink(MemorySink(fail_documents=refuse))
    outcome = run(data.on_error(Policy.dead_letter(DEAD).per_document()))
    assert [x["errInfo"]["reason"] for x in outcome.letters] == [
        "stages[0].$set.m.$function: ConnectionError: GET https://user:***@host/?key=*** was refused",
        "key *** is no good",
    ]
    line = ask.__code__.co_firstlineno + 2
    assert run(data).error == (
        "pipeline 'trial', step stages[0].$set, source partition '00000', position 2: stages[0].$set.m.$function: "
        f"ConnectionError: GET https://user:***@host/?key=*** was refused "
        f"(raised in {__file__}, line {line}, in ask){GO_ON}"
    )
    assert TOKEN not in caplog.text
