"""Documents in memory, for tests: sources from lists, sinks into lists, both failing on command.

In Python::

    source = MemorySource([{"n": 1}, {"n": 2}])
    sink = MemorySink("out")
    ...
    assert sink.collected() == [...]

In a definition, by name: ``provide("in", documents)`` and ``{type: memory, name: in}`` as the source;
``{type: memory, name: out}`` as the sink and ``collected("out")``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluxion_connectors.memory.hub import clear, collected, provide
from fluxion_connectors.memory.sink import MemorySink, MemoryWriter
from fluxion_connectors.memory.source import MemoryReader, MemorySource
from fluxion_connectors.memory.stored import MemoryStored
from fluxion_flow.connect.options import Option
from fluxion_flow.connect.registry import Connector
from fluxion_flow.errors import Problems, Where

__all__ = [
    "MemoryReader",
    "MemorySink",
    "MemorySource",
    "MemoryWriter",
    "clear",
    "collected",
    "connector",
    "provide",
]

_FAIL = "Numbers (from 1) of the calls that raise, or a mapping of a number to the exception that it raises."


def _check_source(options: Mapping[str, Any], where: Where, problems: Problems) -> None:
    if (options["documents"] is None) == (options["name"] is None):
        problems.add(where, "a memory source takes documents or a name", "give one of the two")


connector = Connector(
    type="memory",
    title="Documents in memory, for tests",
    doc=__doc__,
    source=MemorySource,
    sink=MemorySink,
    source_options=(
        Option("documents", "any", "A list, a list of lists, or a mapping of partitions to lists.", None),
        Option("name", "string", "The name that documents were provided under.", None),
        Option("bounded", "boolean", "Complete after the last document.", True),
        Option("timestamp", "integer", "Milliseconds since the epoch, for every batch.", 0),
        Option("fail_reads", "any", _FAIL, None),
    ),
    sink_options=(
        Option("name", "string", "The name that documents are collected under.", "out"),
        Option("replays", "boolean", "Undo what was written after the last flush when reopened at a cursor.", False),
        Option("fail_writes", "any", _FAIL, None),
        Option("fail_flushes", "any", _FAIL, None),
        Option("fail_documents", "any", "Fields and values of documents that are refused, or a function.", None),
    ),
    check_source=_check_source,
    stored=lambda options: MemoryStored(options["name"]),
)
