"""A connector of one's own: the access log of a web server as a source, and what went wrong in it, page by page.

Run it from the checkout:

    python -m bytewax.run flows.access_log

``AccessLog`` is all of the connector: where it stands (a cursor), what it reads (a batch), and which lines are none. It
reads ``flows/data/access.log`` (``ACCESS_LOG``) and writes ``pages.jsonl`` and ``access-rejects.jsonl`` into ``out/``
(``PAGES_OUT``). As a package with an entry point it could be used by its name: see ``docs/connectors/custom.md``.
"""

import os
import re
from dataclasses import dataclass
from datetime import datetime

from fluxion_flow import StreamingErrorPolicy, StreamingSource, pipeline
from fluxion_flow.connect.spi import Batch, Reject, SourceReader

LINE = re.compile(
    rb"(?P<client>\S+) \S+ \S+ \[(?P<at>[^]]+)\] "
    rb'"(?P<method>[A-Z]+) (?P<page>\S+) [^"]*" (?P<status>\d{3}) (?P<bytes>\d+|-)'
)


@dataclass
class AccessLog(StreamingSource):
    """The lines of a log in the Common Log Format, as documents."""

    path: str
    bounded = True

    def partitions(self):
        return [self.path]

    def open(self, partition, cursor):
        return LogReader(self.path, cursor or {"v": 1, "offset": 0, "line": 0})


class LogReader(SourceReader):
    """Reads on from a cursor: the offset of the next line, and its number."""

    def __init__(self, path, cursor):
        self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
        self._file.seek(cursor["offset"])
        self._path, self._line = path, cursor["line"]

    @property
    def cursor(self):
        return {"v": 1, "offset": self._file.tell(), "line": self._line}

    def read(self, max_documents):
        lines = [line for line in (self._file.readline() for _ in range(max_documents)) if line]
        if not lines:
            return None  # complete
        batch = Batch([], self._path, self._line, positions := [])
        for position, line in enumerate(lines, self._line):
            match = LINE.match(line)
            if match is None:
                batch.rejects.append(Reject(line.rstrip(b"\n"), position, "is no line of an access log"))
            else:
                batch.documents.append(_document(match))
                positions.append(position)
        self._line += len(lines)
        return batch

    def close(self):
        self._file.close()


def _document(match):
    parts = {name: value.decode("utf-8", "replace") for name, value in match.groupdict().items()}
    size = 0 if parts["bytes"] == "-" else int(parts["bytes"])
    at = datetime.strptime(parts["at"], "%d/%b/%Y:%H:%M:%S %z")
    return {**parts, "at": at, "status": int(parts["status"]), "bytes": size}


out = os.environ.get("PAGES_OUT", "out")

definition = (
    pipeline("access-log")
    .source(AccessLog(os.environ.get("ACCESS_LOG", "flows/data/access.log")))
    .set({"page": {"$first": {"$split": ["$page", "?"]}}})
    .group(
        {
            "_id": "$page",
            "requests": {"$count": {}},
            "failed": {"$sum": {"$cond": [{"$gte": ["$status", 500]}, 1, 0]}},
            "bytes": {"$sum": "$bytes"},
            "last": {"$max": "$at"},
        }
    )
    .sink("files", path=f"{out}/pages.jsonl")
    .on_error(StreamingErrorPolicy.dead_letter({"type": "files", "path": f"{out}/access-rejects.jsonl"}).per_document())
    .build()
)

flow = definition.compile()
