"""``fluxion run -p``: several processes of one run on this machine, started and stopped together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import IO, Any

from .counts import CountingListener, Counts, added
from .process import say_end
from .progress import Progress

GRACE = 5.0
"""Seconds between asking the other processes of a failed run to stop and ending them by force."""

CHECK_EVERY = 0.05


class Child:
    """A process of the run, and what it has told last."""

    def __init__(
        self, number: int, command: Sequence[str], environ: dict[str, str], lifeline: int, report: tuple[int, int]
    ) -> None:
        read_end, write_end = report
        self.process = subprocess.Popen(
            command, env=environ, pass_fds=(lifeline, write_end), start_new_session=True, stderr=subprocess.PIPE
        )
        os.close(write_end)
        assert self.process.stderr is not None
        self._said = threading.Thread(target=pass_on_lines, args=(self.process.stderr, number), daemon=True)
        self._said.start()
        self.pipeline = ""
        self.counts: Counts = CountingListener().counts()
        self.error: str | None = None
        self.ended = 0.0
        self._known = False
        self._thread = threading.Thread(target=self._listen, args=(read_end,), daemon=True)
        self._thread.start()

    def _listen(self, read_end: int) -> None:
        with os.fdopen(read_end, encoding="utf-8") as lines:
            for line in lines:
                message: dict[str, Any] = json.loads(line)
                self.pipeline, self.counts = message["pipeline"], message["counts"]
                self.error = message.get("error", self.error)
                self._known = message.get("ours", self._known)
        self.process.wait()
        self.ended = time.monotonic()

    @property
    def reason(self) -> str | None:
        """Why it failed, if it knows; a process whose connection was cut by another one does not."""
        return self.error if self._known else None

    def heard_out(self) -> None:
        """Wait for the last words of a process that has ended."""
        self._thread.join(timeout=5)
        self._said.join(timeout=5)

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)


def pass_on_lines(lines: IO[bytes], number: int) -> None:
    """Print what a process says on standard error, each line with the process's number; JSON lines as they are."""
    with lines:
        for line in lines:
            if not line.startswith(b"{"):
                line = b"[%d] " % number + line
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


def run_processes(
    count: int,
    command: Callable[[int, str, int, int], Sequence[str]],
    environ: dict[str, str],
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run ``count`` processes to their end and answer the exit code: 0, or that of the first one that failed.

    ``command`` gives the command line of a process from its number, the addresses of all, and the file descriptors of
    its report and its lifeline. SIGTERM and SIGINT are passed on to all of them. When one fails the others are stopped.
    """
    started = time.monotonic()
    addresses = ";".join(free_addresses(count))
    lifeline, held = os.pipe()
    asked: list[int] = []
    children: list[Child] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        for child in children:
            child.signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    progress: Progress | None = None
    try:
        for number in range(count):
            report = os.pipe()
            line = command(number, addresses, report[1], lifeline)
            children.append(Child(number, line, environ, lifeline, report))
        for asked_before in list(asked):
            pass_on(asked_before, None)
        if not quiet and not as_json:
            progress = Progress(lambda: added(child.counts for child in children), f"{count} processes")
            progress.start()
        _wait(children)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(held)
        os.close(lifeline)
        if progress is not None:
            progress.stop()
    for child in children:
        child.heard_out()
    failed = sorted((child for child in children if child.process.returncode), key=lambda child: child.ended)
    code = _exit_code(failed[0]) if failed else 0
    error = _why(failed, children)
    pipeline = next((child.pipeline for child in children if child.pipeline), "")
    counts = added(child.counts for child in children)
    say_end(pipeline, counts, time.monotonic() - started, code, error, as_json=as_json, quiet=quiet)
    return code


def _wait(children: Sequence[Child]) -> None:
    """Wait until all have ended; when one fails, stop the others."""
    give_up: float | None = None
    while any(child.process.poll() is None for child in children):
        time.sleep(CHECK_EVERY)
        if give_up is None:
            if any(child.process.poll() not in (None, 0) for child in children):
                give_up = time.monotonic() + GRACE
                for child in children:
                    child.signal(signal.SIGTERM)
        elif time.monotonic() > give_up:
            for child in children:
                child.signal(signal.SIGKILL)


def _why(failed: Sequence[Child], children: Sequence[Child]) -> str | None:
    """The reason that one of the processes knows; else how the first of them ended."""
    if not failed:
        return None
    known = next((child.reason for child in failed if child.reason), None)
    return known or _last_words(children.index(failed[0]), failed[0])


def _exit_code(child: Child) -> int:
    """The exit code as a shell has it: 128 and the signal's number for a process that a signal ended."""
    code = child.process.returncode
    return 128 - code if code < 0 else code


def _last_words(number: int, child: Child) -> str:
    code = child.process.returncode
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"process {number} {how}; nothing is lost: the next run resumes from the last checkpoint"


def free_addresses(count: int) -> list[str]:
    """Loopback addresses whose ports nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    finally:
        for each in sockets:
            each.close()
