"""Orders to measure with: the same ones for the same number, on every machine."""

from __future__ import annotations

import random
from typing import Any

STATUSES = ("PAID", "PAID", "PAID", "OPEN", "CANCELLED")
COUNTRIES = ("DE", "FR", "IT", "ES", "PL")
CHANNELS = ("web", "app", "shop")


def make_orders(count: int, seed: int = 7) -> list[dict[str, Any]]:
    """``count`` orders of about 300 bytes as JSON, with one to four items each; three in five are paid."""
    chance = random.Random(seed)
    return [_order(i, chance) for i in range(count)]


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    items = [
        {
            "sku": f"sku-{chance.randrange(500):04d}",
            "qty": chance.randint(1, 5),
            "price": chance.randint(100, 9999) / 100,
        }
        for _ in range(chance.randint(1, 4))
    ]
    return {
        "_id": f"o-{number:07d}",
        "status": chance.choice(STATUSES),
        "customer": {"id": f"c-{chance.randrange(5000):05d}", "country": chance.choice(COUNTRIES)},
        "channel": chance.choice(CHANNELS),
        "quantity": sum(item["qty"] for item in items),
        "price": chance.randint(100, 20_000) / 100,
        "discount": chance.choice((0, 0.05, 0.1, 0.25)),
        "items": items,
    }
