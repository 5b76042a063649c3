"""SQL tests run on SQLite and, where it is installed, on a real PostgreSQL server."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "servers")]

from mariadb import mariadb, mariadb_url  # noqa: E402
from postgres import postgres, postgres_url  # noqa: E402

__all__ = ["mariadb", "mariadb_url", "postgres", "postgres_url"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres_url")
