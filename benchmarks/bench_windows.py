"""What a window costs an event: our `$tumblingWindow` beside Bytewax's `fold_window`, by turns in one process.

Events of 100 keys, one every ten milliseconds of event time and a little out of order, are summed and counted by key in
windows of one minute. Every contender gets the same documents from memory and drops its results. Bytewax is run three
times: as its documentation shows it (`TestingSource` as it comes, `ordered=True`), with 500 items an activation, and
with these and `ordered=False`, the fastest that it has. Shown is the processor time of a whole flow, and that of the
window alone: the flow minus the same flow without the window. Ratios are medians of the rounds' ratios.

    python benchmarks/bench_windows.py --rounds 7
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import TestingSource, run_main
from measured import Effort, Row, ratios
from rounds import Contender, by_turns, median_ratio, medians

from fluxion_flow import pipeline
from fluxion_flow.connect.spi import Batch, SinkWriter, SourceReader, StreamingSink, StreamingSource

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
LENGTH = timedelta(minutes=1)
BATCH = 500


def events(count: int, keys: int = 100) -> list[dict[str, Any]]:
    chance = random.Random(1)
    return [
        {
            "key": f"k{chance.randrange(keys):03d}",
            "value": chance.randrange(1000) / 4,
            "at": START + timedelta(milliseconds=10 * i - chance.randrange(200)),
        }
        for i in range(count)
    ]


# -- ours


class ListSource(StreamingSource):
    """Documents of a list, as they are."""

    bounded = True

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents

    def partitions(self) -> list[str]:
        return ["0"]

    def open(self, partition: str, cursor: Any) -> SourceReader:
        return _ListReader(self.documents)


class _ListReader(SourceReader):
    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self._documents = documents
        self._at = 0

    def read(self, max_documents: int) -> Batch | None:
        found = self._documents[self._at : self._at + max_documents]
        if not found:
            return None
        self._at += len(found)
        return Batch(found, "0", self._at - len(found))

    @property
    def cursor(self) -> int:
        return self._at


class Dropped(StreamingSink):
    """Counts and forgets."""

    def __init__(self) -> None:
        self.documents = 0

    def open(self, part: str, cursor: Any) -> SinkWriter:
        return _DroppedWriter(self)


class _DroppedWriter(SinkWriter):
    def __init__(self, sink: Dropped) -> None:
        self._sink = sink

    def write(self, batch: Batch) -> None:
        self._sink.documents += len(batch.documents)

    def flush(self) -> None:
        """Nothing is kept."""


def ours(documents: list[dict[str, Any]], window: bool) -> int:
    sink = Dropped()
    made = pipeline("bench-windows").source(ListSource(documents), time_field="at")
    if window:
        made = made.tumbling_window(
            {
                "interval": {"size": 1, "unit": "minute"},
                "allowedLateness": {"size": 1, "unit": "second"},
                "pipeline": [{"$group": {"_id": "$key", "total": {"$sum": "$value"}, "n": {"$count": {}}}}],
            }
        )
    run_main(made.sink(sink).config(batch_size=BATCH, metrics=False).compile())  # type: ignore[no-untyped-call]
    return sink.documents


# -- Bytewax's


class _Nothing(DynamicSink[Any]):
    def __init__(self) -> None:
        self.documents = 0

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _NothingPart(self)


class _NothingPart(StatelessSinkPartition[Any]):
    def __init__(self, sink: _Nothing) -> None:
        self._sink = sink

    def write_batch(self, items: list[Any]) -> None:
        self._sink.documents += len(items)


def _add(state: list[Any], event: dict[str, Any]) -> list[Any]:
    state[0] += event["value"]
    state[1] += 1
    return state


def _merge(one: list[Any], other: list[Any]) -> list[Any]:
    return [one[0] + other[0], one[1] + other[1]]


def theirs(documents: list[dict[str, Any]], window: bool, batch: int = 1, ordered: bool = True) -> int:
    flow = Dataflow("bench_fold_window")
    source = TestingSource(documents, batch_size=batch)
    stream = op.input("in", flow, source)
    keyed: Any = op.key_on("key", stream, lambda event: event["key"])
    if window:
        clock = EventClock(lambda event: event["at"], wait_for_system_duration=timedelta(seconds=1))
        windower = TumblingWindower(length=LENGTH, align_to=START)
        out = fold_window("fold", keyed, clock, windower, lambda: [0.0, 0], _add, _merge, ordered=ordered)
        keyed = out.down
    sink = _Nothing()
    op.output("out", keyed, sink)
    run_main(flow)  # type: ignore[no-untyped-call]
    return sink.documents


def contenders(count: int, slow: int, keys: int = 100, slowest: int | None = None) -> Iterator[Contender]:
    """``slow``: how many events Bytewax's windows get; ``slowest``: how many as its documentation shows them."""
    many = events(count, keys)
    few = many[:slow]
    fewest = many[: slowest or slow]
    jobs: list[tuple[str, int, Callable[[], Any]]] = [
        ("ours", count, lambda: ours(many, True)),
        ("ours without", count, lambda: ours(many, False)),
        ("default", len(fewest), lambda: theirs(fewest, True)),
        ("default without", len(fewest), lambda: theirs(fewest, False)),
        ("batched", slow, lambda: theirs(few, True, BATCH)),
        ("batched without", slow, lambda: theirs(few, False, BATCH)),
        ("tuned", slow, lambda: theirs(few, True, BATCH, False)),
        ("tuned without", slow, lambda: theirs(few, False, BATCH, False)),
    ]
    for name, documents, run in jobs:
        yield Contender(name, documents, run, lambda run=run: processor_time(run))  # type: ignore[misc]


