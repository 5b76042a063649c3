"""Environments of their own for rivals whose requirements would constrain ours, made once, in the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "fluxion-flow" / "rivals"
PACKAGES = {"quix": "quixstreams==3.28.1", "faust": "faust-streaming==0.15.3"}


def python_of(rival: str) -> str:
    """The Python that has the rival's package. Raises :class:`RuntimeError` when it cannot be installed."""
    package = PACKAGES[rival]
    folder = CACHE / package
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if ready.exists():
        return str(python)
    print(f"installing {package} into {folder}", flush=True)
    for line in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
    ):
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{package} could not be installed: {(done.stderr or done.stdout).strip()[-500:]}")
    ready.touch()
    return str(python)
