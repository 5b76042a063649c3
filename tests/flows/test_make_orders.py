"""The orders of the quickstart are what their script makes."""

import json
import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).parents[2] / "flows" / "data"

COUNTS = """\
lines                               20000
cancelled poison: a price is text       5
malformed: a bare array                 5
malformed: cut off                      8
malformed: garbage bytes                6
malformed: not UTF-8                    6
odd: a price is null                    6
odd: items is null                      6
poison: a price is an object            6
poison: a price is text                12
poison: a qty is text                  10
poison: items is an object              7
poison: items is text                   5
status CANCELLED                     2024
status PAID                         13993
status PENDING                       3002
status REFUNDED                       956
"""


def test_the_script_makes_the_committed_file_byte_for_byte(tmp_path):
    made = tmp_path / "orders.jsonl"
    run = subprocess.run([sys.executable, DATA / "make_orders.py", made], check=True, capture_output=True, text=True)
    assert run.stdout == COUNTS
    assert made.read_bytes() == (DATA / "orders.jsonl").read_bytes()


def test_the_malformed_lines_are_no_json_objects():
    malformed = 0
    for line in (DATA / "orders.jsonl").read_bytes().splitlines():
        try:
            malformed += not isinstance(json.loads(line.decode("utf-8")), dict)
        except ValueError:
            malformed += 1
    assert malformed == 25
