"""One cluster for all tests of this folder: a real broker, or the mock cluster where there cannot be one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

from servers.kafka import Kafka, kafka, why_no_real_broker


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kafka]:
    with kafka() as started:
        yield started


@pytest.fixture(scope="session")
def real_cluster(cluster: Any) -> Any:
    """The cluster, if it is Apache Kafka: for what the mock cluster does not have."""
    if not cluster.real:
        pytest.skip(f"the mock cluster has no such feature, and there is no real broker: {why_no_real_broker()}")
    return cluster
