"""SQL texts of definitions: where their parameters stand, and that no value is spliced into them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
      (?P<quoted>'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/ | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<open>['"`])
    | (?P<escaped>\?\?)
    | (?P<position>\?)
    | (?P<cast>::)
    | :(?P<name>[A-Za-z_]\w*)
    | (?P<spliced>\$\{?[A-Za-z_][\w.]*\}? | \{\s*[$\w][\w.]*\s*\} | %\(\w+\)s)
    | (?P<end>;)
    | (?P<colon>:)
    """,
    re.VERBOSE | re.DOTALL,
)
_WRITES = re.compile(r"\b(insert|update|delete|merge|replace|call|truncate|drop|alter|create|grant|lock|copy)\b", re.I)
_READS = ("select", "with", "values", "show", "explain", "describe", "table", "pragma")


class StatementError(ValueError):
    """A statement cannot be used: what is wrong, and what to do."""

    def __init__(self, what: str, hint: str = "") -> None:
        self.what = what
        self.hint = hint
        super().__init__(what)


@dataclass(frozen=True)
class Statement:
    """A statement with every parameter as ``:name``, colons that are none escaped as SQLAlchemy's ``text`` has them.

    ``positions`` counts its ``?``, which are called ``p0``, ``p1`` …; ``names`` are those that it names itself.
    ``reads``: it only reads, as far as its words tell.
    """

    text: str
    positions: int
    names: tuple[str, ...]
    reads: bool


def parse_statement(sql: str) -> Statement:
    """Find the parameters of a statement. Raises :class:`StatementError`."""
    parts: list[str] = []
    plain: list[str] = []
    names: dict[str, None] = {}
    positions = at = 0
    for piece in _PIECE.finditer(sql):
        between = sql[at : piece.start()]
        parts.append(between)
        plain.append(between)
        at = piece.end()
        if piece["open"]:
            raise StatementError("has a quote without its end")
        if piece["spliced"]:
            hint = "write ? or :name, and give the value in params: it is bound, whatever it holds"
            raise StatementError(f"would splice {piece['spliced']} into the statement", hint)
        if piece["end"] and sql[at:].strip():
            raise StatementError("holds several statements", "make a call of each")
        if piece["position"]:
            parts.append(f":p{positions}")
            positions += 1
        elif piece["name"]:
            parts.append(f":{piece['name']}")
            names[piece["name"]] = None
        elif piece["escaped"]:
            parts.append("?")
        elif not piece["end"]:
            parts.append(piece[0].replace(":", "\\:"))
    parts.append(sql[at:])
    plain.append(sql[at:])
    if positions and names:
        raise StatementError("mixes ? and :name", "use one of the two")
    words = " ".join(plain).split()
    if not words:
        raise StatementError("is empty", "such as SELECT name FROM users WHERE id = ?")
    first = words[0].lower().lstrip("(")
    reads = first in _READS and not _WRITES.search(" ".join(plain))
    return Statement("".join(parts), positions, tuple(names), reads)
