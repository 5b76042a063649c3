"""Endurance: two pipelines on a real broker for half an hour, with kills, broker restarts and poison messages.

A feeder writes numbered orders to a topic at a steady rate; one in 1,009 is no JSON, one in 2,003 breaks `$multiply`.
Two `fluxion run` read it. *copy* writes every paid order to a topic in transactions, and is killed with SIGKILL every
minute or so. *windows* counts and sums by customer in tumbling windows of event time, and lives as long as the soak, so
that its memory can be watched. The broker is restarted every few minutes, by turns with SIGTERM and with SIGKILL.

Afterwards every order must be in the topic once, every closed window must hold what its orders give, and every poison
message must be a dead letter of each pipeline once. Each minute says: documents a second by the clock, documents a
second of processor time (without the seconds of a start and of an outage), and resident memory.

    python benchmarks/soak_endurance.py --minutes 30 --rate 4000
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from machine import machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers.kafka import RealKafka, free_ports, new_topic, why_no_real_broker

PARTITIONS = 4
CUSTOMERS = 500
START = 1_700_000_000_000
WINDOW = 10_000
"""Milliseconds of event time: each order is one millisecond behind the one before it."""

NO_JSON, NO_NUMBER = 1009, 2003
CALM = 8.0
"""Seconds after a start or an outage that do not count for documents a second of processor time."""

RETRY = {"max_attempts": "unlimited", "backoff": "200ms", "max_backoff": "2s"}
STAGES = [{"$match": {"status": "PAID"}}, {"$set": {"total": {"$multiply": ["$qty", "$price"]}}}]
TUMBLING = {
    "$tumblingWindow": {
        "interval": {"size": WINDOW, "unit": "ms"},
        "allowedLateness": {"size": 1, "unit": "second"},
        "pipeline": [{"$group": {"_id": "$customer", "n": {"$count": {}}, "total": {"$sum": "$total"}}}],
        "streamMeta": True,
    }
}


def order(number: int) -> bytes:
    """The message of a number. Three in four orders are paid."""
    if number % NO_JSON == 0:
        return b'{"n": %d, "at": ' % number
    qty = b'"poison"' if number % NO_NUMBER == 0 else b"%d" % (number % 7 + 1)
    status = b"PAID" if number % 4 else b"OPEN"
    return (
        b'{"n":%d,"at":%d,"status":"%s","customer":"c-%05d","qty":%s,"price":%d.25,"channel":"web","country":"DE"}'
        % (number, START + number, status, number % CUSTOMERS, qty, number % 90)
    )


def partition_of(number: int) -> int:
    return number // 7 % PARTITIONS


def is_poison(number: int) -> bool:
    """Whether the message ends as a dead letter: an open order is dropped before its quantity is looked at."""
    return number % NO_JSON == 0 or (number % NO_NUMBER == 0 and number % 4 != 0)


def gets_through(number: int) -> bool:
    return number % 4 != 0 and not is_poison(number)


class Feeder(threading.Thread):
    """Writes orders at a rate until it is told to stop; ``written`` is how many."""

    def __init__(self, bootstrap: str, topic: str, rate: int) -> None:
        super().__init__(daemon=True)
        self.topic, self.rate = topic, rate
        self.written = 0
        self.stopped = threading.Event()
        self.producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 20,
                "message.timeout.ms": 600_000,
                "queue.buffering.max.messages": 1_000_000,
                "log_level": 0,
            }
        )

    def run(self) -> None:
        began, tick = time.monotonic(), 0.05
        while not self.stopped.wait(tick):
            due = int((time.monotonic() - began) * self.rate)
            for number in range(self.written, due):
                while True:
                    try:
                        self.producer.produce(self.topic, order(number), partition=partition_of(number))
                        break
                    except BufferError:
                        self.producer.poll(0.2)
            self.written = max(due, self.written)
            self.producer.poll(0)
        if left := self.producer.flush(120):
            os.write(2, f"the feeder could not write {left} messages\n".encode())
            os._exit(1)


class Reader(threading.Thread):
    """Reads the topic of copies as a plain consumer does; ``times[n]`` is how often number n has come."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__(daemon=True)
        self.times = bytearray()
        self.wrong: list[str] = []
        self.found = 0
        self.stopped = threading.Event()
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "soak",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        self.consumer.assign([TopicPartition(topic, 0, 0)])

    def run(self) -> None:
        while not self.stopped.is_set():
            for message in self.consumer.consume(2000, 0.5):
                if message.error() is None:
                    self._take(json.loads(message.value()))
        self.consumer.close()

    def _take(self, found: dict[str, Any]) -> None:
        number = found["n"]
        if number >= len(self.times):
            self.times.extend(bytes(number + 100_000 - len(self.times)))
        self.times[number] += 1
        self.found += 1
        if found["total"] != (number % 7 + 1) * (number % 90 + 0.25) and len(self.wrong) < 10:
            self.wrong.append(f"order {number} has the total {found['total']}")


