"""``record: true``: after a crash the documents that are read again get the answers of the first time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

from bytewax.recovery import init_db_dir

from fluxion_flow.core.context import StreamingContext
from fluxion_flow.core.outside import Answer, Question
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.core.stages.external import Loaded
from fluxion_flow.enrich.desk import Desk
from fluxion_flow.enrich.record import Record
from fluxion_flow.errors import Problems, Where
from tests.servers.http_server import Answer as HttpAnswer

HERE = Path(__file__).parent


def asker_of(connections):
    problems = Problems()
    stage = {"$set": {"r": {"$httpCall": {"connection": "users", "path": "/{id}", "params": {"id": "$id"}}}}}
    (built,) = parse_stages([stage], Where.at("stages"), problems, Resources(connections=connections))
    problems.raise_if_any()
    return built.asks[0]


def asked(asker, record, place):
    desk = Desk(record=record)
    question = Question(asker, asker.question((place,)), "part", place)
    (answer,) = desk.serve([question], StreamingContext("p", "stages[0].$set"))
    desk.close()
    return answer


def test_a_later_run_is_given_the_answers_of_an_earlier_one(server, tmp_path):
    count = iter(range(100))
    server.handler = lambda request: HttpAnswer(200, next(count))
    asker = asker_of({"users": {"type": "http", "url": server.url, "record": True}})
    first = Record(tmp_path / "a.sqlite3")
    assert [asked(asker, first, place).value for place in (5, 6, 7)] == [0, 1, 2]
    first.forget("part", 6)
    first.close()
    second = Record(tmp_path / "a.sqlite3")
    assert [asked(asker, second, place).value for place in (6, 7, 5, 8)] == [1, 2, 3, 4]
    second.close()


def test_a_cache_serves_recorded_calls_too(server, tmp_path):
    count = iter(range(100))
    server.handler = lambda request: HttpAnswer(200, next(count))
    asker = asker_of({"users": {"type": "http", "url": server.url, "record": True, "cache": "1h"}})
    record = Record(tmp_path / "a.db")
    desk = Desk(record=record)
    for place in (1, 2):
        question = Question(asker, asker.question((7,)), "part", place)
        assert desk.peek(question) is None
        assert [a.value for a in desk.serve([question], StreamingContext("p", "s"))] == [0]
    desk.close()
    record.close()
    answers = [None, None]
    questions = [Question(asker, asker.question((7,)), "part", place) for place in (1, 2)]
    record = Record(tmp_path / "a.db")
    record.recall("s", questions, answers)
    assert [answer.value for answer in answers] == [0, 0]
    record.close()


def test_failures_are_asked_again(server, tmp_path):
    server.script = [HttpAnswer(500)]
    server.handler = lambda request: HttpAnswer(200, "fine")
    asker = asker_of({"users": {"type": "http", "url": server.url, "record": True}})
    for expected in ("failed", "fine"):
        record = Record(tmp_path / "a.sqlite3")
        answer = asked(asker, record, 1)
        assert ("failed" if answer.error else answer.value) == expected
        record.close()


def test_values_of_all_types_come_back_as_they_were(server, tmp_path):
    asker = asker_of({"users": {"type": "http", "url": server.url, "record": True}})
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)
    value = {"i": 1, "f": 1.0, "big": 2**60, "d": Decimal("1.50"), "t": moment, "b": b"x", "n": None, "l": [True, "a"]}
    for kept in (value, [value], Loaded([value])):
        record = Record(tmp_path / f"{type(kept).__name__}.sqlite3")
        question = Question(asker, "what", "part", 1)
        record.keep("s", [(question, Answer(kept))])
        record.close()
        record = Record(tmp_path / f"{type(kept).__name__}.sqlite3")
        answers = [None]
        record.recall("s", [question], answers)
        found = answers[0].value
        found, expected = (found.documents, kept.documents) if isinstance(kept, Loaded) else (found, kept)
        assert repr(found) == repr(expected)
        record.close()


def test_a_run_that_was_killed_gives_what_it_had_been_answered(server, tmp_path):
    count = iter(range(100_000))
    server.handler = lambda request: HttpAnswer(200, next(count))
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": i}) + "\n" for i in range(200)))
    store = tmp_path / "store"
    store.mkdir()
    init_db_dir(store, 1)
    environment = {**os.environ, "RECORDED": str(tmp_path), "COUNTER": server.url}
    command = [sys.executable, "-m", "bytewax.run", "run_recorded:flow", "-r", str(store), "-s", "60", "-b", "0"]
    first = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=120)
    assert first.returncode == 9, first.stderr
    answered = {request.path: n for n, request in enumerate(server.requests)}
    before = len(server.requests)
    assert before >= 150
    second = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert sorted(request.path for request in server.requests) == sorted(f"/of/{i}" for i in range(200))
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [d["id"] for d in out] == list(range(200))
    assert {d["n"] for d in out[: len(answered)]} == set(range(before))
