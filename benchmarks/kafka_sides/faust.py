"""Faust (faust-streaming): an agent that sends on what it keeps."""

import os
import sys
import tempfile

sys.path.pop(0)  # this file's folder, where `faust` would be this file
import faust


def main(bootstrap: str, source: str, sink: str) -> None:
    app = faust.App(
        f"{sink}-app",
        broker=f"kafka://{bootstrap}",
        value_serializer="json",
        key_serializer="raw",
        topic_partitions=1,
        topic_disable_leader=True,
        producer_acks=-1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        datadir=tempfile.mkdtemp(dir=os.environ.get("TMPDIR")),
    )
    orders = app.topic(source, value_serializer="json")
    paid = app.topic(sink, value_serializer="json", key_serializer="raw")

    @app.agent(orders)
    async def keep(stream):
        async for order in stream:
            if order["status"] == "PAID":
                order["total"] = order["qty"] * order["price"]
                order["country"] = order["customer"]["country"]
                await paid.send(key=order["customer"]["id"].encode(), value=order)

    sys.argv = ["faust", "worker", "--loglevel", "warn"]
    app.main()


if __name__ == "__main__":
    main(*sys.argv[1:])
