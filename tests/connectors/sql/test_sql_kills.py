"""A file into a table, killed at random moments: nothing is missing, nothing is there twice."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fluxion_flow.connect.sql.address import parse_url

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))

from processes import STATELESS, Job, counted

KILLS = int(os.environ.get("KILLS", "3"))
"""``KILLS=30`` for a thorough run, also of two processes into each database."""
COLUMNS = {"_id": "integer", "c": "string", "q": "integer", "p": "number", "t": "number"}


def rows(url: str) -> list[dict[str, Any]]:
    engine = sa.create_engine(parse_url(url))
    with engine.connect() as connection:
        table = sa.Table("orders", sa.MetaData(), autoload_with=connection)
        found = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
    engine.dispose()
    return found


def check_copied_exactly_once(url: str, folder: Path, kills: int, processes: int) -> None:
    """The table holds nothing unique, so that every repeated row shows."""
    job = Job(folder, STATELESS, records=max(3000, 400 * kills))
    job.write(sink={"type": "sql", "url": url, "table": "orders", "create_table": COLUMNS})
    assert job.kill_at_random(1, kills, random.Random(30 + processes), processes) == kills
    found, expected = counted(rows(url)), counted(job.expected())
    print(f"{kills} kills: {sum((expected - found).values())} missing, {sum((found - expected).values())} repeated")
    assert found == expected
    job.check_dead_letters()


def test_a_file_is_copied_exactly_once(url: str, tmp_path: Path) -> None:
    check_copied_exactly_once(url, tmp_path, KILLS, processes=1)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"] if KILLS >= 30 else ["sqlite"])
def test_a_file_is_copied_exactly_once_by_two_processes(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}" if database == "sqlite" else request.getfixturevalue("postgres_url")
    check_copied_exactly_once(url, tmp_path, KILLS if KILLS >= 30 else 1, processes=2)
