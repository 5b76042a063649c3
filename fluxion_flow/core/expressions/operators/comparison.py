"""Comparison in BSON order: $eq $ne $gt $gte $lt $lte $cmp, and Fluxion's $nin (MongoDB: comparison operators)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ordering import compare, equal
from ...values import EvaluationError, type_name
from .. import kinds
from ..emit import Atom, Emitter
from ..registry import operator

_SAME_CLASS = frozenset({str, int, float, bool, type(None)})


@operator(
    "$eq",
    returns=kinds.BOOL,
    examples=[({"a": 1}, {"$eq": ["$a", 1.0]}, True), ({}, {"$eq": ["$a", None]}, False)],
)
def eq(a: Any, b: Any) -> bool:
    """Whether two values are equal; numbers compare across types, absent differs from null. MongoDB: $eq."""
    return equal(a, b)


@operator("$ne", returns=kinds.BOOL, examples=[({"a": "x"}, {"$ne": ["$a", "x"]}, False)])
def ne(a: Any, b: Any) -> bool:
    """Whether two values differ. MongoDB: $ne."""
    return not equal(a, b)


@operator(
    "$gt", returns=kinds.BOOL, examples=[({"a": 3}, {"$gt": ["$a", 2]}, True), ({"a": "x"}, {"$gt": ["$a", 2]}, True)]
)
def gt(a: Any, b: Any) -> bool:
    """Whether the first value comes after the second in BSON order. MongoDB: $gt."""
    return compare(a, b) > 0


@operator("$gte", returns=kinds.BOOL, examples=[({"a": 2}, {"$gte": ["$a", 2]}, True)])
def gte(a: Any, b: Any) -> bool:
    """Whether the first value does not come before the second. MongoDB: $gte."""
    return compare(a, b) >= 0


@operator(
    "$lt", returns=kinds.BOOL, examples=[({}, {"$lt": ["$a", None]}, True), ({"a": 3}, {"$lt": ["$a", 3]}, False)]
)
def lt(a: Any, b: Any) -> bool:
    """Whether the first value comes before the second; absent comes before null. MongoDB: $lt."""
    return compare(a, b) < 0


@operator("$lte", returns=kinds.BOOL, examples=[({"a": 3}, {"$lte": ["$a", 3]}, True)])
def lte(a: Any, b: Any) -> bool:
    """Whether the first value does not come after the second. MongoDB: $lte."""
    return compare(a, b) <= 0


@operator("$cmp", returns=kinds.INT, examples=[({"a": 1, "b": 2}, {"$cmp": ["$a", "$b"]}, -1)])
def cmp(a: Any, b: Any) -> int:
    """-1, 0 or 1 as the first value comes before, with, or after the second. MongoDB: $cmp."""
    return compare(a, b)


@operator("$nin", returns=kinds.BOOL, examples=[({"a": 1}, {"$nin": ["$a", [2, 3]]}, True)])
def nin(value: Any, array: Any) -> bool:
    """Whether a value is in none of an array's places. Fluxion: expression $nin."""
    if array.__class__ is not list:
        raise EvaluationError(f"$nin takes an array as its second argument, got {type_name(array)}")
    return not any(equal(value, item) for item in array)


def _equality(function: Callable[..., Any], same: str, other: str) -> Callable[[Emitter, list[Atom]], Atom | None]:
    """Inline source of equality (``same`` is ``==``, ``other`` ``is``) or of its opposite."""

    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        a, b = atoms
        if b.code == "M" or a.code == "M":
            return e.assign(f"{a.code} {other} {b.code}", kinds.BOOL)
        for x, y in ((a, b), (b, a)):
            if y.code in ("None", "True", "False"):
                return e.assign(f"{x.code} {other} {y.code}", kinds.BOOL)
            if y.code.startswith(("'", '"')):
                return e.assign(f"{x.code} {same} {y.code}", kinds.BOOL)
            if _literal_number(y.code):
                joined = "and" if same == "==" else "or"
                not_bool = f"{x.code}.__class__ {'is not' if same == '==' else 'is'} bool"
                guard = (
                    f" {joined} {not_bool}"
                    if y.code in ("0", "1", "0.0", "1.0") and not _literal_number(x.code)
                    else ""
                )
                return e.assign(f"({x.code} {same} {y.code}{guard})", kinds.BOOL)
        slow = f"{e.bind(function, function.__name__)}({a.code}, {b.code})"
        scalars = e.bind(_SAME_CLASS, "scalars")
        guard = f"{a.code}.__class__ is {b.code}.__class__ and {a.code}.__class__ in {scalars} and {a.code} == {a.code}"
        return e.assign(f"({a.code} {same} {b.code}) if {guard} else {slow}", kinds.BOOL)

    return inline


def _literal_number(code: str) -> bool:
    return code[:1].isdigit() or code.startswith("(-")


eq.inline(_equality(eq.function, "==", "is"))
ne.inline(_equality(ne.function, "!=", "is not"))


def _order(function: Callable[..., Any], symbol: str) -> Callable[[Emitter, list[Atom]], Atom | None]:
    """Inline source of an order comparison of numbers or of strings; the function has the last word on NaN."""

    def inline(e: Emitter, atoms: list[Atom]) -> Atom | None:
        a, b = map(e.narrowed, atoms)
        slow = f"{e.bind(function, function.__name__)}({a.code}, {b.code})"
        for x in (a, b):
            if x.code.startswith(("'", '"')):
                y = b if x is a else a
                if y.is_only(kinds.STRING):
                    return e.assign(f"{a.code} {symbol} {b.code}", kinds.BOOL)
                guard = f"{y.code}.__class__ is str"
                return e.assign(f"{a.code} {symbol} {b.code} if {guard} else {slow}", kinds.BOOL)
        guards = [e.plain_number(x) for x in (a, b) if not _literal_number(x.code)]
        # NaN stands below every number: not above a literal, which is Python's answer too
        never_above = a if symbol[0] == ">" and _literal_number(b.code) else None
        never_above = b if symbol[0] == "<" and _literal_number(a.code) else never_above
        for x in (a, b):
            if x.may_be(kinds.FLOAT) and not _literal_number(x.code) and x is not never_above:
                guards.append(f"{x.code} == {x.code}")
        guard = " and ".join(g for g in guards if g)
        code = f"({a.code} {symbol} {b.code}) if {guard} else {slow}" if guard else f"{a.code} {symbol} {b.code}"
        return e.assign(code, kinds.BOOL)

    return inline


gt.inline(_order(gt.function, ">"))
gte.inline(_order(gte.function, ">="))
lt.inline(_order(lt.function, "<"))
lte.inline(_order(lte.function, "<="))


@cmp.inline
def _cmp(e: Emitter, atoms: list[Atom]) -> Atom | None:
    a, b = atoms = [*map(e.narrowed, atoms)]
    guards = [e.plain_number(x) for x in atoms if not _literal_number(x.code)]
    guards += [f"{x.code} == {x.code}" for x in atoms if x.may_be(kinds.FLOAT) and not _literal_number(x.code)]
    slow = f"{e.bind(cmp.function, 'cmp')}({a.code}, {b.code})"
    fast = f"({a.code} > {b.code}) - ({a.code} < {b.code})"
    return e.guarded(guards, lambda: e.assign(fast, kinds.INT), slow, kinds.INT)