class Run:
    """A pipeline in a process of its own, started again when it ends, watched once a second."""

    def __init__(self, name: str, folder: Path, definition: dict[str, Any]) -> None:
        self.name, self.folder = name, folder
        folder.mkdir()
        (folder / f"{name}.json").write_text(json.dumps({"name": name, **definition}))
        self.lives = 0
        self.ended: list[int] = []
        """Exit codes of lives that ended by themselves."""
        self.calm_from = 0.0
        self.start()

    def start(self) -> None:
        (self.port,) = free_ports(1)
        program = "from fluxion_flow.cli.main import main; main(prog_name='fluxion')"
        options = ["-r", str(self.folder / "store"), "-s", "1", "-q", "--status-port", str(self.port)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, "run", str(self.folder / f"{self.name}.json"), *options],
                stdout=log,
                stderr=log,
            )
        self.lives += 1
        self.last: tuple[float, float] | None = None
        self.calm_from = time.monotonic() + CALM

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()

    def processor_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mebibytes(self) -> float:
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0.0
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def documents(self) -> float | None:
        """How many documents and rejected records this life has fetched; ``None``: it does not tell now."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return None
        return sum(map(float, re.findall(r"^stream_(?:fetched|rejected)_total\{.*\} (\S+)$", text, re.MULTILINE)))

    def look(self) -> tuple[float, float, bool] | None:
        """Documents and processor seconds since the last look at this life, and whether these were calm seconds."""
        if self.process.poll() is not None:
            self.ended.append(self.process.returncode)
            self.start()
            return None
        documents, seconds = self.documents(), self.processor_seconds()
        if documents is None:
            self.last = None
            return None
        last, self.last = self.last, (documents, seconds)
        if last is None:
            return None
        return documents - last[0], seconds - last[1], time.monotonic() > self.calm_from

    def drain(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        if (code := self.process.wait(120)) != 0:
            sys.exit(f"{self.name}: the drain ended with exit code {code}:\n{self.log()}")

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


class Minutes:
    """What each minute of a pipeline came to."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._reset()

    def _reset(self) -> None:
        self.documents = self.calm_documents = self.calm_seconds = 0.0
        self.memory: list[float] = []
        self.began = time.monotonic()

    def add(self, seen: tuple[float, float, bool] | None, mebibytes: float) -> None:
        self.memory.append(mebibytes)
        if seen is not None:
            self.documents += seen[0]
            if seen[2]:
                self.calm_documents += seen[0]
                self.calm_seconds += seen[1]

    def close(self) -> dict[str, Any]:
        passed = time.monotonic() - self.began
        row = {
            "documents_per_second": round(self.documents / passed),
            "documents_per_cpu_second": round(self.calm_documents / self.calm_seconds) if self.calm_seconds else None,
            "mebibytes": round(median(self.memory), 1),
        }
        self.rows.append(row)
        self._reset()
        return row


def definitions(bootstrap: str, source: str, sink: str, folder: Path) -> dict[str, dict[str, Any]]:
    kafka = {"type": "kafka", "bootstrap_servers": bootstrap}

    def made(name: str, stages: list[Any], target: dict[str, Any], **source_options: Any) -> dict[str, Any]:
        letters = {"type": "files", "path": str(folder / name / "dead.jsonl")}
        return {
            "source": {**kafka, "topics": source, "auto_offset_reset": "earliest", **source_options},
            "stages": stages,
            "sink": {**target, "on_error": {"retry": RETRY}},
            "on_error": {
                "retry": {**RETRY, "retry_on": ["ConnectionError"]},
                "then": {"dead_letter": letters},
                "granularity": "document",
            },
        }

    windows = {"type": "files", "path": str(folder / "windows" / "out.jsonl")}
    return {
        "copy": made("copy", STAGES, {**kafka, "topic": sink, "key": "$customer", "transactional_id": f"{sink}-tx"}),
        "windows": made("windows", [*STAGES, TUMBLING], windows, time_field="$at"),
    }


