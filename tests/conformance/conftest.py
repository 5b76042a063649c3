"""The conformance cases, which lie beside the checkout, and one run of the script that scores them.

The cases are required where the environment variable CI is true.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CASES = CHECKOUT.parent / "shared" / "conformance"
FAILURE = re.compile(r"^(should have raised|raised|differs|int/float kind) (\S+) \[", re.MULTILINE)


@dataclass(frozen=True)
class Score:
    """What a run came to: passed and counted cases by file, and the verdict of every case that failed, by its id."""

    counts: dict[str, tuple[int, int]]
    failures: dict[str, str]

    def share(self, file: str) -> float:
        """The share of a file's cases that passed, in percent."""
        passed, counted = self.counts[file]
        return 100 * passed / counted


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of the case files and of the script that scores them."""
    if not (CASES / "run.py").exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the conformance cases are required in CI, but {CASES} has no run.py")
        pytest.skip(f"the conformance cases are not beside this checkout: {CASES} has no run.py")
    return CASES


@pytest.fixture(scope="session")
def score(cases: Path) -> Callable[..., Score]:
    """``score(*options)`` runs the script of the case files with this checkout's package."""

    def run(*options: str) -> Score:
        command = [sys.executable, str(cases / "run.py"), "--json", "--show", "1000000", *options]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        counts = json.loads(done.stdout.splitlines()[-1])
        failures = {case: verdict for verdict, case in FAILURE.findall(done.stdout)}
        failed = sum(counted - passed for passed, counted in counts.values())
        assert len(failures) == failed, f"{failed} cases failed, {len(failures)} were shown"
        return Score({file: (passed, counted) for file, (passed, counted) in counts.items()}, failures)

    return run
