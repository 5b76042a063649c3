"""$limit and $skip: the first documents, or all but them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import Where
from ..environment import Environment
from ..expressions.parse import Parser
from .registry import stage
from .shapes import Document, Whole


@dataclass(frozen=True, eq=False)
class Slice(Whole):
    start: int
    stop: int | None

    def run(self, documents: list[Document], env: Environment) -> list[Document]:
        return documents[self.start : self.stop]


_STREAMING = "any source; on an unbounded one documents are counted as they arrive, on one worker"


def _whole_number(spec: Any, where: Where, parser: Parser, least: int) -> int | None:
    number = isinstance(spec, (int, float)) and not isinstance(spec, bool)
    if not number or not least <= spec < 2**63 or spec != int(spec):
        parser.problems.add(where, f"takes a whole number of at least {least}, got {spec!r}")
        return None
    return int(spec)


@stage("$limit", shape="whole", streaming=_STREAMING, examples=[([{"n": 1}, {"n": 2}], 1, [{"n": 1}])])
def limit(spec: Any, where: Where, parser: Parser) -> Slice | None:
    """The first ``n`` documents, in source order. MongoDB: $limit."""
    count = _whole_number(spec, where, parser, 1)
    return None if count is None else Slice(where, 0, count)


@stage("$skip", shape="whole", streaming=_STREAMING, examples=[([{"n": 1}, {"n": 2}], 1, [{"n": 2}])])
def skip(spec: Any, where: Where, parser: Parser) -> Slice | None:
    """All but the first ``n`` documents, in source order. MongoDB: $skip."""
    count = _whole_number(spec, where, parser, 0)
    return None if count is None else Slice(where, count, None)
