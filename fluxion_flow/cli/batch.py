"""``fluxion batch``: the stages of a pipeline over a file or standard input, offline, to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import click

from ..errors import FluxionError, PipelineError, Problem, Problems, Where
from .failures import error_data, exit_code, json_option, redacted

if TYPE_CHECKING:
    from ..core.resources import Resources
    from ..core.stages.shapes import Stage

SHOWN = 20
"""So many bad lines are told one by one."""


@dataclass
class Input:
    """The documents of a file, the line (from 1) of each, and the lines that hold none, with the reason."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    lines: Sequence[int] = ()
    bad: list[tuple[int, str]] = field(default_factory=list)


class BatchFailed(FluxionError):
    """The stages failed on a document."""


@click.command("batch")
@click.argument("arguments", metavar="[TARGET] [INPUT]", nargs=-1)
@click.option("--stages", "stages_file", metavar="FILE", help="A YAML or JSON list of stages, in place of TARGET.")
@click.option("-o", "--output", metavar="FILE", default="-", help="Where documents go; standard output unless given.")
@click.option("--stream", "streams", metavar="NAME=FILE", multiple=True, help="The documents of a further stream.")
@click.option("--extended-json", is_flag=True, help="Read and write MongoDB Extended JSON, which keeps all types.")
@click.option("--skip-bad-lines", is_flag=True, help="Go on without the lines that are no JSON objects.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    arguments: tuple[str, ...],
    stages_file: str | None,
    output: str,
    streams: tuple[str, ...],
    extended_json: bool,
    skip_bad_lines: bool,
    as_json: bool,
) -> None:
    """Run a pipeline's stages over JSON Lines, offline.

    INPUT is a file; without it, standard input is read. A stream of the same documents ends with the same result. The
    source, the sinks and the error policies of TARGET are left aside: the first document that a stage cannot take ends
    the run, with its line. With --json, the summary and the errors are one JSON object on standard error.

    \b
    fluxion batch orders.yaml orders.jsonl
    fluxion batch --stages stages.json < orders.jsonl > out.jsonl
    """
    given = list(arguments)
    if stages_file is None and not given:
        raise click.UsageError("give a TARGET, or --stages FILE")
    target = given.pop(0) if stages_file is None else ""
    if len(given) > 1:
        raise click.UsageError(f"there is one INPUT, got {' '.join(given)}")
    report: dict[str, Any] = {"read": 0, "bad_lines": [], "written": 0}
    try:
        stages, resources = _stages(stages_file) if stages_file is not None else _of_target(target)
        found = _read(given[0] if given else "-", extended_json)
        report |= {"read": len(found.documents), "bad_lines": [{"line": n, "error": e} for n, e in found.bad]}
        if not as_json:
            _tell(found.bad)
        if found.bad and not skip_bad_lines:
            raise BatchFailed(f"nothing was run: {_count(found.bad)}; mend them, or use --skip-bad-lines")
        further = _streams(streams, resources, extended_json, skip_bad_lines)
        documents = _run(found, stages, resources, further)
        report["written"] = _write(documents, output, extended_json)
        code = 0
    except FluxionError as error:
        code = exit_code(error)
        report |= error_data(error)
        if not as_json:
            click.echo(redacted(str(error)), err=True)
    if as_json:
        import json

        click.echo(redacted(json.dumps(report, ensure_ascii=False)), err=True)
    ctx.exit(code)


def _of_target(target: str) -> tuple[list[Stage], Resources]:
    from ..core.stages import parse_stages
    from . import loading

    definition = loading.load(target)
    problems = Problems()
    stages = parse_stages(definition.stage_specs(), Where.at("stages"), problems, definition.resources)
    problems.raise_if_any()
    return stages, definition.resources


def _stages(path: str) -> tuple[list[Stage], Resources]:
    """The stages in a file: a list, or the list under ``stages`` of a mapping. Raises :class:`PipelineError`."""
    from ..connect.secrets import interpolate
    from ..core.resources import Resources
    from ..core.stages import parse_stages
    from ..dsl.check import with_values
    from ..dsl.files import read_data_file

    data = read_data_file(path)
    if isinstance(data, dict) and "stages" in data:
        data = data["stages"]
    if not isinstance(data, list):
        raise PipelineError([Problem(Where.at(path), "holds no list of stages", 'such as [{"$match": {"a": 1}}]')])
    problems = Problems()
    where = Where.at("stages")
    specs = with_values(interpolate(data, where, problems), where, problems)
    problems.raise_if_any()
    bare = [{k: v for k, v in s.items() if k not in ("name", "on_error")} if isinstance(s, dict) else s for s in specs]
    resources = Resources()
    stages = parse_stages(bare, where, problems, resources)
    problems.raise_if_any()
    return stages, resources


