"""Requests without httpx's upper layers mean what httpx's own mean."""

from __future__ import annotations

import gzip
import ssl
import time
from pathlib import Path

import httpcore
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fluxion_flow.enrich.failures import CallRefused, ServerUnavailable, UnreadableAnswer
from fluxion_flow.enrich.http import HttpClient, HttpRequest
from fluxion_flow.enrich.http_connections import HttpConnections, Timeouts
from fluxion_flow.enrich.settings import Settings
from tests.servers.http_server import Answer

CERTIFICATE = Path(__file__).parents[1] / "servers" / "loopback.pem"
QUICK = Timeouts(connect=5, read=5, until=None)
OPTIONS = {"headers": {}, "verify": True, "ca_file": None, "retry_statuses": []}


@pytest.fixture
def connections():
    opened = HttpConnections(checked=True, ca_file=None)
    yield opened
    opened.close()


def got(connections, url, method="GET", headers=(), content=None):
    return connections.send(method, url, headers, content, QUICK)


class Seen(Exception):
    """Carries the request that would have been sent."""


def sent(url, monkeypatch):
    def handle(connection, request):
        raise Seen(request)

    monkeypatch.setattr(httpcore.HTTPConnection, "handle_request", handle)
    with pytest.raises(Seen) as caught:
        got(HttpConnections(checked=False, ca_file=None), url)
    return caught.value.args[0]


@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs", "Cc"]), max_size=20))
@example("/a/../b")
@example("/./a?b=/../c")
@example("/a%2Fb%2")
@example("?a=b c#d")
@example("/a?b='ä'&c=[1]{2}")
def test_addresses_are_sent_as_httpx_sends_them(path):
    url = "http://server.example:8080" + ("" if path[:1] in ("", "?", "#") else "/") + path
    with pytest.MonkeyPatch.context() as monkeypatch:
        request = sent(url, monkeypatch)
    expected = httpx.URL(url)
    assert (request.url.host, request.url.port, request.url.target) == (
        expected.raw_host,
        expected.port,
        expected.raw_path,
    )


@pytest.mark.parametrize("server", ["http://server.example", "HTTPS://Server.Example:443", "http://[::1]:8080"])
def test_servers_are_named_as_httpx_names_them(server, monkeypatch):
    request = sent(server + "/a", monkeypatch)
    expected = httpx.Request("GET", server + "/a")
    assert (request.url.scheme, request.url.host) == (expected.url.raw_scheme, expected.url.raw_host)
    assert (b"Host", expected.headers["host"].encode()) in request.headers


@pytest.mark.parametrize("content", [None, b"abc"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_headers_are_those_of_httpx(connections, server, method, content):
    got(connections, server.url + "/a", method, [(b"X-Mine", b"1")], content)
    with httpx.HTTPTransport() as transport:
        response = transport.handle_request(
            httpx.Request(method, server.url + "/a", headers={"X-Mine": "1"}, content=content)
        )
        response.read()
        response.close()
    ours, theirs = server.requests
    assert (ours.headers, ours.body) == (theirs.headers, theirs.body)


def test_a_connection_is_used_again_and_one_that_was_closed_is_not(connections, server, monkeypatch):
    opened = []
    connect = httpcore.HTTPConnection._connect
    monkeypatch.setattr(
        httpcore.HTTPConnection, "_connect", lambda self, request: opened.append(1) or connect(self, request)
    )
    for _ in range(3):
        got(connections, server.url)
    assert len(opened) == 1
    server.script = [Answer(200, b"", {"Connection": "close"})]
    got(connections, server.url)
    got(connections, server.url)
    assert len(opened) == 2


def test_a_connection_that_the_server_has_closed_meanwhile_is_replaced(connections, server):
    server.script = [Answer(200, b"first")]
    assert got(connections, server.url).content == b"first"
    (kept,) = connections._servers.values()
    kept._idle[0]._connection._network_stream.get_extra_info("socket").shutdown(2)
    assert got(connections, server.url).status == 200


def test_an_answer_may_be_compressed(connections, server):
    server.script = [Answer(200, gzip.compress(b'{"a": 1}'), {"Content-Encoding": "gzip"})]
    assert got(connections, server.url).content == b'{"a": 1}'
    server.script = [Answer(200, b"no gzip", {"Content-Encoding": "gzip"})]
    client = HttpClient("users", OPTIONS, server.url)
    with pytest.raises(UnreadableAnswer) as caught:
        client.request(HttpRequest("GET", server.url + "/a"), Settings())
    assert str(caught.value) == f"GET {server.url}/a: the answer is not in the encoding that it names"


def test_an_answer_that_dribbles_ends_with_the_time_of_the_call(connections, server):
    server.script = [Answer(200, b"x" * 100, fault="half")]
    with pytest.raises(httpx.TimeoutException):
        connections.send("GET", server.url, (), None, Timeouts(5, 5, until=time.monotonic()))


def test_errors_are_httpx_s_own(connections, server):
    server.script = [Answer(fault="close")]
    with pytest.raises(httpx.RemoteProtocolError):
        got(connections, server.url)
    with pytest.raises(httpx.LocalProtocolError):
        got(connections, server.url, headers=[(b"X", b"1\r\nY: 2")])
    server.close()
    with pytest.raises(httpx.ConnectError):
        got(connections, server.url)
    with pytest.raises(httpx.UnsupportedProtocol):
        got(connections, "ftp://server.example/a")


def test_a_header_of_the_connection_that_cannot_be_sent_is_refused_unseen():
    with pytest.raises(CallRefused) as caught:
        HttpClient("users", {**OPTIONS, "headers": {"Authorization": "Bearer s3cr3t\r\nX: 1"}}, "http://x")
    assert str(caught.value) == (
        "connection 'users': header 'Authorization' would hold a line break or a character that headers cannot"
    )


def test_certificates_are_checked_unless_told_otherwise(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    url = server.url.replace("http:", "https:") + "/a"
    for options, known in (({}, False), ({"verify": False}, True), ({"ca_file": str(CERTIFICATE)}, True)):
        client = HttpClient("users", {**OPTIONS, **options}, url)
        if known:
            assert client.request(HttpRequest("GET", url), Settings()) is None
        else:
            with pytest.raises(ServerUnavailable, match="cannot be reached"):
                client.request(HttpRequest("GET", url), Settings())
        client.close()
