"""``fluxion checkpoint``: checkpoint stores made, looked into, compared with a definition, copied, and moved aside.

Stores are read without Bytewax, and states as plain data only: nothing that a store might name is run.
"""

from __future__ import annotations

import itertools
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FluxionError
from .failures import STORE, TargetError, json_option, print_json, redacted

if TYPE_CHECKING:
    from ..runtime.store import Contents, Stored

STORE_ARGUMENT = click.argument("store", metavar="STORE", type=click.Path(path_type=Path))


@click.group("checkpoint")
def command() -> None:
    """Checkpoint stores: make, look into, check, compare, copy and reset them.

    \b
    Exit codes: 0 done; 2 the command line or a definition is wrong; 3 the store cannot be used, or not be resumed from
    """


@command.command("init")
@STORE_ARGUMENT
@click.option("--partitions", type=click.IntRange(min=1), default=1, show_default=True, help="Files of the store.")
@json_option
def init(store: Path, partitions: int, as_json: bool) -> None:
    """Make an empty store. `fluxion run -r STORE` does so by itself; `python -m bytewax.run` does not."""
    if list(store.glob("part-*.sqlite3")):
        raise TargetError(
            str(store), "is a checkpoint store already", "leave it, or move it aside: fluxion checkpoint reset"
        )
    from .run import prepare_store

    prepare_store(store, partitions, partitions)
    if as_json:
        print_json({"store": str(store), "partitions": partitions})
    else:
        click.echo(f"{store}: an empty checkpoint store with {_count(partitions, 'file')}")


@command.command("inspect")
@STORE_ARGUMENT
@click.option("--step", help="Only this step: its id, with or without the pipeline's name.")
@click.option("--keys", type=click.IntRange(min=0), default=0, metavar="N", help="Show so many keys of every step.")
@json_option
def inspect(store: Path, step: str | None, keys: int, as_json: bool) -> None:
    """Show what a store holds: executions and epochs, the cursor of each source partition, keys and bytes of each step.

    Works while a run holds the store, too; it then shows its last complete epoch.
    """
    from ..runtime.lease import holder
    from ..runtime.store import read_store, stored_states

    contents = read_store(store)
    held = holder(store)
    states = [state for state in stored_states(store) if step is None or step in (state.step, _short(state.step))]
    if step is not None and not states:
        from ..errors import did_you_mean

        known = [_short(one.step) for one in contents.steps]
        raise TargetError(
            step, "there is no such step in the store", did_you_mean(step, known) or f"there are {', '.join(known)}"
        )
    data = _inspected(contents, states, keys)
    data["held_by"] = None if held is None else str(held)
    if as_json:
        print_json(data)
        return
    _print_contents(contents, data, step)


@command.command("check")
@STORE_ARGUMENT
@click.option("--quick", is_flag=True, help="Do not read every page of every file.")
@json_option
@click.pass_context
def check(ctx: click.Context, store: Path, quick: bool, as_json: bool) -> None:
    """Check the files of a store: all there, of one store, undamaged; and the states in it, readable as plain data."""
    from ..runtime.store import store_problems, stored_states

    problems = store_problems(store, thorough=not quick)
    unreadable = []
    if not problems:
        unreadable = [f"{state.step}, part {state.part}" for state in stored_states(store) if state.plain is None]
    if as_json:
        print_json({"store": str(store), "ok": not problems, "problems": problems, "not_plain_data": unreadable})
    else:
        for problem in problems:
            click.echo(redacted(f"{store}: {problem}"))
        for name in unreadable:
            click.echo(
                f"{store}: {name}: its state is not plain data and is left unread (a Bytewax source's own may be)"
            )
        if not problems:
            click.echo(f"{store}: ok")
    ctx.exit(STORE if problems else 0)


@command.command("diff")
@click.argument("target")
@STORE_ARGUMENT
@json_option
@click.pass_context
def diff(ctx: click.Context, target: str, store: Path, as_json: bool) -> None:
    """Show what a definition changes against the one that wrote a store, and whether a resume is accepted.

    Exit code 3 when a resume would be refused.
    """
    from ..compiler.lower import manifest_of
    from ..runtime.store import read_store
    from . import loading

    plan = loading.plan(target)
    contents = read_store(store)
    changes: list[str] = []
    accepted: list[str] = []
    if contents.pipelines and plan.definition.name not in contents.pipelines:
        writers = ", ".join(map(repr, contents.pipelines))
        changes = [f"the store was written by pipeline {writers}, not by {plan.definition.name!r}"]
    elif contents.manifest is not None:
        manifest = manifest_of(plan)
        changes, accepted = manifest.changes(contents.manifest), list(manifest.accepted(contents.manifest))
    new = contents.manifest is None
    if as_json:
        print_json(
            {"store": str(store), "accepted": not changes, "empty": new, "changes": changes, "compatible": accepted}
        )
    elif changes:
        for change in changes:
            click.echo(redacted(change))
        click.echo(
            "a resume would be refused: run the definition that wrote the store, or begin with an empty one", err=True
        )
    else:
        for change in accepted:
            click.echo(redacted(change))
        click.echo("nothing has run on this store yet" if new else "a resume is accepted: no state is lost or misread")
    ctx.exit(STORE if changes else 0)


