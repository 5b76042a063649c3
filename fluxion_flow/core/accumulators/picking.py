"""Values picked by the order of the documents: ``$first``, ``$last``, ``$firstN``, ``$lastN``."""

from __future__ import annotations

from typing import Any

from ...errors import Problems, Where
from ..expressions import kinds
from ..values import MISSING
from .group_size import build_with_n
from .registry import Accumulator, ExpressionParser, Inline, Node, accumulator, read_options


@accumulator(
    "$first",
    examples=[
        ([{"x": 3}, {"x": 1}], {"$first": "$x"}, 3),
        ([{}, {"x": 1}], {"$first": "$x"}, None),
    ],
)
class First(Accumulator):
    """The value of the first document, null when it is missing there. MongoDB: $first (aggregation accumulator)."""

    ordered = True
    takes_array = True
    fast = "if not {s}: {s} = {add}({s}, {v})"
    inlines = (Inline(kinds.PRESENT, "[{v}]", "if not {s}: {s} = [{v}]"),)
    zero_code = "[]"

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if not state:
            state.append(None if value is MISSING else value)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        return a or b

    def result(self, state: list[Any]) -> Any:
        return state[0] if state else None


@accumulator(
    "$last",
    examples=[
        ([{"x": 3}, {"x": 1}], {"$last": "$x"}, 1),
        ([{"x": 1}, {}], {"$last": "$x"}, None),
    ],
)
class Last(Accumulator):
    """The value of the last document, null when it is missing there. MongoDB: $last (aggregation accumulator)."""

    ordered = True
    takes_array = True
    fast = "if {v}: {s} = [{v}]\nelse: {s} = {add}({s}, {v})"
    inlines = (Inline(kinds.PRESENT, "[{v}]", "{s} = [{v}]"),)
    zero_code = "[]"

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        return [None if value is MISSING else value]

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        return b or a

    def result(self, state: list[Any]) -> Any:
        return state[0] if state else None


class _Several(Accumulator):
    ordered = True
    zero_code = "[]"

    def __init__(self, n: int) -> None:
        self.n = n

    def zero(self) -> list[Any]:
        return []

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        options = read_options(spec, where, problems, ("input", "n"))
        if options is None:
            return None
        nodes = [parser.expression(options["input"], where / "input")]
        return build_with_n(cls, nodes, options["n"], where / "n", parser, problems)


@accumulator(
    "$firstN",
    examples=[([{"x": 3}, {}, {"x": 1}], {"$firstN": {"input": "$x", "n": 2}}, [3, None])],
)
class FirstN(_Several):
    """The values of the first ``n`` documents; null stands for a missing one. MongoDB: $firstN."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.fast = f"if len({{s}}) < {n}: {{s}} = {{add}}({{s}}, {{v}})"

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if len(state) < self.n:
            state.append(None if value is MISSING else value)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        if len(a) < self.n:
            a += b[: self.n - len(a)]
        return a

    def result(self, state: list[Any]) -> list[Any]:
        return state.copy()


@accumulator(
    "$lastN",
    examples=[([{"x": 3}, {}, {"x": 1}], {"$lastN": {"input": "$x", "n": 2}}, [None, 1])],
)
class LastN(_Several):
    """The values of the last ``n`` documents, in the order of the documents; null stands for a missing one.

    MongoDB: $lastN.
    """

    def add(self, state: list[Any], value: Any) -> list[Any]:
        state.append(None if value is MISSING else value)
        if len(state) > 2 * self.n + 16:
            del state[: -self.n]
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a += b
        if len(a) > 2 * self.n + 16:
            del a[: -self.n]
        return a

    def result(self, state: list[Any]) -> list[Any]:
        return state[-self.n :]
