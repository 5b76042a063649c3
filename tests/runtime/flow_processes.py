"""Flow modules in processes of their own, run as users run them: ``python -m bytewax.run``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytewax.recovery import init_db_dir

MODULE = '''
import os
import time

from fluxion_connectors.memory import MemorySource
from fluxion_flow import pipeline, secret
from fluxion_flow.connect.spi import Batch, SinkWriter, StreamingSink


class Held(MemorySource):
    """Numbers in four partitions; each stops after ten for as long as there is a file `hold`."""

    def __init__(self):
        super().__init__([[{{"_id": part * 100 + n, "n": n}} for n in range(50)] for part in range(4)])

    def open(self, partition, cursor):
        reader = super().open(partition, cursor)
        read = reader.read

        def held(max_documents):
            if reader.cursor["index"] >= 10 and os.path.exists("hold"):
                return Batch([], partition, reader.cursor["index"])
            return read(max_documents)

        reader.read = held
        return reader


{body}

flow = built.compile()
print("compiled", flush=True)
'''

COUNTING = """
built = (
    pipeline("counting")
    .source(Held())
    .stages([{"$match": {"n": {"$ne": 7}}}])
    .sink("files", path="out-{part}.jsonl")
    .config(batch_size=1)
)
"""


@dataclass
class Flow:
    """A flow module in a folder, with a checkpoint store."""

    folder: Path
    body: str = COUNTING

    def __post_init__(self) -> None:
        (self.folder / "flow.py").write_text(MODULE.format(body=self.body))
        self.store = self.folder / "store"
        if not self.store.exists():
            self.store.mkdir()
            init_db_dir(self.store, 1)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A process that has imported the flow, and has begun to run it or is about to."""
        command = [sys.executable, "-m", "bytewax.run", "flow", "-r", "store", "-s", "0", "-b", "0", *arguments]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "RUST_BACKTRACE": "0", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The exit code of a run, and what it printed to standard error."""
        process = self.start(*arguments, **environment)
        _, errors = process.communicate()
        return process.returncode, errors

    def delivered(self) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in self.folder.glob("out*.jsonl")]
        found = [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return sorted(found, key=lambda document: document["_id"])

    def hold(self) -> None:
        """Have runs stop in the middle, still running."""
        (self.folder / "hold").touch()

    def go_on(self) -> None:
        """Let runs go on to their end."""
        (self.folder / "hold").unlink()

    def wait_for_half(self) -> None:
        """Wait until a run that is held has delivered what it may."""
        while len(self.delivered()) < len(HALF):
            time.sleep(0.01)


EXPECTED = [part * 100 + n for part in range(4) for n in range(50) if n != 7]
HALF = [place for place in EXPECTED if place % 100 < 10]
"""What a run delivers before it stops, where it is held."""


def ended(*processes: subprocess.Popen[str], by: signal.Signals = signal.SIGTERM) -> list[tuple[int, str]]:
    """Send a signal to processes; their exit codes, and what they printed to standard error."""
    for process in processes:
        process.send_signal(by)
    return [(process.returncode, errors) for process in processes for _, errors in [process.communicate()]]
