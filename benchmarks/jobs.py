"""The two jobs that are measured: as stages, and as the best loops that we could write in plain Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import fsum
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is done to orders: as stages, and as plain Python functions of which the fastest counts."""

    name: str
    stages: list[Document]
    loops: dict[str, Callable[[list[Document]], list[Document]]]
    same_bits: dict[str, Callable[[list[Document]], list[Document]]] = field(default_factory=dict)
    """Loops that give our result to the bit in whatever order the documents come, where the others do not: their sums
    of doubles are rounded at every step."""


def filter_loop(orders: list[Document]) -> list[Document]:
    out = []
    append = out.append
    for order in orders:
        price = order["price"]
        if order["status"] == "PAID" and price >= 20:
            net = price * (1 - order["discount"])
            customer = order["customer"]
            append(
                {
                    "_id": order["_id"],
                    "customer": customer["id"],
                    "country": customer["country"],
                    "net": net,
                    "total": net * order["quantity"],
                    "size": "bulk" if order["quantity"] >= 8 else "small",
                }
            )
    return out


def filter_comprehension(orders: list[Document]) -> list[Document]:
    return [
        {
            "_id": order["_id"],
            "customer": order["customer"]["id"],
            "country": order["customer"]["country"],
            "net": (net := order["price"] * (1 - order["discount"])),
            "total": net * order["quantity"],
            "size": "bulk" if order["quantity"] >= 8 else "small",
        }
        for order in orders
        if order["status"] == "PAID" and order["price"] >= 20
    ]


MATCH_SET_PROJECT = Job(
    "match+set+project",
    [
        {"$match": {"status": "PAID", "price": {"$gte": 20}}},
        {
            "$set": {
                "net": {"$multiply": ["$price", {"$subtract": [1, "$discount"]}]},
                "size": {"$cond": [{"$gte": ["$quantity", 8]}, "bulk", "small"]},
                "country": "$customer.country",
            }
        },
        {
            "$project": {
                "customer": "$customer.id",
                "country": 1,
                "net": 1,
                "total": {"$multiply": ["$net", "$quantity"]},
                "size": 1,
            }
        },
    ],
    {"loop": filter_loop, "comprehension": filter_comprehension},
)


def group_lists(orders: list[Document]) -> list[Document]:
    groups: dict[str, list[Any]] = {}
    get = groups.get
    for order in orders:
        for item in order["items"]:
            sku = item["sku"]
            qty = item["qty"]
            group = get(sku)
            if group is None:
                groups[sku] = [1, qty, qty * item["price"]]
            else:
                group[0] += 1
                group[1] += qty
                group[2] += qty * item["price"]
    return [{"_id": sku, "lines": n, "sold": sold, "revenue": money} for sku, (n, sold, money) in groups.items()]


def group_dicts(orders: list[Document]) -> list[Document]:
    groups: dict[str, Document] = {}
    for order in orders:
        for item in order["items"]:
            sku = item["sku"]
            if sku not in groups:
                groups[sku] = {"_id": sku, "lines": 0, "sold": 0, "revenue": 0}
            group = groups[sku]
            group["lines"] += 1
            group["sold"] += item["qty"]
            group["revenue"] += item["qty"] * item["price"]
    return list(groups.values())


def group_exactly(orders: list[Document]) -> list[Document]:
    groups: dict[str, list[Any]] = {}
    get = groups.get
    for order in orders:
        for item in order["items"]:
            sku = item["sku"]
            qty = item["qty"]
            group = get(sku)
            if group is None:
                groups[sku] = [1, qty, [qty * item["price"]]]
            else:
                group[0] += 1
                group[1] += qty
                group[2].append(qty * item["price"])
    return [{"_id": sku, "lines": n, "sold": sold, "revenue": fsum(money)} for sku, (n, sold, money) in groups.items()]


UNWIND_GROUP = Job(
    "unwind+group",
    [
        {"$unwind": "$items"},
        {
            "$group": {
                "_id": "$items.sku",
                "lines": {"$sum": 1},
                "sold": {"$sum": "$items.qty"},
                "revenue": {"$sum": {"$multiply": ["$items.qty", "$items.price"]}},
            }
        },
    ],
    {"lists": group_lists, "dicts": group_dicts},
    {"lists, exact sums": group_exactly},
)

JOBS = (MATCH_SET_PROJECT, UNWIND_GROUP)
