"""Bytewax by hand with its own Kafka connectors and orjson, one item a message, as its documentation shows it."""

import sys

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from confluent_kafka import OFFSET_BEGINNING


def main(bootstrap: str, source: str, sink: str, follow: str = "") -> None:
    def step(message):
        order = orjson.loads(message.value)
        if order["status"] != "PAID":
            return None
        order["total"] = order["qty"] * order["price"]
        order["country"] = order["customer"]["country"]
        return KafkaSinkMessage(order["customer"]["id"].encode(), orjson.dumps(order))

    brokers = bootstrap.split(",")
    quiet = {"log_level": "0"}
    flow = Dataflow("by_hand")
    read = KafkaSource(brokers, [source], tail=bool(follow), starting_offset=OFFSET_BEGINNING, add_config=quiet)
    stream = op.filter_map("step", op.input("in", flow, read), step)
    op.output("out", stream, KafkaSink(brokers, sink, add_config=quiet))
    run_main(flow)


if __name__ == "__main__":
    main(*sys.argv[1:])
