"""A PostgreSQL server of its own for a test session: a temporary directory, a loopback port, a password.

The programs come from Debian's package ``postgresql`` (or from the path). PostgreSQL refuses to run as root; as root
it is started as the user ``postgres``, or ``nobody``. Without the programs tests are skipped, under ``CI=true`` they
fail.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.ports import free_ports
from tests.servers.sessions import await_answers, running

PASSWORD = "pg-Tr0ub4dor&3"
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
START = 30.0


def why_absent() -> str:
    """Why PostgreSQL cannot be started here; empty when it can."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL's initdb and postgres are not installed (apt-get install postgresql)"
    if os.getuid() == 0 and (shutil.which("setpriv") is None or _user() is None):
        return "PostgreSQL refuses to run as root, and setpriv or the user 'postgres' is missing"
    return ""


def _program(name: str) -> str | None:
    for pattern in PLACES:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), key=str, reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    return shutil.which(name)


def _user() -> pwd.struct_passwd | None:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


class PostgresServer:
    """One server. ``start`` and ``stop`` may be repeated: the port and the data stay."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxion-postgres-", dir="/tmp"))
        self.port = free_ports(1)[0]
        self._user = _user() if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            for path in (self.folder, password):
                os.chown(path, self._user.pw_uid, self._user.pw_gid)
        self._run(
            [_program("initdb"), "-D", str(self.folder / "data"), "-U", "fluxion", "--pwfile", str(password)],
            ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"],
        )

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://fluxion:{password.replace('&', '%26')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # the machine does not crash in a test, processes do
            "deadlock_timeout": "100ms",
            "max_connections": 50,
            "shared_buffers": "32MB",
        }
        arguments = [f"-c{name}={value}" for name, value in settings.items()]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix(), str(_program("postgres")), "-D", str(self.folder / "data"), *arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        await_answers(self._process, self._answers, START, self.folder / "log")

    def stop(self, *, at_once: bool = True) -> None:
        """Stop it: ``at_once`` as in a crash (connections break, what was committed is recovered at the next start)."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        self._process.wait()
        self._process = None

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, name: str) -> str:
        """A new database; its URL."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _prefix(self) -> list[str]:
        if self._user is None:
            return []
        return ["setpriv", f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups"]

    def _run(self, command: list[str | None], options: list[str]) -> None:
        whole = [*self._prefix(), *map(str, command), *options]
        done = subprocess.run(whole, capture_output=True, text=True, cwd=self.folder)
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server."""
    yield from running(PostgresServer, why_absent(), "psycopg")


_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres.create_database(f"test_{next(_numbers)}")
