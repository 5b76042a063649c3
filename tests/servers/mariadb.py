"""A MariaDB server of its own for a test session: a temporary directory, a loopback port, a password.

The programs come from Debian's package ``mariadb-server-core`` (or from the path). Without them tests are skipped,
under ``CI=true`` they fail.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.sessions import await_answers, running

PASSWORD = "maria-Tr0ub4dor&3"
START = 60.0


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def why_absent() -> str:
    """Why MariaDB cannot be started here; empty when it can."""
    if _program("mariadbd") is None or _program("mariadb-install-db") is None:
        return "MariaDB's mariadbd and mariadb-install-db are not installed (apt-get install mariadb-server-core)"
    return ""


class MariaServer:
    """One server. ``start`` and ``stop`` may be repeated: the port and the data stay."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxion-mariadb-", dir="/tmp"))
        self.port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        options = [f"--datadir={self.folder / 'data'}", f"--user={getpass.getuser()}", "--skip-test-db"]
        command = [str(_program("mariadb-install-db")), "--no-defaults", *options, "--skip-name-resolve"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")
        (self.folder / "users.sql").write_text(
            f"CREATE OR REPLACE USER fluxion@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO fluxion@'127.0.0.1';\n"
        )

    def url(self, database: str, password: str = PASSWORD) -> str:
        return f"mariadb://fluxion:{password.replace('&', '%26')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = {
            "datadir": self.folder / "data",
            "user": getpass.getuser(),
            "bind-address": "127.0.0.1",
            "port": self.port,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "init-file": self.folder / "users.sql",
            "innodb-buffer-pool-size": "32M",
            "innodb-flush-log-at-trx-commit": 2,  # the machine does not crash in a test, processes do
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(_program("mariadbd")), "--no-defaults", "--skip-name-resolve", *arguments], stdout=log, stderr=log
            )
        await_answers(self._process, self._answers, START, self.folder / "log")

    def stop(self) -> None:
        """Stop it as in a crash: connections break, what was committed is recovered at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str) -> str:
        """A new database; its URL."""
        with self._connected() as connection:
            connection.cursor().execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def _connected(self):  # type: ignore[no-untyped-def]
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=self.port, user="fluxion", password=PASSWORD, connect_timeout=2)

    def _answers(self) -> bool:
        import pymysql

        try:
            self._connected().close()
        except pymysql.MySQLError:
            return False
        return True


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaServer]:
    """A running server."""
    yield from running(MariaServer, why_absent(), "pymysql")


_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def mariadb_url(mariadb: MariaServer) -> str:
    """The URL of an empty database."""
    return mariadb.create_database(f"test_{next(_numbers)}")
