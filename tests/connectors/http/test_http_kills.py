"""Webhooks into a table, killed at random moments: every event is there exactly once, whoever had to send it again."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers.ports import free_ports

sys.path.insert(0, str(Path(__file__).parents[2] / "integration"))

from processes import kill_all, start_flow

KILLS = int(os.environ.get("KILLS", "3"))
"""``KILLS=30`` for a thorough run."""
SENDERS = 3


class Senders:
    """Clients that send events one after the other, each until it is answered 2xx."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.answered: list[str] = []
        self.sent_again = 0
        self._threads = [threading.Thread(target=self._send, args=(sender,)) for sender in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, sender: int) -> None:
        number = 0
        with httpx.Client(timeout=5.0) as client:
            while not self._stop.is_set():
                event = f"{sender}-{number}"
                tries = 0
                while not self._is_taken(client, event):
                    tries += 1
                    time.sleep(0.02)
                self.answered.append(event)
                self.sent_again += tries > 0
                number += 1

    def _is_taken(self, client: httpx.Client, event: str) -> bool:
        try:
            answer = client.post(self._url, json={"event": event}, headers={"Webhook-Id": event})
        except httpx.HTTPError:
            return False
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    def stop(self) -> None:
        """Let each finish the event that it is sending."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("processes", [1, 2])
def test_webhooks_reach_a_table_exactly_once(tmp_path: Path, processes: int) -> None:
    (port,) = free_ports(1)
    table = tmp_path / "events.db"
    definition: dict[str, Any] = {
        "name": "hooks",
        "source": {
            "type": "http",
            "listen": f"127.0.0.1:{port}",
            "spool": str(tmp_path / "spool.db"),
            "id_header": "Webhook-Id",
        },
        "stages": [{"$set": {"from": {"$substrCP": ["$event", 0, 1]}}}],
        "sink": {
            "type": "sql",
            "url": f"sqlite:///{table}",
            "table": "events",
            "create_table": {"event": "string", "from": "string"},
        },
        "config": {"batch_size": 3},
    }
    (tmp_path / "definition.json").write_text(json.dumps(definition))
    rng = random.Random(40 + processes)
    kills = KILLS if processes == 1 or KILLS >= 30 else 1
    senders = Senders(f"http://127.0.0.1:{port}/")
    try:
        for _ in range(kills):
            started = start_flow(tmp_path, 1, 0.02, processes)
            before, until = len(senders.answered), time.monotonic() + rng.uniform(0.1, 0.6)
            while time.monotonic() < until or len(senders.answered) == before:
                time.sleep(0.005)
            kill_all(started, rng)
        started = start_flow(tmp_path, 1, 0.0, processes)
    finally:
        # a sender's last event needs a listener, so that it can stop
        senders.stop()
    while len(_events(table)) < len(senders.answered):
        time.sleep(0.02)
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    found = Counter(_events(table))
    assert (set(senders.answered) - set(found), set(found) - set(senders.answered)) == (set(), set())
    assert [event for event, count in found.items() if count > 1] == []
    assert senders.sent_again > 0
    print(f"{kills} kills, {len(found)} events, {senders.sent_again} sent again")


def _events(path: Path) -> list[str]:
    with sqlite3.connect(path, timeout=10) as connection:
        try:
            found = [event for (event,) in connection.execute("SELECT event FROM events")]
        except sqlite3.OperationalError:  # no table yet
            found = []
    connection.close()
    return found
