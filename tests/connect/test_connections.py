"""Connections in the content of a file, and what a definition uses of them."""

from __future__ import annotations

from typing import Any

import pytest

from fluxion_flow.connect.connections import names_in, read_connections, report_unset
from fluxion_flow.connect.secrets import Template, secret
from fluxion_flow.errors import Problems


def _read(content: Any) -> tuple[dict[str, Any], list[str]]:
    problems = Problems()
    found = read_connections(content, "connections.yaml", problems)
    return found, list(map(str, problems))


@pytest.mark.parametrize("below_a_heading", [False, True])
def test_connections_are_options_by_name(below_a_heading: bool) -> None:
    content: Any = {
        "main": {
            "type": "kafka",
            "bootstrap_servers": "${KAFKA:-localhost:9092}",
            "password": {"$secret": "KAFKA_PASSWORD"},
        }
    }
    assert _read({"connections": content} if below_a_heading else content) == (
        {
            "main": {
                "type": "kafka",
                "bootstrap_servers": Template("${KAFKA:-localhost:9092}"),
                "password": secret("KAFKA_PASSWORD"),
            }
        },
        [],
    )


def test_an_empty_file_holds_none() -> None:
    assert _read(None) == ({}, [])


def test_every_problem_is_reported_at_once_and_the_others_are_read() -> None:
    found, problems = _read({"a": 5, "b": {"host": "${oh no}", "port": {"$env": 5}}, "c": [], "d": {"type": "files"}})
    assert problems == [
        "connections.a: must be a mapping of options; write {type: kafka, ...}",
        "connections.b.host: malformed reference '${oh no}'; "
        "write ${NAME} or ${NAME:-default}, or $${ for a literal ${",
        'connections.b.port: malformed $env reference; write {"$env": "NAME"}',
        "connections.c: must be a mapping of options; write {type: kafka, ...}",
    ]
    assert found["d"] == {"type": "files"}
    assert _read(["a"]) == (
        {},
        ["connections: 'connections.yaml' must map names to options; write main: {type: kafka, ...}"],
    )


def test_a_reference_without_a_value_is_a_problem_of_who_uses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IS_SET", "1")
    content = {
        "used": {"url": "${NOT_SET}", "headers": [{"a": {"$secret": "NOT_SET_EITHER"}}], "n": "${IS_SET}"},
        "unused": {"url": "${NOT_SET}"},
    }
    found, problems = _read(content)
    assert problems == []
    unset = Problems()
    report_unset(found, ["used", "not there", "used"], unset)
    assert list(map(str, unset)) == [
        "connections.used.url: environment variable NOT_SET is not set; export it or write ${NOT_SET:-default}",
        "connections.used.headers[0].a: secret NOT_SET_EITHER is not set; "
        "export the environment variable NOT_SET_EITHER or use secret(file=...)",
    ]


def test_names_are_found_however_deep() -> None:
    data = [
        {"connection_ref": "a", "topic": "t"},
        {"$set": {"x": {"$httpCall": {"connection": "b", "body": {"connectionRef": "c", "connection": 5}}}}},
    ]
    assert list(names_in(data)) == ["a", "b", "c"]
