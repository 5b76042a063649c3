"""What checkpoints of keyed state cost: one `$group` over many keys, with a checkpoint each second and with none.

A source gives every key once, then events for a fixed number of documents, with keys at random: all keys alike
(`uniform`), or four events in five on a fifth of the keys (`skewed`). The clocks run over that second part. Both sides
run by turns, each in a process of its own; the ratio is that of the processor's seconds with checkpoints / without, its
median taken over the rounds. On a machine with other work a second of this work takes longer than a second: checkpoints
are then as much further apart as the run without them took longer by the clock than on its processor.

    python benchmarks/bench_checkpoints.py --keys 100000 1000000 --events 2000000 --rounds 3
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig
from bytewax.testing import run_main
from measured import Effort, Row
from resident import peak_mebibytes

from fluxion_flow import pipeline
from fluxion_flow.connect.spi import Batch, Cursor, SinkWriter, SourceReader, StreamingSink, StreamingSource
from fluxion_flow.runtime.entry import freeze
from fluxion_flow.runtime.store import make_store

BATCH = 500
NONE = 3600.0
PARTITIONS = 64


class Events(StreamingSource):
    """Every key once, then ``events`` documents with keys at random; ``began`` is when the second part began."""

    bounded = True
    poll_interval = 0.0

    def __init__(self, keys: int, events: int, skewed: bool) -> None:
        rng = random.Random(11)
        self.keys = [f"customer-{n:09d}" for n in range(keys)]
        rng.shuffle(self.keys)
        hot = self.keys[: keys // 5]
        self.picks = [
            rng.choice(hot) if skewed and rng.random() < 0.8 else rng.choice(self.keys)
            for _ in range(min(events, 1_000_000))
        ]
        self.events = events
        self.began = (0.0, 0.0)
        """By the wall clock and by the processor's."""

    def partitions(self) -> list[str]:
        return ["0"]

    def open(self, partition: str, cursor: Cursor | None) -> SourceReader:
        return EventReader(self)


class EventReader(SourceReader):
    def __init__(self, source: Events) -> None:
        self.source = source
        self.at = 0

    def read(self, max_documents: int) -> Batch | None:
        source, start = self.source, self.at
        known = len(source.keys)
        if start >= known + source.events:
            return None
        self.at += BATCH
        if start < known:
            keys = source.keys[start : start + BATCH]
        else:
            if start == known:
                source.began = (time.perf_counter(), time.process_time())
            at = (start - known) % len(source.picks)
            keys = source.picks[at : at + BATCH]
        return Batch([{"customer": key, "amount": 12.25, "items": 3} for key in keys], "0", start)

    @property
    def cursor(self) -> Cursor:
        return self.at


class Nowhere(StreamingSink):
    """Takes everything."""

    def open(self, part: str, cursor: Cursor | None) -> SinkWriter:
        return NowhereWriter()


class NowhereWriter(SinkWriter):
    def write(self, batch: Batch) -> None:
        """Taken."""

    def flush(self) -> None:
        """Durable."""


def side(keys: int, events: int, skewed: bool, every: float, folder: Path) -> dict[str, float]:
    """One run in this process, with a checkpoint ``every`` so many seconds."""
    source = Events(keys, events, skewed)
    group = {"_id": "$customer", "orders": {"$count": {}}, "total": {"$sum": "$amount"}, "most": {"$max": "$items"}}
    flow = pipeline("bench-checkpoints").source(source).group(group).sink(Nowhere())
    compiled = flow.config(batch_size=BATCH, emit="update", state_partitions=PARTITIONS, metrics=False).compile()
    recovery = None
    if every < NONE:
        make_store(folder, 1)
        recovery = RecoveryConfig(folder, timedelta(0))
    freeze()
    run_main(compiled, epoch_interval=timedelta(seconds=every), recovery_config=recovery)  # type: ignore[no-untyped-call]
    wall, processor = time.perf_counter() - source.began[0], time.process_time() - source.began[1]
    return {"wall": wall, "processor": processor, "peak": peak_mebibytes()}


def in_a_process(keys: int, events: int, skewed: bool, every: float) -> dict[str, float]:
    folder = tempfile.mkdtemp(dir=os.environ.get("TMPDIR"))
    try:
        arguments = [json.dumps([keys, events, skewed, every, folder])]
        done = subprocess.run(
            [sys.executable, __file__, "--side", *arguments], capture_output=True, text=True, check=True
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found
    finally:
        shutil.rmtree(folder)


def pair(keys: int, events: int, skewed: bool) -> tuple[dict[str, float], dict[str, float]]:
    """A run with a checkpoint each second, and one with none."""
    without = in_a_process(keys, events, skewed, NONE)
    slower = max(1.0, without["wall"] / without["processor"])
    return in_a_process(keys, events, skewed, slower), without


def measure(effort: Effort) -> Iterator[Row]:
    """Both numbers of keys, all keys alike."""
    for keys, target in ((100_000, 1.10), (1_000_000, 1.25)):
        keys = effort.of(keys, keys // 20)
        events = effort.of(1_500_000, 100_000)
        pairs = [pair(keys, events, False) for _ in effort.rounds(5, 60)]
        found = [with_["processor"] / without["processor"] for with_, without in pairs]
        spent = [statistics.median(each[side]["processor"] for each in pairs) / events * 1e6 for side in (0, 1)]
        yield Row(
            f"$group, {keys:,} keys, a checkpoint every second",
            "none",
            target,
            found,
            at_least=False,
            ours=f"{spent[0]:.2f} µs an event",
            theirs=f"{spent[1]:.2f} µs an event",
            note=f"{events:,} events at random keys; processor seconds",
            facts={"keys": keys, "microseconds": spent[1], "peak_mebibytes": pairs[-1][0]["peak"]},
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        keys, events, skewed, every, folder = json.loads(options.side)
        print(json.dumps(side(keys, events, skewed, every, Path(folder))))
        return
    for keys in options.keys:
        for skewed in (False, True):
            pairs = [pair(keys, options.events, skewed) for _ in range(options.rounds)]
            with_, without = ([each[side] for each in pairs] for side in (0, 1))
            ratios = [a["processor"] / b["processor"] for a, b in zip(with_, without, strict=True)]
            spent = statistics.median(b["processor"] for b in without) / options.events
            peaks = [statistics.median(each["peak"] for each in side) for side in (with_, without)]
            print(
                f"{keys:>9,} keys, {'skewed ' if skewed else 'uniform'}: with / without checkpoints "
                f"{statistics.median(ratios):.2f}; {spent * 1e6:.1f} µs an event without; "
                f"peak memory {peaks[0]:.0f} MB and {peaks[1]:.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
