"""A source partition that is new when a run is resumed: what it has for closed windows is late, each as it came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, collected
from trial import run

from fluxion_flow import StreamingErrorPolicy, pipeline
from fluxion_flow.connect.spi import Batch, SourceReader, StreamingSource
from fluxion_flow.core.values import from_millis


def at(second: float) -> Any:
    return from_millis(second * 1000)


PAUSES = 8
"""One read of so many gives documents."""


class Growing(StreamingSource):
    """Documents by partition, read two by two, with pauses that let epochs end; at ``"crash"`` a read fails."""

    poll_interval = 0.0

    def __init__(self, parts: dict[str, list[Any]]) -> None:
        self.parts = parts

    def partitions(self) -> list[str]:
        return sorted(self.parts)

    def open(self, partition: str, cursor: Any) -> SourceReader:
        return _Reader(partition, self.parts[partition], cursor or 0)


class _Reader(SourceReader):
    def __init__(self, partition: str, documents: list[Any], position: int) -> None:
        self._partition, self._documents, self._position = partition, documents, position
        self._pauses = 0

    def read(self, max_documents: int) -> Batch | None:
        self._pauses = (self._pauses + 1) % PAUSES
        if self._pauses:
            return Batch([], self._partition, self._position)
        found = self._documents[self._position : self._position + 2]
        if not found:
            return None
        if "crash" in found:
            raise ConnectionError("crash")
        self._position += len(found)
        return Batch(found, self._partition, self._position - len(found))

    @property
    def cursor(self) -> int:
        return self._position


WINDOWS = [
    {
        "$tumblingWindow": {
            "interval": {"size": 10, "unit": "second"},
            "allowedLateness": 0,
            "pipeline": [{"$match": {"n": {"$gt": 0}}}, {"$group": {"_id": "$k", "n": {"$push": "$n"}}}],
            "streamMeta": True,
        }
    },
    {
        "$sessionWindow": {
            "gap": {"size": 5, "unit": "second"},
            "partitionBy": "$k",
            "allowedLateness": 0,
            "pipeline": [{"$group": {"_id": "$k", "n": {"$addToSet": "$n"}}}],
            "streamMeta": True,
        }
    },
    {"$dedupe": {"key": "$n", "within": {"size": 5, "unit": "second"}, "allowedLateness": 0}},
]
OLD = [{"t": at(second), "k": "x", "n": n} for n, second in enumerate([1, 3, 12, 14, 35, 36], 1)]
NEW = [
    {"t": at(second), "k": "x", "n": n}
    for n, second in [(101, 1), (-2, 2), (103, 3), (104, 13), (105, 36.5), (106, 37)]
]
TWICE = [{"t": at(40), "k": "x", "n": 8}, {"t": at(41), "k": "x", "n": 9}]


@pytest.mark.parametrize("stage", WINDOWS, ids=lambda stage: next(iter(stage)))
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_new_partition_has_for_closed_windows_is_dead_lettered_as_it_came(
    tmp_path: Path, stage: dict[str, Any], workers: int
) -> None:
    def go(parts: dict[str, list[Any]]) -> str:
        flow = (
            pipeline("trial")
            .source(Growing(parts), time_field="t", on_error=StreamingErrorPolicy.fail_fast())
            .stages([stage])
            .sink(MemorySink("out", replays=True))
            .on_error(StreamingErrorPolicy.dead_letter(MemorySink("dead", replays=True)).per_document())
            .config(state_partitions=4)
        )
        return run(flow, store=tmp_path / "s", workers=workers).error

    assert "crash" in go({"a": [*OLD, "crash"]})
    assert "crash" in go({"a": [*OLD, "crash"], "b": [*NEW[:2], "crash"]})  # it is still a new one when it goes on
    assert go({"a": OLD + TWICE, "b": NEW}) == ""
    letters = [(one["doc"]["n"], one["_stream_meta"]["source"]["position"]) for one in collected("dead")]
    assert sorted(letters) == [(-2, 1), (101, 0), (103, 2), (104, 3)]
    taken = [document["n"] for document in collected("out")]
    numbers = [n for each in taken for n in (each if isinstance(each, list) else [each])]
    assert sorted(numbers) == sorted([d["n"] for d in OLD + TWICE] + [105, 106])
