"""Paid orders from a topic to an HTTP endpoint, one request an order, each with an idempotency key of its own.

Run it from the checkout:

    python -m bytewax.run flows.kafka_to_http

Without ``KAFKA_BOOTSTRAP`` a cluster inside the process holds the orders of ``flows/data/orders.jsonl``, and the run
ends where they end. With it, ``orders`` (``ORDERS_TOPIC``) is read for as long as the run lives; give it a checkpoint
store then (``-r``). ``ORDERS_ENDPOINT`` is where they go; without it a server inside the process writes
``out/received.jsonl`` (``ORDERS_OUT``). Delivery is at least once; an endpoint that remembers the keys gets each order
once.
"""

import os

from flows.embedded import cluster_with, endpoint_into
from fluxion_flow import StreamingErrorPolicy, pipeline

out = os.environ.get("ORDERS_OUT", "out")
topic = os.environ.get("ORDERS_TOPIC", "orders")
bootstrap = os.environ.get("KAFKA_BOOTSTRAP")
embedded = bootstrap is None
if embedded:
    bootstrap = cluster_with(topic, os.environ.get("ORDERS_FILE", "flows/data/orders.jsonl"))

letters = StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/dead-letters.jsonl"}).per_document()

definition = (
    pipeline("kafka-to-http")
    .source("kafka", topics=topic, bootstrap_servers=bootstrap, group_id="kafka-to-http", stop_at_end=embedded)
    .match({"status": "PAID"})
    .set({"lineTotals": {"$map": {"input": "$items", "as": "i", "in": {"$multiply": ["$$i.qty", "$$i.price"]}}}})
    .project({"_id": 0, "orderId": 1, "customer": "$customer.id", "value": {"$sum": "$lineTotals"}})
    .sink(
        "http",
        endpoint=os.environ.get("ORDERS_ENDPOINT") or endpoint_into(f"{out}/received.jsonl"),
        body="document",
        on_error=StreamingErrorPolicy.retry(5, backoff=0.5).then(letters),
    )
    .on_error(letters)
    .build()
)

flow = definition.compile()
