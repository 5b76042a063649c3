"""The errors that end a run: they name the pipeline, the step, the source partition and the position.

They are raised ``from None``: what stands behind them is in their own text, with secrets taken out, because the text of
the original error goes to the terminal as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from traceback import walk_tb

from ..connect.secrets import redact
from ..core.program import reason
from ..errors import FluxionError
from ..policy.engine import GaveUp, Interrupted
from ..policy.matching import root

_OURS = str(Path(__file__).parents[1])
_CONNECTORS = "fluxion_connectors"

GO_ON = "; to go on without what fails, let on_error skip it or send it to dead letters"

_last: list[RunFailed] = []

when_failed: list[Callable[[], None]] = []
"""What is called as soon as a run has failed, before the engine hears of it."""


def last_failure() -> RunFailed | None:
    """What ended the last run of this process that failed."""
    return _last[-1] if _last else None


class RunFailed(FluxionError):
    """A run cannot go on. Nothing is lost: the next run resumes from the last checkpoint.

    ``error`` is the cause, ``hint`` what to do.
    """

    def __init__(
        self,
        pipeline: str,
        step: str,
        error: BaseException,
        *,
        partition: str = "",
        position: int | None = None,
        hint: str = "",
    ) -> None:
        attempts = 1
        if isinstance(error, (GaveUp, Interrupted)):
            attempts, error = error.attempts, error.error or error
        self.error = error
        place = f", source partition {partition!r}" if partition else ""
        place += f", position {position}" if position is not None else ""
        tried = f", after {attempts} attempts" if attempts > 1 else ""
        super().__init__(redact(f"pipeline {pipeline!r}, step {step}{place}{tried}: {self._what(error)}{hint}"))
        _last.append(self)
        del _last[:-1]
        for call in when_failed:
            call()

    def _what(self, error: BaseException) -> str:
        return f"{reason(error)}{raised_at(error)}"


class DrainTimedOut(RunFailed):
    """The run was to end while a step waited to try again, and its drain timeout has passed. Nothing is lost."""

    def _what(self, error: BaseException) -> str:
        waiting = "waiting for its circuit breaker" if isinstance(error, Interrupted) else "waiting to try again"
        why = "" if isinstance(error, Interrupted) else f" after: {super()._what(error)}"
        return (
            f"the run was to end and the drain timeout has passed, {waiting}{why}; "
            "nothing is lost: the next run resumes from the last checkpoint"
        )


def raised_at(error: BaseException) -> str:
    """Where code that is not ours raised what is behind ``error``; empty when only ours did."""
    found = root(error)
    if isinstance(found, FluxionError):
        return ""
    for frame, line in reversed(list(walk_tb(found.__traceback__))):
        code = frame.f_code
        if code.co_filename.startswith((_OURS, "<")) or f"/{_CONNECTORS}/" in code.co_filename:
            continue
        return f" (raised in {code.co_filename}, line {line}, in {code.co_name})"
    return ""
