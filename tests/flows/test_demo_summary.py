"""What `make demo` prints at its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "demo_summary.py"


def letter(where, reason):
    return {"operatorName": where, "errInfo": {"reason": reason}}


def write_json_lines(path, documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")


def summarize(directory):
    environment = {**os.environ, "ORDERS_FILE": "orders.jsonl", "ORDERS_OUT": "."}
    return subprocess.run([sys.executable, SCRIPT], cwd=directory, env=environment, capture_output=True, text=True)


def test_the_summary_counts_what_was_read_delivered_and_dead_lettered_and_why(tmp_path):
    (tmp_path / "orders.jsonl").write_text("{}\n" * 12)
    write_json_lines(
        tmp_path / "customers.jsonl",
        [{"_id": "a", "orders": 4, "lifetimeValue": 9.5}, {"_id": "b", "orders": 1, "lifetimeValue": 2}],
    )
    write_json_lines(
        tmp_path / "dead-letters.jsonl",
        [
            letter("stages[1].$set", "$multiply takes numbers, not string (document 3)"),
            letter("source", "invalid JSON at byte 17"),
            letter("source", "invalid JSON at byte 40"),
        ],
    )
    assert summarize(tmp_path).stdout == (
        "read               12  lines of orders.jsonl\n"
        "delivered           2  customers, from 5 paid orders, to customers.jsonl\n"
        "left out            4  orders that are not paid\n"
        "dead-lettered       3  to dead-letters.jsonl, because\n"
        "                    2  source: invalid JSON at byte …\n"
        "                    1  stages[1].$set: $multiply takes numbers, not string (document …)\n"
    )
