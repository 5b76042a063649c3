"""One run of the script that scores ``run_batch`` against the case files, as counts and as the cases that failed."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

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


def score(cases: Path, *options: str) -> Score:
    """Run the script of the case files with this checkout's package."""
    command = [sys.executable, str(cases / "run.py"), "--json", "--show", "1000000", *options]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    failures = {case: verdict for verdict, case in FAILURE.findall(done.stdout)}
    failed = sum(counted - passed for passed, counted in counts.values())
    assert len(failures) == failed, f"{failed} cases failed, {len(failures)} were shown"
    return Score({file: (passed, counted) for file, (passed, counted) in counts.items()}, failures)
