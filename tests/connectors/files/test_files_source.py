"""The files source: every line once and in order, whatever the parts, the batches and the restarts."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.files import FileChanged, FilesSource
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.connect.spi import SourceReader
from fluxion_flow.testing.connector_contract import ConnectorContract, ReplayableSourceContract, read_all, read_some

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TestFilesConnector(ConnectorContract):
    type = "files"
    sources = ({"path": "orders.jsonl"}, {"path": "${DIR:-.}/x.jsonl", "part_size": "1MiB", "on_missing": "empty"})
    sinks = ({"path": "out.jsonl"}, {"path": "out-{part}.jsonl", "mode": "append", "fsync": False})


class TestFilesSource(ReplayableSourceContract):
    part_size = 64 * 1024 * 1024

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "in.jsonl"

    def make_source(self, documents: Any) -> FilesSource:
        self.path.write_bytes(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
        return FilesSource(str(self.path), part_size=self.part_size)


class TestFilesSourceInParts(TestFilesSource):
    part_size = 200


class TestFilesSourceOfAPattern(TestFilesSource):
    def make_source(self, documents: Any) -> FilesSource:
        directory = self.path.parent
        for number in range(3):
            lines = [json.dumps(document) for document in documents[number * 9 : number * 9 + 9]]
            (directory / f"in-{number}.jsonl").write_text("\n".join(lines))
        return FilesSource(str(directory / "in-*.jsonl"), part_size=300)


def _source(path: Path, **options: Any) -> FilesSource:
    return FilesSource(str(path), **options)


def _only_reader(source: FilesSource, cursor: Any = None) -> SourceReader:
    (partition,) = source.partitions()
    return source.open(partition, cursor)


# ------------------------------------------------------------------------------------------------- any file, any part

_numbers = st.integers(0, 10**30)
_lines = st.lists(
    st.one_of(
        st.builds(lambda n: json.dumps({"n": n}).encode(), _numbers),
        st.builds(lambda n, text: json.dumps({"n": n, "t": text}).encode(), _numbers, st.text(max_size=40)),
        st.sampled_from([b"", b"  ", b"\r", b"[1]", b'{"n":', b"\xff\xfe", b"\x00", b'{"n":1}\r', b'\t{"n":2} ']),
        st.binary(max_size=20).map(lambda raw: raw.replace(b"\n", b"")),
    ),
    max_size=30,
)


def _expected(content: bytes) -> list[tuple[int, Any]]:
    """(position, document or raw bytes) of every record, by the standard library's json and plain splitting."""
    found: list[tuple[int, Any]] = []
    position = 0
    if content.startswith(BYTE_ORDER_MARK):
        position = 3
    for line in content[position:].split(b"\n"):
        if line.strip(b" \t\r\n\x0b\x0c"):
            try:
                document = json.loads(line.decode(), parse_constant=_refuse)
                found.append((position, document if isinstance(document, dict) else line.removesuffix(b"\r")))
            except ValueError:
                found.append((position, line.removesuffix(b"\r")))
        position += len(line) + 1
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _read_records(source: FilesSource, max_documents: int, restart_after: set[int]) -> list[tuple[int, Any]]:
    """All records of all partitions; after the reads in ``restart_after`` a new reader goes on at the cursor."""
    found: list[tuple[int, Any]] = []
    reads = 0
    for partition in source.partitions():
        reader = source.open(partition, None)
        while (batch := read_some(reader, max_documents)) is not None:
            records = [*zip(batch.positions, batch.documents, strict=True)]
            records += [(reject.position, reject.raw) for reject in batch.rejects]
            records.sort(key=lambda record: record[0])
            assert batch.position == records[0][0]
            assert batch.position >= int(partition.rpartition("@")[2])
            found += records
            reads += 1
            if reads in restart_after:
                cursor = json.loads(json.dumps(reader.cursor))
                reader.close()
                reader = source.open(partition, cursor)
                assert reader.cursor == cursor
        reader.close()
    return found


@settings(max_examples=300, deadline=None)
@given(
    lines=_lines,
    last_line_ends=st.booleans(),
    mark=st.booleans(),
    part_size=st.one_of(st.integers(1, 12), st.integers(10, 400)),
    max_documents=st.integers(1, 12),
    restart_after=st.sets(st.integers(1, 20), max_size=6),
)
def test_any_file_in_any_parts_is_read_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    last_line_ends: bool,
    mark: bool,
    part_size: int,
    max_documents: int,
    restart_after: set[int],
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    content = (BYTE_ORDER_MARK if mark else b"") + b"\n".join(lines) + (b"\n" if last_line_ends else b"")
    path.write_bytes(content)
    found = _read_records(_source(path, part_size=part_size), max_documents, restart_after)
    assert found == _expected(content)


def test_a_file_larger_than_a_block_is_read_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "big.jsonl"
    content = b"".join(json.dumps({"n": n, "pad": "x" * (n % 300)}).encode() + b"\n" for n in range(4000))
    path.write_bytes(content)
    for part_size in (100_000, 131_072, 10**9):
        found = _read_records(_source(path, part_size=part_size), 500, {3, 4})
        assert found == _expected(content)


