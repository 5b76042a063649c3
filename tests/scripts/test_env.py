"""scripts/env.sh chooses a Python, makes .venv once, and installs again only when it has to.

The Pythons here are shell scripts in the checkout's copy that write down what they are asked to do.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Runs Python code; `-m venv .venv` makes a .venv whose python is a copy of the script; other modules do nothing.
GOOD_PYTHON = f"""#!/bin/sh
case "$1" in
-c) exec {sys.executable} "$@" ;;
--version) echo "Python 3.x" ;;
-m)
    echo "$*" >>asked.txt
    if [ "$2" = venv ]; then mkdir -p .venv/bin && cp "$0" .venv/bin/python; fi
    ;;
esac
"""
BROKEN_SHIM = "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n"
PIP = "-m pip install --quiet --disable-pip-version-check"
INSTALL = [f"{PIP} pip>=22.3", f"{PIP} --only-binary bytewax -e .[dev]"]
INSTALL_TO_RUN = [f"{PIP} pip>=22.3", f"{PIP} --only-binary bytewax --no-compile -e ."]
UV = """#!/bin/sh
[ "$1" = --version ] || echo "uv $*" >>asked.txt
"""


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path):
    directory = tmp_path.resolve() / "checkout"
    (directory / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "env.sh", directory / "scripts")
    (directory / "pyproject.toml").write_text("[project]\n")
    return directory


def env_sh(checkout, *arguments, python=None, path=()):
    environment = {"HOME": str(checkout), "PATH": os.pathsep.join([*map(str, path), "/usr/bin", "/bin"])}
    if python:
        environment["PYTHON"] = str(python)
    return subprocess.run(
        ["sh", "scripts/env.sh", *arguments], cwd=checkout, env=environment, capture_output=True, text=True
    )


def asked(checkout):
    """What the Pythons were asked to do since the last look, `pip --version` apart."""
    file = checkout / "asked.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line for line in lines if line != "-m pip --version"]


def test_a_shim_that_does_not_run_is_passed_over(checkout, tmp_path):
    write_program(tmp_path / "bin" / "python3.12", BROKEN_SHIM)
    write_program(tmp_path / "bin" / "python3.11", BROKEN_SHIM)
    good = write_program(tmp_path / "bin" / "python3.10", GOOD_PYTHON)
    assert env_sh(checkout, "--find", path=[tmp_path / "bin"]).stdout == f"{good}\n"


def test_a_python_named_by_hand_must_suit(checkout, tmp_path):
    shim = write_program(tmp_path / "python3.13", BROKEN_SHIM)
    run = env_sh(checkout, python=shim)
    assert run.returncode == 1
    assert run.stderr == (
        f"PYTHON={shim} is no Python 3.10, 3.11 or 3.12 (bytewax 0.21.1 has wheels for these only).\n"
    )


def test_the_first_run_sets_up_and_the_second_does_nothing(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    assert env_sh(checkout, python=good).stderr == (
        f"setting up .venv with Python 3.x ({good})\ninstalling the package and its tools into .venv\n"
    )
    assert asked(checkout) == ["-m venv .venv", *INSTALL]
    second = env_sh(checkout, python=good)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert asked(checkout) == []


def test_a_changed_pyproject_installs_into_the_same_environment(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    env_sh(checkout, python=good)
    asked(checkout)
    (checkout / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    assert env_sh(checkout, python=good).stderr == "installing the package and its tools into .venv\n"
    assert asked(checkout) == INSTALL


def test_a_moved_checkout_gets_a_new_environment(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    env_sh(checkout, python=good)
    asked(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    env_sh(moved, python=good)
    assert asked(moved) == ["-m venv .venv", *INSTALL]


def test_an_environment_made_by_hand_is_kept_once_it_is_stamped(checkout):
    write_program(checkout / ".venv" / "bin" / "python", GOOD_PYTHON)
    assert env_sh(checkout, "--stamp").returncode == 0
    assert env_sh(checkout).stderr == ""
    assert asked(checkout) == []


def test_to_run_pipelines_the_tools_are_left_out_until_they_are_asked_for(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    assert env_sh(checkout, "--run", python=good).stderr == (
        f"setting up .venv with Python 3.x ({good})\ninstalling the package into .venv\n"
    )
    assert asked(checkout) == ["-m venv .venv", *INSTALL_TO_RUN]
    assert env_sh(checkout, "--run", python=good).stderr == ""
    assert env_sh(checkout, python=good).stderr == "installing the package and its tools into .venv\n"
    assert asked(checkout) == INSTALL
    for arguments in ((), ("--run",)):
        assert env_sh(checkout, *arguments, python=good).stderr == ""
    assert asked(checkout) == []


def test_an_environment_with_tools_keeps_them(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    env_sh(checkout, python=good)
    asked(checkout)
    (checkout / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    env_sh(checkout, "--run", python=good)
    assert asked(checkout) == INSTALL


def test_a_uv_that_is_there_installs_and_pip_does_where_it_fails(checkout, tmp_path):
    good = write_program(tmp_path / "python3.10", GOOD_PYTHON)
    write_program(tmp_path / "bin" / "uv", UV)
    env_sh(checkout, "--run", python=good, path=[tmp_path / "bin"])
    with_uv = "uv pip install --quiet --python .venv/bin/python --only-binary bytewax --no-compile -e ."
    asked_for = asked(checkout)
    assert asked_for == [f"uv venv --quiet --no-project --seed --python {good} .venv", "-m venv .venv", with_uv]
    write_program(tmp_path / "bin" / "uv", UV + "[ $1 = --version ]")
    assert env_sh(checkout, python=good, path=[tmp_path / "bin"]).stderr == (
        "installing the package and its tools into .venv\nuv could not install it; trying pip\n"
    )
    assert asked(checkout) == [with_uv.replace("--no-compile -e .", "-e .[dev]"), *INSTALL]
