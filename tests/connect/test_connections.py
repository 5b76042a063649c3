"""Files of named connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxion_flow.connect.connections import load_connections
from fluxion_flow.connect.secrets import Template, secret
from fluxion_flow.errors import PipelineError


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("heading", ["", "connections:\n"])
def test_connections_are_options_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heading: str) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "very-secret")
    indent = "  " if heading else ""
    path = _write(
        tmp_path,
        f"{heading}{indent}main:\n{indent}  type: kafka\n{indent}  bootstrap_servers: ${{KAFKA:-localhost:9092}}\n"
        f"{indent}  password: {{$secret: KAFKA_PASSWORD}}\n",
    )
    assert load_connections(path) == {
        "main": {
            "type": "kafka",
            "bootstrap_servers": Template("${KAFKA:-localhost:9092}"),
            "password": secret("KAFKA_PASSWORD"),
        }
    }


def test_an_empty_file_holds_none(tmp_path: Path) -> None:
    assert load_connections(_write(tmp_path, "# none yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: [}", "connections: {path} is not YAML at line 2; correct the file"),
        ("- a\n", "connections: {path} must map names to options; write main: {type: kafka, ...}"),
        (
            "a: 5\nb: {host: '${NOT_SET_HERE}'}\nc: []\n",
            "connections.a: must be a mapping of options; write {type: kafka, ...}\n"
            "connections.b.host: environment variable NOT_SET_HERE is not set; "
            "export it or write ${NOT_SET_HERE:-default}\n"
            "connections.c: must be a mapping of options; write {type: kafka, ...}",
        ),
    ],
)
def test_every_problem_is_reported_at_once(tmp_path: Path, text: str, problems: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(PipelineError) as caught:
        load_connections(path)
    assert str(caught.value) == problems.replace("{path}", repr(str(path)))
