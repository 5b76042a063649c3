"""Ours: `$tumblingWindow` from topic to topic, by the time of the records."""

import sys

from bytewax.testing import run_main

from fluxion_flow import pipeline
from fluxion_flow.runtime.entry import freeze

WINDOW = {
    "interval": {"size": 1, "unit": "minute"},
    "allowedLateness": {"size": 1, "unit": "second"},
    "pipeline": [{"$group": {"_id": "$key", "n": {"$count": {}}, "total": {"$sum": "$value"}}}],
}


def main(bootstrap: str, source: str, sink: str) -> None:
    made = (
        pipeline("bench-windows")
        .source("kafka", topics=source, bootstrap_servers=bootstrap, time_field="$at")
        .tumbling_window(WINDOW)
        .sink("kafka", topic=sink, key="$_id", bootstrap_servers=bootstrap)
        .compile()
    )
    freeze()
    run_main(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
