"""``fluxion verify``: the same input offline, streamed, at several batch sizes and worker counts, and with kills."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FluxionError
from .failures import FAILED, TargetError, json_option, print_json, redacted
from .verifying import PROGRESS, SPEC

if TYPE_CHECKING:
    from ..compiler.plan import Plan

Document = dict[str, Any]
CHILD = "fluxion_flow.cli.verifying:flow"
COUNT = click.IntRange(min=1)
PARTITIONS = 4
OPEN_STREAM = 10.0
"""Seconds to read documents from a source that never completes."""
PATIENCE = 300.0
"""Seconds that one run may take."""
SPREAD = 1.5
"""Seconds that a run which is to be killed is stretched to."""


@dataclass
class Run:
    """One way to run the input: its title, its settings, and what came of it.

    ``outputs`` by sink; ``letters``: step and document of each dead letter; ``error``: why it failed.
    """

    title: str
    batch_size: int = 500
    threads: int = 1
    processes: int = 1
    kills: int = 0
    killed: int = 0
    outputs: dict[str, list[Document]] = field(default_factory=dict)
    letters: list[Document] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0
    difference: str = ""


@click.command("verify")
@click.argument("target")
@click.option("--input", "input_", metavar="FILE", help="JSON Lines to run; unless given, the pipeline's own source.")
@click.option("--limit", type=COUNT, default=20_000, show_default=True, help="At most so many documents.")
@click.option("--batch-size", "sizes", type=COUNT, multiple=True, default=(500, 7, 1), show_default=True)
@click.option("-w", "--workers", type=COUNT, multiple=True, default=(2,), show_default=True)
@click.option("-p", "--processes", type=COUNT, multiple=True, default=(2,), show_default=True)
@click.option("--kills", type=click.IntRange(min=0), default=2, show_default=True, help="Times to kill -9 a run.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments of the kills.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    input_: str | None,
    limit: int,
    sizes: tuple[int, ...],
    workers: tuple[int, ...],
    processes: tuple[int, ...],
    kills: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show that a pipeline gives the same result however it is run.

    A bounded input goes through the pipeline offline, and streamed: at each batch size, on several workers (threads),
    in several processes, and killed with SIGKILL half-way and resumed. The results must be the same documents; of an
    updating $group, the last document of every _id. Sinks and dead-letter sinks are files of its own: nothing is
    delivered. A difference, which a function that is not deterministic makes, is told with the first document that has
    it.

    \b
    Exit codes: 0 all the same; 1 something differs, or a run failed; 2 the pipeline or the input is wrong
    """
    from . import loading

    plan = loading.plan(target)
    documents = documents_of(plan, input_, limit)
    runs = [Run("offline")]
    runs += [Run(f"streamed, batch size {size}", size) for size in sizes]
    runs += [Run(f"{count} workers", 7, threads=count) for count in workers if count > 1]
    runs += [Run(f"{count} processes", 7, processes=count) for count in processes if count > 1]
    if kills:
        killed = "1 kill -9" if kills == 1 else f"{kills} kills -9"
        runs.append(Run(killed, 7, kills=kills))
        runs += [Run(f"{c} workers, {killed}", 7, threads=c, kills=kills) for c in workers[:1] if c > 1]
    with tempfile.TemporaryDirectory(prefix="fluxion-verify-") as name:
        folder = Path(name)
        parts = _write(documents, folder)
        _offline(plan, parts, runs[0])
        for number, run in enumerate(runs[1:]):
            _stream(target, folder, folder / f"run-{number}", run, plan, random.Random(seed + number))
    reference = next((run for run in runs if not run.error), None)
    for run in runs:
        if reference is not None and run is not reference and not run.error:
            run.difference = _difference(reference, run, plan)
    failed = [run for run in runs[1:] if run.error or run.difference]
    notes = [f"offline stops at the first document that fails: {runs[0].error}"] if runs[0].error else []
    ok = reference is not None and not failed
    if as_json:
        rows = [_row(run, reference) for run in runs]
        print_json({"ok": ok, "documents": len(documents), "runs": rows, "notes": notes})
    else:
        _print(runs, reference, len(documents), notes)
    ctx.exit(0 if ok else FAILED)


