"""CSV: any text survives, a bad row is one bad row, and every restart goes on at the same row."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fluxion_connectors.files import BadHeader, FileChanged, FilesSink, FilesSource
from fluxion_connectors.files.compression import packer
from hypothesis import given, settings
from hypothesis import strategies as st

from fluxion_flow.connect.registry import check_sink, check_source
from fluxion_flow.connect.spi import Batch, DeliveryError
from fluxion_flow.errors import Problems, Where
from fluxion_flow.testing.connector_contract import ReplayableSourceContract, SinkContract, read_all, read_some

FLAT = [{"n": n, "name": f"número {n}", "price": n / 4, "paid": n % 2 == 0, "note": None} for n in range(23)]


class TestCsvSource(ReplayableSourceContract):
    documents = FLAT
    suffix = ".csv"

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / f"in{self.suffix}"

    def make_source(self, documents: Any) -> FilesSource:
        sink = FilesSink(str(self.path), format="csv")
        writer = sink.open("0", None)
        writer.write(Batch(list(documents)))
        writer.flush()
        writer.close()
        return FilesSource(str(self.path), format="csv")


class TestCompressedCsvSource(TestCsvSource):
    suffix = ".csv.gz"


class TestCsvSink(SinkContract):
    documents = FLAT

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = tmp_path / "out.csv"

    def make_sink(self) -> FilesSink:
        return FilesSink(str(self.path), format="csv")

    def delivered(self) -> list[Any]:
        source = FilesSource(str(self.path), format="csv")
        return [document for part in source.partitions() for document in read_all(source.open(part, None))]

    def refused_document(self) -> Any:
        return {"n": "\ud800"}


def _read(path: Path, content: str | bytes, **options: Any) -> list[tuple[int, Any]]:
    """(position, document or (raw bytes, reason)) of every record."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    source = FilesSource(str(path), format="csv", **options)
    (part,) = source.partitions()
    reader = source.open(part, None)
    found: list[tuple[int, Any]] = []
    while (batch := read_some(reader, 3)) is not None:
        found += zip(batch.positions, batch.documents, strict=True)
        found += [(reject.position, (reject.raw, reject.error)) for reject in batch.rejects]
    return sorted(found, key=lambda record: record[0])


_cells = st.one_of(
    st.sampled_from(["", '"', ",", "\n", "\r\n", "\r", 'a"b', " x ", "007", "1", "true", "-1.5e3", ";", "'"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(_cells, _cells), max_size=30),
    separators=st.sampled_from([(",", '"'), (";", "'"), ("\t", '"')]),
    line_break=st.sampled_from(["\n", "\r\n"]),
    size=st.integers(1, 9),
    compression=st.sampled_from(["none", "gzip", "zstd"]),
)
def test_what_the_standard_library_writes_is_read_at_any_restart(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    separators: tuple[str, str],
    line_break: str,
    size: int,
    compression: str,
) -> None:
    delimiter, quote = separators
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator=line_break, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b"), *rows])
    path = tmp_path_factory.mktemp("csv") / "in.csv"
    path.write_bytes(packer(compression)(text.getvalue().encode()))
    source = FilesSource(
        str(path), format="csv", infer=False, delimiter=delimiter, quote=quote, compression=compression
    )
    (part,) = source.partitions()
    reader, found = source.open(part, None), []
    while (batch := read_some(reader, size)) is not None:
        assert batch.rejects == []
        found += [(document["a"], document["b"]) for document in batch.documents]
        cursor = json.loads(json.dumps(reader.cursor))
        reader.close()
        reader = source.open(part, cursor)
        assert reader.cursor == cursor
    reader.close()
    assert found == rows


def test_fields_are_inferred_or_typed(tmp_path: Path) -> None:
    types = {"i": "integer", "d": "decimal", "b": "boolean", "t": "date", "j": "json", "s": "string"}
    content = 'x,i,d,b,t,j,s\n007,12,1.50,true,2024-05-01,"[1,{""a"":null}]",12\n1.5e3,,,,2024-05-01T10:00:00+02:00,,\n'
    (_, first), (_, second) = _read(tmp_path / "a.csv", content, types=types)
    assert first == {
        "x": "007",
        "i": 12,
        "d": Decimal("1.50"),
        "b": True,
        "t": datetime(2024, 5, 1, tzinfo=timezone.utc),
        "j": [1, {"a": None}],
        "s": "12",
    }
    assert second == {
        "x": 1500.0,
        "i": None,
        "d": None,
        "b": None,
        "t": datetime(2024, 5, 1, 8, tzinfo=timezone.utc),
        "j": None,
        "s": "",
    }


def test_a_bad_row_is_one_reject_and_its_neighbours_are_read(tmp_path: Path) -> None:
    content = (
        b"a,b\n1,2\n3\n4,5,6\n"  # too few and too many fields
        b'"x"y,1\n'  # text behind a closing quote
        b"\xff,1\n"  # no UTF-8
        b"7,q\n\n"  # a type that is not there; a blank line
        b'8,"never closed\n9,10\n'
    )
    assert _read(tmp_path / "a.csv", content, types={"b": "integer"}) == [
        (4, {"a": 1, "b": 2}),
        (8, (b"3", "has 1 fields, and there are 2 columns")),
        (10, (b"4,5,6", "has 3 fields, and there are 2 columns")),
        (16, (b'"x"y,1', "is not valid CSV: ',' expected after '\"'")),
        (23, (b"\xff,1", "is not valid UTF-8 (byte 0)")),
        (27, (b"7,q", "column 'b' holds no integer")),
        (32, (b'8,"never closed', "is not valid CSV: unexpected end of data")),
        (48, {"a": 9, "b": 10}),
    ]


def test_a_quote_that_is_open_for_too_long_spoils_its_own_line_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxion_connectors.files.csv_rows.LONGEST", 1000)
    rows = "".join(f"{n},x\n" for n in range(40_000))
    content = f'a,b\n1,"open\n{rows}2,"closed\n3,"two\nlines"\n'
    found = _read(tmp_path / "a.csv", content)
    rejected = [record for _, record in found if isinstance(record, tuple)]
    assert [raw for raw, _ in rejected] == [b'1,"open', b'2,"closed\n3,"two', b'lines"']
    assert len(found) == 40_000 + len(rejected)


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ("a,b,a\n", {}, "has two columns 'a'; rename one, or set header: false and columns"),
        (
            "a,price\n",
            {"types": {"pric": "number"}},
            "has no column 'pric', which types speaks of; did you mean 'price'?",
        ),
    ],
)
def test_a_header_that_names_no_columns_is_refused(
    tmp_path: Path, content: str, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadHeader) as caught:
        _read(tmp_path / "a.csv", content, **options)
    assert str(caught.value) == f"{str(tmp_path / 'a.csv')!r} {reason}"


