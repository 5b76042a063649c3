"""The smallest and largest values: ``$min``, ``$max``, ``$minN``, ``$maxN``."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, ClassVar

from ...errors import Problems, Where
from ..expressions import kinds
from ..ordering import compare, representation, sort_key
from ..values import MISSING
from .group_size import build_with_n
from .registry import Accumulator, ExpressionParser, Inline, Node, accumulator, read_options


class _Extreme(Accumulator):
    """The state is the extreme so far, ``None`` while there is none."""

    sign: ClassVar[int]
    zero_code = "None"
    folds = True
    checks = True

    def check(self, value: Any) -> None:
        compare(value, value)

    def zero(self) -> None:
        return None

    def add(self, state: Any, value: Any) -> Any:
        if value is None or value is MISSING:
            return state
        if state is None:
            return value
        order = compare(value, state) * self.sign
        if order == 0:
            return value if representation(value) < representation(state) else state
        return value if order > 0 else state

    def merge(self, a: Any, b: Any) -> Any:
        return self.add(a, b)

    def result(self, state: Any) -> Any:
        return state


def _fast(better: str) -> str:
    """Inline source: numbers and strings of the same class as the state are compared as Python compares them.

    Doubles that are neither better nor worse go to ``add``: ``0.0`` and ``-0.0`` are equal but not the same, and NaN is
    no better than anything to Python.
    """
    return (
        "x = {s}\n"
        "if {v}.__class__ is float and x.__class__ is float:\n"
        f"    if not x {better} {{v}}: {{s}} = {{v}} if {{v}} {better} x else {{add}}(x, {{v}})\n"
        "elif {v}.__class__ is x.__class__ and (x.__class__ is int or x.__class__ is str):\n"
        f"    if {{v}} {better} x: {{s}} = {{v}}\n"
        "else: {s} = {add}(x, {v})"
    )


def _merged(better: str) -> str:
    """Inline source that merges two states; numbers or strings of one class are compared as Python compares them."""
    return (
        "x, y = {a}, {b}\n"
        "if x.__class__ is y.__class__ and (x.__class__ is float or x.__class__ is int or x.__class__ is str):\n"
        f"    if not x {better} y: {{a}} = y if y {better} x else {{merge}}(x, y)\n"
        "else: {a} = {merge}(x, y)"
    )


def _inlines(better: str) -> tuple[Inline, ...]:
    """Inline source for values of one class."""
    names = {kinds.FLOAT: "float", kinds.INT: "int", kinds.STRING: "str"}
    again = {"float": f"if not x {better} {{v}}: {{s}} = {{v}} if {{v}} {better} x else {{add}}(x, {{v}})"}
    return tuple(
        Inline(
            kind,
            "{v}",
            f"x = {{s}}\nif x.__class__ is {name}:\n"
            f"    {again.get(name, f'if {{v}} {better} x: {{s}} = {{v}}')}\n"
            "else: {s} = {add}(x, {v})",
        )
        for kind, name in names.items()
    )


@accumulator(
    "$min",
    examples=[
        ([{"x": 3}, {"x": 1.5}, {"x": None}, {}], {"$min": "$x"}, 1.5),
        ([{"x": "a"}, {"x": 100}], {"$min": "$x"}, 100),
        ([{"x": None}, {}], {"$min": "$x"}, None),
    ],
)
class Min(_Extreme):
    """The smallest value in MongoDB's order over all types; null and missing are left out, null when nothing is left.

    Of equal values of different types the int is kept before the double, the double before the decimal.
    MongoDB: $min.
    """

    sign = -1
    fast = _fast("<")
    merge_fast = _merged("<")
    inlines = _inlines("<")


@accumulator(
    "$max",
    examples=[
        ([{"x": 3}, {"x": 1.5}, {"x": None}, {}], {"$max": "$x"}, 3),
        ([{"x": "a"}, {"x": 100}], {"$max": "$x"}, "a"),
        ([{"x": None}, {}], {"$max": "$x"}, None),
    ],
)
class Max(_Extreme):
    """The largest value in MongoDB's order over all types; null and missing are left out, null when nothing is left.

    Of equal values of different types the int is kept before the double, the double before the decimal.
    MongoDB: $max.
    """

    sign = 1
    fast = _fast(">")
    merge_fast = _merged(">")
    inlines = _inlines(">")


class _Extremes(Accumulator):
    """The state is a list of candidates, cut back to the best ``n`` when it has grown."""

    largest: ClassVar[bool]
    zero_code = "[]"
    folds = True
    checks = True

    def check(self, value: Any) -> None:
        compare(value, value)

    def __init__(self, n: int) -> None:
        self.n = n

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if value is not None and value is not MISSING:
            state.append(value)
            if len(state) > 2 * self.n + 16:
                state[:] = self.result(state)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a += b
        if len(a) > 2 * self.n + 16:
            a[:] = self.result(a)
        return a

    def result(self, state: list[Any]) -> list[Any]:
        keyed = sorted([(sort_key(value), representation(value), i, value) for i, value in enumerate(state)])
        if self.largest:
            keyed.sort(key=itemgetter(0), reverse=True)
        return [value for *_, value in keyed[: self.n]]

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
    "$minN",
    examples=[([{"x": 3}, {"x": 1}, {"x": 2}, {"x": None}, {}], {"$minN": {"input": "$x", "n": 2}}, [1, 2])],
)
class MinN(_Extremes):
    """The ``n`` smallest values, smallest first; null and missing are left out. MongoDB: $minN."""

    largest = False


@accumulator(
    "$maxN",
    examples=[([{"x": 3}, {"x": 1}, {"x": 2}, {"x": None}, {}], {"$maxN": {"input": "$x", "n": 2}}, [3, 2])],
)
class MaxN(_Extremes):
    """The ``n`` largest values, largest first; null and missing are left out. MongoDB: $maxN."""

    largest = True
