"""The JSON Schema of definitions: valid itself, takes every good definition here, catches what a schema can."""

import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from fluxion_flow.connect.registry import connector_types
from fluxion_flow.core.stages.registry import all_stages
from fluxion_flow.dsl.schema import definition_schema

ROOT = Path(__file__).parents[2]
CASES = json.loads(Path(__file__).with_name("bad_definitions.json").read_text(encoding="utf-8"))
BEYOND = [
    "an option given in both spellings",
    "a variable that is not set",
    "references that are malformed",
    "a secret file that is not there",
    "a secret as a name",
    "an unknown connection",
    "a connection for another connector",
    "a connection with a bad option",
    "a sink that knows no such condition",
    "two sinks of one name",
    "two stages of one name",
    "an unknown operator",
    "an operator with too few arguments",
    "an unknown accumulator",
    "a variable that is nowhere defined",
    "a number that is none",
    "a stage whose variable is not set",
    "a date that is none",
    "a dead-letter policy without a sink",
    "labels that metrics cannot have",
    "labels with a space",
    "overrides for a stage that is not there",
    "alerts that nobody hears, about nothing",
    "targets of alerts",
    "a status page for everybody without a token",
    "a status page elsewhere than on loopback",
]
"""Mistakes that hang together over several places, or stand within expressions: `fluxion check` finds these."""


def good_definitions():
    """Every definition of the repository: files, and blocks of the docs."""
    for path in [*ROOT.glob("flows/*.yaml"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        text = path.read_text(encoding="utf-8")
        blocks = [text] if path.suffix == ".yaml" else re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
        for number, block in enumerate(blocks):
            data = yaml.safe_load(block)
            if isinstance(data, dict) and "source" in data and "tests" not in data:
                yield pytest.param(data, id=f"{path.relative_to(ROOT)}-{number}")


@pytest.fixture
def validator():
    return Draft202012Validator(definition_schema())


def test_the_schema_is_one():
    Draft202012Validator.check_schema(definition_schema())


@pytest.mark.parametrize("definition", list(good_definitions()))
def test_every_definition_of_the_repository_is_good(validator, definition):
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(definition)] == []


def test_what_a_schema_can_catch_is_caught(validator):
    missed = [case["title"] for case in CASES if validator.is_valid(case["definition"])]
    assert missed == BEYOND


def test_it_knows_every_stage_and_every_connector():
    schema = definition_schema()["$defs"]
    assert set(all_stages()) <= set(schema["stage"]["properties"])
    named = {*schema["source"]["properties"]["type"]["anyOf"][0]["enum"]}
    named |= {*schema["sink"]["properties"]["type"]["anyOf"][0]["enum"]}
    assert named == set(connector_types())


def test_a_mistake_is_reported_where_it_stands(validator):
    definition = {
        "source": {"type": "files", "path": "in.jsonl", "pth": 1},
        "stages": [{"$mtach": {}}],
        "sink": {"type": "files"},
        "config": {"batchsize": 1},
    }
    places = {error.json_path for error in validator.iter_errors(definition)}
    assert places == {"$.source", "$.stages[0]", "$.sink", "$.config"}


SERVER = Path(
    os.environ.get(
        "YAML_LANGUAGE_SERVER",
        "~/.cache/fluxion-flow/yaml-language-server/node_modules/yaml-language-server/out/server/src/server.js",
    )
).expanduser()
TEXT = """\
# yaml-language-server: $schema={schema}
name: x
source: {{type: files, path: in.jsonl, pth: 3}}
stages:
  - $mtach: {{}}
  -
sink: {{type: files, path: out.jsonl}}
"""


INSTALL = (
    "npm install --prefix ~/.cache/fluxion-flow/yaml-language-server yaml-language-server, "
    "or YAML_LANGUAGE_SERVER=.../out/server/src/server.js"
)


def test_an_editor_marks_mistakes_and_completes_stages(tmp_path):
    missing = "node" if shutil.which("node") is None else "" if SERVER.is_file() else "yaml-language-server"
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"{missing} is not installed: {INSTALL}")
    assert not missing, f"under CI {missing} must be there: {INSTALL}"
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(definition_schema()))
    uri = (tmp_path / "flow.yaml").as_uri()
    marked, completed = asked_server(uri, TEXT.format(schema=schema.as_uri()), line=5, character=4)
    assert (2, "Property pth is not allowed.") in marked
    assert (4, "Property $mtach is not allowed.") in marked
    assert {"$match", "$group", "$tumblingWindow", "on_error"} <= completed


def asked_server(uri, text, *, line, character):
    """What yaml-language-server marks in a text, as (line, message), and what it offers at a place."""
    server = subprocess.Popen(["node", SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    watch = threading.Timer(60, server.kill)
    watch.start()

    def send(**message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        server.stdin.flush()

    def receive():
        size = 0
        while header := server.stdout.readline().strip():
            name, _, value = header.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return json.loads(server.stdout.read(size))

    capabilities = {"textDocument": {"completion": {}, "publishDiagnostics": {}}, "workspace": {"configuration": True}}
    try:
        send(id=1, method="initialize", params={"processId": None, "rootUri": None, "capabilities": capabilities})
        receive()
        send(method="initialized", params={})
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        send(method="textDocument/didOpen", params={"textDocument": document})
        marked = None
        while True:
            message = receive()
            if message.get("method") == "workspace/configuration":
                items = message["params"]["items"]
                send(id=message["id"], result=[{"validate": True, "completion": True}, *[{}] * (len(items) - 1)])
            elif message.get("method") == "client/registerCapability":
                send(id=message["id"], result=None)
            elif message.get("method") == "textDocument/publishDiagnostics" and marked is None:
                marked = {(d["range"]["start"]["line"], d["message"]) for d in message["params"]["diagnostics"]}
                place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
                send(id=2, method="textDocument/completion", params=place)
            elif message.get("id") == 2:
                return marked, {item["label"] for item in message["result"]["items"]}
    finally:
        watch.cancel()
        server.kill()
        server.wait()
