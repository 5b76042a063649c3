"""A server of its own for a test session, stopped when the session ends, or the reason why there is none."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest


class Server(Protocol):
    """A server that can be started, and removed with all that it has."""

    def start(self) -> None: ...

    def remove(self) -> None: ...


S = TypeVar("S", bound=Server)


def await_answers(process: subprocess.Popen[bytes], answers: Callable[[], bool], seconds: float, log: Path) -> None:
    """Return when a server that has been started answers.

    Raises ``RuntimeError`` with the end of its log; whoever made the server removes it, as :func:`running` does.
    """
    until = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


def running(make: Callable[[], S], why_absent: str, driver: str) -> Iterator[S]:
    """A running server, for a fixture. Without its programs or its ``driver`` the test is skipped; under ``CI=true`` it
    fails without its programs.
    """
    if why_absent and os.environ.get("CI") == "true":
        pytest.fail(why_absent)
    if why_absent:
        pytest.skip(why_absent)
    pytest.importorskip(driver)
    server = make()
    try:
        server.start()
        yield server
    finally:
        server.remove()
