"""The stdio connector, over real pipes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fluxion_connectors.stdio import StdioSink, StdioSource

from fluxion_flow.connect.spi import Batch
from fluxion_flow.testing.connector_contract import ConnectorContract, SinkContract, SourceContract, read_all


class TestStdioConnector(ConnectorContract):
    type = "stdio"
    sources = ({}, {"extended_json": True})
    sinks = ({}, {"extended_json": False})


class TestStdioSource(SourceContract):
    def make_source(self, documents: Any) -> StdioSource:
        reading, writing = os.pipe()
        with open(writing, "wb") as file:
            file.write(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
        return StdioSource(descriptor=reading)


class TestStdioSink(SinkContract):
    @pytest.fixture(autouse=True)
    def _file(self) -> None:
        self.file = io.BytesIO()

    def make_sink(self) -> StdioSink:
        return StdioSink(file=self.file)

    def delivered(self) -> list[Any]:
        return [json.loads(line) for line in self.file.getvalue().splitlines()]

    def refused_document(self) -> Any:
        return {"n": object()}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_a_silent_pipe_gives_empty_batches_and_lines_are_read_when_complete(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    reader = StdioSource(descriptor=reading).open("stdin", None)
    assert reader.read(5).documents == []  # type: ignore[union-attr]
    os.write(writing, b'{"n": 1}\n{"n"')
    assert reader.read(5).documents == [{"n": 1}]  # type: ignore[union-attr]
    assert reader.read(5).documents == []  # type: ignore[union-attr]
    os.write(writing, b": 2}\n")
    assert reader.read(5).documents == [{"n": 2}]  # type: ignore[union-attr]
    os.write(writing, b'{"n": 3}')
    os.close(writing)
    assert read_all(reader) == [{"n": 3}]
    assert reader.cursor == {"v": 1, "lines": 3}


def test_bad_lines_are_rejects_and_blank_lines_are_counted(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b'\xef\xbb\xbf{"n": 1}\r\n\n[2]\n{"n":\r3}\n')
    os.close(writing)
    batch = StdioSource(descriptor=reading).open("stdin", {"v": 1, "lines": 10}).read(10)
    assert batch is not None
    assert batch.documents == [{"n": 1}, {"n": 3}]
    assert list(batch.positions) == [10, 13]
    assert [(r.raw, r.position, r.error) for r in batch.rejects] == [
        (b"[2]", 12, "is not a JSON object but an array"),
    ]


def test_standard_output_gets_json_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    writer = StdioSink().open("0", None)
    writer.write(Batch([{"n": 1}, {"n": None}]))
    assert capfdbinary.readouterr().out == b'{"n":1}\n{"n":null}\n'


def test_a_reader_that_went_away_is_named() -> None:
    script = (
        "import os\n"
        "from fluxion_connectors.stdio import StdioSink\n"
        "from fluxion_flow.connect.spi import Batch\n"
        "os.read(0, 1)\n"
        "try:\n"
        "    StdioSink().open('0', None).write(Batch([{'n': 1}]))\n"
        "except BrokenPipeError as error:\n"
        "    os.write(2, str(error).encode())\n"
        "os._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stdin
    assert process.stderr
    process.stdout.close()
    process.stdin.write(b"x")
    process.stdin.flush()
    assert process.stderr.read() == b"[Errno 32] standard output was closed by its reader"
    process.wait()
    process.stdin.close()
    process.stderr.close()
