"""The files that whole flows are measured on: flat orders of about 200 bytes, the same ones for the same number."""

from __future__ import annotations

import random
from pathlib import Path

STATUSES = ("PAID", "PAID", "PAID", "OPEN", "CANCELLED")
COUNTRIES = ("DE", "FR", "IT", "ES", "PL")
CHANNELS = ("web", "app", "shop")


def write_orders(path: Path, count: int, customers: int = 5000, seed: int = 11) -> None:
    """``count`` orders as JSON Lines, three in five of them paid, of ``customers`` customers."""
    chance = random.Random(seed)
    with open(path, "w", encoding="ascii") as file:
        for number in range(count):
            file.write(
                f'{{"_id":"o-{number:07d}","customerId":"c-{chance.randrange(customers):06d}",'
                f'"status":"{chance.choice(STATUSES)}","channel":"{chance.choice(CHANNELS)}",'
                f'"country":"{chance.choice(COUNTRIES)}","quantity":{chance.randint(1, 12)},'
                f'"price":{chance.randint(100, 20_000) / 100},"discount":{chance.choice((0, 0.05, 0.1, 0.25))},'
                f'"placedAt":"2025-03-{chance.randint(1, 28):02d}T{chance.randrange(24):02d}:15:00Z"}}\n'
            )
