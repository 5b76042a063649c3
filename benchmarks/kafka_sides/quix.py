"""Quix Streams: a StreamingDataFrame from topic to topic."""

import sys
import tempfile

from quixstreams import Application


def main(bootstrap: str, source: str, sink: str) -> None:
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"{sink}-group",
            auto_offset_reset="earliest",
            state_dir=state,
            loglevel="WARNING",
        )
        orders = app.topic(source, value_deserializer="json")
        paid = app.topic(sink, value_serializer="json")
        sdf = app.dataframe(orders)
        sdf = sdf[sdf["status"] == "PAID"]
        sdf["total"] = sdf["qty"] * sdf["price"]
        sdf["country"] = sdf["customer"]["country"]
        sdf = sdf.to_topic(paid, key=lambda order: order["customer"]["id"])
        app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
