"""What a checkpoint store holds, read without Bytewax and without running any code that a store might name.

A store is Bytewax's recovery directory: SQLite files ``part-N.sqlite3``, each with a share of the rows. For whoever
wants to look at one (`fluxion checkpoint` is built on these):

- :func:`read_store` answers a :class:`Contents`: pipelines, executions, the epoch that a resume starts from, the
  manifest of the definition that wrote it, and per stateful step the keys and bytes (:class:`StepState`);
- :func:`stored_states` gives every state that a resume would load, as plain data (:class:`Stored`);
- :func:`store_problems` lists what is wrong with the files, in words; empty when all is well;
- :func:`make_store` makes a new store;
- :func:`copy_store` makes a consistent copy of the files while no run holds the store;
- :func:`~fluxion_flow.runtime.lease.holder` tells the process that holds a store;
- :meth:`~fluxion_flow.runtime.manifest.Manifest.changes` and ``accepted`` tell what a definition changes against a
  stored manifest; :func:`~fluxion_flow.compiler.lower.manifest_of` gives the manifest of a plan.

Nothing else here changes a store. How Bytewax chooses the resume epoch and which states it loads was taken from
``src/recovery.rs`` of Bytewax 0.21.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import FluxionError
from .manifest import IncompatibleCheckpoint, Manifest
from .snapshots import SnapshotError, unpack

PARTITIONS = "part-*.sqlite3"
TABLES = frozenset({"parts", "exs", "fronts", "commits", "snaps"})
PAGE = 16384
"""Bytes of a page of a new store."""

WHAT_TO_DO = "restore it from a backup of the whole store, or begin with an empty store (and read the source anew)"


class StoreUnreadable(FluxionError):
    """A directory is no checkpoint store, or files of it are missing or damaged."""


@dataclass(frozen=True)
class Execution:
    """One run on the store. ``resume_epoch``: where it began; ``epoch``: up to where it is complete on every worker.

    ``started`` is UTC, as text (``2026-11-25 16:02:41``).
    """

    number: int
    workers: int
    resume_epoch: int
    epoch: int
    started: str


@dataclass(frozen=True)
class StepState:
    """The state of one step: full id (``pipeline.step``), parts, keys (``None``: not counted), bytes, last epoch."""

    step: str
    parts: int
    keys: int | None
    size: int
    epoch: int


@dataclass(frozen=True)
class Stored:
    """The state of one part of a step that a resume would load. ``plain`` is its data; ``None`` when it is not plain
    data, as the state of a Bytewax source of the user's own may be; ``size`` is in bytes."""

    step: str
    part: str
    epoch: int
    size: int
    plain: dict[str, Any] | None

    @property
    def keys(self) -> int | None:
        """How many keys the part holds, where it says so."""
        return self.plain.get("keys") if self.plain is not None else None


@dataclass(frozen=True)
class Contents:
    """What a store holds. ``resume_epoch``: the epoch that the next run starts from; ``None`` when nothing has run.

    ``partitions`` is the number of files. ``manifest`` is what the last run's definition was, as
    :class:`~fluxion_flow.runtime.manifest.Manifest` has it; ``None`` when no source position is stored.
    """

    path: Path
    partitions: int
    pipelines: tuple[str, ...]
    executions: tuple[Execution, ...]
    resume_epoch: int | None
    manifest: dict[str, Any] | None
    steps: tuple[StepState, ...]


def make_store(store: Path, partitions: int) -> None:
    """Make a new checkpoint store of so many files. Raises :class:`OSError`.

    Its pages are larger than SQLite's own, so that a large state is written in a half of the time.
    """
    from bytewax.recovery import init_db_dir

    store.mkdir(parents=True, exist_ok=True)
    init_db_dir(store, partitions)  # type: ignore[no-untyped-call]
    for path in _files(store):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in ("journal_mode = DELETE", f"page_size = {PAGE}"):
                connection.execute(f"PRAGMA {statement}")
            connection.execute("VACUUM")
            connection.execute("PRAGMA journal_mode = WAL")


def read_store(store: Path) -> Contents:
    """What a store holds. Raises :class:`StoreUnreadable` with everything that is wrong with its files."""
    _must_be_sound(store)
    executions = _executions(store)
    steps: dict[str, list[Stored]] = {}
    manifest = None
    for state in stored_states(store):
        steps.setdefault(state.step, []).append(state)
        if state.plain is not None and "manifest" in state.plain:
            manifest = state.plain["manifest"]
    return Contents(
        store,
        len(_files(store)),
        tuple(sorted({step.split(".", 1)[0] for step in steps})),
        executions,
        executions[-1].epoch if executions else None,
        manifest,
        tuple(_summed(step, states) for step, states in sorted(steps.items())),
    )


def _summed(step: str, states: list[Stored]) -> StepState:
    counts = [state.keys for state in states]
    keys = None if any(count is None for count in counts) else sum(count or 0 for count in counts)
    return StepState(step, len(states), keys, sum(s.size for s in states), max(s.epoch for s in states))


def stored_states(store: Path, step: str | None = None) -> Iterator[Stored]:
    """The states that a resume would load, of one step (its full id) or of all, by step and part.

    Raises :class:`StoreUnreadable` when a file cannot be read.
    """
    executions = _executions(store)
    before = executions[-1].epoch if executions else 0
    query = (
        "SELECT step_id, state_key, MAX(snap_epoch), ser_change FROM snaps WHERE snap_epoch < ? "
        "AND (? IS NULL OR step_id = ?) GROUP BY step_id, state_key"
    )
    found: list[Stored] = []
    for path in _files(store):
        for step_id, part, epoch, data in _rows(path, query, before, step, step):
            if data is not None:
                found.append(Stored(step_id, part, epoch, len(data), _plain(data)))
    yield from sorted(found, key=lambda state: (state.step, state.part))


