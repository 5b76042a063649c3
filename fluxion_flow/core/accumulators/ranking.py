"""Values picked by a sort of the group's documents: ``$top``, ``$topN``, ``$bottom``, ``$bottomN``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from ...errors import Problems, Where
from ..ordering import Descending, field_sort_key
from ..values import MISSING
from .group_size import build_with_n
from .registry import Accumulator, ExpressionParser, Node, accumulator, describe, read_options


class _Ranked(Accumulator):
    """The state is a list of rows ``[sort value, …, output]``, cut back to the ``n`` that matter when it has grown.

    Rows stand in the order of the documents, so that a stable sort settles ties by it.
    """

    ordered = True
    zero_code = "[]"
    from_top: ClassVar[bool]
    single: ClassVar[bool]

    def __init__(self, descending: tuple[bool, ...], n: int = 1) -> None:
        self.descending = descending
        self.n = n

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        state.append([None if item is MISSING else item for item in value])
        if len(state) > 2 * self.n + 16:
            state[:] = self._best(state)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a += b
        if len(a) > 2 * self.n + 16:
            a[:] = self._best(a)
        return a

    def result(self, state: list[Any]) -> Any:
        outputs = [row[-1] for row in self._best(state)]
        if self.single:
            return outputs[0] if outputs else None
        return outputs

    def _best(self, rows: list[Any]) -> list[Any]:
        ordered = sorted(rows, key=self._key)
        return ordered[: self.n] if self.from_top else ordered[-self.n :]

    def _key(self, row: list[Any]) -> list[Any]:
        return [
            Descending(field_sort_key(value, True)) if down else field_sort_key(value)
            for value, down in zip(row, self.descending, strict=False)  # the row's last item is the output
        ]

    @classmethod
    def build(
        cls, spec: Any, where: Where, parser: ExpressionParser, problems: Problems
    ) -> tuple[Accumulator, list[Node]] | None:
        required = ("output", "sortBy") if cls.single else ("output", "sortBy", "n")
        options = read_options(spec, where, problems, required)
        if options is None:
            return None
        descending, nodes = _read_sort(options["sortBy"], where / "sortBy", parser, problems)
        nodes.append(parser.expression(options["output"], where / "output"))
        if cls.single:
            return cls(descending), nodes
        make: Callable[[int], Accumulator] = lambda n: cls(descending, n)  # noqa: E731
        return build_with_n(make, nodes, options["n"], where / "n", parser, problems)


def _read_sort(
    spec: Any, where: Where, parser: ExpressionParser, problems: Problems
) -> tuple[tuple[bool, ...], list[Node]]:
    """The directions and field expressions of a ``sortBy``; every problem is reported."""
    if not isinstance(spec, Mapping) or not spec:
        problems.add(where, f"must name fields to sort by, got {describe(spec)}", 'such as {"score": -1}')
        return (), []
    directions, nodes = [], []
    for field, direction in spec.items():
        at = where / str(field)
        if isinstance(direction, bool) or direction not in (1, -1):
            problems.add(at, f"must be 1 (ascending) or -1 (descending), got {describe(direction)}")
        if not isinstance(field, str) or not field or field.startswith("$"):
            problems.add(at, "must be a field path", "write it without '$'")
            continue
        directions.append(direction == -1)
        nodes.append(parser.expression("$" + field, at))
    return tuple(directions), nodes


_SCORES: list[dict[str, Any]] = [{"p": "a", "s": 3}, {"p": "b", "s": 9}, {"p": "c", "s": 5}, {"p": "d"}]


@accumulator(
    "$top",
    examples=[(_SCORES, {"$top": {"sortBy": {"s": -1}, "output": "$p"}}, "b")],
)
class Top(_Ranked):
    """The ``output`` of the document that comes first by ``sortBy``; of equal ones, the first document.

    MongoDB: $top.
    """

    from_top = True
    single = True


@accumulator(
    "$topN",
    examples=[(_SCORES, {"$topN": {"n": 2, "sortBy": {"s": -1}, "output": ["$p", "$s"]}}, [["b", 9], ["c", 5]])],
)
class TopN(_Ranked):
    """The ``output`` of the ``n`` documents that come first by ``sortBy``, in that order. MongoDB: $topN."""

    from_top = True
    single = False


@accumulator(
    "$bottom",
    examples=[(_SCORES, {"$bottom": {"sortBy": {"s": -1}, "output": "$p"}}, "d")],
)
class Bottom(_Ranked):
    """The ``output`` of the document that comes last by ``sortBy``; of equal ones, the last document.

    MongoDB: $bottom.
    """

    from_top = False
    single = True


@accumulator(
    "$bottomN",
    examples=[(_SCORES, {"$bottomN": {"n": 2, "sortBy": {"s": -1}, "output": "$p"}}, ["a", "d"])],
)
class BottomN(_Ranked):
    """The ``output`` of the ``n`` documents that come last by ``sortBy``, in the order of the sort.

    MongoDB: $bottomN.
    """

    from_top = False
    single = False
