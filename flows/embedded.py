"""Stand-ins for servers that are not there, inside the process that runs a flow: a Kafka cluster and an HTTP endpoint.

Nothing has to be installed or started for the examples. They end with the process, so a run that is started again
begins with a new topic.
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from confluent_kafka import Producer

_running = []
"""What must live as long as the process."""


def cluster_with(topic, path, key=None):
    """The address of librdkafka's mock cluster with the lines of a file in ``topic``; ``key`` makes one of a line."""
    mock = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    _running.append(mock)
    broker = next(iter(mock.list_topics(timeout=10).brokers.values()))
    address = f"{broker.host}:{broker.port}"
    producer = Producer({"bootstrap.servers": address, "log_level": 0, "queue.buffering.max.messages": 200_000})
    for line in Path(path).read_bytes().splitlines():
        producer.produce(topic, line, key(line) if key else None)
        producer.poll(0)
    producer.flush(30)
    return address


def endpoint_into(path):
    """The URL of a server that adds the body of every POST to a file as a line, once an idempotency key."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "ab", buffering=0)  # noqa: SIM115 - open as long as the process lives
    seen, lock = set(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                if self.headers["Idempotency-Key"] not in seen:
                    seen.add(self.headers["Idempotency-Key"])
                    os.write(file.fileno(), body.rstrip(b"\n") + b"\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    return f"{_serve(Handler)}/orders"


def rates_server(rates, delay=0.0):
    """The URL of a server of exchange rates: ``GET /rates/GBP`` is ``{"currency": "GBP", "rate": 1.17}``, else 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            currency = self.path.rpartition("/")[2]
            time.sleep(delay)
            known = currency in rates
            body = json.dumps(
                {"currency": currency, "rate": rates[currency]} if known else {"error": "unknown"}
            ).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return _serve(Handler)


def _serve(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _running.append(server)
    return f"http://127.0.0.1:{server.server_address[1]}"
