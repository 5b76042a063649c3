"""The files sink: whole lines, one file or one a writer, and nothing repeated after a crash."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.files import FileChanged, FilesSink
from full_disk import file_size_limit
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.connect.spi import Batch
from fluxion_flow.testing.connector_contract import SinkContract


class TestFilesSink(SinkContract):
    options: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "deep" / "out.jsonl"

    def make_sink(self) -> FilesSink:
        return FilesSink(str(self.path), **self.options)

    def delivered(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def refused_document(self) -> Any:
        return {"n": object()}

    def break_next_write(self, sink: Any, writer: Any) -> Callable[[], None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + 100, hard))
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestAppendingFilesSink(TestFilesSink):
    options = {"mode": "append"}


class TestFilesSinkWithoutFsync(TestFilesSink):
    options = {"fsync": False}


def _batch(*numbers: int) -> Batch:
    return Batch([{"n": number} for number in numbers])


def _crash(writer: Any) -> None:
    """What the operating system does when a process dies: the file is closed, and nothing else happens."""
    os.close(writer._descriptor)


def test_one_file_or_one_for_each_writer(tmp_path: Path) -> None:
    assert FilesSink(str(tmp_path / "out.jsonl")).single_writer
    sink = FilesSink(str(tmp_path / "out-{part}.jsonl"))
    assert not sink.single_writer
    for part in ("0", "1"):
        writer = sink.open(part, None)
        writer.write(_batch(int(part)))
        writer.flush()
        assert writer.cursor == {"v": 1, "path": str(tmp_path / f"out-{part}.jsonl"), "offset": 8}
        writer.close()
    assert [(tmp_path / f"out-{part}.jsonl").read_text() for part in "01"] == ['{"n":0}\n', '{"n":1}\n']


def test_written_lines_are_seen_before_they_are_flushed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = FilesSink(str(path)).open("0", None)
    writer.write(_batch(1))
    assert path.read_text() == '{"n":1}\n'
    assert writer.cursor["offset"] == 0
    writer.close()


def test_overwriting_begins_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old\n")
    FilesSink(str(path)).open("0", None).close()
    assert path.read_text() == ""


def test_appending_keeps_what_is_there_and_ends_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"n":0}')
    writer = FilesSink(str(path), mode="append").open("0", None)
    writer.write(_batch(1))
    writer.flush()
    writer.close()
    assert path.read_text() == '{"n":0}\n{"n":1}\n'
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_appending_after_a_crash_before_the_first_checkpoint_repeats_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"n":0}\n')
    sink = FilesSink(str(path), mode="append")
    for _ in range(2):
        writer = sink.open("0", None)
        writer.write(_batch(1, 2))
        _crash(writer)
        assert json.loads((tmp_path / "out.jsonl.fluxion").read_text()) == {"v": 1, "start": 8}
    writer = sink.open("0", None)
    writer.write(_batch(1, 2, 3))
    writer.flush()
    writer.close()
    assert path.read_text() == '{"n":0}\n{"n":1}\n{"n":2}\n{"n":3}\n'
    assert os.listdir(tmp_path) == ["out.jsonl"]
    assert caplog.messages == 2 * [
        f"{path}: cutting off 16 bytes that a run wrote before it crashed without a checkpoint "
        f"(noted in {path}.fluxion)"
    ]


def test_the_note_stays_when_something_was_not_flushed(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = FilesSink(str(path), mode="append").open("0", None)
    writer.write(_batch(1))
    writer.close()
    assert sorted(os.listdir(tmp_path)) == ["out.jsonl", "out.jsonl.fluxion"]


def test_a_note_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    note = tmp_path / "out.jsonl.fluxion"
    sink = FilesSink(str(path), mode="append")
    note.write_text('{"v": 1, "start": 100}')
    with pytest.raises(FileChanged) as caught:
        sink.open("0", None)
    assert str(caught.value) == (
        f"{str(path)!r} has 0 bytes, but {str(note)!r} says that it had 100 before; "
        "restore the file, or delete the note to append to it as it is"
    )
    note.write_text("{")
    with pytest.raises(FileChanged) as caught:
        sink.open("0", None)
    assert str(caught.value) == (
        f"{str(note)!r} is damaged; cut {str(path)!r} back to what the crashed run found, and delete the note"
    )


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["overwrite", "append"]),
    before=st.sampled_from([b"", b'{"n":-1}\n', b'{"n":-1}']),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 4)),
            st.tuples(st.just("checkpoint"), st.just(0)),
            st.tuples(st.just("crash"), st.integers(0, 9)),
            st.tuples(st.just("full"), st.integers(1, 4)),
        ),
        max_size=25,
    ),
)
def test_any_crashes_lose_and_repeat_nothing(
    tmp_path_factory: pytest.TempPathFactory, mode: str, before: bytes, steps: list[tuple[str, int]]
) -> None:
    directory = tmp_path_factory.mktemp("sink")
    path = directory / "out.jsonl"
    path.write_bytes(before)
    sink = FilesSink(str(path), mode=mode, fsync=False)
    writer, cursor, sent, durable = sink.open("0", None), None, 0, 0
    for step, amount in steps:
        if step == "write":
            writer.write(_batch(*range(sent, sent + amount)))
            sent += amount
        elif step == "checkpoint":
            writer.flush()
            cursor, durable = json.loads(json.dumps(writer.cursor)), sent
        elif step == "full":
            with file_size_limit(path.stat().st_size + 3), pytest.raises(OSError, match="cannot write to"):
                writer.write(_batch(*range(sent, sent + amount)))
        else:
            _crash(writer)
            with path.open("ab") as file:
                file.write(b'{"n":12345}\n'[:amount])  # the part of a write that the crash let through
            writer, sent = sink.open("0", cursor), durable
    writer.flush()
    writer.close()
    kept = [] if mode == "overwrite" or not before else [-1]
    assert [json.loads(line)["n"] for line in path.read_bytes().splitlines()] == [*kept, *range(sent)]
    assert os.listdir(directory) == ["out.jsonl"]


# ---------------------------------------------------------------------------------------------- not the file it was


def _flushed_cursor(path: Path) -> Any:
    writer = FilesSink(str(path)).open("0", None)
    writer.write(_batch(1, 2))
    writer.flush()
    writer.close()
    return writer.cursor


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            b'{"n":1}\n',
            "{path} has 8 bytes, and the checkpoint stands at byte 16: it was changed from outside; "
            "restore it, or start without the checkpoint",
        ),
        (
            b'{"n":1}\n{"n":  2}\n',
            "{path} has no line that ends at byte 16, where the checkpoint stands: it was changed from outside; "
            "restore it, or start without the checkpoint",
        ),
        (
            None,
            "{path} is gone, and the checkpoint stands at byte 16 of it; restore it, or start without the checkpoint",
        ),
    ],
)
def test_a_file_changed_from_outside_is_refused_and_left_alone(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "out.jsonl"
    cursor = _flushed_cursor(path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(FileChanged) as caught:
        FilesSink(str(path)).open("0", cursor)
    assert str(caught.value) == expected.replace("{path}", repr(str(path)))
    assert (path.read_bytes() if path.exists() else None) == content


def test_the_cursor_of_another_path_is_refused(tmp_path: Path) -> None:
    cursor = _flushed_cursor(tmp_path / "a.jsonl")
    with pytest.raises(FileChanged) as caught:
        FilesSink(str(tmp_path / "b.jsonl")).open("0", cursor)
    assert str(caught.value) == (
        f"the checkpoint belongs to {str(tmp_path / 'a.jsonl')!r}, but the sink writes {str(tmp_path / 'b.jsonl')!r}; "
        "set the path back, or start without the checkpoint"
    )


def test_a_full_disk_is_named_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = FilesSink(str(path)).open("0", None)
    writer.write(_batch(1))
    with file_size_limit(12), pytest.raises(OSError) as caught:
        writer.write(_batch(2, 3))
    assert str(caught.value) == f"[Errno 27] cannot write to {str(path)!r}: File too large"
    assert path.read_text() == '{"n":1}\n'
    writer.close()


def test_after_a_failed_flush_every_call_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.jsonl"
    writer = FilesSink(str(path)).open("0", None)
    writer.write(_batch(1))

    def failing(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(OSError) as caught:
            writer.flush()
    assert str(caught.value) == f"[Errno 5] cannot flush {str(path)!r} to the disk: Input/output error"
    for call in (writer.flush, lambda: writer.write(_batch(2))):
        with pytest.raises(OSError) as caught:
            call()
        assert str(caught.value) == (
            f"cannot flush {str(path)!r} to the disk (Input/output error); restart from the checkpoint"
        )
    assert writer.cursor["offset"] == 0


def test_only_regular_files_are_written() -> None:
    with pytest.raises(OSError) as caught:
        FilesSink("/dev/null").open("0", None)
    assert str(caught.value) == ("'/dev/null' is not a regular file; to print documents use the connector 'stdio'")


@pytest.mark.parametrize("path", ["taken/out.jsonl", "taken/below/out.jsonl"])
def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path: Path, path: str) -> None:
    (tmp_path / "taken").write_text("")
    path = str(tmp_path / path)
    with pytest.raises(OSError) as caught:
        FilesSink(path=path).open("0", None)
    assert str(caught.value) == f"{path!r} cannot be made: {str(Path(path).parent)!r} is not a folder; correct the path"