def test_a_file_without_a_header_gets_its_columns_from_the_definition(tmp_path: Path) -> None:
    found = _read(tmp_path / "a.csv", "1;x\n2;y\n", header=False, columns=["n", "s"], delimiter=";")
    assert found == [(0, {"n": 1, "s": "x"}), (4, {"n": 2, "s": "y"})]
    assert _read(tmp_path / "empty.csv", "") == []
    assert _read(tmp_path / "mark.csv", b"\xef\xbb\xbfa\n1\n") == [(5, {"a": 1})]


def _written(sink: FilesSink, *batches: list[dict[str, Any]], cursor: Any = None) -> Any:
    writer = sink.open("0", cursor)
    for documents in batches:
        writer.write(Batch(documents))
    writer.flush()
    cursor = writer.cursor
    writer.close()
    return cursor


def test_documents_are_rows_under_one_header(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    values: dict[str, Any] = {
        "s": 'say "hi",\r\nthen go',
        "d": datetime(2024, 5, 1, 10, tzinfo=timezone.utc),
        "p": Decimal("12.50"),
        "l": [1, {"a": "ü"}],
        "f": float("inf"),
        "b": True,
        "e": "",
    }
    cursor = _written(FilesSink(str(path), format="csv"), [values, {"s": "a\rb"}])
    _written(FilesSink(str(path), format="csv"), [{"b": False}], cursor=cursor)
    assert path.read_bytes().decode() == (
        "s,d,p,l,f,b,e\n"
        '"say ""hi"",\r\nthen go",2024-05-01T10:00:00Z,12.50,"[1,{""a"":""ü""}]",Infinity,true,\n'
        '"a\rb",,,,,,\n'
        ",,,,,false,\n"
    )


def test_columns_select_and_order_and_others_are_refused_or_ignored(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    sink = FilesSink(str(path), format="csv", columns=["b", "a"])
    writer = sink.open("0", None)
    with pytest.raises(DeliveryError) as caught:
        writer.write(Batch([{"a": 1, "b": 2}, {"a": 3, "c": 4}, {"a": 5}]))
    assert {index: str(error) for index, error in caught.value.errors.items()} == {
        1: "field 'c' has no column; name it in columns, or set extra_fields: ignore"
    }
    writer.close()
    assert path.read_text() == "b,a\n2,1\n,5\n"
    _written(FilesSink(str(path), format="csv", columns=["a"], extra_fields="ignore", header=False), [{"a": 1, "c": 2}])
    assert path.read_text() == "1\n"


def test_a_file_with_other_columns_is_not_written_on(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n")
    _written(FilesSink(str(path), format="csv", mode="append"), [{"b": 4, "a": 3}])
    assert path.read_text() == "a,b\n1,2\n3,4\n"
    with pytest.raises(FileChanged) as caught:
        FilesSink(str(path), format="csv", mode="append", columns=["a"]).open("0", None)
    assert str(caught.value) == (
        f"{str(path)!r} cannot be written on: its columns are a, b, not a; "
        "set columns to what it has, or choose another path"
    )


def test_every_problem_of_the_options_is_reported(tmp_path: Path) -> None:
    problems = Problems()
    source = {"type": "files", "path": "a.csv.gz", "follow": True, "format": "csv", "header": False, "delimiter": "||"}
    check_source({**source, "types": {"a": "nmber"}, "extended_json": True}, Where.at("source"), problems)
    check_source({"type": "files", "path": "a.jsonl", "infer": False}, Where.at("source"), problems)
    check_sink(
        {"type": "files", "path": "o-{part}.csv", "transactional": True, "format": "csv", "header": False},
        Where.at("sink"),
        problems,
    )
    assert list(map(str, problems)) == [
        "source.follow: a CSV file cannot be followed; write JSON Lines, or read whole files",
        "source.follow: a compressed file cannot be followed; read whole files",
        "source.extended_json: is an option of format: json; leave it out",
        "source.delimiter: must be one ASCII character; such as ',' or ';'",
        "source.columns: required without a header; name the columns, in their order",
        "source.types.a: unknown type 'nmber'; did you mean 'number'?",
        "source.infer: is an option of format: csv; leave it out, or set the format",
        "sink.transactional: keeps the positions of one file; leave {part} out of the path",
        "sink.columns: required without a header; name the columns, in their order",
    ]
