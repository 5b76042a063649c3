"""Whole pipelines over HTTP: the error policy waits as long as the server asks, and nothing is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bytewax.testing import run_main
from fluxion_connectors.memory import clear, collected
from http_server import Answer, Request, ScriptedServer

from fluxion_flow import StreamingPipelineDefinition


def run(source: dict[str, Any], sink: dict[str, Any], **definition: Any) -> None:
    whole = {"name": "over-http", "source": source, "stages": [], "sink": sink, **definition}
    run_main(StreamingPipelineDefinition.from_dict({"config": {"batch_size": 10}, **whole}).compile())


def orders(folder: Path, count: int) -> dict[str, Any]:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(count)))
    return {"type": "files", "path": str(path)}


def test_a_server_with_faults_gets_every_document(server: ScriptedServer, tmp_path: Path) -> None:
    taken: list[int] = []

    def take(request: Request) -> Answer:
        taken.extend(document["n"] for document in request.json())
        return Answer(202)

    server.handler = take
    server.script += [Answer(429, headers={"Retry-After": "1"}), Answer(500), Answer(fault="close"), Answer(delay=0.5)]
    sink = {"type": "http", "url": server.url, "timeout": "200ms"}
    run(orders(tmp_path, 35), sink, on_error={"retry": {"max_attempts": 6, "backoff": "10ms"}})
    assert taken == list(range(35))
    keys = [request.headers["idempotency-key"] for request in server.requests]
    assert len(keys) == 8
    assert len(set(keys)) == 4


def test_single_documents_that_are_refused_become_dead_letters(server: ScriptedServer, tmp_path: Path) -> None:
    server.handler = lambda request: Answer(422 if request.json()["n"] in (3, 17) else 200)
    letters = tmp_path / "dead.jsonl"
    run(
        orders(tmp_path, 20),
        {"type": "http", "url": f"{server.url}/{{n}}", "body": "document"},
        on_error={"dead_letter": {"type": "files", "path": str(letters)}, "granularity": "document"},
    )
    assert [json.loads(line)["doc"]["n"] for line in letters.open()] == [3, 17]
    assert len(server.requests) == 20


def test_a_polled_server_with_faults_is_read_whole(server: ScriptedServer) -> None:
    clear("polled")
    server.script += [Answer(503, headers={"Retry-After": "0"}), Answer(fault="half"), Answer(content=b"not json")]

    def page(request: Request) -> Answer:
        start = int(request.query.get("after", 0))
        return Answer(content={"items": [{"n": n} for n in range(start, min(start + 7, 30))], "next": start + 7})

    server.handler = page
    source = {
        "type": "http",
        "url": server.url,
        "items_pointer": "/items",
        "cursor_pointer": "/next",
        "cursor_param": "after",
        "bounded": True,
    }
    on_error = {"retry": {"max_attempts": 5, "backoff": "10ms"}}
    run(source, {"type": "memory", "name": "polled"}, on_error=on_error)
    assert [document["n"] for document in collected("polled")] == list(range(30))
    clear("polled")