def processor_time(run: Callable[[], Any]) -> float:
    """Processor seconds of one call: one thread does all the work, and the machine may be shared."""
    gc.collect()
    started = time.process_time()
    run()
    return time.process_time() - started


def measure(effort: Effort) -> Iterator[Row]:
    """The whole flow, with 1,000 and with 100,000 keys, beside the default and the tuned `fold_window`."""
    sizes = {1_000: (effort.of(200_000, 20_000), effort.of(20_000, 5_000)), 100_000: (effort.of(60_000, 5_000),) * 2}
    slowest = effort.of(1_500, 300)  # every key that is known is looked at for every event: it takes milliseconds
    for keys, (count, slow) in sizes.items():
        few = events(slow, keys)
        if ours(few, True) != theirs(few, True, BATCH, False):
            raise RuntimeError("both must give as many results")
        found: dict[str, list[float]] = {"ours": [], "default": [], "tuned": []}
        each = [one for one in contenders(count, slow, keys, slowest) if one.name in found]
        for _ in effort.rounds(5, 40):
            for one in each:
                assert one.seconds is not None
                found[one.name].append(one.seconds() / one.documents)
        for name, target in (("default", 15), ("tuned", 8)):
            yield Row(
                f"tumbling window, {keys:,} keys",
                f"Bytewax's fold_window, {name}",
                target,
                ratios(found[name], found["ours"]),
                ours=f"{statistics.median(found['ours']) * 1e6:.2f} µs an event",
                theirs=f"{statistics.median(found[name]) * 1e6:.2f} µs an event",
                note=f"from memory, results dropped; {count:,} events for us, {slow:,} for the tuned fold_window, "
                f"{slowest:,} for the default one; processor seconds",
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--slow", type=int, default=20_000, help="events that Bytewax's windows get")
    options = parser.parse_args()
    few = events(options.slow)
    assert ours(few, True) == theirs(few, True, BATCH, False), "both must give as many results"
    found = by_turns(list(contenders(options.documents, options.slow)), options.rounds)
    middle = medians(found)
    print(f"{'':22}{'whole flow':>14}{'window alone':>14}   (µs an event)")
    for name in ("ours", "default", "batched", "tuned"):
        alone = statistics.median(a - b for a, b in zip(found[name], found[f"{name} without"], strict=True))
        title = "Fluxion Flow" if name == "ours" else f"fold_window, {name}"
        print(f"{title:22}{middle[name] * 1e6:14.2f}{alone * 1e6:14.2f}")
    own = [a - b for a, b in zip(found["ours"], found["ours without"], strict=True)]
    for name in ("default", "batched", "tuned"):
        window = [a - b for a, b in zip(found[name], found[f"{name} without"], strict=True)]
        print(
            f"fold_window, {name} / Fluxion Flow: {median_ratio(found[name], found['ours']):.1f} whole flow, "
            f"{median_ratio(window, own):.1f} window alone"
        )


if __name__ == "__main__":
    main()
