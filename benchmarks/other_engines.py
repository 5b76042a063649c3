"""Other engines that run aggregation stages in a process: mongomock (Python) and mingo (JavaScript, in node).

Each is left out, by name and with the reason, where it cannot be had.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

Document = dict[str, Any]

MINGO = "7.2.7"

_SERVER = """
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Aggregator } from "mingo";

const [path, pipelines] = process.argv.slice(2);
const documents = readFileSync(path, "utf8").trim().split("\\n").map(line => JSON.parse(line));
const known = JSON.parse(pipelines);
for await (const line of createInterface({ input: process.stdin })) {
  const { job, result } = JSON.parse(line);
  globalThis.gc();
  const started = process.hrtime.bigint();
  const found = new Aggregator(known[job]).run(documents);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(JSON.stringify({ seconds, result: result ? found : null }));
}
"""


class Unavailable(Exception):
    """An engine that cannot be measured here; the text says why."""


class Mingo:
    """A node process that has read the documents, and runs a pipeline over them whenever it is asked to."""

    def __init__(self, documents: list[Document], pipelines: dict[str, list[Document]]) -> None:
        """Raises :class:`Unavailable` without node or npm, or when mingo cannot be installed."""
        for needed in ("node", "npm"):
            if shutil.which(needed) is None:
                raise Unavailable(f"{needed} is not installed")
        folder = Path(tempfile.gettempdir()) / f"fluxion-bench-mingo-{MINGO}"
        self.version = f"mingo {MINGO}, node {_output('node', '--version')}"
        if not (folder / "node_modules" / "mingo").is_dir():
            folder.mkdir(exist_ok=True)
            (folder / "package.json").write_text('{"type": "module", "private": true}')
            _output("npm", "install", "--silent", "--no-fund", f"mingo@{MINGO}", cwd=folder)
        (folder / "server.mjs").write_text(_SERVER)
        data = folder / "documents.jsonl"
        data.write_text("".join(json.dumps(document) + "\n" for document in documents))
        command = ["node", "--expose-gc", "server.mjs", str(data), json.dumps(pipelines)]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, job: str, result: bool) -> Document:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"job": job, "result": result}) + "\n")
        self._process.stdin.flush()
        answer: Document = json.loads(self._process.stdout.readline())
        return answer

    def result(self, job: str) -> list[Document]:
        found: list[Document] = self._ask(job, True)["result"]
        return found

    def seconds(self, job: str) -> float:
        return float(self._ask(job, False)["seconds"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Mongomock:
    """A collection in memory that holds the documents."""

    def __init__(self, documents: list[Document]) -> None:
        """Raises :class:`Unavailable` where mongomock is not installed."""
        try:
            import mongomock
        except ImportError:
            raise Unavailable('it is not installed: pip install "fluxion-flow[bench]"') from None
        self.version = f"mongomock {mongomock.__version__}"
        self._orders = mongomock.MongoClient().bench.orders
        self._orders.insert_many(documents)

    def result(self, stages: list[Document]) -> list[Document]:
        """What the stages give. ``$set`` is written as ``$addFields``, the name of it that mongomock knows."""
        spelled = [{("$addFields" if name == "$set" else name): spec for name, spec in s.items()} for s in stages]
        return list(self._orders.aggregate(spelled))


def _output(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()
