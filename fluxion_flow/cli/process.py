"""One process of ``fluxion run``: `python -m bytewax.run` calls :func:`flow` for the dataflow, then runs it.

How the run ends is told once: on the terminal by a process that runs alone, to the process that started it by one of
several. ``report`` is then the file descriptor of a pipe to that process, and ``lifeline`` that of one which it holds
open for as long as it lives.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import FluxionError
from .counts import CountingListener, as_data, in_words
from .failures import FAILED, exit_code, redacted
from .progress import Progress

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow

INTERRUPTED = 128 + signal.SIGINT
"""Exit code of a run that a second SIGINT ended at once."""

REPORT_EVERY = 0.25
"""Seconds between two reports of a process to the one that started it."""


def flow(
    target: str,
    *,
    as_json: bool = False,
    quiet: bool = False,
    report: int = -1,
    lifeline: int = -1,
    after: Sequence[str] = (),
) -> Dataflow:
    """The dataflow of a target, prepared so that its progress and its end are told.

    ``after``: addresses that must be listened on before this process goes on. Ends the process, with what is wrong and
    the exit code that stands for it, when there is no dataflow.
    """
    ending = _Piped(report) if report >= 0 else _Alone(as_json, quiet)
    sys.excepthook = ending.failed
    if lifeline >= 0:
        threading.Thread(target=_drain_when_alone, args=(lifeline,), daemon=True).start()
    try:
        found = _dataflow(target, ending)
        _wait_for(after)
        return found
    except FluxionError as error:
        ending.say(error, exit_code(error))
        raise SystemExit(exit_code(error)) from None


def _dataflow(target: str, ending: _Ending) -> Dataflow:
    from .loading import find

    found = find(target)
    if found.definition is None:
        assert found.flow is not None
        return found.flow
    definition = found.definition
    ending.begin(definition.name)
    return replace(definition, listeners=(*definition.listeners, ending.listener)).compile()


def _wait_for(addresses: Sequence[str]) -> None:
    """Wait until the other processes listen; connecting too early would print a warning into standard output.

    A signal ends this process at once: nothing has begun that could be drained.
    """
    before = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGINT)}
    for address in addresses:
        host, _, port = address.rpartition(":")
        while not _listened_on(host, int(port)):
            time.sleep(0.02)
    for number, handler in before.items():
        signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listened_on(host: str, port: int) -> bool:
    """Whether an address is taken. Connecting would tell as well, and be mistaken for another process."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False


def _drain_when_alone(lifeline: int) -> None:
    """Wait until the process that holds the other end is gone; then drain, as nobody could stop this one any more."""
    while os.read(lifeline, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


class _Ending:
    """Tells how a run goes and ends."""

    def __init__(self) -> None:
        self.listener = CountingListener()
        self.pipeline = ""
        self._said = False

    def begin(self, pipeline: str) -> None:
        self.pipeline = pipeline
        atexit.register(self._completed)

    def _completed(self) -> None:
        if not self._said:
            self.say(None, 0)

    def failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Answer an exception that ended the run: with its text where it is ours, with all of it where it is not."""
        ours = _ours(error) or self._from_policy()
        lost = kind.__name__ == "PanicException"
        if ours is None and not lost and not issubclass(kind, KeyboardInterrupt):
            traceback.print_exception(kind, error, trace)
        code = INTERRUPTED if issubclass(kind, KeyboardInterrupt) else FAILED if ours is None else exit_code(ours)
        self.say(ours or error, code)
        sys.stdout.flush()
        sys.stderr.flush()
        if code != FAILED:
            os._exit(code)

    def _from_policy(self) -> FluxionError | None:
        """The failure that the listener heard of: between processes, Bytewax drops the exception itself."""
        if self.listener.failure is None:
            return None
        from ..runtime.failure import RunFailed

        context, error = self.listener.failure
        return RunFailed(context.pipeline, context.step, error, partition=context.partition)

    def say(self, error: BaseException | None, code: int) -> None:
        self._said = True

    def _seconds(self) -> float:
        return time.monotonic() - self.listener.started


def _ours(error: BaseException | None) -> FluxionError | None:
    """The error of ours that stands behind what Bytewax raises."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, FluxionError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _text(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the next run resumes from the last checkpoint"
    if type(error).__name__ == "PanicException":
        return f"Bytewax ended without a reason ({error})"
    return redacted(str(error) if isinstance(error, FluxionError) else f"{type(error).__name__}: {error}")


class _Alone(_Ending):
    """A process that runs alone tells it on the terminal."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._quiet = quiet
        self._progress: Progress | None = None

    def begin(self, pipeline: str) -> None:
        super().begin(pipeline)
        if not self._quiet and not self._as_json:
            self._progress = Progress(self.listener.counts, pipeline)
            self._progress.start()

    def say(self, error: BaseException | None, code: int) -> None:
        super().say(error, code)
        if self._progress is not None:
            self._progress.stop()
        say_end(
            self.pipeline,
            self.listener.counts(),
            self._seconds(),
            code,
            None if error is None else _text(error),
            as_json=self._as_json,
            quiet=self._quiet,
        )


class _Piped(_Ending):
    """One of several processes tells it to the one that started them: a JSON object a line."""

    def __init__(self, report: int) -> None:
        super().__init__()
        self._file = os.fdopen(report, "w", encoding="utf-8")
        self._lock = threading.Lock()

    def begin(self, pipeline: str) -> None:
        super().begin(pipeline)
        threading.Thread(target=self._report, daemon=True).start()

    def _report(self) -> None:
        while not self._said:
            self._send({})
            time.sleep(REPORT_EVERY)

    def say(self, error: BaseException | None, code: int) -> None:
        super().say(error, code)
        told = None if error is None else _text(error)
        self._send({"error": told, "ours": isinstance(error, FluxionError)})

    def _send(self, more: dict[str, Any]) -> None:
        message = {"pipeline": self.pipeline, "counts": self.listener.counts(), **more}
        with self._lock:
            try:
                self._file.write(json.dumps(message) + "\n")
                self._file.flush()
            except (OSError, ValueError):
                """The process that started this one is gone; the lifeline sees to that."""


def say_end(
    pipeline: str,
    counts: dict[str, Any],
    seconds: float,
    code: int,
    error: str | None,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print how a run ended: what went wrong, and the summary; as JSON on the last line of standard output."""
    if as_json:
        data = as_data(pipeline, counts, seconds, code, error)
        print(redacted(json.dumps(data, ensure_ascii=False)), flush=True)
        return
    if error is not None:
        print(error, file=sys.stderr)
    if pipeline and not quiet and (code == 0 or counts["read"]):
        print(in_words(pipeline, counts, seconds), file=sys.stderr, flush=True)
