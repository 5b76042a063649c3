"""A call begins when its question is heard of, and one that nobody waits for any more matters to nobody."""

from __future__ import annotations

import threading

import pytest

from fluxion_flow import run_batch
from fluxion_flow.core.program import DocumentError
from tests.servers.http_server import Answer

USER = {"connection": "users", "path": "/users/{id}", "pathParams": {"id": "$id"}, "responsePath": "/name"}
PARTED = {"$divide": [1, "$parts"]}


def threads_of_calls():
    return [thread for thread in threading.enumerate() if thread.name.startswith("fluxion-enrich")]


@pytest.fixture
def heard(server, connections):
    """Set when the server has been asked."""
    event = threading.Event()
    users = server.handler

    def handler(request):
        event.set()
        return users(request)

    server.handler = handler
    return event


def test_a_call_is_under_way_while_further_documents_are_thought_up(connections, heard):
    last = {"$cond": ["$last", {"$function": {"body": "waits", "args": []}}, "not last"]}
    out = run_batch(
        [{"id": 7}, {"id": 8, "last": True}],
        [{"$set": {"name": {"$httpCall": USER}, "heard": last}}],
        connections=connections,
        functions={"waits": lambda: heard.wait(20)},
    )
    assert [document["heard"] for document in out] == ["not last", True]


def test_a_call_that_changes_something_waits_until_all_documents_have_been_tried(connections, server):
    stages = [{"$set": {"r": {"$httpCall": {"connection": "users", "method": "POST", "path": "/users"}}, "p": PARTED}}]
    with pytest.raises(DocumentError, match="divide"):
        run_batch([{"parts": 1}, {"parts": 0}], stages, connections=connections)
    assert server.requests == []


def test_calls_that_have_not_begun_when_a_document_fails_are_not_made(connections, server):
    release = threading.Event()
    server.handler = lambda request: Answer(200, {"name": str(release.wait(20))})
    connections["users"]["concurrency"] = 1
    documents = [{"id": i, "parts": 1} for i in range(50)] + [{"id": 99, "parts": 0}]
    with pytest.raises(DocumentError, match="divide"):
        run_batch(documents, [{"$set": {"name": {"$httpCall": USER}, "p": PARTED}}], connections=connections)
    release.set()
    for thread in threads_of_calls():
        thread.join(20)
    assert len(server.requests) <= 1


@pytest.mark.parametrize("wait", [600_000, 0])
def test_a_call_that_is_tried_again_and_again_gives_up_with_its_batch(connections, server, wait):
    refused = threading.Event()
    server.handler = lambda request: refused.set() or Answer(503)
    connections["users"]["retry"] = {"maxAttempts": 1_000_000, "waitDurationMs": wait}
    fails = {"$cond": [{"$function": {"body": "waits", "args": []}}, PARTED, None]}
    documents = [{"id": 1, "parts": 1}, {"id": 2, "parts": 0}]
    with pytest.raises(DocumentError, match="divide"):
        run_batch(
            documents,
            [{"$set": {"name": {"$httpCall": USER}, "p": fails}}],
            connections=connections,
            functions={"waits": lambda: refused.wait(20)},
        )
    for thread in threads_of_calls():
        thread.join(20)
    assert threads_of_calls() == []
