"""The example of windows ends with what its readings say, and names the late ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_readings_are_what_their_script_makes(tmp_path):
    script = tmp_path / "make_readings.py"
    script.write_text((ROOT / "flows/data/make_readings.py").read_text())
    subprocess.run([sys.executable, script], check=True)
    assert (tmp_path / "readings.jsonl").read_text() == (ROOT / "flows/data/readings.jsonl").read_text()


def test_every_reading_is_in_a_window_or_a_late_letter(tmp_path):
    environment = {**os.environ, "READINGS_OUT": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "bytewax.run", "flows.sensor_windows"], cwd=ROOT, env=environment, check=True)
    minutes = [json.loads(line) for line in (tmp_path / "minutes.jsonl").open()]
    late = [json.loads(line) for line in (tmp_path / "late.jsonl").open()]
    readings = len((ROOT / "flows/data/readings.jsonl").read_text().splitlines())
    assert sum(one["readings"] for one in minutes) + len(late) == readings
    assert len(late) > 3
    assert {letter["doc"]["sensor"] for letter in late} == {"s3"}
    assert {letter["errInfo"]["code"] for letter in late} == {"late"}
    assert {letter["_stream_meta"]["window"]["start"]["$date"] for letter in late} == {"2026-03-01T12:01:00.000Z"}
    assert any(one["alarm"] for one in minutes)
