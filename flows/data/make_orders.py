"""Make ``orders.jsonl``: 20,000 lines of a shop's orders, good, odd and broken, the same at every run.

    python flows/data/make_orders.py [PATH]

writes the file (beside this script by default) and prints how many lines there are of each sort:

- *orders*: nested customer and items, a status, a channel, an ISO 8601 time in UTC (nearly in order, up to two
  minutes late); ``notes`` and ``discount`` are often missing. A customer always pays in one currency.
- *odd* orders: ``items`` or a ``price`` is null. Aggregation expressions take null as "no value", so these count.
- *poison* orders: text or an object stands where a number or a list belongs. Arithmetic on them fails. Some were
  cancelled, so a flow that looks at paid orders only never meets those.
- *malformed* lines: not a JSON object at all (cut off, garbage, an array) or not UTF-8.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

SEED = 20250301
LINES = 20_000
CUSTOMERS = 1_200
FIRST_ORDER = datetime(2025, 3, 1, tzinfo=timezone.utc)

COUNTRIES = {"DE": "EUR", "FR": "EUR", "IT": "EUR", "NL": "EUR", "GB": "GBP", "SE": "SEK", "PL": "PLN", "US": "USD"}
GIVEN_NAMES = ["Ada", "Björn", "Chloé", "Dana", "Emil", "Fatma", "Grażyna", "Hugo", "Ines", "Jonas", "Kim", "Léa"]
FAMILY_NAMES = ["Andersson", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Nowak", "Müller", "Rossi"]
TIERS = ["basic", "basic", "basic", "silver", "silver", "gold"]
CATALOGUE = {
    "TEA-250": 7.9, "TEA-500": 14.5, "MUG-BLU": 11.99, "MUG-RED": 11.99, "POT-1L": 34.95, "POT-2L": 49.0,
    "SIEVE-S": 4.35, "SIEVE-L": 6.15, "HONEY": 8.49, "SCONES": 5.2, "TRAY-OAK": 62.8, "GIFT": 25,
}  # fmt: skip
STATUSES = ["PAID"] * 14 + ["PENDING"] * 3 + ["CANCELLED"] * 2 + ["REFUNDED"]
CHANNELS = ["web", "web", "web", "app", "app", "store"]
NOTES = ["gift wrap, please", "leave at the door", "ring twice", "für Oma", "no plastic"]

Order = dict[str, Any]


def a_customer(number: int, rng: random.Random) -> dict[str, str]:
    return {
        "id": f"c{number:04d}",
        "name": f"{rng.choice(GIVEN_NAMES)} {rng.choice(FAMILY_NAMES)}",
        "country": rng.choice(list(COUNTRIES)),
        "tier": rng.choice(TIERS),
    }


def an_order(number: int, customers: list[dict[str, str]], rng: random.Random) -> Order:
    """A good order. Low customer numbers order more often than high ones."""
    customer = customers[int(len(customers) * rng.random() ** 2)]
    late = rng.randrange(120_000) if rng.random() < 0.05 else 0
    created = FIRST_ORDER + timedelta(seconds=130 * number, milliseconds=rng.randrange(1_000) - late)
    order: Order = {
        "orderId": f"o{number:06d}",
        "createdAt": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": rng.choice(STATUSES),
        "channel": rng.choice(CHANNELS),
        "currency": COUNTRIES[customer["country"]],
        "customer": customer,
        "items": [
            {"sku": sku, "qty": rng.choice([1, 1, 1, 2, 2, 3, 6]), "price": CATALOGUE[sku]}
            for sku in rng.sample(list(CATALOGUE), rng.choice([1, 1, 1, 2, 2, 3]))
        ],
    }
    if rng.random() < 0.3:
        order["discount"] = rng.choice([0.05, 0.1, 0.15])
    if rng.random() < 0.08:
        order["notes"] = rng.choice(NOTES)
    return order


def items_null(order: Order) -> None:
    order["items"] = None


def price_null(order: Order) -> None:
    order["items"][0]["price"] = None


def price_text(order: Order) -> None:
    item = order["items"][0]
    item["price"] = f"{item['price']:.2f}"


def price_object(order: Order) -> None:
    item = order["items"][0]
    item["price"] = {"amount": item["price"], "currency": order["currency"]}


def qty_text(order: Order) -> None:
    order["items"][0]["qty"] = "two"


def items_object(order: Order) -> None:
    order["items"] = order["items"][0]


def items_text(order: Order) -> None:
    order["items"] = ", ".join(item["sku"] for item in order["items"])


def truncated(line: bytes, rng: random.Random) -> bytes:
    return line[: rng.randrange(20, len(line) - 1)].decode("utf-8", "ignore").encode()


def garbage(line: bytes, rng: random.Random) -> bytes:
    return bytes(rng.randrange(0x80, 0x100) for _ in range(40))


def bare_array(line: bytes, rng: random.Random) -> bytes:
    return b"[" + line + b"]"


def not_utf8(line: bytes, rng: random.Random) -> bytes:
    """The customer's name as an old Latin-1 system wrote it."""
    order = json.loads(line)
    order["customer"]["name"] = "Jürgen Weiß"
    return encode(order).decode().encode("latin-1", "replace")


