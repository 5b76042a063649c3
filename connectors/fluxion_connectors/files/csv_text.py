"""Documents as CSV: one row each, in the columns of the file's header.

Null and missing fields are empty. Lists and objects are JSON texts; dates, decimals and binary values are written as in
JSON Lines (see :mod:`fluxion_flow.connect.encoding`), without the quotes of JSON.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from typing import Any

from fluxion_flow.connect.encoding import encode_value
from fluxion_flow.connect.spi import Document

_RFC_4180 = "\r\n"


class CsvText:
    """The text of one CSV file, from its beginning or, with ``columns``, behind the header that it has.

    ``columns`` are what is written, in this order; ``None`` takes the fields of the first documents. ``header``: a
    first line names the columns. ``ignore_fields``: fields without a column are left out, instead of refused.
    """

    def __init__(
        self,
        columns: Sequence[str] | None,
        *,
        delimiter: str = ",",
        quote: str = '"',
        header: bool = True,
        ignore_fields: bool = False,
    ) -> None:
        self._columns = None if columns is None else list(columns)
        self._known = frozenset(columns or ())
        self._dialect = {"delimiter": delimiter, "quotechar": quote, "lineterminator": _RFC_4180}
        self._header = header
        self._ignore_fields = ignore_fields

    def begun_with(self, lines: Sequence[bytes]) -> None:
        """Go on in a file that has these first lines. Raises :class:`ValueError` when its columns are others."""
        try:
            names = next(csv.reader([line.decode() for line in lines], **self._dialect))  # type: ignore[arg-type]
        except (csv.Error, StopIteration):
            raise ValueError("its first line names no columns") from None
        if self._columns is not None and names != self._columns:
            raise ValueError(f"its columns are {', '.join(names)}, not {', '.join(self._columns)}")
        self._columns, self._known, self._header = names, frozenset(names), False

    def encode(self, documents: Sequence[Document]) -> tuple[bytes, dict[int, Exception]]:
        """The documents' rows, and why some have none: index → error. The first rows come with the header."""
        if not documents:
            return b"", {}
        columns, known = self._columns, self._known
        if columns is None:
            columns = list(dict.fromkeys(name for document in documents for name in document))
            known = frozenset(columns)
        lines = self._rows([columns]) if self._header else b""
        errors: dict[int, Exception] = {}
        rows = []
        for index, document in enumerate(documents):
            try:
                rows.append(self._row(document, columns, known))
            except ValueError as error:
                errors[index] = error
        return lines + self._rows(rows), errors

    def written(self, documents: Sequence[Document]) -> None:
        """What :meth:`encode` made of these documents is in the file: later rows have its columns and no header."""
        if documents and self._columns is None:
            self._columns = list(dict.fromkeys(name for document in documents for name in document))
            self._known = frozenset(self._columns)
        self._header = self._header and not documents

    def _row(self, document: Document, columns: Sequence[str], known: frozenset[str]) -> list[str]:
        if not (self._ignore_fields or known.issuperset(document)):
            name = next(name for name in document if name not in known)
            raise ValueError(f"field {name!r} has no column; name it in columns, or set extra_fields: ignore")
        row = [_field(document.get(name)) for name in columns]
        "".join(row).encode()  # a lone surrogate has no place in UTF-8
        return row

    def _rows(self, rows: Sequence[Sequence[str]]) -> bytes:
        lines = _Lines()
        csv.writer(lines, **self._dialect).writerows(rows)  # type: ignore[arg-type]
        return "".join(lines).encode()


class _Lines(list[str]):
    """Rows with a line feed alone at their end. The writer's own line break makes it quote a carriage return."""

    def write(self, row: str) -> None:
        self.append(row.removesuffix(_RFC_4180) + "\n")


def _field(value: Any) -> str:
    if value is None:
        return ""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is int or (value.__class__ is float and math.isfinite(value)):
        return repr(value)
    text = encode_value(value).decode()
    return str(json.loads(text)) if text.startswith('"') else text
