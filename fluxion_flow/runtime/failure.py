"""The error that ends a run: it names the pipeline, the step, the source partition and the position."""

from __future__ import annotations

from ..connect.secrets import redact
from ..core.program import DocumentError, reason
from ..errors import FluxionError
from ..policy.engine import GaveUp


class RunFailed(FluxionError):
    """A run cannot go on. Nothing is lost: the next run resumes from the last checkpoint."""

    def __init__(
        self, pipeline: str, step: str, error: BaseException, *, partition: str = "", position: int | None = None
    ) -> None:
        attempts = 1
        if isinstance(error, GaveUp):
            attempts, error = error.attempts, error.error
        place = f", source partition {partition!r}" if partition else ""
        place += f", position {position}" if position is not None else ""
        tried = f", after {attempts} attempts" if attempts > 1 else ""
        text = str(error) if isinstance(error, DocumentError) else f"{step}: {reason(error)}"
        super().__init__(redact(f"pipeline {pipeline!r}, step {step}{place}{tried}: {text}"))