ODD: dict[str, tuple[Callable[[Order], None], int]] = {
    "items is null": (items_null, 6),
    "a price is null": (price_null, 6),
}
POISON: dict[str, tuple[Callable[[Order], None], int]] = {
    "a price is text": (price_text, 12),
    "a price is an object": (price_object, 6),
    "a qty is text": (qty_text, 10),
    "items is an object": (items_object, 7),
    "items is text": (items_text, 5),
}
CANCELLED_POISON = 5
MALFORMED: dict[str, tuple[Callable[[bytes, random.Random], bytes], int]] = {
    "cut off": (truncated, 8),
    "garbage bytes": (garbage, 6),
    "a bare array": (bare_array, 5),
    "not UTF-8": (not_utf8, 6),
}


def encode(order: Order) -> bytes:
    return json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode()


def make_lines() -> tuple[list[bytes], Counter[str]]:
    """All lines without their line ends, and how many there are of each sort."""
    rng = random.Random(SEED)
    customers = [a_customer(number, rng) for number in range(CUSTOMERS)]
    # What becomes of which line. Line 0 stays good, so that a reader's first look at the file is a plain order.
    changes = [
        *(("odd", name) for name, (_, times) in ODD.items() for _ in range(times)),
        *(("poison", name) for name, (_, times) in POISON.items() for _ in range(times)),
        *(("cancelled poison", "a price is text") for _ in range(CANCELLED_POISON)),
        *(("malformed", name) for name, (_, times) in MALFORMED.items() for _ in range(times)),
    ]
    changed = dict(zip(rng.sample(range(1, LINES), len(changes)), changes, strict=True))
    lines: list[bytes] = []
    counts: Counter[str] = Counter()
    for number in range(LINES):
        order = an_order(number, customers, rng)
        sort, name = changed.get(number, ("order", ""))
        if sort == "malformed":
            lines.append(MALFORMED[name][0](encode(order), rng))
            counts[f"malformed: {name}"] += 1
            continue
        if sort != "order":
            order["status"] = "CANCELLED" if sort == "cancelled poison" else "PAID"
            (ODD if sort == "odd" else POISON)[name][0](order)
            counts[f"{sort}: {name}"] += 1
        counts[f"status {order['status']}"] += 1
        lines.append(encode(order))
    return lines, counts


def report(lines: list[bytes], counts: Counter[str]) -> str:
    """The counts as a table, one line a sort, in alphabetical order."""
    rows = [("lines", len(lines)), *sorted(counts.items())]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>6}" for name, count in rows)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("orders.jsonl")
    lines, counts = make_lines()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    print(report(lines, counts))


if __name__ == "__main__":
    main()
