"""Errors on the command line: their text, their JSON, and the exit code that stands for them."""

from __future__ import annotations

import json
from typing import Any

import click

from ..errors import FluxionError, PipelineError, Problem, Where

FAILED = 1
WRONG = 2
STORE = 3
DRAIN_TIMEOUT = 75
"""Exit codes: a run failed; the command line or a definition is wrong; the checkpoint store cannot be used; a run did
not drain in time."""

_BY_NAME = {
    "StoreInUse": STORE,
    "IncompatibleCheckpoint": STORE,
    "SnapshotError": STORE,
    "StoreUnreadable": STORE,
    "DrainTimedOut": DRAIN_TIMEOUT,
}
"""Errors of the runtime by name: importing them would import the engine."""


class TargetError(PipelineError):
    """There is no pipeline at a target. One problem; ``where`` is the target."""

    def __init__(self, target: str, what: str, hint: str = "") -> None:
        super().__init__([Problem(Where.at(target), what, hint)])


def exit_code(error: BaseException) -> int:
    """The exit code for an error."""
    if isinstance(error, PipelineError):
        return WRONG
    return _BY_NAME.get(type(error).__name__, FAILED)


def problem_data(problem: Problem) -> dict[str, str]:
    """A problem as JSON output has it."""
    return {"where": str(problem.where), "what": problem.what, "hint": problem.hint}


def error_data(error: FluxionError) -> dict[str, Any]:
    """An error as JSON output has it."""
    if isinstance(error, PipelineError):
        return {"problems": [problem_data(problem) for problem in error.problems]}
    return {"error": redacted(str(error))}


def show(error: FluxionError, *, as_json: bool) -> None:
    """Print an error: its text to standard error, or its JSON to standard output."""
    if as_json:
        print_json(error_data(error))
    else:
        click.echo(redacted(str(error)), err=True)


def print_json(value: Any) -> None:
    """Print data as JSON, for people and programs alike."""
    click.echo(redacted(json.dumps(value, indent=2, ensure_ascii=False)))


def redacted(text: str) -> str:
    """The text without secrets."""
    from ..connect.secrets import redact

    return redact(text)


def remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    """Let errors know that JSON is wanted."""
    ctx.meta["json"] = value
    return value


json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=remember_json, help="Print JSON, errors included."
)
"""The option ``--json``, which every command has."""
