"""The orders quickstart by hand, as Bytewax's guide writes such a flow: what start-up is measured beside.

``ORDERS_FILE`` names the orders, ``ORDERS_OUT`` the folder for ``customers.jsonl``.
"""

from __future__ import annotations

import json
import os
from typing import Any

import bytewax.operators as op
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow


def valued(order: dict[str, Any]) -> tuple[str, float]:
    """The customer and what the order is worth."""
    return order["customer"]["id"], sum(item["qty"] * item["price"] for item in order["items"])


def added(state: tuple[int, float], value: float) -> tuple[int, float]:
    """One order more."""
    return state[0] + 1, state[1] + value


def encoded(total: tuple[str, tuple[int, float]]) -> tuple[str, str]:
    """A line for a customer, and its key."""
    customer, (orders, value) = total
    return customer, json.dumps({"_id": customer, "orders": orders, "lifetimeValue": value})


flow = Dataflow("orders-by-hand")
lines = op.input("lines", flow, FileSource(os.environ["ORDERS_FILE"]))
orders = op.map("decode", lines, json.loads)
paid = op.filter("paid", orders, lambda order: order["status"] == "PAID")
totals = op.fold_final("total", op.map("value", paid, valued), lambda: (0, 0.0), added)
op.output("customers", op.map("encode", totals, encoded), FileSink(os.environ["ORDERS_OUT"] + "/customers.jsonl"))
