"""Tests of the runtime run real dataflows; what they share is found beside them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fluxion_connectors.memory import clear

from fluxion_flow.policy import breaker

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No documents, no breakers, and none of the environment's settings."""
    for name in list(os.environ):
        if name.startswith("FLUXION_"):
            monkeypatch.delenv(name)
    clear()
    breaker.reset()
    yield
    clear()
    breaker.reset()
