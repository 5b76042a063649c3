"""Files of JSON Lines: ``{type: files, path: orders.jsonl}`` as a source and as a sink."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.files.discovery import discover_streams
from fluxion_connectors.files.identity import FileChanged
from fluxion_connectors.files.sink import FilesSink, FilesWriter
from fluxion_connectors.files.source import PART_SIZE, FilesSource
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.secrets import Reference
from fluxion_flow.errors import Problems, Where

__all__ = ["FileChanged", "FilesSink", "FilesSource", "FilesWriter", "connector"]


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    if options["on_missing"] == "wait" and options["follow"] is False:
        problems.add(where / "on_missing", "'wait' needs follow: true", "use 'empty' or 'fail', or follow the file")
    if options["follow"] is True and not isinstance(options["path"], Reference) and "*" in options["path"]:
        problems.add(where / "follow", "a pattern cannot be followed", "name one file")


_EXTENDED_JSON = "Read and write MongoDB Extended JSON ({$date: ...}), which keeps dates, decimals and binary values."

connector = Connector(
    type="files",
    title="JSON Lines files",
    doc=__doc__,
    source=FilesSource,
    sink=FilesSink,
    source_options=(
        Option("path", "string", "A file, or a pattern such as 'orders/*.jsonl' (** for any depth)."),
        Option("part_size", "size", "Bytes of a part; parts of a file are read in parallel.", PART_SIZE, minimum=1),
        Option("follow", "boolean", "Go on reading one growing file; never completes.", False),
        Option(
            "on_missing",
            "string",
            "No such file: 'fail', read nothing ('empty'), or 'wait' for it (with follow).",
            "fail",
            choices=("fail", "empty", "wait"),
        ),
        Option("format", "string", "One JSON object a line.", "json", choices=("json",)),
        Option("encoding", "string", "The text encoding.", "utf-8", choices=("utf-8",)),
        Option("extended_json", "boolean", _EXTENDED_JSON, False),
    ),
    sink_options=(
        Option("path", "string", "The file; with '{part}' in it, one file for each writer."),
        Option(
            "mode",
            "string",
            "What a run without a checkpoint does with an existing file.",
            "overwrite",
            choices=("overwrite", "append"),
        ),
        Option("fsync", "boolean", "Wait for the disk at each checkpoint.", True),
        Option("format", "string", "One JSON object a line.", "json", choices=("json",)),
        Option("extended_json", "boolean", _EXTENDED_JSON, False),
    ),
    check_source=_check_source,
    discover_streams=discover_streams,
)
