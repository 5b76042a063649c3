"""A soak of joins: `fluxion run` with two streams, by `$streamJoin` and by `$lookup`, killed at random, then compared.

Files of events in disorder are read to their end, each a source partition; a third of the events are of the stream that
is joined. Every few seconds all processes of the run are killed with SIGKILL, and it is started again, until it
completes. Then every result and every late document of both streams must be those of a plain loop over the events.

    python benchmarks/soak_join.py --events 10000000
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soak_windows import LATENESS, START, compare, lines, run_with_kills

BEFORE, AFTER = 2_000, 1_000
"""Milliseconds."""

SHOWN = [{"$project": {"_id": 0, "t": 1, "v": 1}}]
LATE = {"allowedLateness": {"size": LATENESS, "unit": "ms"}}
STAGES = {
    "join": {
        "$streamJoin": {
            "from": "right",
            "localField": "k",
            "foreignField": "k",
            "within": {"before": {"size": BEFORE, "unit": "ms"}, "after": {"size": AFTER, "unit": "ms"}},
            "as": "r",
            "pipeline": SHOWN,
            **LATE,
        }
    },
    "lookup": {
        "$lookup": {"from": "right", "localField": "k", "foreignField": "k", "as": "r", "pipeline": SHOWN, **LATE}
    },
}

Sums = dict[int, list[int]]
"""By key, how many results there are, and the sum of their hashes."""


class Stream:
    """Events in files, by key and in order of their times, and those that are late."""

    def __init__(self, folder: Path, name: str, count: int, files: int, keys: int, seed: int, millis: int) -> None:
        """``millis``: so much time goes by in every file."""
        rng = random.Random(seed)
        self.late: Counter[tuple[int, int, int]] = Counter()
        found: dict[int, list[tuple[int, int, int, int]]] = defaultdict(list)
        each = count // files
        for number in range(files):
            newest = 0
            with (folder / f"{name}-{number}.jsonl").open("w") as file:
                for i in range(each):
                    chance = rng.random()
                    behind = 0 if chance < 0.7 else int(chance * 2000) if chance < 0.99 else rng.randrange(15_000)
                    moment, key, value = START + i * millis // each - behind, int(rng.random() * keys), i % 1000
                    file.write(f'{{"t":{moment},"k":{key},"v":{value}}}\n')
                    if moment < newest - LATENESS:
                        self.late[key, moment, value] += 1
                    else:
                        found[key].append((moment, number, i, value))
                    newest = max(newest, moment)
        self.times: dict[int, array[int]] = {}
        self.values: dict[int, array[int]] = {}
        for key in list(found):
            events = sorted(found.pop(key))
            self.times[key] = array("q", (event[0] for event in events))
            self.values[key] = array("h", (event[3] for event in events))

    def between(self, key: int, first: int, last: int, latest: bool) -> tuple[tuple[int, int], ...]:
        """The events of a key at these times, both included; or only the last of them."""
        times, values = self.times.get(key, array("q")), self.values.get(key, array("h"))
        end = bisect_right(times, last)
        start = max(end - 1, 0) if latest else bisect_left(times, first)
        return tuple((times[i], values[i]) for i in range(start, end))


def expected(left: Stream, right: Stream, latest: bool) -> Iterator[tuple[int, int, int, tuple[Any, ...]]]:
    for key, times in left.times.items():
        for moment, value in zip(times, left.values[key], strict=True):
            last = moment if latest else moment + AFTER
            yield key, moment, value, right.between(key, moment - BEFORE, last, latest)


def delivered(path: Path) -> Iterator[tuple[int, int, int, tuple[Any, ...]]]:
    for one in lines(path):
        yield one["k"], one["t"], one["v"], tuple((other["t"], other["v"]) for other in one["r"])


def summed(results: Iterator[tuple[int, int, int, tuple[Any, ...]]]) -> Sums:
    found: Sums = defaultdict(lambda: [0, 0, 0])
    for result in results:
        sums = found[result[0]]
        sums[0] += 1
        sums[1] += len(result[3])
        sums[2] += hash(result)  # of whole numbers: the same in every process
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--between", type=float, nargs=2, default=(4.0, 10.0), help="seconds between two kills")
    parser.add_argument("--only", choices=tuple(STAGES))
    options = parser.parse_args()
    rng = random.Random(2)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        millis = options.events // 6
        left = Stream(top, "in", options.events * 2 // 3, 4, options.keys, 1, millis)
        right = Stream(top, "right", options.events // 3, 2, options.keys, 2, millis)
        source = {"type": "files", "path": str(top / "right-*.jsonl"), "time_field": "$t"}
        for what, stage in STAGES.items():
            if options.only not in (None, what):
                continue
            folder = top / what
            folder.mkdir()
            began = time.monotonic()
            kills = run_with_kills(folder, stage, options, rng, streams={"right": {"source": source}})
            seconds = time.monotonic() - began
            if not kills:
                sys.exit(f"{what}: the run was over before it was killed; give it more events")
            sums = summed(delivered(folder / "out.jsonl"))
            compare(what, sums, summed(expected(left, right, what == "lookup")))
            docs = (letter["doc"] for letter in lines(folder / "dead.jsonl"))
            late = Counter((doc["k"], doc["t"], doc["v"]) for doc in docs)
            compare("late documents", late, left.late + right.late)
            pairs = sum(each[1] for each in sums.values())
            print(
                f"{what}: {options.events:,} events in 6 files of 2 streams, {pairs:,} pairs, {late.total():,} late, "
                f"{kills} kills in {seconds:.0f} s: nothing lost, nothing repeated",
                flush=True,
            )


if __name__ == "__main__":
    main()
