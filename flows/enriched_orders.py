"""Paid orders with what other systems know of them: an exchange rate, the customer's account, the products' names.

Run it from the checkout:

    python -m bytewax.run flows.enriched_orders

The rate comes from an HTTP server (``RATES_URL``; without it one inside the process), the account from a database
(``ACCOUNTS_URL``; without it ``out/accounts.db``, filled at the start), the names from ``flows/data/products.csv``. The
result is a table in SQLite, or in the database that ``ORDERS_DB`` names (``postgresql+psycopg://user@host/shop``). A
batch asks for each rate once, and for all its accounts in one query. An order whose rate nobody knows becomes a dead
letter.
"""

import os
import sqlite3
from pathlib import Path

from flows.embedded import rates_server
from fluxion_flow import StreamingErrorPolicy, pipeline

out = os.environ.get("ORDERS_OUT", "out")
orders = os.environ.get("ORDERS_FILE", "flows/data/orders.jsonl")
rates = os.environ.get("RATES_URL") or rates_server({"EUR": 1, "GBP": 1.17, "SEK": 0.09, "PLN": 0.23}, delay=0.02)


def accounts_made(path):
    """The URL of a database of accounts, two thirds of the customers' own."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE IF NOT EXISTS accounts (customer TEXT PRIMARY KEY, manager TEXT, discount REAL)")
        rows = [(f"c{n:04d}", ("Ada", "Bo", "Cleo")[n % 5 % 3], n % 4 * 0.05) for n in range(1200) if n % 3]
        database.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", rows)
    return f"sqlite:///{path}"


accounts = os.environ.get("ACCOUNTS_URL") or accounts_made(f"{out}/accounts.db")

definition = (
    pipeline("enriched-orders")
    .connection("rates", type="http", url=rates, retry={"maxAttempts": 3}, cache={"ttl": 60})
    .connection("accounts", type="sql", url=accounts)
    .source("files", path=orders)
    .match({"status": "PAID"})
    .set({"value": {"$sum": {"$map": {"input": "$items", "in": {"$multiply": ["$$this.qty", "$$this.price"]}}}}})
    .set({"rate": {"$httpCall": {"connection": "rates", "path": "/rates/{c}", "params": {"c": "$currency"}}}})
    .lookup(
        {
            "from": {"connection": "accounts", "table": "accounts"},
            "localField": "customer.id",
            "foreignField": "customer",
            "as": "account",
        }
    )
    .lookup(
        {
            "from": {"file": "flows/data/products.csv"},
            "localField": "items.sku",
            "foreignField": "sku",
            "as": "products",
        }
    )
    .project(
        {
            "_id": 0,
            "orderId": 1,
            "customer": "$customer.id",
            "manager": {"$ifNull": [{"$first": "$account.manager"}, "nobody"]},
            "euros": {
                "$round": [
                    {
                        "$multiply": [
                            "$value",
                            "$rate.rate",
                            {"$subtract": [1, {"$ifNull": [{"$first": "$account.discount"}, 0]}]},
                        ]
                    },
                    2,
                ]
            },
            "products": {
                "$reduce": {
                    "input": {"$sortArray": {"input": "$products.name", "sortBy": 1}},
                    "initialValue": "",
                    "in": {"$concat": ["$$value", {"$cond": [{"$eq": ["$$value", ""]}, "", ", "]}, "$$this"]},
                }
            },
        }
    )
    .sink(
        "sql",
        url=os.environ.get("ORDERS_DB", f"sqlite:///{out}/enriched.db"),
        table="enriched_orders",
        mode="upsert",
        keys=["orderId"],
        create_table={
            "orderId": "string",
            "customer": "string",
            "manager": "string",
            "euros": "number",
            "products": "string",
        },
    )
    .on_error(StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/dead-letters.jsonl"}).per_document())
    .build()
)

flow = definition.compile()
