"""The HTTP server of a run: health for everybody, the rest for those who may see it."""

from __future__ import annotations

import http.client
import json
import socket
import threading

import pytest
from prometheus_client import CollectorRegistry, Counter

from fluxion_flow.observe.status.server import CONNECTIONS, PortTaken, StatusServer

TOKEN = "token-of-this-test"
health = {"live": (True, "the workers make progress"), "ready": (True, "at work")}


@pytest.fixture(autouse=True)
def well():
    health.update(live=(True, "the workers make progress"), ready=(True, "at work"))


@pytest.fixture
def serve():
    servers = []

    def serve(token=None, host="127.0.0.1", port=0, own=lambda: {"pipeline": "orders"}):
        registry = CollectorRegistry()
        Counter("stream_fetched", "documents", registry=registry).inc(7)
        servers.append(
            StatusServer(
                host,
                port,
                token,
                live=lambda: health["live"],
                ready=lambda: health["ready"],
                own=own,
                whole=lambda: {"pipeline": "all"},
                registry=registry,
            )
        )
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()


def get(server, path, method="GET", **headers):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_health_says_yes_or_no_and_why(serve):
    server = serve(TOKEN)
    for path in ("/live", "/ready"):
        assert get(server, path)[0] == 200
    assert json.loads(get(server, "/ready")[2]) == {"ready": True, "why": "at work"}
    health.update(live=(False, "stalled"), ready=(False, "1 of 3 source partitions are open"))
    assert [get(server, path)[0] for path in ("/live", "/ready")] == [503, 503]
    assert json.loads(get(server, "/ready")[2]) == {"ready": False, "why": "1 of 3 source partitions are open"}


def test_what_there_is(serve):
    server = serve()
    assert json.loads(get(server, "/status.json")[2]) == {"pipeline": "orders"}
    assert json.loads(get(server, "/all.json")[2]) == {"pipeline": "all"}
    assert "stream_fetched_total 7.0" in get(server, "/metrics")[2]
    openmetrics = get(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert openmetrics[1]["Content-Type"].startswith("application/openmetrics-text")
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        status, headers, body = get(server, path)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "http://" not in body.replace("http://www.w3.org/2000/svg", ""), "nothing comes from elsewhere"
        assert "https://" not in body
    assert get(server, "/x")[0::2] == (
        404,
        "there is no /x; there are /, /status.json, /all.json, /metrics, /live, /ready\n",
    )
    assert get(server, "/../page.py")[0] == 404


def test_a_head_has_no_body_and_nothing_can_be_posted(serve):
    server = serve()
    status, headers, body = get(server, "/live", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 0
    assert get(server, "/", "POST")[0] == 501


def test_without_a_token_only_who_asks_for_loopback_is_answered(serve):
    server = serve()
    for host in ("127.0.0.1", f"localhost:{server.port}", "[::1]:80"):
        assert get(server, "/status.json", Host=host)[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example:80", ""):
        status, _, body = get(server, "/status.json", Host=host)
        assert (status, body) == (403, "the status page answers on loopback only; ask for 127.0.0.1\n")
    assert get(server, "/live", Host="10.0.0.7")[0] == 200


def test_with_a_token_it_is_needed(serve):
    server = serve(TOKEN)
    for path in ("/", "/status.json", "/all.json", "/metrics", "/page.js", "/nothing"):
        assert get(server, path)[0] == 401
        assert get(server, path, Authorization="Bearer wrong")[0] == 401
        assert get(server, path, Authorization=f"Basic {TOKEN}")[0] == 401
    _, headers, body = get(server, "/metrics")
    assert headers["WWW-Authenticate"] == "Bearer"
    assert body == "a token is needed: 'Authorization: Bearer ...', or /?token=...\n"
    for path in ("/", "/status.json", "/metrics"):
        assert get(server, path, Authorization=f"Bearer {TOKEN}", Host="anything.example")[0] == 200


def test_a_browser_hands_the_token_over_once(serve):
    server = serve(TOKEN)
    assert get(server, "/?token=wrong")[0::2] == (401, "wrong token\n")
    status, headers, body = get(server, f"/?token={TOKEN}")
    assert (status, headers["Location"], body) == (303, "/", "")
    cookie, *rest = headers["Set-Cookie"].split("; ")
    assert rest == ["HttpOnly", "SameSite=Strict", "Path=/"]
    assert TOKEN not in cookie
    assert get(server, "/all.json", Cookie=cookie)[0] == 200
    assert get(server, "/all.json", Cookie=cookie[:-1] + "x")[0] == 401
    assert get(server, "/all.json", Cookie="=;\x01")[0] == 401


def test_a_status_that_cannot_be_told_is_an_answer_too(serve, caplog):
    def broken():
        raise RuntimeError("broken")

    server = serve(own=broken)
    assert get(server, "/status.json")[0::2] == (500, "the status cannot be told; the log says why\n")
    assert "the status page cannot answer /status.json" in caplog.messages
    assert get(server, "/live")[0] == 200


def test_a_port_that_is_taken_is_said(serve):
    server = serve()
    with pytest.raises(PortTaken) as caught:
        serve(port=server.port)
    assert str(caught.value) == (
        f"the status page cannot listen on 127.0.0.1:{server.port} (Address already in use); "
        "free the port, or set another status_port"
    )


def test_those_who_never_finish_asking_cannot_use_it_up(serve):
    server = serve()
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(CONNECTIONS + 20)]
    before = threading.active_count()
    assert before < CONNECTIONS + 40
    for each in idle:
        each.close()
    for _ in range(200):
        try:
            assert get(server, "/live")[0] == 200
            break
        except (ConnectionError, http.client.HTTPException):
            continue
    else:
        pytest.fail("it answers nobody any more")
