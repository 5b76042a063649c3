"""The ``n`` of ``$firstN``, ``$topN`` and their like: a constant, or an expression over the group's key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...errors import Problems, Where
from ..values import EvaluationError
from .registry import Accumulator, ExpressionParser, Node, describe


def positive_integer(value: Any) -> int | None:
    """The value as a count of at least 1; ``None`` where it is none. ``3.0`` is 3."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1 or value < 1:
        return None
    return int(value) if value < 2**63 else None


def build_with_n(
    make: Callable[[int], Accumulator],
    nodes: list[Node],
    n: Any,
    where: Where,
    parser: ExpressionParser,
    problems: Problems,
) -> tuple[Accumulator, list[Node]] | None:
    """The accumulator that ``make`` makes for a count, with ``n`` read from the definition.

    A constant ``n`` is checked at once. Any other is an expression over the group's ``_id``, evaluated with it.
    """
    varies = (isinstance(n, str) and n.startswith("$")) or (isinstance(n, Mapping) and "$literal" not in n)
    key_expression = getattr(parser, "key_expression", None)
    if varies and key_expression is not None:
        return SizedByKey(make, len(nodes), str(where)), [key_expression(n, where), *nodes]
    before = len(problems.found)
    value = parser.constant(n, where)
    count = positive_integer(value)
    if count is not None:
        return make(count), nodes
    if len(problems.found) == before:
        problems.add(where, f"must be an integer from 1, got {describe(value)}")
    return None


class SizedByKey(Accumulator):
    """An accumulator whose count comes with every document, the same for all documents of a group.

    Its state is ``[]``, then ``[n, state of the accumulator for n]``; its values begin with ``n``.
    """

    zero_code = "[]"

    def __init__(self, make: Callable[[int], Accumulator], values: int, where: str) -> None:
        self._make = make
        self._several = values > 1
        self._where = where
        self._made: dict[int, Accumulator] = {}
        self.ordered = make(1).ordered

    def _for(self, n: int) -> Accumulator:
        found = self._made.get(n)
        if found is None:
            found = self._made[n] = self._make(n)
        return found

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if not state:
            n = positive_integer(value[0])
            if n is None:
                raise EvaluationError(f"{self._where}: must be an integer from 1, got {describe(value[0])}")
            state += [n, self._for(n).zero()]
        state[1] = self._for(state[0]).add(state[1], value[1:] if self._several else value[1])
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        if not a or not b:
            return a or b
        a[1] = self._for(a[0]).merge(a[1], b[1])
        return a

    def result(self, state: list[Any]) -> Any:
        return self._for(state[0]).result(state[1]) if state else []
