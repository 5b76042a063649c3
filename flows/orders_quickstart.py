"""What each customer has spent: paid orders from a file, valued line by line, added up by customer.

Run it from the checkout:

    python -m bytewax.run flows.orders_quickstart

It reads ``flows/data/orders.jsonl`` (``ORDERS_FILE``) and writes ``customers.jsonl`` and ``dead-letters.jsonl`` into
``out/`` (``ORDERS_OUT``). Lines that are no JSON and orders that can't be valued become dead letters, one by one; the
other orders of their batch go on. ``orders_quickstart.yaml`` is the same pipeline as a definition file.
"""

import os

from fluxion_flow import StreamingErrorPolicy, pipeline

orders = os.environ.get("ORDERS_FILE", "flows/data/orders.jsonl")
out = os.environ.get("ORDERS_OUT", "out")

definition = (
    pipeline("orders-quickstart")
    .source("files", path=orders)
    .match({"status": "PAID"})
    .set({"lineTotals": {"$map": {"input": "$items", "as": "i", "in": {"$multiply": ["$$i.qty", "$$i.price"]}}}})
    .set({"orderValue": {"$sum": "$lineTotals"}})
    .group({"_id": "$customer.id", "orders": {"$count": {}}, "lifetimeValue": {"$sum": "$orderValue"}})
    .sink("files", path=f"{out}/customers.jsonl")
    .on_error(StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/dead-letters.jsonl"}).per_document())
    .build()
)

flow = definition.compile()
