"""$match: let documents through that a query finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import Where
from ..expressions.parse import Parser
from ..query import parse_query
from ..query.parse import Predicate
from .registry import stage
from .shapes import PerDocument

if TYPE_CHECKING:
    from ..program import RunEmitter


@dataclass(frozen=True, eq=False)
class Match(PerDocument):
    predicate: Predicate

    def emit(self, e: RunEmitter) -> None:  # type: ignore[override]
        self.predicate.require(e, e.drop)


@stage(
    "$match",
    shape="per document",
    examples=[
        ([{"status": "PAID", "total": 5}, {"status": "OPEN"}], {"status": "PAID"}, [{"status": "PAID", "total": 5}]),
        ([{"n": 1}, {"n": 7}], {"n": {"$gt": 3}}, [{"n": 7}]),
    ],
)
def match(spec: Any, where: Where, parser: Parser) -> Match | None:
    """Pass on the documents that a query matches, drop the others. MongoDB: $match."""
    predicate = parse_query(spec, where, parser)
    return Match(where, predicate)
