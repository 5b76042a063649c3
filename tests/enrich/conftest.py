"""A server of users for the tests of enrichments."""

from __future__ import annotations

import pytest

from fluxion_flow.policy import breaker
from tests.servers.http_server import Answer, Request, ScriptedServer, server
from tests.servers.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url", "server"]


def users(request: Request) -> Answer:
    """``/users/7`` is Ada, ``/users/404`` is nobody; anybody else has a name made of the number."""
    if request.method == "POST":
        return Answer(201, {"created": True})
    if request.path.startswith("/users/"):
        number = request.path.rpartition("/")[2]
        if number == "404":
            return Answer(404, {"error": "no such user"})
        return Answer(200, {"id": int(number), "name": "Ada" if number == "7" else f"user {number}"})
    ids = request.query.get("id", "7").split(",")
    return Answer(200, {"items": [{"id": int(i), "name": "Ada" if i == "7" else f"user {i}"} for i in ids]})


@pytest.fixture
def connections(server: ScriptedServer) -> dict[str, dict[str, object]]:
    """The connection ``users`` to a server of users."""
    server.handler = users
    return {"users": {"type": "http", "url": server.url}}


@pytest.fixture(autouse=True)
def fresh_breakers():
    breaker.reset()
    yield
    breaker.reset()
