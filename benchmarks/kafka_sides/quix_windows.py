"""Quix Streams: a tumbling window with two aggregations, closed by the partition's time, final results only."""

import sys
import tempfile
from datetime import timedelta

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum


def main(bootstrap: str, source: str, sink: str) -> None:
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=bootstrap,
            consumer_group=f"{sink}-group",
            auto_offset_reset="earliest",
            state_dir=state,
            loglevel="WARNING",
        )
        events = app.topic(
            source, value_deserializer="json", key_deserializer="str", timestamp_extractor=lambda value, *_: value["at"]
        )
        sdf = app.dataframe(events)
        windows = sdf.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(seconds=1)).agg(
            n=Count(), total=Sum("value")
        )
        sdf = windows.final(closing_strategy="partition")
        sdf = sdf.to_topic(app.topic(sink, value_serializer="json"))
        app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
