"""The file of connections: found, read by the rules of every data file, and reported on at once."""

from __future__ import annotations

import json

import pytest

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.errors import PipelineError

DATA = {
    "name": "p",
    "source": {"connection_ref": "input"},
    "sink": {"type": "files", "path": "out.jsonl"},
    "on_error": {"dead_letter": {"connection_ref": "letters"}, "granularity": "document"},
}
FILE = """
input: {type: files, path: "${IN_PATH}"}
letters: {type: files, path: dead.jsonl}
of_another_pipeline: {type: kafka, password: {$secret: NOT_SET}}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('{"n": 1}\n')


def problems_of(data=DATA):
    with pytest.raises(PipelineError) as caught:
        StreamingPipelineDefinition.from_dict(data).compile()
    return list(map(str, caught.value.problems))


def run(data=DATA):
    from bytewax.testing import run_main

    run_main(StreamingPipelineDefinition.from_dict(data).compile())


def test_a_file_in_the_working_directory_is_found_and_policies_use_it_too(tmp_path, monkeypatch):
    (tmp_path / "connections.yaml").write_text(FILE)
    monkeypatch.setenv("IN_PATH", "in.jsonl")
    run({**DATA, "stages": [{"$set": {"x": {"$divide": ["$n", 0]}}}]})
    assert json.loads((tmp_path / "dead.jsonl").read_text())["doc"] == {"n": 1}
    monkeypatch.setenv("FLUXION_CONNECTIONS", "")
    assert problems_of() == [
        "source.connection_ref: unknown connection 'input'; no connections are given",
        "on_error.dead_letter.connection_ref: unknown connection 'letters'; no connections are given",
    ]


def test_the_variable_names_another_file(tmp_path, monkeypatch):
    (tmp_path / "connections.yaml").write_text("input: {type: files, path: not-this.jsonl}")
    (tmp_path / "live.json").write_text(
        json.dumps({"input": {"type": "files", "path": "in.jsonl"}, "letters": {"type": "files", "path": "d.jsonl"}})
    )
    monkeypatch.setenv("FLUXION_CONNECTIONS", "live.json")
    run()
    assert (tmp_path / "out.jsonl").read_text() == '{"n":1}\n'


def test_only_what_a_pipeline_uses_must_have_values(tmp_path):
    (tmp_path / "connections.yaml").write_text(FILE)
    assert problems_of(
        {**DATA, "on_error": {"dead_letter": {"connection_ref": "letter"}}, "sink": {"type": "fils"}}
    ) == [
        "sink.type: unknown connector 'fils'; did you mean 'files'?",
        "on_error.dead_letter.connection_ref: unknown connection 'letter'; did you mean 'letters'?",
        "connections.input.path: environment variable IN_PATH is not set; export it or write ${IN_PATH:-default}",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: {}\nb: [}",
            "connections.yaml: 'connections.yaml' line 2, column 5: not YAML: while parsing a flow node",
        ),
        ("a: {}\na: {}\n", "connections.yaml: 'connections.yaml' line 2, column 1: not YAML: the key 'a' stands twice"),
        ("- a\n", "connections: 'connections.yaml' must map names to options; write main: {type: kafka, ...}"),
        ("a: 5\n", "connections.a: must be a mapping of options; write {type: kafka, ...}"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, text, expected):
    (tmp_path / "connections.yaml").write_text(text)
    assert any(problem.startswith(expected) for problem in problems_of())


def test_secrets_of_connections_are_never_shown(tmp_path, monkeypatch):
    (tmp_path / "connections.yaml").write_text(
        "letters: {type: files, path: dead.jsonl}\n"
        "input: {type: kafka, topics: t, bootstrap_servers: 'localhost:1', sasl_password: {$secret: TOKEN}, bad: 5}\n"
    )
    monkeypatch.setenv("TOKEN", "a-very-secret-token")
    definition_problems = problems_of()
    assert definition_problems[0].startswith("connections.input.bad: unknown option of connector 'kafka'")
    (tmp_path / "connections.yaml").write_text((tmp_path / "connections.yaml").read_text().replace(", bad: 5", ""))
    definition = StreamingPipelineDefinition.from_dict(DATA).resolved()
    for text in (str(definition), repr(definition), json.dumps(definition.to_dict()), "".join(definition_problems)):
        assert "a-very-secret-token" not in text
