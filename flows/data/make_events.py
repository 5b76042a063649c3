"""Make the data of the gallery: payments, settlements, clicks, changes of customers, a log, the same at every run.

    python flows/data/make_events.py [FOLDER]

writes ``payments.jsonl``, ``settlements.jsonl``, ``clicks.jsonl``, ``customer_changes.jsonl`` and ``access.log`` into
the folder (this script's by default):

- *payments* come nearly in order of their time, some up to a minute late and a few many minutes late. Some cards are
  used in bursts, some of those from several countries.
- *settlements*: what the bank says of most payments, a minute or so later; of some it says it too late, or never.
- *clicks* of visitors who come, look at some pages and go; a visit may end in an order.
- *changes* of customers: created, moved, deleted, and created again, as a database's log tells them.
- the *access log* of the shop's web server in the Common Log Format; some of its lines are torn.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

START = datetime(2025, 3, 1, 8, tzinfo=timezone.utc)
COUNTRIES = ("DE", "FR", "IT", "NL", "PL")
PAGES = ("/", "/tea", "/coffee", "/mugs", "/pots", "/gifts", "/about")
CITIES = ("Berlin", "Lyon", "Torino", "Utrecht", "Gdańsk", "Graz")


def at(seconds: float) -> str:
    """The time so many seconds after the start, as JSON has it."""
    return (START + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def payments(chance: random.Random) -> list[dict[str, Any]]:
    found: list[tuple[float, dict[str, Any]]] = []

    def pay(time: float, card: str, amount: float, country: str, delay: float) -> None:
        payment = {"card": card, "amount": round(amount, 2), "country": country, "at": at(time)}
        found.append((time + delay, payment))

    homes = {f"card-{n:03d}": chance.choice(COUNTRIES) for n in range(60)}
    for _ in range(900):
        card = chance.choice(list(homes))
        late = 1800 if chance.random() < 0.005 else chance.random() * 50
        pay(chance.random() * 7200, card, chance.expovariate(1 / 40) + 1, homes[card], late)
    for card in chance.sample(list(homes), 5):  # bursts: the card is known to somebody else
        begun = 600 + chance.random() * 6000
        for n in range(chance.randint(6, 9)):
            pay(begun + n * 12, card, 180 + chance.random() * 300, chance.choice(COUNTRIES), chance.random() * 20)
    found.sort(key=lambda pair: pair[0])
    return [{"_id": f"p-{n:05d}", **payment} for n, (_, payment) in enumerate(found)]


def settlements(chance: random.Random) -> list[dict[str, Any]]:
    found: list[tuple[float, dict[str, Any]]] = []
    for payment in payments(random.Random(1)):
        fate = chance.random()
        if fate < 0.03:
            continue
        paid = (datetime.fromisoformat(payment["at"].replace("Z", "+00:00")) - START).total_seconds()
        time = paid + (chance.uniform(5, 115) if fate < 0.98 else chance.uniform(150, 900))
        settled = {"payment": payment["_id"], "settledAt": at(time), "status": "ok" if fate < 0.95 else "refused"}
        found.append((time + chance.random() * 20, settled))
    found.sort(key=lambda pair: pair[0])
    return [settlement for _, settlement in found]


def clicks(chance: random.Random) -> list[dict[str, Any]]:
    found: list[tuple[float, dict[str, Any]]] = []
    for visitor in range(120):
        time = chance.random() * 6 * 3600
        for _ in range(chance.randint(1, 3)):
            for _ in range(chance.randint(1, 9)):
                page = chance.choice(PAGES)
                found.append((time, {"visitor": f"v-{visitor:03d}", "page": page, "at": at(time)}))
                time += 5 + chance.expovariate(1 / 90)
            if chance.random() < 0.3:
                found.append((time, {"visitor": f"v-{visitor:03d}", "page": "/checkout", "at": at(time)}))
            time += 2400 + chance.random() * 9000
    found.sort(key=lambda pair: pair[0])
    return [click for _, click in found]


def changes(chance: random.Random) -> Iterator[dict[str, Any]]:
    known: set[str] = set()
    for number in range(600):
        customer = f"c-{chance.randrange(80):03d}"
        if customer in known and chance.random() < 0.15:
            known.discard(customer)
            yield {"customerId": customer, "version": number, "deleted": True}
            continue
        known.add(customer)
        yield {
            "customerId": customer,
            "version": number,
            "deleted": False,
            "name": f"Customer {customer[2:]}",
            "address": {"city": chance.choice(CITIES), "country": chance.choice(COUNTRIES)},
        }


def requests(chance: random.Random) -> Iterator[str]:
    time = 0.0
    for _ in range(800):
        time += chance.expovariate(1 / 4)
        when = (START + timedelta(seconds=int(time))).strftime("%d/%b/%Y:%H:%M:%S %z")
        page = chance.choice(PAGES) + chance.choice(("", "", "?sort=price", "?page=2"))
        status = (
            503 if page.startswith("/gifts") and chance.random() < 0.3 else chance.choice((200, 200, 200, 304, 404))
        )
        size = "-" if status == 304 else str(chance.randint(200, 40_000))
        line = f'10.0.0.{chance.randint(1, 99)} - - [{when}] "GET {page} HTTP/1.1" {status} {size}'
        yield line[: chance.randint(5, 40)] if chance.random() < 0.01 else line


def main(folder: Path) -> None:
    for name, documents in (
        ("payments", payments(random.Random(1))),
        ("settlements", settlements(random.Random(5))),
        ("clicks", clicks(random.Random(2))),
        ("customer_changes", changes(random.Random(3))),
    ):
        lines = [json.dumps(document, ensure_ascii=False) for document in documents]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{name:17} {len(lines):5}")
    log = list(requests(random.Random(4)))
    (folder / "access.log").write_text("\n".join(log) + "\n", encoding="ascii")
    print(f"{'access.log':17} {len(log):5}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
