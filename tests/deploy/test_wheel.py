"""The wheel: what is in it, and a pipeline run from it in an environment that knows nothing of this checkout.

That `pip install` of the sources works is shown by the image's steps in test_docker.py.
"""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"


def run(line, **more):
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, line)), env=environ, capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT])
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_has_the_version_of_the_changelog_s_newest_heading(wheel):
    assert wheel.name == f"fluxion_flow-{VERSION}-py3-none-any.whl"
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].startswith(f"## [{VERSION}] - 20")


def test_the_wheel_has_both_packages_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"fluxion_flow", "fluxion_connectors", f"fluxion_flow-{VERSION}.dist-info"}
    assert {"fluxion_flow/py.typed", "fluxion_connectors/kafka/sink.py"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".orig"))]


def test_a_pipeline_runs_from_the_wheel_alone(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel])
    definition = tmp_path / "paid.yaml"
    definition.write_text(
        "name: paid\n"
        "source: {type: files, path: orders.jsonl}\n"
        'stages: [{$match: {status: PAID}}, {$group: {_id: $customer, total: {$sum: "$amount"}}}]\n'
        "sink: {type: files, path: totals.jsonl}\n"
    )
    (tmp_path / "orders.jsonl").write_text(
        '{"status": "PAID", "customer": "a", "amount": 2}\n'
        '{"status": "OPEN", "customer": "a", "amount": 5}\n'
        '{"status": "PAID", "customer": "a", "amount": 1.5}\n'
    )
    run([tmp_path / "env" / "bin" / "fluxion", "run", definition, "-r", "store", "-q"], cwd=tmp_path)
    assert (tmp_path / "totals.jsonl").read_text().splitlines()[-1] == '{"_id":"a","total":3.5}'
    where = run([python, "-c", "import fluxion_connectors; print(fluxion_connectors.__file__)"], cwd=tmp_path)
    assert where.startswith(str(tmp_path / "env"))
    assert run([tmp_path / "env" / "bin" / "fluxion", "--version"], cwd=tmp_path).split()[-1] == VERSION
