"""Bytewax by hand with orjson."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from . import bytewax_by_hand


def _dumps(document: Any) -> str:
    return orjson.dumps(document).decode()


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    bytewax_by_hand.run(job, source, target, orjson.loads, _dumps)
