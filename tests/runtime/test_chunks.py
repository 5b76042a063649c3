"""Large states: written in chunks, read again on any number of workers, and never more than what changed at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.memory import MemorySink, MemorySource, collected
from trial import numbered, run

from fluxion_flow import PipelineBuilder, pipeline, run_batch
from fluxion_flow.runtime import chunks
from fluxion_flow.runtime.chunks import Chunk, Ledger, Vault
from fluxion_flow.runtime.store import read_store, stored_states

GROUP = {
    "$group": {"_id": {"$mod": ["$n", 23]}, "total": {"$sum": "$n"}, "seen": {"$push": "$n"}, "last": {"$last": "$n"}}
}
SORT = {"$sort": {"n": -1}}
COUNT = 120


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks for states of any size."""
    monkeypatch.setattr(chunks, "SMALL", 1)


def flow(stages: list[dict[str, Any]], crash: int | None = None) -> PipelineBuilder:
    source = MemorySource([numbered(COUNT)], fail_reads=[] if crash is None else [crash])
    return pipeline("trial").source(source).stages(stages).sink(MemorySink("out", replays=True))


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("stages", [[GROUP], [SORT], [GROUP, SORT]], ids=["group", "sort", "both"])
@pytest.mark.parametrize("workers", [(1, 1, 1), (1, 3, 2), (2, 1, 3)])
def test_chunks_are_found_again_after_crashes_on_any_number_of_workers(
    tmp_path: Path, stages: list[dict[str, Any]], workers: tuple[int, ...]
) -> None:
    for number, crash in zip(workers, (14, 9, None), strict=True):
        error = run(flow(stages, crash), store=tmp_path / "s", workers=number, state_partitions=5).error
        assert ("told to fail" in error) is (crash is not None)
        if crash == 14:
            steps = {state.step for state in stored_states(tmp_path / "s")}
            assert any("chunk" in step for step in steps)
    expected = run_batch(numbered(COUNT), stages)
    key = "n" if stages == [SORT] else "_id"
    assert sorted(collected("out"), key=lambda d: d[key]) == sorted(expected, key=lambda d: d[key])


@pytest.mark.usefixtures("tiny")
def test_a_run_without_news_keeps_what_is_stored(tmp_path: Path) -> None:
    for _ in range(3):
        assert run(flow([GROUP]), store=tmp_path / "s", workers=2).error == ""
    keys = {step.step: step.keys for step in read_store(tmp_path / "s").steps}
    assert keys["trial.group"] == 23
    assert len(collected("out")) == 23


def test_a_small_state_has_no_chunks(tmp_path: Path) -> None:
    assert run(flow([GROUP], crash=14), store=tmp_path / "s").error != ""
    assert {step.step for step in read_store(tmp_path / "s").steps} == {"trial.group", "trial.source"}


# -- the ledger --------------------------------------------------------------------------------------------------------


class Part:
    """A part with ``live`` entries of one byte each, whose ledger is written epoch by epoch, and read again."""

    def __init__(self, live: int) -> None:
        self.live = live
        self.values = dict.fromkeys(range(live), 0)
        self.changed: dict[int, None] = {}
        self.written = 0
        self.kept: dict[int, Chunk] = {}
        self.ledger = Ledger(self.delta, self.whole, None)

    def delta(self) -> bytes:
        return self._packed(self.changed)

    def whole(self) -> bytes:
        return self._packed(self.values)

    def _packed(self, keys: Any) -> bytes:
        data = b"".join(key.to_bytes(3, "big") + self.values[key].to_bytes(3, "big") for key in keys)
        self.changed = {}
        return data

    def epoch(self, keys: list[int]) -> int:
        """Change keys; the bytes that the epoch writes."""
        for key in keys:
            self.values[key] += 1
            self.changed[key] = None
        written = 0
        for _, chunk in self.ledger.moved("0", len(self.changed), self.live):
            written += sum(map(len, chunk.pieces))
            if chunk.pieces:
                self.kept[chunk.slot] = chunk
            else:
                del self.kept[chunk.slot]
        self.ledger.end_epoch(len(self.changed), self.live)
        return written + sum(map(len, self.ledger.row()["pieces"]))

    def read(self) -> dict[int, int]:
        """What a resume would read."""
        row = self.ledger.row()
        vault = Vault()
        for chunk in self.kept.values():
            vault.put("0", chunk.slot, chunk.version, chunk.pieces)
        again = Ledger(self.delta, self.whole, row)
        assert vault.has("0", again.slots)
        found = {}
        for piece in [*vault.take("0", again.slots), *again.pending]:
            for at in range(0, len(piece), 6):
                found[int.from_bytes(piece[at : at + 3], "big")] = int.from_bytes(piece[at + 3 : at + 6], "big")
        return found


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 1.0])
def test_epochs_write_about_what_has_changed_and_a_resume_reads_all(share: float) -> None:
    part = Part(10_000)
    whole = 6 * part.live
    part.epoch(list(range(part.live)))
    written, changed, count = 0, 0, max(1, int(share * part.live))
    for epoch in range(60):
        keys = [(epoch * 977 + n) % part.live for n in range(count)]
        written += part.epoch(keys)
        changed += 6 * count
        assert part.read() == part.values
        assert part.ledger.size <= 3 * whole
    assert written / 60 <= whole / chunks.SHARE + 3 * changed / 60


def test_every_slot_that_is_given_up_is_told() -> None:
    part = Part(10_000)
    for epoch in range(40):
        part.epoch([(epoch * 3000 + n) % part.live for n in range(3000)])
        assert {slot: chunk.version for slot, chunk in part.kept.items()} == part.ledger.slots
