"""The examples that read from Kafka, in real processes on the servers that they bring, against a plain computation."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ORDERS = (ROOT / "flows" / "data" / "orders.jsonl").read_bytes().splitlines()[:400]


def _expected() -> dict[str, float]:
    """The value of every paid order that has one."""
    values: dict[str, float] = {}
    for line in ORDERS:
        try:
            order = json.loads(line)
            if isinstance(order, dict) and order["status"] == "PAID":
                pairs = [(i["qty"], i["price"]) for i in order["items"] or ()]
                assert all(not isinstance(n, str) for pair in pairs for n in pair)
                values[order["orderId"]] = math.fsum(q * p for q, p in pairs if q is not None and p is not None)
        except (ValueError, TypeError, AssertionError):
            continue
    return values


def _run(module: str, folder: Path) -> None:
    orders = folder / "orders.jsonl"
    orders.write_bytes(b"".join(line + b"\n" for line in ORDERS))
    environment = {**os.environ, "ORDERS_FILE": str(orders), "ORDERS_OUT": str(folder / "out")}
    environment.pop("KAFKA_BOOTSTRAP", None)
    command = [sys.executable, "-m", "bytewax.run", module]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _close(found: list[tuple[Any, Any]]) -> None:
    expected = _expected()
    assert sorted(id for id, _ in found) == sorted(expected)
    for id, value in found:
        assert value == pytest.approx(expected[id], rel=1e-12)


def test_kafka_to_sql_stores_every_paid_order_once_with_its_place_in_the_topic(tmp_path: Path) -> None:
    _run("flows.kafka_to_sql", tmp_path)
    database = sqlite3.connect(tmp_path / "out" / "orders.db")
    rows = database.execute("SELECT order_id, value, topic, at FROM paid_orders").fetchall()
    database.close()
    _close([(id, value) for id, value, _, _ in rows])
    assert {topic for _, _, topic, _ in rows} == {"orders"}
    assert all(0 <= at < len(ORDERS) for _, _, _, at in rows)


def test_kafka_to_http_sends_every_paid_order(tmp_path: Path) -> None:
    _run("flows.kafka_to_http", tmp_path)
    lines = (tmp_path / "out" / "received.jsonl").read_bytes().splitlines()
    _close([(order["orderId"], order["value"]) for order in map(json.loads, lines)])
