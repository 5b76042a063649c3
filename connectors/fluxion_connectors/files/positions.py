"""A file's positions: how far it is whole, and up to where in the source, put down in one atomic step beside it.

``<path>.positions`` holds the sink that writes the file, the file's size at the last flush, and for each source
partition the position of the last record whose documents stand before that size. It is replaced by renaming, after the
file itself is durable: a crash leaves the old positions or the new ones, and what stands in the file behind them does
not count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fluxion_connectors.files.identity import FileChanged
from fluxion_flow.connect.spi import Cursor


@dataclass(frozen=True)
class Positions:
    """What is put down: ``offset`` is the file's size in bytes."""

    sink: str
    offset: int
    cursors: Mapping[str, Cursor]


def positions_path(path: str) -> str:
    return f"{path}.positions"


def read_positions(path: str, sink: str) -> Positions | None:
    """The positions of the file at ``path``; ``None`` when there are none.

    Raises :class:`FileChanged` when they are damaged, or another sink's.
    """
    name = positions_path(path)
    try:
        with open(name, encoding="utf-8") as file:
            content: Any = json.load(file)
        found = Positions(str(content["sink"]), int(content["offset"]), dict(content["cursors"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise FileChanged(
            f"{name!r} is damaged, so nothing is known about {path!r}; restore it, or delete both to deliver all again"
        ) from None
    if found.sink != sink:
        raise FileChanged(
            f"{path!r} was written by {found.sink!r}, and {sink!r} would write it now; "
            f"choose another path, or delete {name!r} to let the mode decide about the file"
        )
    return found


def write_positions(path: str, positions: Positions, *, fsync: bool) -> None:
    """Replace the positions of the file at ``path``. Raises :class:`OSError`."""
    name = positions_path(path)
    content = {"v": 1, "sink": positions.sink, "offset": positions.offset, "cursors": dict(positions.cursors)}
    with open(f"{name}.new", "w", encoding="utf-8") as file:
        json.dump(content, file)
        if fsync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(f"{name}.new", name)
    if fsync:
        sync_directory(path)


def drop_positions(path: str) -> None:
    """Delete them: the file is about to be written by somebody who keeps none."""
    if os.path.exists(positions_path(path)):
        os.unlink(positions_path(path))


def sync_directory(path: str) -> None:
    """Make the names of new files beside ``path`` durable."""
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
