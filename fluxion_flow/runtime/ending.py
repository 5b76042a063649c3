"""How a run of `python -m bytewax.run` ends: with the text of what went wrong, and the exit code that tells it."""

from __future__ import annotations

import sys
from types import TracebackType

from ..connect.secrets import redact
from ..errors import FluxionError
from .drain import exit_at_once, timed_out
from .failure import last_failure, when_failed
from .quiet import hold, release

_installed = False


def install_ending() -> None:
    """Print an error of ours as its text alone, and exit with the drain's code when the drain has timed out.

    Everything else is shown as Python shows it, and so is everything under `python -X dev`. A hook that somebody else
    has installed goes on showing errors in its own way.
    """
    global _installed
    if _installed:
        return
    _installed = True
    shown = sys.excepthook
    concise = shown is sys.__excepthook__ and not sys.flags.dev_mode
    if not sys.flags.dev_mode:
        when_failed.append(hold)

    def ended(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        when_failed.clear()
        release()
        ours = ours_behind(error)
        if ours is None and not isinstance(error, Exception):
            ours = last_failure()  # between processes, a thread of the engine may fail before the worker is heard
        if concise and ours is not None:
            print(redact(str(ours)), file=sys.stderr)
        else:
            shown(kind, error, traceback)
        if timed_out():
            exit_at_once()

    sys.excepthook = ended


def ours_behind(error: BaseException | None) -> FluxionError | None:
    """The error of ours that stands behind one of the engine's."""
    while error is not None and not isinstance(error, FluxionError):
        error = error.__cause__
    return error
