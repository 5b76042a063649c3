"""Every expression operator beside plain Python: one field computed for many documents, by turns, in processor time.

    python benchmarks/bench_operators.py --documents 2000 --rounds 15

Operators that ask the outside are not measured. Outputs are compared before any time counts. Operators that take more
than twice as long need a reason in ``operator_table.SLOWER``; the exit code is 1 for one without. The table is
printed, slowest first, and written to benchmarks/results/operators.json.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import heapq
import json
import math
import re
import statistics
import struct
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from operator_table import LEFT_OUT, SLOWER, TABLE, make_documents
from rounds import alike

from fluxion_flow.core.environment import Environment
from fluxion_flow.core.expressions.registry import all_operators
from fluxion_flow.core.program import Program
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.errors import Problems, Where

RESULTS = Path(__file__).parent / "results"
LIMIT = 2.0
NAMES = {
    "math": math,
    "reduce": functools.reduce,
    "nlargest": heapq.nlargest,
    "nsmallest": heapq.nsmallest,
    "median_low": statistics.median_low,
    "pstdev": statistics.pstdev,
    "stdev": statistics.stdev,
    "md5": hashlib.md5,
    "decode": msgspec.json.decode,
    "datetime": datetime.datetime,
    "timedelta": datetime.timedelta,
    "UTC": datetime.timezone.utc,
    "Decimal": Decimal,
    "PATTERN": re.compile("fern|dune"),
    "EIGHT": {1, 2, 3, 4, 5, 6, 7, 8},
    "TYPES": {str: "string", int: "int", float: "double"},
    "HASH_HEAD": struct.pack("<ii", 0, 10),
    "double": lambda a: a * 2,
}


def plain(source: str) -> Callable[[list[Any]], list[Any]]:
    """A loop that computes one field by plain Python source."""
    text = "def loop(documents):\n    out = []\n    append = out.append\n    for d in documents:\n"
    namespace = dict(NAMES)
    exec(text + f"        append({{'r': {source}}})\n    return out\n", namespace)  # noqa: S102 - our own table
    loop: Callable[[list[Any]], list[Any]] = namespace["loop"]
    return loop


def ours(expression: Any) -> Callable[[list[Any]], list[Any]]:
    """The same by a compiled $project."""
    problems = Problems()
    stages = parse_stages([{"$project": {"_id": 0, "r": expression}}], Where.at("stages"), problems)
    problems.raise_if_any()
    program = Program(stages)
    environment = Environment()
    return lambda documents: program.run(documents, environment)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=2000)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--only", nargs="*", default=list(TABLE), metavar="OPERATOR")
    options.add_argument("--write", type=Path, default=RESULTS / "operators.json", help="where the results go")
    given = options.parse_args()

    ours_alone = {name for name, entry in all_operators().items() if not getattr(entry, "outside", False)}
    unmeasured = ours_alone - set(TABLE) - set(LEFT_OUT)
    if unmeasured:
        sys.exit(f"no line in the table for {', '.join(sorted(unmeasured))}")
    documents = make_documents(given.documents)
    rows: dict[str, dict[str, Any]] = {}
    for name in given.only:
        expression, source = TABLE[name]
        mine, theirs = ours(expression), plain(source)
        if not alike(mine(documents), theirs(documents)):
            sys.exit(f"{name}: {source} gives something else")
        rows[name] = _measure(mine, theirs, documents, given.rounds) | {"expression": expression, "python": source}
    _report(rows, given.write)


def _measure(mine: Any, theirs: Any, documents: list[Any], rounds: int) -> dict[str, Any]:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, found in ((mine, times[0]), (theirs, times[1])):
            started = time.process_time()
            run(documents)
            found.append(time.process_time() - started)
    ratio = statistics.median(us / them for us, them in zip(*times, strict=True))
    nanoseconds = [round(statistics.median(found) / len(documents) * 1e9) for found in times]
    return {"fluxion ns": nanoseconds[0], "python ns": nanoseconds[1], "times as long": round(ratio, 2)}


def _report(rows: dict[str, dict[str, Any]], path: Path) -> None:
    """Print the table, slowest first, and write it; exit with 1 where a reason is missing."""
    missing = []
    print(f"{'operator':20} {'fluxion ns':>10} {'python ns':>10} {'times':>7}")
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["times as long"]):
        if row["times as long"] > LIMIT:
            row["reason"] = SLOWER.get(name, "")
            if not row["reason"]:
                missing.append(name)
        figures = f"{row['fluxion ns']:10} {row['python ns']:10} {row['times as long']:7.2f}"
        print(f"{name:20} {figures}  {row.get('reason', '')}".rstrip())
    for name, reason in LEFT_OUT.items():
        print(f"{name:20} {'–':>10} {'–':>10} {'–':>7}  {reason}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"operators": rows, "left out": LEFT_OUT}, indent=2, default=str) + "\n")
    if missing:
        sys.exit(f"more than {LIMIT:g} times as long, and no reason given: {', '.join(missing)}")


if __name__ == "__main__":
    main()
