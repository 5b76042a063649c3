"""Every fenced block of the README and the docs is run.

The blocks of a document run one after another, from top to bottom, in one copy of the project:

- ``bash``: run by bash, with this environment's programs on the path. The commands that run the tests themselves are
  compared with what ``.ci/run`` calls instead.
- ``python``: run by Python. One that starts with a comment such as ``# flows/name.py`` is saved under that name first,
  so that commands below it can use it; so is a ``yaml`` block.
- ``yaml``: a definition (it has a ``source``) is loaded and compiled; other files must be YAML.
- ``json``: must be JSON. ``text`` and ``mermaid`` are for reading; ``text output`` is exactly what the commands in the
  block before it print.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fluxion_flow import StreamingPipelineDefinition

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COPIED = ["flows", "scripts", "docs", "Makefile", "README.md", "pyproject.toml"]
TEST_COMMANDS = {"make test", "make lint"}

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)(?: (?P<kind>[^\n]*))?\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
FILE_NAME = re.compile(r"# (?P<name>[\w./-]+\.(?:py|ya?ml))\n")


@dataclass
class Block:
    language: str
    text: str
    place: str
    """Where it stands, as ``README.md:12``."""
    kind: str = ""


def blocks_of(document):
    text = document.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        place = f"{document.relative_to(ROOT)}:{line}"
        yield Block(
            fence["language"],
            re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE),
            place,
            fence["kind"],
        )


def run(block, command, directory):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "VENV": sys.prefix,
    }
    for name in ("ORDERS_FILE", "ORDERS_OUT", "MAKEFLAGS", "MAKELEVEL"):
        environment.pop(name, None)
    done = subprocess.run(command, cwd=directory, env=environment, input=block.text, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.place} failed:\n{done.stdout}{done.stderr}"
    return done.stdout


def run_bash(block, directory):
    commands = set(block.text.strip().splitlines())
    if commands & TEST_COMMANDS:
        assert commands <= TEST_COMMANDS, f"{block.place}: commands that run the tests stand in a block of their own"
        assert commands <= set((ROOT / ".ci" / "run").read_text().splitlines()), f"{block.place}: not what .ci/run runs"
        return ""
    return run(block, ["bash", "-euo", "pipefail"], directory)


def load_yaml(block):
    data = yaml.safe_load(block.text)
    if isinstance(data, dict) and "source" in data:
        StreamingPipelineDefinition.from_dict(data).compile()


@pytest.fixture(scope="module")
def copy_of_project(tmp_path_factory):
    def copy(name):
        directory = tmp_path_factory.mktemp(name)
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, directory / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, directory / part)
        return directory

    return copy


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_runs(document, copy_of_project, monkeypatch):
    blocks = list(blocks_of(document))
    assert len(blocks) * 2 == len(re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE))
    if not blocks:
        return
    directory = copy_of_project(document.stem)
    monkeypatch.chdir(directory)
    printed = ""
    for block in blocks:
        if name := FILE_NAME.match(block.text):
            saved = directory / name["name"]
            saved.parent.mkdir(parents=True, exist_ok=True)
            saved.write_text(block.text, encoding="utf-8")
        if block.language == "bash":
            printed = run_bash(block, directory)
        elif block.language == "python":
            run(block, [sys.executable, "-"], directory)
        elif block.language == "yaml":
            load_yaml(block)
        elif block.language == "json":
            json.loads(block.text)
        elif block.kind == "output":
            assert printed == block.text, f"{block.place}: the commands before it print:\n{printed}"
        else:
            assert block.language in ("text", "mermaid"), f"{block.place}: name its language; `text` is not run"


def test_ci_runs_lint_and_then_the_test_command_of_the_readme():
    commands = (ROOT / ".ci" / "run").read_text().rstrip().splitlines()
    assert commands[-2:] == ["make lint", "make test"]
    assert "make test\n" in [block.text for block in blocks_of(ROOT / "README.md")]