def documents_of(plan: Plan, path: str | None, limit: int) -> list[Document]:
    """The documents to run: of a file of JSON Lines, or the first ones of the pipeline's own source.

    Raises :class:`TargetError` when they cannot be read, and for a pipeline that joins further streams.
    """
    if plan.streams:
        hint = "test it with `fluxion test`, whose tests give streams, workers and crash_after"
        names = ", ".join(stream.name for stream in plan.streams)
        what = f"{names} beside the source: documents of one stream can be given here"
        raise TargetError("streams", what, hint)
    if path is None:
        from .sample import read_source

        found = read_source(plan, limit, timeout=60.0 if plan.bounded else OPEN_STREAM).documents
        if not found:
            raise TargetError("source", "gives no documents", "give some with --input FILE")
        return found
    from ..connect.encoding import decode_records

    try:
        lines = [line for line in Path(path).read_bytes().split(b"\n") if line and not line.isspace()][:limit]
    except OSError as error:
        raise TargetError(path, f"cannot be read ({error.strerror})") from None
    extended = plan.definition.source.options.get("extended_json") is True
    documents, _, rejects = decode_records(lines, range(1, len(lines) + 1), extended)
    if rejects:
        raise TargetError(path, f"line {rejects[0].position}: {rejects[0].error}", "mend it, or leave it out")
    return documents


