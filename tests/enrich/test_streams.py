"""Enrichments in real dataflows: policies, dead letters, metrics, drains, and the same result as offline."""

from __future__ import annotations

import dataclasses
import json
import logging
import threading
import time

import pytest
from bytewax.testing import run_main
from prometheus_client import CollectorRegistry, generate_latest

from fluxion_flow import PipelineError, StreamingPipelineDefinition, run_batch
from fluxion_flow.compiler.explain import explain
from fluxion_flow.compiler.explain_text import as_text
from fluxion_flow.compiler.plan import make_plan
from fluxion_flow.observe.logs import JsonLogListener
from fluxion_flow.observe.prometheus import PrometheusListener
from fluxion_flow.observe.recording import RecordingListener
from tests.servers.http_server import Answer

NAME = {"connection": "users", "path": "/users/{id}", "pathParams": {"id": "$id"}, "responsePath": "/name"}
STAGES = [
    {"$match": {"id": {"$ne": 3}}},
    {"$set": {"r": {"$httpCall": NAME}, "x": {"$rand": {}}}},
    {"$set": {"y": {"$rand": {}}}},
]


class Flow:
    """A pipeline from a file of documents to a file, with what came of it."""

    def __init__(self, folder, documents, connections, stages, **more):
        (folder / "in.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents))
        self.folder = folder
        self.heard = RecordingListener()
        data = {
            "name": "enriched",
            "source": {"type": "files", "path": str(folder / "in.jsonl")},
            "connections": connections,
            "stages": stages,
            "sink": {"type": "files", "path": str(folder / "out.jsonl")},
            **more,
        }
        self.definition = StreamingPipelineDefinition.from_dict(data)

    def run(self, *listeners):
        run_main(dataclasses.replace(self.definition, listeners=(self.heard, *listeners)).compile())
        return self

    def lines(self, name):
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def out(self):
        return self.lines("out.jsonl")

    @property
    def dead(self):
        return self.lines("dead.jsonl")


def dead(folder, **more):
    return {"dead_letter": {"type": "files", "path": str(folder / "dead.jsonl")}, "granularity": "document", **more}


def test_a_stream_gives_what_the_offline_run_gives(connections, tmp_path):
    documents = [{"id": i % 20} for i in range(100)]
    flow = Flow(tmp_path, documents, connections, STAGES, config={"batch_size": 37, "seed": 5}).run()
    asked = run_batch(documents, STAGES, connections=connections, seed=5)
    assert [d["r"] for d in flow.out] == [d["r"] for d in asked]
    flow = Flow(tmp_path, documents, connections, STAGES, config={"batch_size": 100, "seed": 5})
    (tmp_path / "out.jsonl").unlink()
    first = flow.run().out
    (tmp_path / "out.jsonl").unlink()
    again = Flow(tmp_path, documents, connections, STAGES, config={"batch_size": 41, "seed": 5}).run().out
    assert first == again


def test_a_stage_behind_and_a_group_behind_a_call(connections, tmp_path):
    stages = [*STAGES, {"$group": {"_id": "$r", "n": {"$sum": 1}}}]
    documents = [{"id": i % 4} for i in range(40)]
    flow = Flow(tmp_path, documents, connections, stages, config={"batch_size": 7}).run()
    expected = run_batch(documents, stages, connections=connections)
    assert sorted(flow.out, key=str) == sorted(expected, key=str)


def test_a_document_without_an_answer_goes_where_the_policy_says(connections, server, tmp_path):
    documents = [{"id": i} for i in (1, 404, 2)]
    flow = Flow(tmp_path, documents, connections, STAGES[1:2], on_error=dead(tmp_path)).run()
    assert [d["r"] for d in flow.out] == ["user 1", "user 2"]
    (letter,) = flow.dead
    assert (letter["doc"], letter["errInfo"]["code"], letter["errInfo"]["type"]) == (
        {"id": 404},
        "enrich",
        "HttpStatusError",
    )
    https = letter["_stream_meta"]["https"]
    assert (https["url"], https["method"], https["httpStatusCode"]) == (server.url + "/users/404", "GET", 404)
    assert len(server.requests) == 3  # the careful path used the answers that were there


def test_on_error_dead_letter_overrides_the_policy(connections, tmp_path):
    stage = {"$set": {"r": {"$httpCall": {**NAME, "onError": "deadLetter"}}}}
    policy = {"fail_fast": {}, "dead_letter_sink": dead(tmp_path)["dead_letter"]}
    flow = Flow(tmp_path, [{"id": 1}, {"id": 404}], connections, [stage], on_error=policy).run()
    assert ([d["r"] for d in flow.out], [d["doc"] for d in flow.dead]) == (["user 1"], [{"id": 404}])
    with pytest.raises(PipelineError, match="onError: deadLetter, but there is no dead-letter sink"):
        Flow(tmp_path, [], connections, [stage]).definition.compile()


def test_a_retrying_policy_asks_again_for_the_failed_documents_alone(connections, server, tmp_path):
    healthy, failed = server.handler, []

    def once(request):
        if request.path == "/users/2" and not failed:
            failed.append(request)
            return Answer(503)
        return healthy(request)

    server.handler = once
    policy = {"retry": {"max_attempts": 3, "backoff": 0.01}, "granularity": "document"}
    flow = Flow(tmp_path, [{"id": i} for i in range(5)], connections, STAGES[1:2], on_error=policy).run()
    assert [d["r"] for d in flow.out] == [f"user {i}" for i in range(5)]
    assert len(server.requests) == 6


@pytest.mark.parametrize("way", ["retry", "breaker", "dead letter"])
def test_an_outage_is_handled_as_the_pipeline_says(connections, server, tmp_path, way):
    """The server is down for a while (two minutes on a clock that runs a hundred times faster)."""
    healthy, began = server.handler, time.monotonic()

    def down_at_first(request):
        return healthy(request) if time.monotonic() - began > 1.2 else Answer(503)

    server.handler = down_at_first
    documents = [{"id": i} for i in range(60)]
    more = {"config": {"batch_size": 20}}
    if way == "retry":
        connections["users"]["retry"] = {"maxAttempts": "unlimited", "waitDurationMs": 50}
    elif way == "breaker":
        connections["users"]["retry"] = {"maxAttempts": "unlimited", "waitDurationMs": 20}
        connections["users"]["circuitBreaker"] = {
            "minimumNumberOfCalls": 5,
            "slidingWindowSize": 5,
            "slidingWindowType": 0,
            "waitDurationInOpenStateMs": 300,
        }
    else:
        more["on_error"] = dead(tmp_path)
    flow = Flow(tmp_path, documents, connections, STAGES[1:2], **more).run()
    if way == "dead letter":
        assert sorted([d["id"] for d in flow.out] + [d["doc"]["id"] for d in flow.dead]) == list(range(60))
        assert len(flow.dead) >= 20
        return
    assert [d["r"] for d in flow.out] == ["Ada" if i == 7 else f"user {i}" for i in range(60)]
    states = [t["after"] for t in flow.heard.told("on_breaker") if t["before"] != t["after"]]
    if way == "breaker":
        assert states[0] == "OPEN"
        assert states[-1] == "CLOSED"
        assert len(server.requests) < 60 + 60  # an open breaker spares the server


def test_calls_are_told_to_listeners(connections, server, tmp_path):
    connections["users"]["cache"] = "1m"
    registry = CollectorRegistry()
    documents = [{"id": i % 5} for i in range(20)] + [{"id": 404}]
    config = {"batch_size": 10}
    flow = Flow(tmp_path, documents, connections, STAGES[1:2], on_error=dead(tmp_path), config=config)
    flow.run(PrometheusListener(registry=registry))
    told = flow.heard.told("on_enrich")
    assert {(t["operator"], t["connection"], t.step) for t in told} == {("$httpCall", "users", "stages[0].$set")}
    assert sum(t["calls"] for t in told if t["outcome"] == "ok" and not t["cached"]) == 5
    assert sum(t["calls"] for t in told if t["outcome"] == "error") == 1
    assert sum(t["calls"] for t in told if t["cached"]) == 5
    page = generate_latest(registry).decode()
    assert "stream_enrich_duration_seconds_count{" in page
    assert 'outcome="error"' in page


def test_a_drain_ends_the_waits_of_calls(connections, server, tmp_path):
    """At the deadline of a drain calls that are tried again and again are given up, and nothing counts as done."""
    from fluxion_flow.runtime.drain import _drains
    from fluxion_flow.runtime.failure import DrainTimedOut

    server.handler = lambda request: Answer(503)
    connections["users"]["retry"] = {"maxAttempts": "unlimited", "waitDurationMs": 50}
    config = {"drain_timeout": 0.2}
    flow = Flow(tmp_path, [{"id": 1}], connections, STAGES[1:2], config=config)

    def drain_soon():
        while not server.requests:
            time.sleep(0.01)
        for run in list(_drains):
            run.request()

    threading.Thread(target=drain_soon, daemon=True).start()
    with pytest.raises(BaseException) as raised:
        flow.run()
    chain, error = [], raised.value
    while error is not None:
        chain.append(type(error))
        error = error.__cause__ or error.__context__
    assert DrainTimedOut in chain
    assert flow.out == []


def test_connections_and_threads_are_closed_at_the_end(connections, tmp_path):
    before = {t.name for t in threading.enumerate()}
    Flow(tmp_path, [{"id": 1}], connections, STAGES[1:2]).run()
    assert not [t for t in threading.enumerate() if t.name.startswith("fluxion-enrich") and t.name not in before]


def test_explain_tells_what_is_asked_and_what_a_replay_means(connections, tmp_path):
    connections["users"] |= {"concurrency": 50, "cache": "5m", "retry": {"maxAttempts": 3, "waitDurationMs": 50}}
    connections["users"] |= {"circuitBreaker": {}, "rateLimit": {"limitForPeriod": 100}}
    flow = Flow(tmp_path, [], connections, STAGES)
    text = " ".join(as_text(explain(make_plan(flow.definition))).split())
    assert (
        "asks the outside for the documents of a batch together, on every worker $httpCall to 'users': up to 50 at the "
        "same time, answers are kept for 300 s, up to 3 attempts, behind a circuit breaker, at most 100 in 1 s; a "
        "replay may be answered differently"
    ) in text


def test_a_reference_file_is_read_again_when_it_has_changed(tmp_path):
    from fluxion_flow.core.context import StreamingContext
    from fluxion_flow.core.environment import Environment
    from fluxion_flow.core.outside import Answers
    from fluxion_flow.core.program import Program
    from fluxion_flow.core.stages import parse_stages
    from fluxion_flow.enrich.desk import Desk
    from fluxion_flow.errors import Problems, Where

    path = tmp_path / "names.csv"
    path.write_text("id,name\n1,one\n")
    problems = Problems()
    lookup = {"from": {"file": str(path), "types": {"id": "int"}}, "localField": "id", "foreignField": "id", "as": "r"}
    program = Program(parse_stages([{"$lookup": lookup}], Where.at("stages"), problems))
    desk = Desk()

    def names():
        answers = Answers(lambda: desk, StreamingContext("p", "s"))
        (found,) = program.run([{"id": 1}], Environment(answers=answers))
        return [row["name"] for row in found["r"]]

    assert names() == ["one"]
    path.write_text("id,name\n1,uno\n1,eins\n")
    assert names() == ["uno", "eins"]
    path.write_text("id,name\n1\n")
    assert names() == ["uno", "eins"]  # a file that cannot be read leaves the version before in use
    path.unlink()
    assert names() == ["uno", "eins"]


SECRETS = {"USERS_TOKEN": "tok-5ecret/with?chars", "DB_PASSWORD": "pass-5ecret-word", "QUERY_KEY": "key-5ecret-query"}


def test_secrets_appear_nowhere(connections, server, tmp_path, monkeypatch, caplog):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    token = SECRETS["USERS_TOKEN"]
    server.handler = lambda request: Answer(500, {"you sent": request.headers["authorization"], "q": request.query})
    connections = {
        "users": {
            "type": "http",
            "url": server.url,
            "headers": {"Authorization": {"$secret": "USERS_TOKEN"}},
            "retry": {"maxAttempts": 2, "waitDurationMs": 1},
        },
        "db": {"type": "sql", "url": "postgresql://u:${secret:DB_PASSWORD}@127.0.0.1:1/x"},
    }
    stages = [
        {"$set": {"a": {"$httpCall": {**NAME, "query": {"key": {"$secret": "QUERY_KEY"}}}}}},
        {"$set": {"b": {"$sqlQuery": {"connection": "db", "sql": "select ?", "params": ["$id"]}}}},
    ]
    registry = CollectorRegistry()
    caplog.set_level(logging.DEBUG)
    seen = []
    for order in (stages, stages[::-1]):
        flow = Flow(tmp_path, [{"id": 1}], connections, order, on_error=dead(tmp_path))
        flow.run(PrometheusListener(registry=registry), JsonLogListener())
        seen += [
            (tmp_path / "dead.jsonl").read_text(),
            repr(flow.definition),
            as_text(explain(make_plan(flow.definition), code=True)),
        ]
        seen += [str(told.facts) for told in flow.heard.calls if told.hook != "on_failure"]
        (tmp_path / "dead.jsonl").unlink()
        failing = Flow(tmp_path, [{"id": 1}], connections, order)
        with pytest.raises(Exception) as raised:
            failing.run()
        seen.append(str(raised.value))
    seen += [generate_latest(registry).decode(), caplog.text]
    assert any("the server answered 500" in text for text in seen)
    assert any("127.0.0.1:1" in text or "connection 'db'" in text for text in seen)
    assert server.requests[0].headers["authorization"] == token
    assert server.requests[0].query["key"] == SECRETS["QUERY_KEY"]
    for secret in SECRETS.values():
        assert [text for text in seen if secret in text] == []
