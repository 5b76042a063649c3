"""The limit's neighbour: a bare loop on the client library that we use, too, with msgspec, and nothing else."""

import sys

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

DECODE = msgspec.json.Decoder().decode
ENCODE = msgspec.json.Encoder().encode


def main(bootstrap: str, source: str, sink: str) -> None:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "loop", "log_level": 0, "enable.auto.commit": False}
    )
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "log_level": 0})
    place = TopicPartition(source, 0, 0)
    _, end = consumer.get_watermark_offsets(place)
    consumer.assign([place])
    produce, found = producer.produce, 0
    while found < end:
        messages = consumer.consume(1000, 0.1)
        found += len(messages)
        for message in messages:
            order = DECODE(message.value())
            if order["status"] == "PAID":
                customer = order["customer"]
                order["total"] = order["qty"] * order["price"]
                order["country"] = customer["country"]
                produce(sink, ENCODE(order), customer["id"].encode())
        producer.poll(0)
        while len(producer) > 90_000:
            producer.poll(0.01)
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
