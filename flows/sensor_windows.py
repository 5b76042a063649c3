"""What sensors measured each minute: readings that come out of order, and some too late, in windows of event time.

Run it from the checkout:

    python -m bytewax.run flows.sensor_windows

It reads ``flows/data/readings.jsonl`` (``READINGS_FILE``) and writes ``minutes.jsonl`` and ``late.jsonl`` into ``out/``
(``READINGS_OUT``). A reading that comes more than ten seconds behind the newest one is late when its minute has been
closed for that; it becomes a dead letter that names the window.
"""

import os

from fluxion_flow import StreamingErrorPolicy, pipeline

readings = os.environ.get("READINGS_FILE", "flows/data/readings.jsonl")
out = os.environ.get("READINGS_OUT", "out")

definition = (
    pipeline("sensor-windows")
    .source("files", path=readings, time_field={"$toDate": "$at"})
    .match({"celsius": {"$type": "number"}})
    .tumbling_window(
        {
            "interval": {"size": 1, "unit": "minute"},
            "allowedLateness": {"size": 10, "unit": "second"},
            "pipeline": [
                {
                    "$group": {
                        "_id": {"sensor": "$sensor", "minute": {"$meta": "stream.window.start"}},
                        "readings": {"$count": {}},
                        "mean": {"$avg": "$celsius"},
                        "highest": {"$max": "$celsius"},
                    }
                },
                {"$set": {"alarm": {"$gt": ["$highest", 78]}}},
            ],
        }
    )
    .sink("files", path=f"{out}/minutes.jsonl")
    .on_error(StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/late.jsonl"}).per_document())
    .build()
)

flow = definition.compile()
