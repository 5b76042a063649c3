"""Where the conformance cases lie: beside the checkout. They are required where the environment variable CI is true."""

import os
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2].parent / "shared" / "conformance"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of the case files and of the script that scores them."""
    if not (CASES / "run.py").exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"the conformance cases are required in CI, but {CASES} has no run.py")
        pytest.skip(f"the conformance cases are not beside this checkout: {CASES} has no run.py")
    return CASES
