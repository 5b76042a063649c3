"""Files of JSON Lines or CSV, compressed or not: ``{type: files, path: orders.jsonl}`` as a source and as a sink."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluxion_connectors.files.compression import CHOICES, FileDamaged, compression_of
from fluxion_connectors.files.csv_rows import TYPES, BadHeader
from fluxion_connectors.files.discovery import discover_streams
from fluxion_connectors.files.identity import FileChanged
from fluxion_connectors.files.sink import FilesSink, FilesWriter
from fluxion_connectors.files.source import PART_SIZE, FilesSource
from fluxion_connectors.files.stored import FilesStored
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.connect.secrets import Reference, holds_reference
from fluxion_flow.errors import Problems, Where, did_you_mean

__all__ = ["BadHeader", "FileChanged", "FileDamaged", "FilesSink", "FilesSource", "FilesWriter", "connector"]


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    path, csv = options["path"], options["format"] == "csv"
    if options["on_missing"] == "wait" and options["follow"] is False:
        problems.add(where / "on_missing", "'wait' needs follow: true", "use 'empty' or 'fail', or follow the file")
    if options["follow"] is True and not isinstance(path, Reference):
        if "*" in path:
            problems.add(where / "follow", "a pattern cannot be followed", "name one file")
        if csv:
            problems.add(where / "follow", "a CSV file cannot be followed", "write JSON Lines, or read whole files")
        if compression_of(path, str(options["compression"])) != "none":
            problems.add(where / "follow", "a compressed file cannot be followed", "read whole files")
    _check_csv(options, _CSV_SOURCE, where, problems)
    if not csv:
        return
    if options["header"] is False and options["columns"] is None:
        problems.add(where / "columns", "required without a header", "name the columns, in their order")
    if options["header"] is True and options["columns"] is not None:
        problems.add(where / "columns", "are named by the header", "leave them out, or set header: false")
    for name, kind in (options["types"] or {}).items() if not holds_reference(options["types"]) else ():
        if kind not in TYPES:
            hint = did_you_mean(str(kind), TYPES) or f"use one of {', '.join(TYPES)}"
            problems.add(where / "types" / name, f"unknown type {kind!r}", hint)


def _check_sink(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    if options["transactional"] is True and "{part}" in str(options["path"]):
        problems.add(where / "transactional", "keeps the positions of one file", "leave {part} out of the path")
    _check_csv(options, _CSV_SINK, where, problems)
    if options["format"] == "csv" and options["header"] is False and options["columns"] is None:
        problems.add(where / "columns", "required without a header", "name the columns, in their order")


def _check_csv(options: Mapping[str, Any], of_csv: Sequence[Option], where: Where, problems: Problems) -> None:
    """Options that only one of the formats has; characters that are one character."""
    if options["format"] == "json":
        for option in of_csv:
            if options[option.name] != option.default:
                problems.add(where / option.name, "is an option of format: csv", "leave it out, or set the format")
        return
    if options["extended_json"] is True:
        problems.add(where / "extended_json", "is an option of format: json", "leave it out")
    for name in ("delimiter", "quote"):
        given = options[name]
        if isinstance(given, str) and (len(given) != 1 or not given.isascii() or given in "\r\n"):
            problems.add(where / name, "must be one ASCII character", "such as ',' or ';'")


_EXTENDED_JSON = "Read and write MongoDB Extended JSON ({$date: ...}), which keeps dates, decimals and binary values."
_FORMAT = Option(
    "format", "string", "'json': one JSON object a line; 'csv': one row a document.", "json", choices=("json", "csv")
)
_COMPRESSION = Option(
    "compression", "string", "'auto' goes by the name: .gz, .zst (zstd needs an extra).", "auto", choices=CHOICES
)
_DELIMITER = Option("delimiter", "string", "CSV: the character between two fields.", ",")
_QUOTE = Option("quote", "string", "CSV: the character around fields that hold a delimiter or a line break.", '"')
_CSV_SOURCE = (
    Option("header", "boolean", "CSV: the first line names the columns.", True),
    Option("columns", "list", "CSV without a header: the columns' names.", None, items="string"),
    Option("types", "object", f"CSV: column: type, one of {', '.join(TYPES)}.", None),
    Option("infer", "boolean", "CSV: find the type of each other field; else it is a string.", True),
    _DELIMITER,
    _QUOTE,
)
_CSV_SINK = (
    Option("header", "boolean", "CSV: a first line names the columns.", True),
    Option(
        "columns",
        "list",
        "CSV: the columns, in their order; the fields of the first batch if left out.",
        None,
        items="string",
    ),
    Option(
        "extra_fields",
        "string",
        "CSV: what to do with a document that has a field without a column: 'refuse' it, or 'ignore' the field.",
        "refuse",
        choices=("refuse", "ignore"),
    ),
    _DELIMITER,
    _QUOTE,
)

connector = Connector(
    type="files",
    title="Files: JSON Lines and CSV",
    doc=__doc__,
    source=FilesSource,
    sink=FilesSink,
    source_options=(
        Option("path", "string", "A file, or a pattern such as 'orders/*.jsonl' (** for any depth)."),
        _FORMAT,
        _COMPRESSION,
        Option("part_size", "size", "Bytes of a part; parts of a file are read in parallel.", PART_SIZE, minimum=1),
        Option("follow", "boolean", "Go on reading one growing file; never completes.", False),
        Option(
            "on_missing",
            "string",
            "No such file: 'fail', read nothing ('empty'), or 'wait' for it (with follow).",
            "fail",
            choices=("fail", "empty", "wait"),
        ),
        Option("encoding", "string", "The text encoding.", "utf-8", choices=("utf-8",)),
        Option("extended_json", "boolean", _EXTENDED_JSON, False),
        *_CSV_SOURCE,
    ),
    sink_options=(
        Option("path", "string", "The file; with '{part}' in it, one file for each writer."),
        _FORMAT,
        _COMPRESSION,
        Option(
            "mode",
            "string",
            "What a run without a checkpoint does with an existing file.",
            "overwrite",
            choices=("overwrite", "append"),
        ),
        Option(
            "transactional",
            "boolean",
            "Keep the source's positions beside the file: exactly once, whatever becomes of the checkpoint.",
            False,
        ),
        Option("fsync", "boolean", "Wait for the disk at each checkpoint.", True),
        Option("extended_json", "boolean", _EXTENDED_JSON, False),
        *_CSV_SINK,
    ),
    check_source=_check_source,
    check_sink=_check_sink,
    discover_streams=discover_streams,
    stored=lambda options: FilesStored(options["path"], options["format"], options["compression"]),
)
