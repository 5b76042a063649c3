"""500 documents, each with an HTTP call of 20 ms: one by one, and 50 at the same time.

``python benchmarks/bench_enrich.py [rounds]``: both sides in one go against a server in a process of its own, and the
median of the rounds' ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from fluxion_flow.core.batch import environment, outside_of, run_stages
from fluxion_flow.core.resources import Resources
from fluxion_flow.core.stages import parse_stages
from fluxion_flow.errors import Problems, Where

DOCUMENTS = 500
SERVER = """
import asyncio

BODY = b'{"data": {"ok": true}}'
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(BODY)

async def serve(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\\r\\n\\r\\n")
            await asyncio.sleep(0.02)
            writer.write(HEAD + BODY)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
STAGES = [{"$set": {"r": {"$httpCall": {"connection": "api", "path": "/{id}", "pathParams": {"id": "$id"}}}}}]


def seconds(url: str, concurrency: int) -> float:
    """How long the documents take, with connections that are open already, as in a stream."""
    resources = Resources(connections={"api": {"type": "http", "url": url, "concurrency": concurrency}})
    problems = Problems()
    stages = parse_stages(STAGES, Where.at("stages"), problems, resources)
    problems.raise_if_any()
    with outside_of(resources) as answers:
        run_stages([{"id": -i} for i in range(1, concurrency + 1)], stages, environment(resources, answers))
        started = time.perf_counter()
        found = run_stages([{"id": i} for i in range(DOCUMENTS)], stages, environment(resources, answers))
        spent = time.perf_counter() - started
    assert all(document["r"] == {"data": {"ok": True}} for document in found)
    return spent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        ratios = []
        for number in range(rounds):
            alone, together = seconds(url, 1), seconds(url, 50)
            ratios.append(alone / together)
            print(f"round {number + 1}: one by one {alone:.2f} s, 50 at a time {together:.2f} s, {ratios[-1]:.1f} x")
        print(f"median: {statistics.median(ratios):.1f} times as fast")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