def _write(documents: Sequence[Document], folder: Path) -> dict[str, list[Document]]:
    """The documents in partitions, each in a file that the runs read."""
    from ..connect.encoding import encode_lines

    size = -(-len(documents) // PARTITIONS) or 1
    parts = {}
    for number in range(PARTITIONS):
        part = list(documents[number * size : (number + 1) * size])
        text, errors = encode_lines(part, extended=True)
        if errors:
            raise FluxionError(f"a document of the input {next(iter(errors.values()))}")
        (folder / f"in-{number:05d}.jsonl").write_bytes(text)
        parts[f"{number:05d}"] = part
    return parts


def _offline(plan: Plan, parts: Mapping[str, list[Document]], run: Run) -> None:
    from ..core.batch import event_time_of, run_partitions
    from ..core.program import DocumentError
    from ..errors import Problems, Where
    from ..testing.flow_tester import NOW

    started = time.monotonic()
    resources = plan.definition.resources
    resources = type(resources)(**{**vars(resources), "now": NOW})
    time_of = event_time_of(plan.stages, resources, Where.at("source", "time_field"), Problems())
    late: list[dict[str, Any]] = []
    try:
        made = run_partitions(parts, list(plan.stages), resources, time_of, late)
        for sink in plan.sinks:
            run.outputs[sink.name] = made if sink.when is None else _when(sink.when, made, resources)
    except DocumentError as error:
        run.error = redacted(str(error))
    run.letters = [{"doc": one["doc"]} for one in late]
    run.seconds = time.monotonic() - started


def _when(program: Any, documents: list[Document], resources: Any) -> list[Document]:
    from ..core.batch import environment

    found: list[Document] = program.run(documents, environment(resources))
    return found


def _stream(target: str, inputs: Path, folder: Path, run: Run, plan: Plan, rng: random.Random) -> None:
    """Run once, in processes, with kills on the way if there are to be any."""
    from bytewax.recovery import init_db_dir

    folder.mkdir()
    store = folder / "store"
    store.mkdir()
    init_db_dir(store, 1)  # type: ignore[no-untyped-call]
    lines = [sum(1 for _ in path.open("rb")) for path in inputs.glob("in-*.jsonl")]
    reads = max(-(-count // run.batch_size) for count in lines) or 1
    started = time.monotonic()
    while run.killed < run.kills:
        _specify(folder, target, run.batch_size, pause=SPREAD / reads)
        processes = _start(folder, store, run)
        try:
            _wait_for_progress(folder, processes)
            time.sleep(rng.uniform(0.1, SPREAD * 0.6))
            for process in processes:
                process.send_signal(signal.SIGKILL)
        finally:
            _end(processes)
        if any(process.returncode not in (0, -signal.SIGKILL) for process in processes):
            break
        run.killed += 1
    _specify(folder, target, run.batch_size, pause=0.0)
    processes = _start(folder, store, run)
    try:
        errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    except subprocess.TimeoutExpired:
        errors = [f"it has not ended within {PATIENCE:g} s"] * len(processes)
    finally:
        _end(processes)
    run.seconds = time.monotonic() - started
    failed = [error for process, error in zip(processes, errors, strict=True) if process.returncode != 0]
    if failed:
        run.error = redacted(" ".join(failed[0].split())[-300:] or "a process ended by itself")
        return
    from ..testing.mocks import MockSink

    for number, sink in enumerate(plan.sinks):
        run.outputs[sink.name] = MockSink(folder / f"sink-{number}.jsonl").documents()
    letters = MockSink(folder / "dead_letters.jsonl").documents()
    run.letters = [{name: one.get(name) for name in ("operatorName", "doc", "raw") if name in one} for one in letters]


def _specify(folder: Path, target: str, batch_size: int, pause: float) -> None:
    spec = {"target": target, "batch_size": batch_size, "pause": pause}
    (folder / SPEC).write_text(json.dumps(spec), encoding="utf-8")
    (folder / PROGRESS).write_bytes(b"")


def _start(folder: Path, store: Path, run: Run) -> list[subprocess.Popen[str]]:
    from .cluster import free_addresses

    command = [sys.executable, "-m", "bytewax.run", f"{CHILD}({str(folder)!r})", "-r", str(store), "-s", "0", "-b", "0"]
    if run.threads > 1:
        command += ["-w", str(run.threads)]
    places: list[list[str]] = [[]]
    if run.processes > 1:
        addresses = ";".join(free_addresses(run.processes))
        places = [["-i", str(number), "-a", addresses] for number in range(run.processes)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BYTEWAX_")}
    paths = os.pathsep.join(filter(None, (os.getcwd(), environ.get("PYTHONPATH"))))
    environ |= {"RUST_BACKTRACE": "0", "PYTHONPATH": paths}
    return [
        subprocess.Popen([*command, *place], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ)
        for place in places
    ]


def _wait_for_progress(folder: Path, processes: Sequence[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and all(process.poll() is None for process in processes):
        if (folder / PROGRESS).stat().st_size:
            return
        time.sleep(0.01)


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def _difference(reference: Run, run: Run, plan: Plan) -> str:
    """The first document in which a run differs from the reference, in words; empty: none."""
    for sink, documents in reference.outputs.items():
        where = "output" if len(reference.outputs) == 1 else f"output of {sink!r}"
        told = _first(_settled(documents, plan), _settled(run.outputs.get(sink, []), plan), where)
        if told:
            return told
    if reference.title == "offline":
        return ""
    return _first(reference.letters, run.letters, "dead letters")


def _settled(documents: list[Document], plan: Plan) -> list[Document]:
    """Of a group that sends changed values, the last one of every key."""
    from ..compiler.plan import KeyedStep

    if plan.emit != "update" or not any(isinstance(step, KeyedStep) for step in plan.steps):
        return documents
    if not all("_id" in document for document in documents):
        return documents
    return list({_text(document["_id"]): document for document in documents}.values())


def _first(expected: Sequence[Document], got: Sequence[Document], where: str) -> str:
    from ..testing.compare import differences, shown

    texts = [_text(document) for document in got]
    left = Counter(texts)
    missing = []
    for number, document in enumerate(expected):
        text = _text(document)
        if left[text]:
            left[text] -= 1
        else:
            missing.append((number, document))
    extra = [document for document, text in zip(got, texts, strict=True) if left[text]]
    if not missing:
        return f"{where}: not expected: {shown(extra[0])}" if extra else ""
    number, document = missing[0]
    count = f" ({len(missing)} of {len(expected)} differ)" if len(missing) > 1 else ""
    if not extra:
        return f"{where}[{number}]: missing: {shown(document)}{count}"
    closest = min(extra[:200], key=lambda other: len(differences(document, other, "")))
    told = "; ".join(differences(document, closest, f"{where}[{number}]")[:3])
    return f"{told}; document {shown(document)}{count}"


def _text(value: Any) -> str:
    from ..connect.encoding import to_extended

    return json.dumps(to_extended(value), sort_keys=True, default=str)


def _row(run: Run, reference: Run | None) -> dict[str, Any]:
    return {
        "run": run.title,
        "batch_size": run.batch_size if run.title != "offline" else None,
        "workers": run.threads * run.processes,
        "kills": run.killed,
        "documents": {name: len(documents) for name, documents in run.outputs.items()},
        "dead_letters": len(run.letters),
        "seconds": round(run.seconds, 2),
        "result": _result(run, reference),
        "difference": redacted(run.difference) or None,
        "error": run.error or None,
    }


def _result(run: Run, reference: Run | None) -> str:
    if run.error:
        return "failed"
    return "reference" if run is reference else "differs" if run.difference else "same"


def _print(runs: Sequence[Run], reference: Run | None, documents: int, notes: Sequence[str]) -> None:
    from .tables import print_rows

    print_rows(
        ("run", "documents", "dead letters", "seconds", "result"),
        [
            (
                run.title,
                str(sum(map(len, run.outputs.values()))),
                str(len(run.letters)),
                f"{run.seconds:.1f}",
                f"{_result(run, reference)}{': ' if run.error or run.difference else ''}{run.error or run.difference}",
            )
            for run in runs
        ],
    )
    same = sum(_result(run, reference) in ("same", "reference") for run in runs)
    click.echo(f"{documents} documents in; {same} of {len(runs)} runs give the same result", err=True)
    for note in notes:
        click.echo(note, err=True)
