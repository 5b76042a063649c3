"""``fluxion``: the command line. Each command is a file of its own, imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ..errors import FluxionError
from .failures import exit_code, show

COMMANDS = (
    *("run", "check", "explain", "batch", "sample", "test", "verify", "drill", "canary", "dlq", "checkpoint"),
    *("new", "stages", "operators", "connectors", "schema", "completion", "top"),
)
"""Every command; ``fluxion_flow.cli.<name>`` holds it as ``command``."""


class Fluxion(click.Group):
    """A group that imports its commands late, and answers a mistake with its text instead of a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"fluxion_flow.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ..errors import did_you_mean

            hint = did_you_mean(args[0], COMMANDS) or f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"No such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FluxionError as error:
            show(error, as_json=bool(ctx.meta.get("json")))
            return ctx.exit(exit_code(error))


@click.group(cls=Fluxion, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="fluxion-flow", message="fluxion %(version)s")
def main() -> None:
    """Streaming pipelines as data: run them, check them, look into them.

    A TARGET is a pipeline: a module (flows.orders), a Python file (flows/orders.py), a name in either
    (flows.orders:flow), or a definition file (orders.yaml, orders.json).

    \b
    Exit codes
      0   done; for run: completed, or drained after SIGTERM or SIGINT
      1   a run failed, or documents could not be processed
      2   the command line or a definition is wrong
      3   the checkpoint store is in use, or cannot be resumed from
      75  a run did not drain in time and was ended by force; the next run resumes
    """
