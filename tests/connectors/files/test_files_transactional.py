"""The file and the source's positions, put down together: exactly once, whatever becomes of the checkpoint."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from bytewax.testing import run_main
from fluxion_connectors.files import FileChanged, FilesSink
from full_disk import file_size_limit

from fluxion_flow import StreamingPipelineDefinition
from fluxion_flow.compiler.guarantee import guarantee
from fluxion_flow.compiler.plan import make_plan
from fluxion_flow.connect.spi import Batch
from fluxion_flow.testing.connector_contract import DOCUMENTS, TransactionalSinkContract


class TestTransactionalFilesSink(TransactionalSinkContract):
    suffix = ""

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "deep" / f"out.jsonl{self.suffix}"

    def make_sink(self) -> FilesSink:
        return FilesSink(str(self.path), transactional=True)

    def delivered(self) -> list[Any]:
        content = self.path.read_bytes()
        return [json.loads(line) for line in (gzip.decompress(content) if self.suffix else content).splitlines()]


class TestCompressedTransactionalFilesSink(TestTransactionalFilesSink):
    suffix = ".gz"


def _sink(path: Path, **options: Any) -> FilesSink:
    sink = FilesSink(str(path), transactional=True, **options)
    sink.owner = "p.files"
    return sink


def _crash(writer: Any) -> None:
    """What the operating system does when a process dies."""
    os.close(writer._descriptor)


def _write(writer: Any, *numbers: int) -> None:
    writer.write(Batch([{"n": number} for number in numbers], "in", cursor=numbers[-1]))


def test_the_file_is_cut_back_to_its_positions_and_not_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = _sink(path).open("0", None)
    _write(writer, 1)
    writer.flush()
    checkpoint = writer.cursor
    _write(writer, 2, 3)
    writer.flush()
    _write(writer, 4)
    _crash(writer)
    for cursor in (checkpoint, None):
        assert _sink(path).committed_cursors() == {"in": 3}
        writer = _sink(path).open("0", cursor)
        assert path.read_text() == '{"n":1}\n{"n":2}\n{"n":3}\n'
        _write(writer, 4)
        _crash(writer)


@pytest.mark.parametrize("mode", ["overwrite", "append"])
def test_the_mode_decides_about_a_file_without_positions(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"n":0}\n')
    kept = '{"n":0}\n' if mode == "append" else ""
    _crash(_sink(path, mode=mode).open("0", None))
    writer = _sink(path, mode=mode).open("0", None)
    _write(writer, 1)
    _crash(writer)
    assert path.read_text() == kept + '{"n":1}\n'
    writer = _sink(path, mode=mode).open("0", None)
    assert path.read_text() == kept
    writer.close()


def test_positions_that_are_not_its_own_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = _sink(path).open("0", None)
    _write(writer, 1)
    writer.flush()
    writer.close()
    other = _sink(path)
    other.owner = "q.files"
    for call in (other.committed_cursors, lambda: other.open("0", None)):
        with pytest.raises(FileChanged) as caught:
            call()
        assert str(caught.value) == (
            f"{str(path)!r} was written by 'p.files', and 'q.files' would write it now; "
            f"choose another path, or delete '{path}.positions' to let the mode decide about the file"
        )
    os.truncate(path, 3)
    with pytest.raises(FileChanged) as caught:
        _sink(path).open("0", None)
    assert str(caught.value) == (
        f"{str(path)!r} has 3 bytes, and its positions stand at byte 8: it was changed from outside; "
        "restore it, or start without the checkpoint"
    )
    path.unlink()
    with pytest.raises(FileChanged, match="is gone, and its positions stand at byte 8 of it; restore it, or delete"):
        _sink(path).open("0", None)
    Path(f"{path}.positions").write_text("{")
    with pytest.raises(FileChanged, match="is damaged, so nothing is known about"):
        _sink(path).committed_cursors()


def test_who_keeps_no_positions_takes_them_away(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = _sink(path).open("0", None)
    _write(writer, 1)
    writer.flush()
    writer.close()
    FilesSink(str(path), mode="append").open("0", None).close()
    assert not Path(f"{path}.positions").exists()
    assert _sink(path).committed_cursors() == {}


def test_positions_that_cannot_be_written_leave_the_old_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    writer = _sink(path).open("0", None)
    _write(writer, 1)
    writer.flush()
    _write(writer, 2)
    with file_size_limit(20), pytest.raises(OSError) as caught:
        writer.flush()
    assert str(caught.value) == f"[Errno 27] cannot write '{path}.positions': File too large"
    assert _sink(path).committed_cursors() == {"in": 1}
    writer.flush()
    assert _sink(path).committed_cursors() == {"in": 2}
    writer.close()


def _copy(folder: Path, **sink: Any) -> StreamingPipelineDefinition:
    return StreamingPipelineDefinition.from_dict(
        {
            "name": "copy",
            "source": {"type": "files", "path": str(folder / "in.jsonl"), "part_size": 150},
            "stages": [{"$match": {"n": {"$ne": 3}}}, {"$unwind": "$items"}],
            "sink": {"type": "files", "path": str(folder / "out.jsonl"), "transactional": True, **sink},
            "config": {"batch_size": 4, "metrics": False},
        }
    )


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_stateless_pipeline_goes_on_where_its_file_ends_without_any_checkpoint(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out.jsonl{suffix}"
    lines = [json.dumps(document) + "\n" for document in DOCUMENTS]
    definition = _copy(tmp_path, path=str(out))
    assert guarantee(make_plan(definition)).level == "exactly once"
    for count in (5, 5, 14, len(lines)):
        (tmp_path / "in.jsonl").write_text("".join(lines[:count]))
        run_main(definition.compile())
    content = out.read_bytes()
    found = [json.loads(line) for line in (gzip.decompress(content) if suffix else content).splitlines()]
    assert [document["n"] for document in found] == [n for n in range(len(lines)) if n != 3]


def test_runs_that_die_before_any_checkpoint_repeat_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    rng = random.Random(3)
    writes = [0]
    real = os.write

    def dying(descriptor: int, content: Any) -> int:
        writes[0] -= 1
        if writes[0] < 0:
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", dying)
    died = 0
    for _ in range(40):
        writes[0] = rng.randrange(3)
        try:
            run_main(_copy(tmp_path).compile())
            break
        except Exception:  # noqa: BLE001 - the disk is full
            died += 1
    monkeypatch.undo()
    run_main(_copy(tmp_path).compile())
    found = [json.loads(line)["n"] for line in (tmp_path / "out.jsonl").open()]
    assert died > 0
    assert sorted(found) == [n for n in range(len(DOCUMENTS)) if n != 3]
