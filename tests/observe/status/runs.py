"""Runs of real processes whose status is served, and what asks them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLUXION = [sys.executable, "-c", "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"]
CHROMIUM = [
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    "--virtual-time-budget=2500",
]


def needs(program: str) -> None:
    """Skip the test where ``program`` is not installed; under ``CI=true`` that is a failure."""
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is required under CI=true, but it is not installed")
        pytest.skip(f"{program} is not installed")


@contextmanager
def running(target: str, folder: Path, port: int, *options: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """`fluxion run` of a target with its status at ``port``; SIGTERM ends it, and it must end well."""
    log = folder / "run.log"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FLUXION_", "BYTEWAX_"))}
    with log.open("w") as file:
        run = subprocess.Popen(
            [*FLUXION, "run", target, "--status-port", str(port), "-s", "1", *options],
            env={**clean, **environ},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield run
    finally:
        run.send_signal(signal.SIGTERM)
        code = run.wait(60)
    assert code == 0, log.read_text()


def get(port: int, path: str, token: str = "") -> bytes:
    """What is answered; raises :class:`OSError`."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def status(port: int, path: str = "/all.json", token: str = "") -> Any:
    return json.loads(get(port, path, token))


def wait_for(condition: Callable[[], Any], run: subprocess.Popen[bytes], seconds: float = 60.0) -> Any:
    """What ``condition`` answers once it is true, while ``run`` goes on; what cannot be asked yet is not."""
    until = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        assert run.poll() is None, f"the run has ended with exit code {run.returncode}"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def page(folder: Path, port: int, query: str = "/", *, picture: Path | None = None, dark: bool = False) -> str:
    """The page as Chromium has it once its script has run; ``picture`` is where to draw it, instead."""
    needs("chromium")
    options = [f"--user-data-dir={folder / 'chromium'}", f"--window-size=1200,{1000 if picture is None else 900}"]
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    what = "--dump-dom" if picture is None else f"--screenshot={picture}"
    done = subprocess.run(
        [*CHROMIUM, *options, what, f"http://127.0.0.1:{port}{query}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout
