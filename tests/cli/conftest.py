"""A working directory of its own for each test, with flows in it, and the command line called in this process."""

import os
import sys
import textwrap

import pytest
from click.testing import CliRunner

from fluxion_flow.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working directory; modules imported from it, and settings of the environment, are gone afterwards."""
    for name in list(os.environ):
        if name.startswith(("FLUXION_", "BYTEWAX_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def write(here):
    """Write a file, its text without the indentation that it has in a test."""

    def write(path, text):
        file = here / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return write


@pytest.fixture
def fluxion(here):
    """Call `fluxion` with arguments; the result has ``exit_code``, ``stdout`` and ``stderr``."""

    def fluxion(*arguments, input=None):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=input, prog_name="fluxion")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return fluxion


@pytest.fixture
def copy_yaml(write):
    """A pipeline that adds a field to each line of in.jsonl."""
    return write(
        "copy.yaml",
        """
        name: copy
        source: {type: files, path: in.jsonl}
        stages:
          - $set: {b: {$add: [$a, 1]}}
        sink: {type: files, path: out.jsonl}
        """,
    )
