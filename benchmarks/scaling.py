"""Scaling on paper: what more workers would do, from what was measured with one and with two.

The model is small on purpose. A worker spends ``c`` seconds of a core on a document. With ``w`` workers a share of the
keyed work, ``1 - 1/w``, crosses processes; what that costs, ``x`` of ``c``, follows from the measured ratio of two
processes to one. A source gives at most one worker a partition something to do. One broker takes what it has confirmed
to one producer, at least. A checkpoint costs a worker the measured share, which falls with its part of the keys.
"""

# ruff: noqa: E501 - prose, a sentence a line

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WORKERS = (1, 10, 100, 1_000)
PARTITIONS = 64
"""Partitions of the topic in the example."""

BATCH = 500
"""Documents of a batch: what is combined before it crosses."""

CONTROL_LIMIT = 10_000
"""Connections between workers, each of which carries progress messages in every epoch, from which on a run should be
split: an assumption, not a measurement.
"""


@dataclass(frozen=True)
class Measured:
    """What the model is fed with."""

    stateless: float
    """Seconds of a core a message, topic to topic."""
    keyed: float
    """Seconds of a core a document with `$group`, file to file."""
    two: float
    """Two processes beside one, with `$group`."""
    broker: float
    """Messages a second that one broker has confirmed to one producer: it takes that many at least."""
    checkpoint: float
    """The share of the time that a checkpoint every second costs with a million keys."""


def measured(results: dict[str, Any]) -> Measured | None:
    """From the results of a run; ``None`` where a figure is missing."""
    rows = [row for bench in results["benches"] for row in bench["rows"]]

    def first(job: str, beside: str = "") -> dict[str, Any] | None:
        return next((row for row in rows if row["job"].startswith(job) and row["beside"].startswith(beside)), None)

    kafka = first("Kafka → stages")
    group, two = first("files → match+set+group", "the same compiled"), first("files → match+set+group → files, two")
    keys = [row for row in rows if "a checkpoint every second" in row["job"]]
    if None in (kafka, group, two) or not keys:
        return None
    assert kafka
    assert group
    assert two
    return Measured(
        kafka["facts"]["our_microseconds"] / 1e6,
        group["facts"]["our_microseconds"] / 1e6,
        two["median"],
        kafka["facts"]["broker_rate"],
        max(keys[-1]["median"] - 1, 0.0),
    )


@dataclass(frozen=True)
class Scaled:
    """What so many workers come to. Rates are documents a second."""

    workers: int
    stateless: float
    keyed: float
    brokers: float
    """Brokers like the measured one that the stateless rate needs."""
    partial: float
    """Documents of a batch that are combined before they cross to one worker."""
    connections: int
    checkpoint: float
    """The share of the time for a checkpoint every second, a million keys over all workers."""
    limit: str
    then: str


def scaled(workers: int, given: Measured) -> Scaled:
    """The model for a number of workers."""
    exchange = max(2 * (2 / given.two - 1), 0.0)
    stateless = workers / given.stateless
    crossing = 1 - 1 / workers
    keyed = workers / (given.keyed * (1 + exchange * crossing))
    partial = max(BATCH / workers, 1.0)
    connections = workers * (workers - 1)
    brokers = stateless / given.broker
    if workers == 1:
        limit, then = "the core of the worker", "a second process: `fluxion run -p 2`"
    elif workers > PARTITIONS and connections < CONTROL_LIMIT:
        limit = f"partitions of the topic: with {PARTITIONS}, {workers - PARTITIONS} workers have nothing to read"
        then = "more partitions than workers, before the topic is filled"
    elif connections >= CONTROL_LIMIT:
        limit = f"the exchange: a batch meets {workers} workers, so little is combined, and {connections:,} connections talk"
        then = "several runs of fewer workers, each on its own topics or partitions, with a checkpoint store each"
    elif brokers > 1:
        limit, then = (
            f"the broker: {brokers:.0f} like the measured one are needed",
            "more brokers, partitions spread over them",
        )
    else:
        limit, then = "the exchange", "larger batches (`batch_size`)"
    return Scaled(workers, stateless, keyed, brokers, partial, connections, given.checkpoint / workers, limit, then)


def section(results: dict[str, Any]) -> list[str]:
    """The section of the page, as lines of Markdown."""
    lines = ["## Scaling, on paper", ""]
    given = measured(results)
    if given is None:
        return [*lines, "Not computed: a measurement that the model needs is missing from the results.", ""]
    exchange = max(2 * (2 / given.two - 1), 0.0)
    lines += [
        f"Measured were one process and two, on {results['machine']['cores']} cores. What more would do is computed from that "
        "by `benchmarks/scaling.py`:",
        "",
        f"- Topic to topic, a message takes {given.stateless * 1e6:.2f} µs of a worker. Workers of such a pipeline share "
        "nothing, so their rates add up, as long as each has a partition.",
        f"- File to file with `$group`, a document takes {given.keyed * 1e6:.2f} µs. Two processes were "
        f"{given.two:.2f} times as fast as one, so what crosses between processes costs up to {exchange:.0%} of that. "
        f"Partials cross, not documents: a batch of {BATCH} sends one to each worker at most.",
        f"- One broker confirmed {given.broker:,.0f} messages a second to one producer on the same machine (acks=all, one "
        "partition). On disks and cores of its own it takes more.",
        f"- A checkpoint every second of a million keys cost {given.checkpoint:.0%} of the time of one worker. Keys are "
        "spread over workers, and each writes its own part of the store.",
        "",
        "| workers | topic to topic, a second | `$group`, a second | brokers needed | documents a partial | checkpoint | first limit | what to do then |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for workers in WORKERS:
        one = scaled(workers, given)
        lines.append(
            f"| {workers:,} | {short(one.stateless)} | {short(one.keyed)} | {one.brokers:.1f} | {one.partial:.0f} | "
            f"{one.checkpoint:.1%} | {one.limit} | {one.then} |"
        )
    return [
        *lines,
        "",
        f"Assumed, not measured: that a run should be split from {CONTROL_LIMIT:,} connections between workers on, because each "
        f"carries progress messages in every epoch; a topic of {PARTITIONS} partitions; and that the checkpoint store is on a "
        "disk that takes what the workers write together. Where it is one disk for all of them, it is the first limit of "
        "pipelines with state: a longer `-s` (seconds between checkpoints) writes each changed key less often.",
        "",
        "![Documents a second by workers](benchmarks/scaling.svg)",
        "",
    ]


def short(rate: float) -> str:
    """A rate with two or three digits that count."""
    return f"{rate / 1e6:.3g} M" if rate >= 1e6 else f"{rate / 1e3:.3g} k"
