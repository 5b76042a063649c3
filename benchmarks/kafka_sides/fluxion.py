"""Ours: the definition, run by Bytewax."""

import sys

from bytewax.testing import run_main

from fluxion_flow import pipeline
from fluxion_flow.runtime.entry import freeze

STAGES = [
    {"$match": {"status": "PAID"}},
    {"$set": {"total": {"$multiply": ["$qty", "$price"]}, "country": "$customer.country"}},
]


def main(bootstrap: str, source: str, sink: str, follow: str = "") -> None:
    made = (
        pipeline("bench")
        .source("kafka", topics=source, bootstrap_servers=bootstrap, stop_at_end=not follow)
        .stages(STAGES)
        .sink("kafka", topic=sink, key="$customer.id", bootstrap_servers=bootstrap)
        .compile()
    )
    freeze()
    run_main(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
