"""Following a growing file: complete lines only, through rotation, truncation and restarts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.files import FileChanged, FilesSource

from fluxion_flow.connect.registry import open_source
from fluxion_flow.connect.spi import SourceReader
from fluxion_flow.errors import PipelineError


def _follow(path: Path, cursor: Any = None, **options: Any) -> SourceReader:
    source = FilesSource(str(path), follow=True, **options)
    assert not source.bounded
    (partition,) = source.partitions()
    return source.open(partition, cursor)


def _numbers(reader: SourceReader, reads: int = 4) -> list[int]:
    """``n`` of the documents of the next reads; several, since a rotation is believed at the second look."""
    numbers = []
    for _ in range(reads):
        batch = reader.read(10)
        assert batch is not None
        numbers += [document["n"] for document in batch.documents]
    return numbers


def _append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def test_lines_are_read_when_they_are_complete(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'\xef\xbb\xbf{"n":1}\n{"n":')
    reader = _follow(path)
    assert _numbers(reader) == [1]
    assert _numbers(reader) == []
    assert reader.lag() == 5
    _append(path, b'2}\n{"n":3}\n')
    assert _numbers(reader) == [2, 3]
    assert reader.cursor["offset"] == path.stat().st_size


def test_a_follower_goes_on_at_its_cursor(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    reader = _follow(path)
    reader.read(1)
    cursor = reader.cursor
    reader.close()
    _append(path, b'{"n":3}\n')
    assert _numbers(_follow(path, cursor)) == [2, 3]


def test_a_missing_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    reader = _follow(path, on_missing="wait")
    assert _numbers(reader) == []
    path.write_bytes(b'{"n":1}\n')
    assert _numbers(reader) == [1]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n')
    reader = _follow(path)
    assert _numbers(reader) == [1]
    _append(path, b'{"n":2}\n')
    path.rename(tmp_path / "app.log.1")
    assert _numbers(reader) == [2]
    _append(tmp_path / "app.log.1", b'{"n":3}\n{"n":4}')
    path.write_bytes(b'{"n":5}\n')
    assert _numbers(reader) == [3, 4, 5]
    assert reader.cursor["offset"] == 8


def test_a_truncated_file_is_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    reader = _follow(path)
    assert _numbers(reader) == [1, 2]
    path.write_bytes(b'{"n":3}\n')
    assert _numbers(reader) == [3]
    assert caplog.messages == [f"{path} was truncated from 16 or more bytes to 8; reading it anew"]


def test_a_file_rotated_while_nobody_read_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    reader = _follow(path)
    reader.read(1)
    cursor = reader.cursor
    reader.close()
    path.rename(tmp_path / "app.log.1")
    path.write_bytes(b'{"n":3}\n')
    assert _numbers(_follow(path, cursor)) == [2, 3]


def test_a_file_rotated_twice_while_nobody_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    reader = _follow(path)
    reader.read(1)
    cursor = reader.cursor
    reader.close()
    path.rename(tmp_path / "app.log.2")
    os.utime(tmp_path / "app.log.2", (1000, 1000))
    (tmp_path / "app.log.1").write_bytes(b'{"n":3}\n')
    path.write_bytes(b'{"n":4}\n')
    with pytest.raises(FileChanged) as caught:
        _follow(path, cursor)
    assert str(caught.value) == (
        f"{str(path)!r} was rotated more than once since the checkpoint: {str(tmp_path / 'app.log.2')!r} was being "
        f"read, and {str(tmp_path / 'app.log.1')!r} is newer; read the moved files first, or start without the "
        "checkpoint"
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    reader = _follow(path)
    reader.read(1)
    cursor = reader.cursor
    reader.close()
    path.write_bytes(b'{"n":7}\n{"n":8}\n')
    with pytest.raises(FileChanged) as caught:
        _follow(path, cursor)
    assert str(caught.value) == (
        f"{str(path)!r} is not the file of the checkpoint: its first 8 bytes are others than when it was read, and no "
        "file beside it is; restore it, or start without the checkpoint"
    )


def test_options_that_do_not_go_together_are_problems() -> None:
    with pytest.raises(PipelineError) as caught:
        open_source({"type": "files", "path": "a.jsonl", "on_missing": "wait"})
    assert str(caught.value) == (
        "source.on_missing: 'wait' needs follow: true; use 'empty' or 'fail', or follow the file"
    )
    with pytest.raises(PipelineError) as caught:
        open_source({"type": "files", "path": "*.jsonl", "follow": True})
    assert str(caught.value) == "source.follow: a pattern cannot be followed; name one file"
