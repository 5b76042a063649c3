"""``fluxion sample``: the first documents of a pipeline's source through its stages; nothing is delivered."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ..errors import FluxionError
from .failures import FAILED, json_option, print_json, redacted

if TYPE_CHECKING:
    from ..compiler.plan import Plan, StreamPlan
    from ..connect.spi import StreamingSource


class SourceFailed(FluxionError):
    """The source cannot be read."""


@dataclass
class Sampled:
    """What was read: documents, the partition and position of each, and the records that are no documents."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False

    def by_partition(self, kept: Iterable[int] | None = None) -> dict[str, list[dict[str, Any]]]:
        """The documents of each partition; with ``kept``, those at these indexes."""
        found: dict[str, list[dict[str, Any]]] = {}
        for index in range(len(self.documents)) if kept is None else kept:
            found.setdefault(self.places[index][0], []).append(self.documents[index])
        return found


@click.command("sample")
@click.argument("target")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Documents to read.")
@click.option("--input-only", is_flag=True, help="Show what the source gives, before any stage.")
@click.option("--timeout", type=float, default=10.0, show_default=True, metavar="SECONDS", help="How long to wait.")
@json_option
@click.pass_context
def command(ctx: click.Context, target: str, limit: int, input_only: bool, timeout: float, as_json: bool) -> None:
    """Read the first documents of a source, run the stages over them, and print what comes out, as JSON Lines.

    The source is opened from its configured start. No offset is committed, no checkpoint is made, no sink is opened.
    Stages that gather ($group, windows, $sort) see these documents alone. A document that a stage cannot take is told,
    with the stage, and left out.

    \b
    Exit codes: 0 done; 1 the source cannot be read, or a document failed; 2 the pipeline is wrong
    """
    from ..connect.encoding import encode_document
    from . import loading

    plan = loading.plan(target)
    found = read_source(plan, limit, timeout)
    made: list[dict[str, Any]] = found.documents
    failures: list[dict[str, Any]] = []
    if not input_only:
        further = {stream.name: _of_stream(stream, limit, timeout) for stream in plan.streams}
        found.rejects += [reject for sampled in further.values() for reject in sampled.rejects]
        made, failures = _through(plan, found, {name: sampled.by_partition() for name, sampled in further.items()})
    bad = [*found.rejects, *failures]
    if as_json:
        from .examples import example_data

        print_json({"read": len(found.documents), "documents": [example_data(d) for d in made], "failed": bad})
    else:
        for document in made:
            click.echo(redacted(encode_document(document, extended=True).decode()))
        for one in bad:
            click.echo(redacted(f"{one['partition']} position {one['position']}: {one['error']}"), err=True)
        click.echo(f"read {len(found.documents)}, {len(made)} came out, {len(bad)} failed", err=True)
        sys.stdout.flush()
    ctx.exit(FAILED if bad else 0)


def read_source(plan: Plan, limit: int, timeout: float) -> Sampled:
    """Up to ``limit`` documents of a plan's source, partition by partition, within ``timeout`` seconds.

    Commits nothing. Raises :class:`SourceFailed`.
    """
    from ..connect.spi import StreamingSource

    if not isinstance(plan.source, StreamingSource):
        raise SourceFailed("source: a Bytewax source cannot be read without running; give documents with --input")
    return _sampled(plan.source, "source", limit, timeout)


def _of_stream(stream: StreamPlan, limit: int, timeout: float) -> Sampled:
    return _sampled(stream.source, f"streams.{stream.name}.source", limit, timeout)


def _sampled(source: StreamingSource, step: str, limit: int, timeout: float) -> Sampled:
    found = Sampled()
    until = time.monotonic() + timeout
    try:
        partitions = source.partitions()
        for number, partition in enumerate(partitions):
            share = max((limit - len(found.documents)) // (len(partitions) - number), 1)
            if len(found.documents) < limit:
                _read(source.open(partition, None), step, partition, found, share, until)
    except Exception as error:
        raise SourceFailed(redacted(f"{step}: {error}")) from error
    return found


def _read(reader: Any, step: str, partition: str, found: Sampled, limit: int, until: float) -> None:
    try:
        taken = 0
        while taken < limit and time.monotonic() < until:
            batch = reader.read(limit - taken)
            if batch is None:
                return
            places = batch.positions or range(batch.position, batch.position + len(batch.documents))
            found.documents += batch.documents
            found.places += [(partition, place) for place in places]
            found.rejects += [
                {"step": step, "partition": partition, "position": r.position, "error": r.error} for r in batch.rejects
            ]
            taken += len(batch.documents)
            if not batch.documents and not batch.rejects:
                time.sleep(0.05)
    finally:
        reader.close()


def _through(
    plan: Plan, found: Sampled, streams: Mapping[str, Mapping[str, list[dict[str, Any]]]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The documents through all stages; each that fails is left out, and told."""
    from ..core.batch import event_time_of, run_partitions
    from ..core.program import DocumentError
    from ..errors import Problems, Where

    resources = plan.definition.resources
    time_of = event_time_of(plan.stages, resources, Where.at("source", "time_field"), Problems())
    kept = list(range(len(found.documents)))
    failures: list[dict[str, Any]] = []
    for index in range(len(found.documents)):
        try:
            run_partitions({"0": [found.documents[index]]}, list(plan.stages), resources, time_of)
        except DocumentError as error:
            kept.remove(index)
            partition, position = found.places[index]
            failures.append({"step": "stages", "partition": partition, "position": position, "error": str(error)})
    return run_partitions(found.by_partition(kept), list(plan.stages), resources, time_of, streams=streams), failures
