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


@pytest.mark.parametrize("processes", [1, 2])
def test_a_file_is_copied_exactly_once(url: str, tmp_path: Path, processes: int) -> None:
    """The table holds nothing unique, so that every repeated row shows."""
    job = Job(tmp_path, STATELESS)
    job.write(sink={"type": "sql", "url": url, "table": "orders", "create_table": COLUMNS})
    kills = KILLS if processes == 1 or KILLS >= 30 else KILLS // 2
    assert job.kill_at_random(1, kills, random.Random(30 + processes), processes) == kills
    assert counted(rows(url)) == counted(job.expected())
    job.check_dead_letters()
