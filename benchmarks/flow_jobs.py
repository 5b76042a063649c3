"""The jobs of the whole-flow benchmark, as stages, and as what they come to for one order in plain Python."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

STATELESS = "match+set+project"
GROUP = "match+set+group"
FILTER = "filter only"

STAGES: dict[str, list[Document]] = {
    STATELESS: [
        {"$match": {"status": "PAID", "price": {"$gte": 20}}},
        {
            "$set": {
                "net": {"$multiply": ["$price", {"$subtract": [1, "$discount"]}]},
                "size": {"$cond": [{"$gte": ["$quantity", 8]}, "bulk", "small"]},
            }
        },
        {"$project": {"customerId": 1, "net": 1, "total": {"$multiply": ["$net", "$quantity"]}, "size": 1}},
    ],
    GROUP: [
        {"$match": {"status": "PAID", "price": {"$gte": 20}}},
        {"$set": {"net": {"$multiply": ["$price", {"$subtract": [1, "$discount"]}]}}},
        {
            "$group": {
                "_id": "$customerId",
                "orders": {"$sum": 1},
                "revenue": {"$sum": "$net"},
                "most": {"$max": "$net"},
            }
        },
    ],
    FILTER: [{"$match": {"status": "PAID", "country": "DE"}}],
}


def wanted(order: Document) -> bool:
    """The condition of both jobs."""
    return bool(order["status"] == "PAID" and order["price"] >= 20)


def valued(order: Document) -> Document:
    """What the stateless job makes of an order."""
    net = order["price"] * (1 - order["discount"])
    return {
        "_id": order["_id"],
        "customerId": order["customerId"],
        "net": net,
        "size": "bulk" if order["quantity"] >= 8 else "small",
        "total": net * order["quantity"],
    }


def german(order: Document) -> bool:
    """The condition of the filter."""
    return bool(order["status"] == "PAID" and order["country"] == "DE")