def disturb(broker: RealKafka, runs: dict[str, Run], events: list[dict[str, Any]], began: float, hard: bool) -> None:
    """Restart the broker, with SIGKILL if ``hard``."""
    broker.stop(with_signal=signal.SIGKILL if hard else signal.SIGTERM)
    time.sleep(3)
    broker.start()
    events.append(
        {"minute": round((time.monotonic() - began) / 60, 2), "what": "broker " + ("killed" if hard else "restarted")}
    )
    for run in runs.values():
        run.calm_from = time.monotonic() + CALM


def expected_windows(written: int) -> dict[tuple[int, int], list[float]]:
    """Count and sum by start of window and customer."""
    found: dict[tuple[int, int], list[float]] = {}
    for number in filter(gets_through, range(written)):
        at = START + number
        entry = found.setdefault((at - at % WINDOW, number % CUSTOMERS), [0, 0.0])
        entry[0] += 1
        entry[1] += (number % 7 + 1) * (number % 90 + 0.25)
    return found


def verdict(written: int, reader: Reader, folder: Path) -> dict[str, Any]:
    """What is wrong, by what it is; all zero: nothing."""
    numbers = range(written)
    times = reader.times + bytes(max(0, written - len(reader.times)))
    found: dict[str, Any] = {
        "copies_lost": sum(times[n] == 0 for n in numbers if gets_through(n)),
        "copies_repeated": sum(max(0, times[n] - 1) for n in numbers),
        "copies_that_must_not_be": sum(times[n] > 0 for n in numbers if not gets_through(n)),
        "copies_with_wrong_values": len(reader.wrong),
    }
    windows, repeated = {}, 0
    with (folder / "windows" / "out.jsonl").open() as lines:
        for line in lines:
            one = json.loads(line)
            moment = one["_stream_meta"]["window"]["start"]
            key = moment, one["_id"]
            repeated += key in windows
            windows[key] = [one["n"], one["total"]]
    wanted = {
        (instant(start), f"c-{customer:05d}"): value for (start, customer), value in expected_windows(written).items()
    }
    newest = max(start for start, _ in windows)
    closed = {key: value for key, value in wanted.items() if key[0] <= newest}
    found["windows_lost"] = len(closed.keys() - windows.keys())
    found["windows_repeated"] = repeated
    found["windows_with_wrong_values"] = sum(windows[key] != closed.get(key) for key in windows)
    found["windows_still_open"] = len({start for start, _ in wanted} - {start for start, _ in windows})
    poison = Counter(filter(is_poison, numbers))
    for name in ("copy", "windows"):
        letters = Counter(map(number_of, (folder / name / "dead.jsonl").open()))
        found[f"{name}_dead_letters_lost"] = (poison - letters).total()
        found[f"{name}_dead_letters_repeated_or_unexpected"] = (letters - poison).total()
    return found


def instant(milliseconds: int) -> str:
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(milliseconds / 1000))
    return f"{text}.{milliseconds % 1000:03d}Z" if milliseconds % 1000 else f"{text}Z"


def number_of(line: str) -> int:
    letter = json.loads(line)
    if "doc" in letter:
        return int(letter["doc"]["n"])
    return int(re.search(rb"\d+", base64.b64decode(letter["raw"]))[0])  # type: ignore[index]