def _plain(data: bytes) -> dict[str, Any] | None:
    try:
        plain = unpack(data)
    except SnapshotError:
        return None
    return plain if isinstance(plain, dict) else None


def store_problems(store: Path, *, whole: bool = True, thorough: bool = False) -> list[str]:
    """What is wrong with the files of a store, in words; empty when all is well.

    ``whole``: all files of the store should be here; on a cluster over several machines each may hold some of them.
    ``thorough`` reads every page of every file.
    """
    if not store.is_dir():
        return [f"{str(store)!r} is not a directory" if store.exists() else "there is no such directory"]
    files = _files(store)
    if not files:
        return ["it holds no file part-N.sqlite3"]
    problems: list[str] = []
    counts: dict[int, list[str]] = {}
    indexes: set[int] = set()
    for path in files:
        try:
            tables = {name for (name,) in _rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= TABLES:
                problems.append(f"{path.name} is not a file of a checkpoint store")
                continue
            for index, count in _rows(path, "SELECT part_index, part_count FROM parts"):
                indexes.add(index)
                counts.setdefault(count, []).append(path.name)
            for table in sorted(TABLES):
                list(_rows(path, f"SELECT COUNT(*) FROM {table}"))
            if thorough:
                answers = [text for (text,) in _rows(path, "PRAGMA integrity_check(5)")]
                problems += [f"{path.name}: {text}" for text in answers if text != "ok"]
        except StoreUnreadable as error:
            problems.append(str(error))
    if len(counts) > 1:
        listed = "; ".join(f"{', '.join(names)}: of {count}" for count, names in sorted(counts.items()))
        problems.append(f"its files belong to different stores ({listed})")
    elif counts and whole:
        (count,) = counts
        missing = sorted(set(range(count)) - indexes)
        damaged = {path.name for path in files} - {name for names in counts.values() for name in names}
        lost = [f"part-{n}.sqlite3" for n in missing if f"part-{n}.sqlite3" not in damaged]
        if lost:
            problems.append(f"{', '.join(lost)} of {count} files {'is' if len(lost) == 1 else 'are'} missing")
    return problems


def _must_be_sound(store: Path, *, whole: bool = True) -> None:
    problems = store_problems(store, whole=whole)
    if problems:
        raise StoreUnreadable(f"checkpoint store {str(store)!r}: {'; '.join(problems)}; {WHAT_TO_DO}")


def copy_store(store: Path, target: Path) -> None:
    """Copy a store's files to the new directory ``target``, each as of one moment.

    They fit together when no run holds the store meanwhile; under a run, when its backup interval is longer than the
    copying takes. Raises :class:`StoreUnreadable`, and :class:`OSError` when ``target`` cannot be made.
    """
    _must_be_sound(store, whole=False)
    target.mkdir(parents=True)
    for path in _files(store):
        try:
            with closing(_open(path)) as source, closing(sqlite3.connect(target / path.name)) as copy:
                source.backup(copy)
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{path.name} cannot be copied: {error}") from error


def check_store(store: Path, manifest: Manifest, *, whole: bool = True) -> None:
    """Refuse a store with missing or damaged files, and one that this definition cannot resume from.

    Raises :class:`StoreUnreadable` and :class:`~fluxion_flow.runtime.manifest.IncompatibleCheckpoint`.
    """
    _must_be_sound(store, whole=whole)
    pipeline: str = manifest.plain["pipeline"]
    writers: set[str] = set()
    for path in _files(store):
        writers |= {step.split(".", 1)[0] for (step,) in _rows(path, "SELECT DISTINCT step_id FROM snaps")}
    if writers and pipeline not in writers:
        names = ", ".join(repr(name) for name in sorted(writers))
        raise IncompatibleCheckpoint(
            f"checkpoint store {str(store)!r} was written by pipeline {names}, not by {pipeline!r}; "
            "rename the pipeline back, or give it a store of its own"
        )
    for state in stored_states(store, f"{pipeline}.source"):
        if state.plain is not None:
            manifest.check(state.plain["manifest"])


def _executions(store: Path) -> tuple[Execution, ...]:
    """All runs, with the least frontier of their workers: a worker that wrote none stands where its run began."""
    begun: dict[int, tuple[int, int, str]] = {}
    fronts: dict[int, dict[int, int]] = {}
    for path in _files(store):
        for number, workers, epoch, at in _rows(path, "SELECT ex_num, worker_count, resume_epoch, created_at FROM exs"):
            begun[number] = (workers, epoch, at)
        for number, worker, epoch in _rows(path, "SELECT ex_num, worker_index, worker_frontier FROM fronts"):
            known = fronts.setdefault(number, {})
            known[worker] = max(epoch, known.get(worker, 0))
    found = []
    for number, (workers, epoch, at) in sorted(begun.items()):
        reached = min(max(fronts.get(number, {}).get(worker, 0), epoch) for worker in range(workers))
        found.append(Execution(number, workers, epoch, reached, at))
    return tuple(found)


def _files(store: Path) -> list[Path]:
    return sorted(store.glob(PARTITIONS))


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)


def _rows(path: Path, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    try:
        with closing(_open(path)) as connection:
            yield from connection.execute(query, values)
    except sqlite3.Error as error:
        raise StoreUnreadable(f"{path.name} cannot be read ({error})") from error