@command.command("backup")
@STORE_ARGUMENT
@click.argument("target", metavar="DIRECTORY", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Also while a run holds the store.")
@json_option
def backup(store: Path, target: Path, force: bool, as_json: bool) -> None:
    """Copy a store into a new directory, with SQLite's backup: a resume from the copy is a resume from that moment.

    While a run holds the store its files move on while they are copied one by one; they fit together only where the
    run's backup interval (`fluxion run -b`) is longer than the copying takes.
    """
    from ..runtime.lease import holder
    from ..runtime.store import copy_store, read_store

    if target.exists():
        raise TargetError(str(target), "exists already", "name a directory that is not there yet")
    held = holder(store)
    if held is not None and not force:
        raise StoreHeld(f"checkpoint store {str(store)!r} is held by a run ({held}); drain it first, or use --force")
    fresh = target.with_name(f"{target.name}.new")
    if fresh.exists():
        raise TargetError(str(fresh), "is left from a backup that was ended half-way", "delete it")
    copy_store(store, fresh)
    os.replace(fresh, target)
    contents = read_store(target)
    if as_json:
        print_json(
            {
                "store": str(store),
                "copy": str(target),
                "files": contents.partitions,
                "resume_epoch": contents.resume_epoch,
            }
        )
    else:
        click.echo(f"{target}: {_count(contents.partitions, 'file')}, resumes from epoch {contents.resume_epoch}")


@command.command("reset")
@STORE_ARGUMENT
@json_option
def reset(store: Path, as_json: bool) -> None:
    """Move a store aside and make an empty one with as many files in its place. Nothing is deleted.

    The next run reads its source anew: documents come out again that have come out before.
    """
    from ..runtime.lease import holder
    from .run import prepare_store

    files = list(store.glob("part-*.sqlite3"))
    if not files:
        raise TargetError(str(store), "is no checkpoint store", "name a directory with part-0.sqlite3")
    held = holder(store)
    if held is not None:
        raise StoreHeld(f"checkpoint store {str(store)!r} is held by a run ({held}); end it first")
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
    names = itertools.chain([f"{store.name}.{stamp}"], (f"{store.name}.{stamp}-{n}" for n in itertools.count(2)))
    aside = next(place for name in names if not (place := store.with_name(name)).exists())
    os.replace(store, aside)
    prepare_store(store, len(files), len(files))
    if as_json:
        print_json({"store": str(store), "moved_to": str(aside)})
    else:
        click.echo(f"{store}: empty now; what it held is in {aside}")


class StoreHeld(FluxionError):
    """A run holds the store."""


def _inspected(contents: Contents, states: list[Stored], keys: int) -> dict[str, Any]:
    cursors = {
        state.part: state.plain.get("cursor")
        for state in states
        if state.plain is not None and "manifest" in state.plain
    }
    steps = []
    wanted = {state.step for state in states}
    for step in contents.steps:
        if step.step not in wanted:
            continue
        its = [state for state in states if state.step == step.step]
        one: dict[str, Any] = {
            "step": _short(step.step),
            "pipeline": step.step.partition(".")[0],
            "parts": step.parts,
            "keys": step.keys,
            "bytes": step.size,
            "epoch": step.epoch,
        }
        if keys:
            one["sample"] = list(itertools.islice((key for state in its for key in _keys(state)), keys))
        steps.append(one)
    return {
        "store": str(contents.path),
        "files": contents.partitions,
        "pipelines": list(contents.pipelines),
        "resume_epoch": contents.resume_epoch,
        "executions": [
            {"number": e.number, "workers": e.workers, "started": e.started, "from": e.resume_epoch, "epoch": e.epoch}
            for e in contents.executions
        ],
        "cursors": cursors,
        "steps": steps,
    }


def _keys(state: Stored) -> list[Any]:
    """The keys that stand in a part whose state is kept by key; nothing where there are none."""
    from ..runtime.snapshots import SnapshotError, unpack
    from .examples import example_data

    plain = state.plain or {}
    pieces = [*(plain.get("pieces") or ()), plain.get("state")]
    found: dict[str, Any] = {}
    for packed in pieces:
        try:
            piece = unpack(packed) if isinstance(packed, bytes) else None
        except SnapshotError:
            continue
        if isinstance(piece, dict):
            inner = piece.get("state", piece)
            entries = inner.get("entries") if isinstance(inner, dict) else None
            found.update((repr(entry[0]), entry[0]) for entry in entries or () if entry)
    return [example_data(key) for key in found.values()]


def _short(step: str) -> str:
    """A step's id without the pipeline's name."""
    return step.partition(".")[2]


def _print_contents(contents: Contents, data: dict[str, Any], step: str | None) -> None:
    from .tables import print_rows

    names = ", ".join(contents.pipelines) or "no pipeline yet"
    click.echo(f"{contents.path}: {_count(contents.partitions, 'file')}, {names}")
    if data["held_by"]:
        click.echo(f"held by a run ({data['held_by']})")
    if step is None:
        if contents.resume_epoch is not None:
            click.echo(f"the next run resumes from epoch {contents.resume_epoch}")
        if contents.executions:
            click.echo()
            rows = [
                (str(e.number), e.started, str(e.workers), str(e.resume_epoch), str(e.epoch))
                for e in contents.executions[-10:]
            ]
            print_rows(("execution", "started (UTC)", "workers", "from epoch", "complete up to"), rows)
        if data["cursors"]:
            click.echo()
            print_rows(("source partition", "cursor"), [(p, str(c)) for p, c in data["cursors"].items()])
    if data["steps"]:
        click.echo()
        print_rows(
            ("step", "parts", "keys", "bytes", "last epoch"),
            [
                (
                    s["step"],
                    str(s["parts"]),
                    "" if s["keys"] is None else str(s["keys"]),
                    str(s["bytes"]),
                    str(s["epoch"]),
                )
                for s in data["steps"]
            ],
        )
    for one in data["steps"]:
        if one.get("sample"):
            click.echo(f"\nkeys of {one['step']}: {', '.join(map(str, one['sample']))}")


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
