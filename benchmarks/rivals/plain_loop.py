"""The best loop that we could write in plain Python: no engine, msgspec to decode and to encode."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from flow_jobs import FILTER, GROUP

DECODE = msgspec.json.Decoder().decode
ENCODE = msgspec.json.Encoder().encode_lines
LINES = 5000


def run(job: str, source: Path, target: Path) -> None:
    """The job."""
    work = {GROUP: _group, FILTER: _filter}.get(job, _stateless)
    with open(source, "rb", buffering=1 << 20) as lines, open(target, "wb") as out:
        work(lines, out)


def _stateless(lines: Any, out: Any) -> None:
    while batch := list(islice(lines, LINES)):
        out.write(
            ENCODE(
                [
                    {
                        "_id": o["_id"],
                        "customerId": o["customerId"],
                        "net": (net := o["price"] * (1 - o["discount"])),
                        "size": "bulk" if o["quantity"] >= 8 else "small",
                        "total": net * o["quantity"],
                    }
                    for o in map(DECODE, batch)
                    if o["status"] == "PAID" and o["price"] >= 20
                ]
            )
        )


def _filter(lines: Any, out: Any) -> None:
    while batch := list(islice(lines, LINES)):
        out.write(ENCODE([o for o in map(DECODE, batch) if o["status"] == "PAID" and o["country"] == "DE"]))


def _group(lines: Any, out: Any) -> None:
    groups: dict[str, list[Any]] = {}
    get = groups.get
    for o in map(DECODE, lines):
        price = o["price"]
        if o["status"] == "PAID" and price >= 20:
            net = price * (1 - o["discount"])
            customer = o["customerId"]
            group = get(customer)
            if group is None:
                groups[customer] = [1, net, net]
            else:
                group[0] += 1
                group[1] += net
                if net > group[2]:
                    group[2] = net
    out.write(ENCODE([{"_id": k, "orders": n, "revenue": r, "most": m} for k, (n, r, m) in groups.items()]))
