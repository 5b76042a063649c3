"""``fluxion run``: run a pipeline on Bytewax, with a checkpoint store if wanted, in one process or several."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .failures import TargetError, json_option

CHILD = "fluxion_flow.cli.process:flow"
"""What `python -m bytewax.run` is told to run: it finds the target again in the process that runs it."""


@click.command("run")
@click.argument("target")
@click.option(
    "-r",
    "--recovery-directory",
    "store",
    metavar="STORE",
    envvar="BYTEWAX_RECOVERY_DIRECTORY",
    help="The directory of the checkpoint store; made when it is missing. Without one a run begins at the beginning.",
)
@click.option(
    "-s",
    "--snapshot-interval",
    "seconds",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    default=10,
    show_default=True,
    envvar="BYTEWAX_SNAPSHOT_INTERVAL",
    help="How often a checkpoint is made.",
)
@click.option(
    "-b",
    "--backup-interval",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    default=0,
    show_default=True,
    envvar="BYTEWAX_RECOVERY_BACKUP_INTERVAL",
    help="How long older checkpoints are kept.",
)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="BYTEWAX_WORKERS_PER_PROCESS",
    help="Worker threads of each process.",
)
@click.option(
    "-p", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Processes on this machine."
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Files of a new checkpoint store; one for each worker unless given. They stay as many as they are.",
)
@click.option(
    "--standby",
    is_flag=True,
    help="Get ready, wait while another run holds the checkpoint store, and take over when it drains or dies.",
)
@click.option(
    "--status-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Serve health, metrics and a status page there (-p N: on N neighbouring ports); `fluxion top` asks it.",
)
@click.option(
    "--status-host",
    metavar="HOST",
    help="Where to serve them; 127.0.0.1 unless given. Anywhere else needs a token: FLUXION_STATUS_TOKEN.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    store: str | None,
    seconds: int,
    backup_interval: int,
    workers: int,
    processes: int,
    partitions: int | None,
    standby: bool,
    status_port: int | None,
    status_host: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a pipeline until its source completes.

    SIGTERM and SIGINT drain it: what is in flight is delivered, a last checkpoint is made, and the exit code is 0. With
    a checkpoint store, a run that was stopped or killed goes on where it was. The summary goes to standard error; with
    --json it is the last line of standard output.
    """
    from .loading import looks_right

    looks_right(target)
    if store is not None:
        prepare_store(Path(store), workers * processes, partitions)
    elif partitions is not None:
        raise click.UsageError("--partitions is for a checkpoint store; give one with -r")
    if standby and store is None:
        raise click.UsageError("--standby waits for a checkpoint store; give one with -r")
    options = ["-s", str(seconds)]
    if store is not None:
        options += ["-r", store, "-b", str(backup_interval)]
    if workers > 1:
        options += ["-w", str(workers)]
    environ = {**os.environ, "RUST_BACKTRACE": "0", **({"FLUXION_STANDBY": "true"} if standby else {})}
    for name, value in (("FLUXION_STATUS_PORT", status_port), ("FLUXION_STATUS_HOST", status_host)):
        if value is not None:
            environ[name] = str(value)
    if processes == 1:
        sys.stdout.flush()
        line = _bytewax(options, target, as_json=as_json, quiet=quiet)
        os.execve(line[0], line, environ)
    from .cluster import run_processes

    def line_of(number: int, addresses: str, report: int, lifeline: int) -> list[str]:
        place = ["-i", str(number), "-a", addresses]
        after = addresses.split(";")[:number]
        return _bytewax([*options, *place], target, report=report, lifeline=lifeline, after=after)

    ctx.exit(run_processes(processes, line_of, environ, as_json=as_json, quiet=quiet))


def prepare_store(store: Path, workers: int, partitions: int | None) -> None:
    """Make a checkpoint store when there is none. Raises :class:`TargetError` when it cannot be one."""
    if store.exists() and not store.is_dir():
        raise TargetError(str(store), "is a file; a checkpoint store is a directory")
    existing = len(list(store.glob("part-*.sqlite3"))) if store.is_dir() else 0
    if existing:
        if partitions not in (None, existing):
            what = f"has {existing} partition{'s' if existing > 1 else ''}, not {partitions}"
            raise TargetError(str(store), what, "leave --partitions out, or begin a new store")
        return
    from ..runtime.store import make_store

    try:
        make_store(store, partitions or workers)
    except OSError as error:
        raise TargetError(str(store), f"cannot be made a checkpoint store ({error.strerror})") from None


def _bytewax(options: list[str], target: str, **keywords: bool | int | list[str]) -> list[str]:
    given = "".join(f", {name}={value!r}" for name, value in keywords.items() if value is not False)
    return [sys.executable, "-m", "bytewax.run", f"{_outside_packages()}{CHILD}({target!r}{given})", *options]


def _outside_packages() -> str:
    """Where Bytewax is to look for modules: it would take a working directory with ``__init__.py`` for a package."""
    return os.sep if Path("__init__.py").exists() else ""
