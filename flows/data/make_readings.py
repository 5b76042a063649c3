"""Write ``readings.jsonl``: five minutes of four sensors, a little out of order, with a sensor that was cut off."""

import json
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def readings():
    chance = random.Random(4)
    found = []
    for second in range(300):
        for sensor in range(4):
            if chance.random() < 0.5:
                continue
            at = START + timedelta(seconds=second, milliseconds=chance.randrange(1000))
            celsius = round(60 + 10 * sensor / 3 + chance.gauss(0, 4), 1)
            delay = chance.random() * 5
            if sensor == 3 and 100 <= second < 118:  # cut off: what it measured came with the next minute
                delay = 190 - second
            text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            found.append((second + delay, {"sensor": f"s{sensor}", "at": text, "celsius": celsius}))
    return [reading for _, reading in sorted(found, key=lambda pair: pair[0])]


if __name__ == "__main__":
    path = Path(__file__).with_name("readings.jsonl")
    path.write_text("".join(json.dumps(reading) + "\n" for reading in readings()))
