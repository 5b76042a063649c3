"""``fluxion new``: the skeleton of a project, with a pipeline, its tests, and what an editor and Docker need."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .failures import TargetError, json_option, print_json

if TYPE_CHECKING:
    from importlib.abc import Traversable

SCHEMA = "fluxion.schema.json"
RENAMED = {"gitignore": ".gitignore"}
"""Files of the skeleton that would mean something where they are kept."""


@click.command("new")
@click.argument("name")
@click.option("--into", metavar="DIRECTORY", help="Where the project goes; a directory of its name unless given.")
@json_option
def command(name: str, into: str | None, as_json: bool) -> None:
    """Begin a project: a pipeline, its tests as data, a compose file with a broker, the schema for the editor.

    NAME is the pipeline's: letters, digits, '-' and '_'. Nothing that is there already is written over.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise TargetError(name, "is no name for a pipeline", "use letters, digits, '-' and '_', such as orders-ltv")
    directory = Path(into or name)
    files = {**_skeleton(name), SCHEMA: _schema()}
    there = sorted(path for path in files if (directory / path).exists())
    if there:
        raise TargetError(str(directory), f"holds {', '.join(there)} already", "choose another name or directory")
    for path, text in files.items():
        target = directory / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TargetError(str(target), f"cannot be written ({error.strerror})") from None
    if as_json:
        print_json({"directory": str(directory), "files": sorted(files)})
        return
    click.echo(f"{directory}: {len(files)} files. Next:")
    click.echo(f"  cd {directory}\n  fluxion test\n  fluxion run flows/{name}.yaml")


def _skeleton(name: str) -> dict[str, str]:
    """The files by path, with the pipeline's name in place of ``NAME``."""
    found: dict[str, str] = {}

    def add(place: Traversable, prefix: str) -> None:
        for entry in place.iterdir():
            path = prefix + RENAMED.get(entry.name, entry.name)
            if entry.is_dir():
                add(entry, f"{path}/")
            else:
                found[path.replace("NAME", name)] = entry.read_text(encoding="utf-8").replace("NAME", name)

    add(resources.files(__package__) / "skeleton", "")
    return found


def _schema() -> str:
    from ..dsl.schema import definition_schema

    return json.dumps(definition_schema(), indent=2) + "\n"
