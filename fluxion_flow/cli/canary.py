"""``fluxion canary``: a sampled shadow run whose counts and totals are compared with the main pipeline's."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import FluxionError
from .failures import FAILED, json_option, print_json


@click.command("canary")
@click.argument("main_", metavar="MAIN")
@click.argument("shadow", metavar="SHADOW")
@click.option("--input", "input_", metavar="FILE", help="JSON Lines to run; unless given, the start of MAIN's source.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=10_000, show_default=True, help="Documents to read.")
@click.option("--rate", type=click.FloatRange(0, 1, min_open=True), default=0.1, show_default=True, help="The sample.")
@click.option(
    "--tolerance", type=click.FloatRange(0), default=0.0, show_default=True, help="Relative difference allowed."
)
@click.option("--metrics", metavar="FILE", type=click.Path(path_type=Path), help="Write Prometheus metrics there.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    main_: str,
    shadow: str,
    input_: str | None,
    limit: int,
    rate: float,
    tolerance: float,
    metrics: Path | None,
    as_json: bool,
) -> None:
    """Run a sample of the documents through two pipelines and compare what they derive.

    The same documents, chosen by their position (the same in every run), go through MAIN and through SHADOW, a changed
    definition or one of a new version; sinks are mocked. Compared are the numbers of documents that each delivers,
    dead-letters and skips, and the total of every number in what they deliver. With --metrics they are written as
    Prometheus metrics for node_exporter's textfile collector: run it from a timer, and alert on
    fluxion_canary_difference_ratio.

    \b
    Exit codes: 0 within the tolerance; 1 not, or a pipeline failed; 2 a pipeline is wrong
    """
    from . import loading
    from .verify import documents_of

    plans = {"main": loading.plan(main_), "shadow": loading.plan(shadow)}
    documents = documents_of(plans["main"], input_, limit)
    sample = [document for number, document in enumerate(documents) if _chosen(number, rate)]
    found = {name: _derived(plan.definition, sample) for name, plan in plans.items()}
    rows = _compared(found["main"], found["shadow"])
    worst = max((row["difference"] for row in rows), default=0.0)
    ok = worst <= tolerance
    if metrics is not None:
        _write_metrics(metrics, plans["main"].definition.name, rows, len(sample))
    if as_json:
        print_json({"ok": ok, "documents": len(documents), "sample": len(sample), "compared": rows})
    else:
        from .tables import print_rows

        print_rows(
            ("what", "main", "shadow", "difference"),
            [(row["what"], f"{row['main']:g}", f"{row['shadow']:g}", f"{row['difference']:.2%}") for row in rows],
        )
        click.echo(f"{len(sample)} of {len(documents)} documents; the largest difference is {worst:.2%}", err=True)
    ctx.exit(0 if ok else FAILED)


class CanaryFailed(FluxionError):
    """One of the pipelines failed on the sample."""


def _chosen(number: int, rate: float) -> bool:
    digest = hashlib.blake2b(str(number).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * (1 << 64)


def _derived(definition: Any, sample: list[dict[str, Any]]) -> dict[str, float]:
    """Counts and totals of what a pipeline makes of the sample."""
    from dataclasses import replace

    from ..testing import FlowTester

    result = FlowTester(replace(definition, listeners=())).run(sample)
    if result.error:
        raise CanaryFailed(f"{definition.name}: {result.error}")
    found: dict[str, float] = {
        "dead-lettered": result.counters["dead_lettered"],
        "skipped": result.counters["skipped"],
    }
    several = len(result.outputs) > 1
    for sink, documents in result.outputs.items():
        prefix = f"{sink}: " if several else ""
        found[f"{prefix}delivered"] = len(documents)
        numbers: dict[str, list[float]] = {}
        for document in documents:
            _numbers(document, "", numbers)
        found |= {f"{prefix}total of {path}": math.fsum(values) for path, values in sorted(numbers.items())}
    return found


def _numbers(value: Any, path: str, found: dict[str, list[float]]) -> None:
    if isinstance(value, Mapping):
        for name, item in value.items():
            _numbers(item, f"{path}.{name}" if path else str(name), found)
    elif isinstance(value, list):
        for item in value:
            _numbers(item, f"{path}[]", found)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        found.setdefault(path, []).append(value)


def _compared(main: Mapping[str, float], shadow: Mapping[str, float]) -> list[dict[str, Any]]:
    rows = []
    for what in dict.fromkeys([*main, *shadow]):
        left, right = main.get(what, 0), shadow.get(what, 0)
        larger = max(abs(left), abs(right))
        rows.append(
            {"what": what, "main": left, "shadow": right, "difference": abs(left - right) / larger if larger else 0.0}
        )
    return rows


def _write_metrics(path: Path, pipeline: str, rows: list[dict[str, Any]], sample: int) -> None:
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    value = Gauge(
        "fluxion_canary_value", "A count or total of the sample.", ["pipeline", "what", "run"], registry=registry
    )
    ratio = Gauge(
        "fluxion_canary_difference_ratio",
        "Shadow against main, of the larger.",
        ["pipeline", "what"],
        registry=registry,
    )
    size = Gauge("fluxion_canary_documents", "Documents in the sample.", ["pipeline"], registry=registry)
    size.labels(pipeline).set(sample)
    for row in rows:
        for run in ("main", "shadow"):
            value.labels(pipeline, row["what"], run).set(row[run])
        ratio.labels(pipeline, row["what"]).set(row["difference"])
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(generate_latest(registry))
    os.replace(fresh, path)