def soak(options: argparse.Namespace, broker: RealKafka, folder: Path, stack: contextlib.ExitStack) -> dict[str, Any]:
    chance = random.Random(options.seed)
    source, sink = new_topic(broker, PARTITIONS), new_topic(broker)
    runs = {}
    for name, made in definitions(broker.bootstrap, source, sink, folder).items():
        runs[name] = Run(name, folder / name, made)
        stack.callback(runs[name].end)
    feeder, reader = Feeder(broker.bootstrap, source, options.rate), Reader(broker.bootstrap, sink)
    feeder.start()
    reader.start()
    events: list[dict[str, Any]] = []
    minutes = {name: Minutes() for name in runs}
    began = time.monotonic()
    ends = began + options.minutes * 60
    kill_at = began + chance.uniform(*options.kills)
    restart_at = began + options.restarts
    minute_at = began + 60
    restarts = 0
    restarting: threading.Thread | None = None
    while (now := time.monotonic()) < ends:
        for name, run in runs.items():
            minutes[name].add(run.look(), run.mebibytes())
        if now >= kill_at:
            events.append({"minute": round((now - began) / 60, 2), "what": "copy killed"})
            runs["copy"].kill()
            kill_at = now + chance.uniform(*options.kills)
        if now >= restart_at and ends - now > 20:
            restarting = threading.Thread(target=disturb, args=(broker, runs, events, began, restarts % 2 == 1))
            for run in runs.values():
                run.calm_from = now + 3600
            restarting.start()
            restarts += 1
            restart_at = now + options.restarts
        if now >= minute_at:
            minute_at += 60
            for name in runs:
                row = minutes[name].close()
                print(
                    f"{len(minutes[name].rows):3} min  {name:8} {row['documents_per_second']:7,} a second, "
                    f"{row['documents_per_cpu_second'] or 0:8,} a CPU second, {row['mebibytes']:6.1f} MiB",
                    flush=True,
                )
        time.sleep(max(0.0, 1 - (time.monotonic() - now)))
    for each in minutes.values():
        each.close()
    if restarting is not None:
        restarting.join()
    feeder.stopped.set()
    feeder.join()
    written = feeder.written
    print(f"{written:,} messages written; waiting for what is under way", flush=True)
    due = sum(map(gets_through, range(written)))
    last_window = (START + written - 1 - 1_000) // WINDOW * WINDOW
    patience = time.monotonic() + 300
    while reader.found < due or runs["windows"].documents() != written or not _is_written(folder, last_window):
        if time.monotonic() > patience:
            print("not everything has arrived in 300 seconds", flush=True)
            break
        for run in runs.values():
            run.look()
        time.sleep(1)
    for run in runs.values():
        run.drain()
    time.sleep(2)  # what is repeated would arrive now
    reader.stopped.set()
    reader.join()
    return {
        "machine": machine(),
        "minutes": options.minutes,
        "rate": options.rate,
        "messages": written,
        "poison": sum(map(is_poison, range(written))),
        "kills": sum(event["what"] == "copy killed" for event in events),
        "broker_restarts": sum(event["what"].startswith("broker") for event in events),
        "ended_by_themselves": {name: run.ended for name, run in runs.items()},
        "events": events,
        "each_minute": {name: each.rows for name, each in minutes.items()},
        "verdict": verdict(written, reader, folder),
    }


def _is_written(folder: Path, last_window: int) -> bool:
    """Whether the newest window that can be closed is in the file."""
    path = folder / "windows" / "out.jsonl"
    if not path.exists():
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2000))
        return instant(last_window - WINDOW).encode() in file.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--rate", type=int, default=4_000, help="messages a second")
    parser.add_argument("--kills", type=float, nargs=2, default=(45, 90), help="seconds between two kills")
    parser.add_argument("--restarts", type=float, default=240, help="seconds between two restarts of the broker")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--write", type=Path, default=Path(__file__).parent / "results" / "soak.json")
    options = parser.parse_args()
    if (reason := why_no_real_broker()) is not None:
        sys.exit(f"the soak needs a real Kafka broker: {reason}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = stack.enter_context(RealKafka())
        report = soak(options, broker, folder, stack)
    options.write.parent.mkdir(parents=True, exist_ok=True)
    options.write.write_text(json.dumps(report, indent=1) + "\n")
    wrong = {what: number for what, number in report["verdict"].items() if number and what != "windows_still_open"}
    if wrong:
        sys.exit(f"wrong: {wrong}")
    print(
        f"{report['messages']:,} messages, {report['poison']:,} of them poison, {report['kills']} kills, "
        f"{report['broker_restarts']} restarts of the broker: nothing lost, nothing repeated"
    )


if __name__ == "__main__":
    main()