def _read(path: str, extended: bool) -> Input:
    """Read everything. Raises :class:`TargetError` when the file cannot be read."""
    from ..connect.encoding import decode_records
    from .failures import TargetError

    try:
        with ExitStack() as stack:
            file: IO[bytes] = sys.stdin.buffer if path == "-" else stack.enter_context(open(path, "rb"))
            lines = file.read().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise TargetError(path, f"cannot be read ({error.strerror})") from None
    records = [(number, line) for number, line in enumerate(lines, 1) if line and not line.isspace()]
    documents, places, rejects = decode_records([line for _, line in records], [n for n, _ in records], extended)
    return Input(documents, places, [(reject.position, reject.error) for reject in rejects])


def _streams(
    given: Sequence[str], resources: Resources, extended: bool, skip_bad_lines: bool
) -> dict[str, list[dict[str, Any]]]:
    """The documents of every further stream. Raises :class:`BatchFailed` and :class:`TargetError`."""
    from .failures import TargetError

    files: dict[str, str] = {}
    for each in given:
        name, _, path = each.partition("=")
        if name not in resources.streams or not path:
            known = ", ".join(resources.streams) or "none"
            raise TargetError(each, "is no NAME=FILE with the name of a stream", f"the pipeline's streams: {known}")
        files[name] = path
    for name in resources.streams:
        if name not in files:
            raise TargetError("streams", f"stream {name!r} has no documents", f"give --stream {name}=FILE")
    found = {name: _read(path, extended) for name, path in files.items()}
    for name, stream in found.items():
        if stream.bad and not skip_bad_lines:
            where = f"{files[name]} line {stream.bad[0][0]}: {stream.bad[0][1]}"
            raise BatchFailed(f"nothing was run: {_count(stream.bad)} ({where}); mend them, or use --skip-bad-lines")
    return {name: stream.documents for name, stream in found.items()}


def _run(
    found: Input, stages: Sequence[Stage], resources: Resources, streams: Mapping[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """All documents through all stages. Raises :class:`BatchFailed`, with the line where it is known."""
    from ..core.batch import environment, event_time_of, outside_of, run_partitions, run_segments
    from ..core.plan import segments
    from ..core.program import DocumentError
    from ..core.stages import Windowed
    from ..core.stages.shapes import check_windows

    if any(isinstance(stage, Windowed) for stage in stages):
        problems = Problems()
        check_windows(stages, problems)
        event_time = event_time_of(stages, resources, Where.at("source", "time_field"), problems)
        problems.raise_if_any()
        try:
            with outside_of(resources) as answers:
                further = {name: {"0": documents} for name, documents in streams.items()}
                return run_partitions(found.documents, stages, resources, event_time, None, answers, further)
        except DocumentError as error:
            raise BatchFailed(str(error)) from error
    documents = found.documents
    with outside_of(resources) as answers:
        env = environment(resources, answers)
        for number, segment in enumerate(segments(stages)):
            try:
                documents = run_segments(documents, [segment], env)
            except DocumentError as error:
                known = number == 0 and error.index < len(found.lines)
                raise BatchFailed(f"line {found.lines[error.index]}: {error}" if known else str(error)) from error
    return documents


def _write(documents: Sequence[dict[str, Any]], path: str, extended: bool) -> int:
    """Write everything and answer how much it was. Raises :class:`BatchFailed`."""
    from ..connect.encoding import encode_lines

    text, errors = encode_lines(documents, extended)
    if errors:
        first = min(errors)
        raise BatchFailed(f"document {first} of the result {errors[first]}; nothing was written")
    try:
        with ExitStack() as stack:
            file: IO[bytes] = sys.stdout.buffer if path == "-" else stack.enter_context(open(path, "wb"))
            file.write(text)
            file.flush()
    except BrokenPipeError:
        return len(documents)
    except OSError as error:
        raise BatchFailed(f"{path}: cannot be written ({error.strerror})") from None
    return len(documents)


def _tell(bad: Iterable[tuple[int, str]]) -> None:
    bad = list(bad)
    for number, reason in bad[:SHOWN]:
        click.echo(f"line {number}: {reason}", err=True)
    if len(bad) > SHOWN:
        click.echo(f"and {len(bad) - SHOWN} more lines", err=True)


def _count(bad: Sequence[tuple[int, str]]) -> str:
    return "1 line is no JSON object" if len(bad) == 1 else f"{len(bad)} lines are no JSON objects"
