"""gzip and zstd: read and resumed like plain files, written so that a crash repeats nothing, and damage is named."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fluxion_connectors.files import FileChanged, FileDamaged, FilesSink, FilesSource
from fluxion_connectors.files.compression import packer
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.connect.registry import find_connector
from fluxion_flow.connect.spi import Batch, SourceReader
from fluxion_flow.testing.connector_contract import ReplayableSourceContract, SinkContract, read_all, read_some

PACKED = pytest.mark.parametrize("suffix", ["gz", "zst"])


def _packed(suffix: str, *pieces: bytes) -> bytes:
    return b"".join(map(packer({"gz": "gzip", "zst": "zstd"}[suffix]), pieces))


def _unpacked(path: Path) -> bytes:
    """By the libraries' own readers."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(path.read_bytes()), read_across_frames=True)
    return bytes(stream.read())


def _reader(path: Path, cursor: Any = None) -> SourceReader:
    source = FilesSource(str(path))
    (partition,) = source.partitions()
    return source.open(partition, cursor)


class TestGzipSource(ReplayableSourceContract):
    suffix = "gz"

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / f"in.jsonl.{self.suffix}"

    def make_source(self, documents: Any) -> FilesSource:
        lines = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
        self.path.write_bytes(_packed(self.suffix, lines[:300], lines[300:]))
        return FilesSource(str(self.path), part_size=100)


class TestZstdSource(TestGzipSource):
    suffix = "zst"


class TestGzipSink(SinkContract):
    suffix = "gz"

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / f"out.jsonl.{self.suffix}"

    def make_sink(self) -> FilesSink:
        return FilesSink(str(self.path))

    def delivered(self) -> list[Any]:
        return [json.loads(line) for line in _unpacked(self.path).splitlines()]

    def refused_document(self) -> Any:
        return {"n": object()}

    def break_next_write(self, sink: Any, writer: Any) -> Callable[[], None] | None:
        writer.flush()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + 10, hard))
        monkey = pytest.MonkeyPatch()
        monkey.setattr("fluxion_connectors.files.sink.PACKED", 1)

        def repair() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            monkey.undo()

        return repair


class TestZstdSink(TestGzipSink):
    suffix = "zst"


@PACKED
@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from([b'{"n":1}', b"", b"  ", b"[1]", b'{"n":', b'{"n":2}\r', b"\xff"]), max_size=20),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    ends=st.booleans(),
    mark=st.booleans(),
    size=st.integers(1, 7),
)
def test_a_packed_file_is_read_like_its_content_at_any_restart(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    lines: list[bytes],
    cuts: list[int],
    ends: bool,
    mark: bool,
    size: int,
) -> None:
    content = (b"\xef\xbb\xbf" if mark else b"") + b"\n".join(lines) + (b"\n" if ends else b"")
    plain = tmp_path_factory.mktemp("packed") / "in.jsonl"
    plain.write_bytes(content)
    packed = plain.with_suffix(f".jsonl.{suffix}")
    edges = [0, *sorted(cuts), len(content)]
    packed.write_bytes(_packed(suffix, *(content[a:b] for a, b in itertools.pairwise(edges))))
    readings = []
    for path in (plain, packed):
        reader, found = _reader(path), []
        while (batch := read_some(reader, size)) is not None:
            found += [*zip(batch.positions, batch.documents, strict=True)]
            found += [(reject.position, reject.raw, reject.error) for reject in batch.rejects]
            cursor = json.loads(json.dumps(reader.cursor))
            reader.close()
            reader = _reader(path, cursor)
            assert reader.cursor == cursor
        reader.close()
        readings.append(found)
    assert readings[0] == readings[1]


@PACKED
def test_large_files_are_read_whole_and_from_the_middle(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.jsonl.{suffix}"
    pieces = [b"".join(b'{"n":%d}\n' % n for n in range(first, first + 10_000)) for first in range(0, 60_000, 10_000)]
    path.write_bytes(_packed(suffix, *pieces))
    reader = _reader(path)
    first = reader.read(41_234)
    assert first is not None
    assert reader.lag() > 0
    again = _reader(path, reader.cursor)
    assert [document["n"] for document in first.documents + read_all(again, 500)] == list(range(60_000))
    assert again.lag() == 0
    reader.close()
    again.close()


@PACKED
def test_a_damaged_or_cut_file_is_named_and_read_on_when_it_is_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.jsonl.{suffix}"
    whole = _packed(suffix, b'{"n":0}\n' * 9, b"".join(b'{"n":%d}\n' % n for n in range(50_000)))
    path.write_bytes(whole[: len(whole) - 20])
    reader = _reader(path)
    found: list[Any] = []

    def read_on() -> None:
        while (batch := reader.read(1000)) is not None:
            found.extend(batch.documents)

    with pytest.raises(FileDamaged, match=r"'.*' cannot be unpacked behind byte \d+ of its content: .+"):
        read_on()
    path.write_bytes(whole)
    found += read_all(reader, 1000)
    assert [document["n"] for document in found] == [0] * 9 + list(range(50_000))
    reader.close()


@PACKED
def test_another_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.jsonl.{suffix}"
    path.write_bytes(_packed(suffix, b'{"n":1}\n{"n":2}\n'))
    reader = _reader(path)
    reader.read(2)
    cursor = reader.cursor
    reader.close()
    for content, reason in (
        (b'{"n":7}\n{"n":8}\n', "its content begins otherwise"),
        (b'{"n":1}\n', "its content begins otherwise"),
    ):
        path.write_bytes(_packed(suffix, content))
        with pytest.raises(FileChanged) as caught:
            _reader(path, cursor)
        assert str(caught.value) == (
            f"{str(path)!r} is not the file of the checkpoint: {reason}; restore it, or start without the checkpoint"
        )


def test_what_is_written_is_packed_at_each_flush_and_an_empty_file_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl.gz"
    writer = FilesSink(str(path)).open("0", None)
    writer.write(Batch([{"n": 1}]))
    assert path.read_bytes() == b""
    writer.flush()
    assert _unpacked(path) == b'{"n":1}\n'
    writer.close()
    empty = tmp_path / "empty.jsonl.gz"
    FilesSink(str(empty)).open("0", None).close()
    assert _unpacked(empty) == b""
    assert subprocess.run(["gzip", "-t", empty, path], check=False).returncode == 0


def test_packed_files_are_discovered(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(_packed("gz", b'{"n":1}\n'))
    discover = find_connector("files").discover_streams
    assert discover is not None
    (stream,) = discover({"path": str(tmp_path / "*.gz")})
    assert stream.schema == {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_zstd_without_its_package_names_the_command(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['zstandard'] = None\n"
        "from fluxion_flow import pipeline\n"
        f"pipeline('p').source('files', path={str(tmp_path / 'a.jsonl.zst')!r})"
        f".sink('files', path={str(tmp_path / 'b.jsonl')!r}).compile()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "source.type: connector 'files' needs the package 'zstandard', which is not installed" in done.stderr
    assert "pip install 'zstandard'" in done.stderr
