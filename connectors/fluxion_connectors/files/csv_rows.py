"""CSV as documents: RFC 4180 with any delimiter and quote, a header line, and typed columns.

A record ends at a line break outside quotes, so it may span lines. A quote that is never closed spoils its own line
only: the line becomes a reject, and reading goes on at the next one. So does a line with another number of fields than
there are columns.

=========================  ==========================================================================
a field is read as         that is
=========================  ==========================================================================
null                       an empty field, of any type but ``string``
``string``                 its text
``integer``, ``number``    a JSON number; ``decimal`` keeps all its digits
``boolean``                ``true`` or ``false``
``date``                   a date or an RFC 3339 date and time, in UTC where it names no zone
``json``                   any JSON text
*inferred*                 null, a JSON number (``007`` is none), ``true``, ``false``, else a string
=========================  ==========================================================================
"""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from fluxion_connectors.files.records import RecordFormat
from fluxion_flow.connect.spi import Document, Reject
from fluxion_flow.errors import FluxionError, did_you_mean

LONGEST = 1024 * 1024
"""Bytes of a record over several lines; a quote that is open for longer counts as never closed."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "true": True, "false": False}


class BadHeader(FluxionError):
    """A CSV file's first line cannot name its columns, or does not name those that the definition speaks of."""


class CsvRows(RecordFormat):
    """The rows of one CSV file.

    ``columns`` names them in a file without a header. ``types`` maps columns to types; the others are inferred, or with
    ``infer`` false strings. ``place`` is the file, for messages.
    """

    def __init__(
        self,
        place: str,
        *,
        delimiter: str = ",",
        quote: str = '"',
        columns: Sequence[str] | None = None,
        types: Mapping[str, str] | None = None,
        infer: bool = True,
    ) -> None:
        self._place = place
        self._dialect = {"delimiter": delimiter, "quotechar": quote, "strict": True}
        self._quote = quote.encode()
        self._types = dict(types or {})
        self._default = _inferred if infer else _READERS["string"]
        self._names: list[str] = []
        self._readers: list[Callable[[str], Any]] = []
        self.header = columns is None
        if columns is not None:
            self._name(columns)

    def begin(self, record: bytes) -> None:
        """Raises :class:`BadHeader`."""
        try:
            (row,) = csv.reader([record.decode()], **self._dialect)  # type: ignore[arg-type]
        except (csv.Error, ValueError) as error:
            raise BadHeader(f"{self._place!r}: the first line names no columns ({error}); see header") from None
        self._name(row)

    def _name(self, names: Sequence[str]) -> None:
        twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
        if twice is not None:
            raise BadHeader(f"{self._place!r} has two columns {twice!r}; rename one, or set header: false and columns")
        for name in self._types:
            if name not in names:
                hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
                raise BadHeader(f"{self._place!r} has no column {name!r}, which types speaks of; {hint}")
        self._names = list(names)
        self._readers = [_READERS[self._types[name]] if name in self._types else self._default for name in self._names]

    def group(self, lines: list[bytes], at_end: bool) -> tuple[list[bytes], list[bytes]]:
        quote = self._quote
        odd = [number for number, line in enumerate(lines) if line.count(quote) % 2]
        if not odd:
            return lines, []
        records: list[bytes] = []
        taken = 0
        opening = 0
        while opening < len(odd):
            first = odd[opening]
            records += lines[taken:first]
            if opening + 1 < len(odd):
                record = b"".join(lines[first : odd[opening + 1] + 1])
                if len(record) <= LONGEST:
                    records.append(record)
                    taken, opening = odd[opening + 1] + 1, opening + 2
                    continue
            elif not at_end and sum(map(len, lines[first:])) <= LONGEST:
                return records, lines[first:]
            records.append(lines[first])
            taken, opening = first + 1, opening + 1
        return records + lines[taken:], []

    def decode(
        self, records: Sequence[bytes], positions: Sequence[int]
    ) -> tuple[list[Document], Sequence[int], list[Reject]]:
        names, readers, width = self._names, self._readers, len(self._names)
        try:
            rows = list(csv.reader([record.decode() for record in records], **self._dialect))  # type: ignore[arg-type]
            if len(rows) == len(records) and all(len(row) == width for row in rows):
                documents = [
                    {name: read(field) for name, read, field in zip(names, readers, row, strict=True)} for row in rows
                ]
                return documents, positions, []
        except (csv.Error, ValueError):
            pass
        documents, places, rejects = [], [], []
        for record, position in zip(records, positions, strict=True):
            if not record.strip():
                continue
            try:
                documents.append(self._document(record))
                places.append(position)
            except ValueError as error:
                rejects.append(Reject(record.removesuffix(b"\n").removesuffix(b"\r"), position, str(error)))
        return documents, places, rejects

    def _document(self, record: bytes) -> Document:
        """The document of one record. Raises :class:`ValueError` with the reason, which holds no value."""
        try:
            rows = list(csv.reader([record.decode()], **self._dialect))  # type: ignore[arg-type]
        except UnicodeDecodeError as error:
            raise ValueError(f"is not valid UTF-8 (byte {error.start})") from None
        except csv.Error as error:
            raise ValueError(f"is not valid CSV: {error}") from None
        row = rows[0] if rows else []
        if len(row) != len(self._names):
            raise ValueError(f"has {len(row)} fields, and there are {len(self._names)} columns")
        document: Document = {}
        for name, read, field in zip(self._names, self._readers, row, strict=True):
            try:
                document[name] = read(field)
            except ValueError:
                raise ValueError(f"column {name!r} holds no {self._types.get(name)}") from None
        return document


def _inferred(field: str) -> Any:
    if field in _WORDS:
        return _WORDS[field]
    if field[0] in "-0123456789" and (number := _NUMBER.fullmatch(field)):
        return _number_of(field, number)
    return field


def _number_of(field: str, number: re.Match[str]) -> int | float:
    if number[1] or number[2]:
        return float(field)
    return int(field) if len(field) < 4000 else float(field)


def _number(field: str) -> int | float:
    number = _NUMBER.fullmatch(field)
    if number is None:
        raise ValueError
    return _number_of(field, number)


def _integer(field: str) -> int:
    value = _number(field)
    if not isinstance(value, int):
        raise ValueError
    return value


def _decimal(field: str) -> Decimal:
    try:
        value = Decimal(field)
    except InvalidOperation:
        raise ValueError from None
    return value


def _boolean(field: str) -> bool:
    if field not in ("true", "false"):
        raise ValueError
    return field == "true"


def _date(field: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(field) if len(field) == 10 else msgspec.convert(field, dt.datetime)
    moment = moment.replace(tzinfo=dt.timezone.utc) if moment.tzinfo is None else moment.astimezone(dt.timezone.utc)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _or_null(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda field: read(field) if field else None


_READERS: dict[str, Callable[[str], Any]] = {
    "string": lambda field: field,
    "integer": _or_null(_integer),
    "number": _or_null(_number),
    "decimal": _or_null(_decimal),
    "boolean": _or_null(_boolean),
    "date": _or_null(_date),
    "json": _or_null(lambda field: msgspec.json.decode(field)),
}
TYPES = tuple(_READERS)
