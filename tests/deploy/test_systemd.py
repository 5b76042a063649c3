"""The unit is what systemd accepts, and knows our exit codes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fluxion_flow.cli import failures
from fluxion_flow.cli.run import command as run_command

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "fluxion@.service"


def setting(name):
    return re.search(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)[1]


def test_systemd_accepts_the_unit(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None and os.environ.get("CI") != "true":
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    assert analyze, "under CI systemd-analyze must be there"
    program = Path(sys.executable).with_name("fluxion")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/fluxion/bin/fluxion", str(program)))
    done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_of_the_unit_is_one_of_ours():
    program, name, *rest = setting("ExecStart").split()
    assert program.endswith("/fluxion")
    context = run_command.make_context(name, list(rest))
    assert context.params["target"] == "/etc/fluxion/%i.yaml"
    assert context.params["store"] == "${STATE_DIRECTORY}/store"


def test_what_a_restart_does_not_mend_is_not_restarted():
    assert set(map(int, setting("RestartPreventExitStatus").split())) == {failures.WRONG, failures.STORE}
