"""Bytewax by hand with the standard library's json."""

from __future__ import annotations

import json
from pathlib import Path

from . import bytewax_by_hand


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    bytewax_by_hand.run(job, source, target, json.loads, json.dumps)
