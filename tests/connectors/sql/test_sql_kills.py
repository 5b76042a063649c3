"""A file into a table, killed at random moments: nothing is missing, nothing is there twice."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fluxion_connectors.sql.database import parse_url

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))

from processes import STATELESS, Job, counted

KILLS = int(os.environ.get("KILLS", "4"))
"""``KILLS=30`` for a thorough run."""
COLUMNS = {"_id": "integer", "c": "string", "q": "integer", "p": "number", "t": "number"}


def rows(url: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(parse_url(url))
    with engine.connect() as connection:
        table = sa.Table("orders", sa.MetaData(), autoload_with=connection)
        found = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    engine.dispose()
    return found


def killed_into(url: str, folder: Path, workers: int, kills: int) -> Job:
    """A run into a table that holds nothing unique, so that every repeated row shows."""
    job = Job(folder, STATELESS)
    job.write(sink={"type": "sql", "url": url, "table": "orders", "create_table": COLUMNS})
    assert job.kill_at_random(workers, kills, random.Random(30 + workers)) == kills
    return job


@pytest.mark.parametrize("workers", [1])
def test_a_file_is_copied_exactly_once(url: str, tmp_path: Path, workers: int) -> None:
    job = killed_into(url, tmp_path, workers, KILLS)
    assert counted(rows(url)) == counted(job.expected())
    job.check_dead_letters()
