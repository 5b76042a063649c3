"""The image's build, step by step, without a Docker engine: what is copied, what is installed, what runs.

The steps are those of the Dockerfile; only the paths of the image are laid under a folder of the test. It is also the
proof that the package installs from nothing and runs.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", " ", (ROOT / "deploy" / "docker" / "Dockerfile").read_text())
STEPS = [line.split(maxsplit=1) for line in TEXT.splitlines() if line and not line.startswith("#")]


def steps(name):
    return [rest for instruction, rest in STEPS if instruction == name]


def context(folder):
    """Everything that `.dockerignore` lets through, copied."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    assert patterns[0] == "*", "nothing gets into an image but what is named"
    for kept in (pattern[1:] for pattern in patterns if pattern.startswith("!")):
        source = ROOT / kept
        if source.is_dir():
            shutil.copytree(source, folder / kept, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / kept)
    return folder


def test_the_base_image_has_a_python_that_bytewax_has_wheels_for():
    versions = {re.match(r"python:(3\.\d+)-slim", image)[1] for image in steps("FROM")}
    assert versions <= {"3.10", "3.11", "3.12"}


def test_the_image_runs_as_a_user_without_rights():
    order = [instruction for instruction, _ in STEPS]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert steps("USER") == ["10001"]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The folder that stands for the image's file system: what the steps of the Dockerfile lay into it."""
    root = tmp_path_factory.mktemp("image")
    built, found = context(tmp_path_factory.mktemp("context")), []
    for line in steps("COPY"):
        if line.startswith("--from"):
            continue
        *sources, target = line.split()
        for source in sources:
            assert (built / source).exists(), f"COPY {source}: .dockerignore keeps it out"
            if target.startswith("/"):
                shutil.copytree(built / source, root / target.lstrip("/"))
            found.append(source)
    assert any(fnmatch.fnmatch(source, "flows") for source in found)
    (install,) = [step for step in steps("RUN") if "pip install" in step]
    _, command = install.split("&&")
    program, *arguments = shlex.split(command.replace("${EXTRAS}", steps("ARG")[0].partition("=")[2]))
    assert program == "/opt/fluxion/bin/pip"
    venv.create(root / "opt" / "fluxion", with_pip=True)
    arguments.remove("--no-cache-dir")
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [root / "opt/fluxion/bin/python", "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"],
        cwd=built, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return root


def test_the_image_runs_a_pipeline_with_a_store(image, tmp_path):
    directory = image / steps("WORKDIR")[-1].lstrip("/")
    (program,) = re.findall(r'"(.*?)"', steps("ENTRYPOINT")[0])
    environ = {"PATH": f"{image / 'opt/fluxion/bin'}{os.pathsep}/usr/bin:/bin", "ORDERS_OUT": str(tmp_path)}
    line = [image / "opt/fluxion/bin" / program, "run", "flows/orders_quickstart.yaml", "-r", str(tmp_path / "store")]
    done = subprocess.run(line, cwd=directory, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "customers.jsonl").read_text().splitlines()) > 1000
    where = subprocess.run(
        [image / "opt/fluxion/bin/python", "-c", "import fluxion_flow; print(fluxion_flow.__file__)"],
        cwd=tmp_path, env=environ, capture_output=True, text=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(image)), "what ran was the installed package"
    assert sys.version_info[:2] >= (3, 10)
