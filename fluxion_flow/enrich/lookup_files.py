"""``$lookup`` in a reference file: JSON Lines, JSON or CSV, in memory, read again when it has changed.

A batch sees one version of the file. While a changed file cannot be read, the version before stays in use.
"""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fluxion_flow.connect.encoding import decode_records
from fluxion_flow.connect.secrets import redact
from fluxion_flow.core.outside import Asker
from fluxion_flow.core.stages.external import ALL, ExternalCollection, Loaded
from fluxion_flow.enrich.asking import Client, Enrichment, Target
from fluxion_flow.enrich.failures import EnrichError
from fluxion_flow.enrich.settings import Settings

log = logging.getLogger(__name__)

FORMATS = ("jsonl", "json", "csv")


def _boolean(text: str) -> bool:
    found = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text.strip().lower())
    if found is None:
        raise ValueError(f"is no boolean: {text[:40]!r}")
    return found


TYPES: dict[str, Callable[[str], Any]] = {"string": str, "int": int, "double": float, "bool": _boolean}
"""The types of CSV columns. An empty cell of a column with another type than string is null."""


class FileUnavailable(EnrichError):
    """A reference file cannot be read."""


def format_of(path: str) -> str:
    """The format that a file's name tells: JSON Lines unless it ends in .csv or .json."""
    return {".csv": "csv", ".json": "json"}.get(Path(path).suffix.lower(), "jsonl")


class FileTarget(Target):
    """A reference file."""

    def __init__(self, path: str, form: str, types: tuple[tuple[str, str], ...]) -> None:
        self.path = path
        self.form = form
        self.types = types
        self.name = path

    @property
    def key(self) -> Hashable:
        return ("file", self.path, self.form, self.types)

    def open(self, settings: Settings) -> Client:
        raise NotImplementedError("a file is read where it is needed")

    def read(self) -> list[dict[str, Any]]:
        """The documents of the file. Raises :class:`FileUnavailable` with the line that is wrong."""
        try:
            content = Path(self.path).read_bytes().removeprefix(b"\xef\xbb\xbf")
            if self.form == "csv":
                return self._csv(content.decode("utf-8"))
            if self.form == "json":
                found = msgspec.json.decode(content)
                if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
                    raise FileUnavailable(f"reference file {self.path!r} holds no array of objects")
                return found
        except OSError as error:
            text = f"reference file {self.path!r} cannot be read ({error.strerror})"
            raise FileUnavailable(text, retryable=True) from None
        except UnicodeDecodeError:
            raise FileUnavailable(f"reference file {self.path!r} is not UTF-8 text") from None
        except msgspec.DecodeError as error:
            raise FileUnavailable(f"reference file {self.path!r} is not JSON: {error}") from None
        lines = [(i, line) for i, line in enumerate(content.split(b"\n"), 1) if line and not line.isspace()]
        documents, _, rejects = decode_records([line for _, line in lines], [i for i, _ in lines], False)
        if rejects:
            text = f"reference file {self.path!r}, line {rejects[0].position}: {rejects[0].error}"
            raise FileUnavailable(text)
        return documents

    def _csv(self, text: str) -> list[dict[str, Any]]:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        types = {column: TYPES[kind] for column, kind in self.types}
        documents = []
        try:
            missing = [column for column in types if column not in (reader.fieldnames or [])]
            if missing:
                raise FileUnavailable(f"reference file {self.path!r} has no column {missing[0]!r}")
            for row in reader:
                if None in row or None in row.values():
                    text = f"reference file {self.path!r}, line {reader.line_num}: has not as many cells as the header"
                    raise FileUnavailable(text)
                documents.append({name: _cell(value, types.get(name, str)) for name, value in row.items()})
        except (csv.Error, ValueError) as error:
            raise FileUnavailable(f"reference file {self.path!r}, line {reader.line_num}: {error}") from None
        return documents


def _cell(text: str, read: Callable[[str], Any]) -> Any:
    return None if text == "" and read is not str else read(text)


class FileCollection(ExternalCollection):
    """A reference file, which comes as a whole."""

    whole = True

    def __init__(self, asker: FileAsker) -> None:
        self._asker = asker

    def asker(self, field: tuple[str, ...]) -> Asker:
        return self._asker


@dataclass(frozen=True, eq=False, kw_only=True)
class FileAsker(Enrichment):
    """Asks for all documents of a file. What has been read is kept in the desk's ``memory``."""

    target: FileTarget

    def question(self, values: tuple[Any, ...]) -> Hashable:
        return ALL

    def begin(self, memory: dict[Any, Any]) -> None:
        memory["looked"] = False

    def near(self, what: Any, memory: dict[Any, Any]) -> Any:
        if not memory.get("looked"):
            self._look(memory)
            memory["looked"] = True
        return memory["loaded"]

    def _look(self, memory: dict[Any, Any]) -> None:
        """Read the file if it is not the one that was read last."""
        try:
            status = os.stat(self.target.path)
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError as error:
            version = (0, 0, error.errno or -1)
        if "loaded" in memory and version == memory.get("version"):
            return
        try:
            memory["loaded"] = Loaded(self.target.read())
        except FileUnavailable as error:
            if "loaded" not in memory:
                raise
            log.warning("%s; the version before stays in use", redact(str(error)))
        memory["version"] = version

    def facts(self) -> list[str]:
        return [f"{self.title}: in memory, read again when it has changed; a replay may be answered differently"]
