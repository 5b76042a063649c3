"""Paid orders from a topic into a table, each exactly once: the table keeps the topic's offsets with the rows.

Run it from the checkout:

    python -m bytewax.run flows.kafka_to_sql

Without ``KAFKA_BOOTSTRAP`` a cluster inside the process holds the orders of ``flows/data/orders.jsonl``, and the run
ends where they end. With it, ``orders`` (``ORDERS_TOPIC``) is read for as long as the run lives; give it a checkpoint
store then (``-r``). ``DATABASE_URL`` is the database; without it ``out/orders.db`` (``ORDERS_OUT``) is made.
"""

import os
from pathlib import Path

from flows.embedded import cluster_with
from fluxion_flow import StreamingErrorPolicy, pipeline

out = os.environ.get("ORDERS_OUT", "out")
topic = os.environ.get("ORDERS_TOPIC", "orders")
bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
embedded = bootstrap is None
if embedded:
    bootstrap = cluster_with(topic, os.environ.get("ORDERS_FILE", "flows/data/orders.jsonl"))
    Path(out).mkdir(parents=True, exist_ok=True)

columns = {"order_id": "string", "customer": "string", "value": "number", "topic": "string", "at": "integer"}

definition = (
    pipeline("kafka-to-sql")
    .source("kafka", topics=topic, bootstrap_servers=bootstrap, group_id="kafka-to-sql", stop_at_end=embedded)
    .match({"status": "PAID"})
    .set({"lineTotals": {"$map": {"input": "$items", "as": "i", "in": {"$multiply": ["$$i.qty", "$$i.price"]}}}})
    .project(
        {
            "_id": 0,
            "order_id": "$orderId",
            "customer": "$customer.id",
            "value": {"$sum": "$lineTotals"},
            "topic": {"$meta": "stream.source.topic"},
            "at": {"$meta": "stream.source.offset"},
        }
    )
    .sink(
        "sql",
        url=os.environ.get("DATABASE_URL", f"sqlite:///{out}/orders.db"),
        table="paid_orders",
        create_table=columns,
    )
    .on_error(StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/dead-letters.jsonl"}).per_document())
    .build()
)

flow = definition.compile()
