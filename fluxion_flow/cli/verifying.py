"""One run of ``fluxion verify`` in a process of its own: what `python -m bytewax.run` is told to run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bytewax.dataflow import Dataflow

SPEC = "spec.json"
PROGRESS = "progress"
"""A file that gets a byte for every read of a source partition."""


def flow(folder: str) -> Dataflow:
    """The pipeline of a run's folder, with its source and its sinks mocked."""
    from ..testing.flow_tester import FlowTester
    from ..testing.mocks import MockSink
    from . import loading

    place = Path(folder)
    spec = json.loads((place / SPEC).read_text(encoding="utf-8"))
    tester = FlowTester(_without_store(lambda: loading.load(spec["target"])))
    dead = MockSink(place / "dead_letters.jsonl")
    sinks = {name: MockSink(place / f"sink-{i}.jsonl") for i, name in enumerate(tester.definition.sink_names())}
    source = _Watched(_partitions(place.parent, spec["batch_size"]), now=tester.now)
    source.watch(place / PROGRESS, spec["pause"])
    definition = tester.mocked(source, sinks, dead)
    return replace(definition, listeners=()).compile()


def _without_store(load: Callable[[], Any]) -> Any:
    """What ``load`` answers, called without the command line: a module that compiles its flow when it is imported
    would compare the real pipeline with the store of this run, whose source and sinks are mocked.
    """
    given, sys.argv = sys.argv, sys.argv[:1]
    try:
        return load()
    finally:
        sys.argv = given


def _partitions(folder: Path, size: int) -> dict[str, list[list[dict[str, Any]]]]:
    from ..connect.encoding import decode_document

    found = {}
    for path in sorted(folder.glob("in-*.jsonl")):
        records = [decode_document(line, extended=True) for line in path.read_bytes().splitlines()]
        batches = [records[start : start + size] for start in range(0, len(records), size)]
        found[path.stem.removeprefix("in-")] = batches
    return found


def _Watched(*arguments: Any, **options: Any) -> Any:  # noqa: N802 - makes an object of a class that is imported late
    from ..testing.mocks import MockSource

    class Watched(MockSource):
        """A source that tells how far it is, and takes its time."""

        _told: Callable[[], None] = staticmethod(lambda: None)

        def watch(self, path: Path, pause: float) -> None:
            file = open(path, "ab", buffering=0)  # noqa: SIM115 - as long as the process

            def told() -> None:
                file.write(b".")
                time.sleep(pause)

            self._told = told

        def about_to_read(self, records: int) -> None:
            super().about_to_read(records)
            self._told()

    return Watched(*arguments, **options)
