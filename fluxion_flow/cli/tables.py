"""Rows on the command line: a table on a terminal, aligned text elsewhere."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

from .failures import redacted

PLAIN_WIDTH = 110


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings; with colours and the terminal's width where standard output is one."""
    rows = [[redacted(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(headings, rows)
        return
    for line in aligned([headings, *rows], PLAIN_WIDTH):
        click.echo(line)


def aligned(rows: Sequence[Sequence[str]], width: int) -> Iterable[str]:
    """Rows as lines: all columns as wide as they need, the last one wrapped at ``width``."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns[:-1]]
    margin = sum(widths) + 2 * len(widths)
    for row in rows:
        first = "".join(f"{cell.ljust(size)}  " for cell, size in zip(row, widths, strict=False))
        parts = textwrap.wrap(row[-1], max(width - margin, 30), break_long_words=False, break_on_hyphens=False) or [""]
        yield f"{first}{parts[0]}".rstrip()
        yield from (" " * margin + part for part in parts[1:])


def _print_rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, header_style="bold", pad_edge=False)
    for column in table.columns[:-1]:
        column.no_wrap = True
    for row in rows:
        table.add_row(*(Text(cell, style="cyan" if i == 0 else "") for i, cell in enumerate(row)))
    Console(width=shutil.get_terminal_size().columns).print(table)
