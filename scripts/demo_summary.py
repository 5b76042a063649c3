"""Say what came of a run of ``flows/orders_quickstart``, counted from the files it read and wrote.

    python scripts/demo_summary.py

Takes the same ``ORDERS_FILE`` and ``ORDERS_OUT`` from the environment as the flow.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def reason(letter: dict[str, Any]) -> str:
    """Where and why, without the numbers that differ from letter to letter, so that equal ones can be counted."""
    text = re.sub(r"\b(byte|position|offset|index|line|column|char|document) \d+", r"\1 …", letter["errInfo"]["reason"])
    return f"{letter['operatorName']}: {text}"


def summary(orders: Path, out: Path) -> str:
    """The whole text. Raises :class:`OSError` when a file is missing, which means that the flow has not run."""
    customers, dead_letters = out / "customers.jsonl", out / "dead-letters.jsonl"
    with orders.open("rb") as file:
        read = sum(1 for _ in file)
    counted = [customer["orders"] for customer in records(customers)]
    reasons = Counter(map(reason, records(dead_letters)))
    failed = reasons.total()
    rows = [
        f"read           {read:>6,}  lines of {orders}",
        f"delivered      {len(counted):>6,}  customers, from {sum(counted):,} paid orders, to {customers}",
        f"left out       {read - sum(counted) - failed:>6,}  orders that are not paid",
        f"dead-lettered  {failed:>6,}  to {dead_letters}, because",
        *(
            f"               {times:>6,}  {text}"
            for text, times in sorted(reasons.items(), key=lambda r: (-r[1], r[0]))
        ),
    ]
    return "\n".join(rows)


def main() -> None:
    orders = Path(os.environ.get("ORDERS_FILE", "flows/data/orders.jsonl"))
    print(summary(orders, Path(os.environ.get("ORDERS_OUT", "out"))))


if __name__ == "__main__":
    main()