def test_a_line_longer_than_parts_belongs_to_the_part_where_it_starts(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(json.dumps({"pad": "x" * 300_000}).encode() + b'\n{"n":2}\n')
    source = _source(path, part_size=100_000)
    counts = [len(read_all(source.open(partition, None))) for partition in source.partitions()]
    assert counts == [1, 0, 0, 1]


# --------------------------------------------------------------------------------------------------- names and files


def test_partitions_are_named_by_path_and_first_byte(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl"):
        (tmp_path / name).write_bytes(b"x" * 25)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "dir.jsonl").mkdir()
    names = _source(tmp_path / "*.jsonl", part_size=10).partitions()
    assert [os.path.basename(name) for name in names] == [
        "a.jsonl@000000000000000",
        "a.jsonl@000000000000010",
        "a.jsonl@000000000000020",
        "b.jsonl@000000000000000",
        "b.jsonl@000000000000010",
        "b.jsonl@000000000000020",
        "empty.jsonl@000000000000000",
    ]


def test_a_missing_file_is_an_error_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "none-*.jsonl"
    with pytest.raises(FileNotFoundError) as caught:
        _source(path).partitions()
    assert str(caught.value) == f"no file {str(path)!r}; correct the path, or set on_missing"
    assert _source(path, on_missing="empty").partitions() == []


def test_the_timestamp_is_the_modification_time_of_the_first_opening(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    reader = _only_reader(_source(path))
    assert read_some(reader, 1).timestamp == 1_700_000_000_123  # type: ignore[union-attr]
    os.utime(path, ns=(0, 1_800_000_000_000_000_000))
    resumed = _only_reader(_source(path), reader.cursor)
    assert read_some(resumed, 1).timestamp == 1_700_000_000_123  # type: ignore[union-attr]


def test_positions_are_pickled_as_a_list(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":3}\n')
    batch = read_some(_only_reader(_source(path)), 5)
    assert batch is not None
    assert (batch.positions[0], batch.positions[-1], batch.positions[1:]) == (0, 16, [8, 16])
    assert pickle.loads(pickle.dumps(batch)).positions == [0, 8, 16]


def test_extended_json_becomes_python_values(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"at":{"$date":"2024-05-01T10:00:00Z"}}\n{"at":{"$date":"no"}}\n')
    batch = read_some(_only_reader(_source(path, extended_json=True)), 5)
    assert batch is not None
    assert str(batch.documents[0]["at"]) == "2024-05-01 10:00:00+00:00"
    assert [(reject.position, reject.error) for reject in batch.rejects] == [(40, "holds a malformed $date")]


def test_a_read_that_fails_is_repeated_from_the_same_place(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"".join(b'{"n":%d}\n' % n for n in range(50_000)))
    reader: Any = _only_reader(_source(path))
    documents = read_some(reader, 1000).documents  # type: ignore[union-attr]
    file = reader._file

    class Failing:
        def seek(self, position: int) -> None:
            file.seek(position)

        def readlines(self, hint: int) -> list[bytes]:
            file.readlines(hint)
            raise OSError(5, "Input/output error")

    reader._file = Failing()
    with pytest.raises(OSError, match="Input/output error"):
        reader.read(100_000)
    reader._file = file
    assert documents + read_all(reader, 1000) == [{"n": n} for n in range(50_000)]


def test_lag_counts_the_bytes_of_the_part_that_are_left(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n' * 10)
    reader = _only_reader(_source(path))
    read_some(reader, 3)
    assert reader.lag() == 56


# ---------------------------------------------------------------------------------------------- not the file it was


def _cursor_after(path: Path, documents: int, **options: Any) -> Any:
    reader = _only_reader(_source(path, **options))
    read_some(reader, documents)
    cursor = reader.cursor
    reader.close()
    return cursor


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"n":1}\n', "it has 8 bytes, and the checkpoint stands at byte 16"),
        (b'{"n":9}\n{"n":2}\n{"n":3}\n', "its first 16 bytes are others than when it was read"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}\n{"n":3}\n')
    cursor = _cursor_after(path, 2)
    path.write_bytes(content)
    with pytest.raises(FileChanged) as caught:
        _only_reader(_source(path), cursor)
    assert str(caught.value) == (
        f"{str(path)!r} is not the file of the checkpoint: {reason}; restore it, or start without the checkpoint"
    )


def test_a_changed_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = b'{"n":1}\n' * 300
    path.write_bytes(lines)
    cursor = _cursor_after(path, 200)
    path.write_bytes(lines[:1100] + b" " * 1300)
    with pytest.raises(FileChanged, match="no line starts at byte 1600, where the checkpoint stands"):
        _only_reader(_source(path), cursor)


def test_another_part_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}\n')
    cursor = _cursor_after(path, 1, part_size=1000)
    with pytest.raises(FileChanged) as caught:
        _only_reader(_source(path, part_size=2000), cursor)
    assert str(caught.value) == (
        f"{str(path)!r} was read with another part_size (or with follow) when the checkpoint was made; "
        "set it back, or start without the checkpoint"
    )


def test_a_file_that_has_grown_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}')
    cursor = _cursor_after(path, 5)
    with path.open("ab") as file:
        file.write(b'\n{"n":3}\n')
    assert read_all(_only_reader(_source(path), cursor)) == [{"n": 3}]


def test_a_last_line_that_has_grown_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"n":1}\n{"n":2}')
    cursor = _cursor_after(path, 5)
    with path.open("ab") as file:
        file.write(b' \n{"n":3}\n')
    with pytest.raises(FileChanged, match="its last line had no line break when it was read, and has become longer"):
        _only_reader(_source(path), cursor)
