"""Collecting values: ``$push``, ``$addToSet``, ``$concatArrays``, ``$setUnion``, ``$mergeObjects``."""

from __future__ import annotations

from typing import Any

from ..expressions import kinds
from ..ordering import canonical, representation, sort_key
from ..values import MISSING, EvaluationError, type_name
from .registry import Accumulator, Inline, accumulator


@accumulator(
    "$push",
    examples=[
        ([{"x": 2}, {"x": None}, {}, {"x": 1}], {"$push": "$x"}, [2, None, 1]),
        ([{"x": 1, "y": 2}], {"$push": {"a": "$x", "b": "$y"}}, [{"a": 1, "b": 2}]),
    ],
)
class Push(Accumulator):
    """An array of all values, in the order of the documents; missing ones are left out. MongoDB: $push."""

    ordered = True
    takes_array = True
    fast = "if {v}: {s}.append({v})\nelse: {s} = {add}({s}, {v})"
    inlines: tuple[Inline, ...] = (Inline(kinds.PRESENT, "[{v}]", "{s}.append({v})"),)
    zero_code = "[]"

    def zero(self) -> list[Any]:
        return []

    def add(self, state: list[Any], value: Any) -> list[Any]:
        if value is not MISSING:
            state.append(value)
        return state

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        a += b
        return a

    def result(self, state: list[Any]) -> list[Any]:
        return state.copy()


@accumulator(
    "$addToSet",
    examples=[
        ([{"x": "b"}, {"x": "a"}, {"x": "b"}, {}], {"$addToSet": "$x"}, ["a", "b"]),
        ([{"x": 1.0}, {"x": 1}, {"x": None}], {"$addToSet": "$x"}, [None, 1]),
    ],
)
class AddToSet(Accumulator):
    """An array of the different values, missing ones left out, sorted in MongoDB's order over all types.

    MongoDB leaves the order open; sorting makes it the same however the documents come. Of equal values of different
    types the int is kept before the double, the double before the decimal. MongoDB: $addToSet.
    """

    takes_array = True
    inlines: tuple[Inline, ...] = (Inline(kinds.STRING, "{{{v}: {v}}}", "{s}[{v}] = {v}"),)
    fast: str | None = "if {v}.__class__ is str or {v}.__class__ is int: {s}[{v}] = {v}\nelse: {s} = {add}({s}, {v})"
    zero_code = "{}"
    folds = True
    checks = True

    def check(self, value: Any) -> None:
        canonical(value)

    def zero(self) -> dict[Any, Any]:
        return {}

    def add(self, state: dict[Any, Any], value: Any) -> dict[Any, Any]:
        if value is not MISSING:
            self._keep(state, canonical(value), value)
        return state

    def merge(self, a: dict[Any, Any], b: dict[Any, Any]) -> dict[Any, Any]:
        if len(a) < len(b):
            a, b = b, a
        for key, value in b.items():
            self._keep(a, key, value)
        return a

    @staticmethod
    def _keep(state: dict[Any, Any], key: Any, value: Any) -> None:
        kept = state.setdefault(key, value)
        if kept is not value and representation(value) < representation(kept):
            state[key] = value

    def result(self, state: dict[Any, Any]) -> list[Any]:
        return sorted(state.values(), key=sort_key)


@accumulator(
    "$concatArrays",
    examples=[
        ([{"x": [2, 1]}, {}, {"x": []}, {"x": [None, 1]}], {"$concatArrays": "$x"}, [2, 1, None, 1]),
        ([{"x": None}], {"$concatArrays": "$x"}, EvaluationError),
    ],
)
class ConcatArrays(Push):
    """One array with the items of all arrays, in the order of the documents; missing ones are left out.

    Raises :class:`EvaluationError` for anything but arrays, null too. MongoDB: $concatArrays (array accumulator).
    """

    takes_array = False
    inlines = ()
    fast = "if {v}.__class__ is list: {s}.extend({v})\nelse: {s} = {add}({s}, {v})"

    def add(self, state: list[Any], value: Any) -> list[Any]:
        state += _items(value, "$concatArrays")
        return state


@accumulator(
    "$setUnion",
    examples=[
        ([{"x": ["b", "a"]}, {}, {"x": ["b", None]}], {"$setUnion": "$x"}, [None, "a", "b"]),
        ([{"x": None}], {"$setUnion": "$x"}, EvaluationError),
    ],
)
class SetUnion(AddToSet):
    """One array with the different items of all arrays, sorted as ``$addToSet`` does; missing arrays are left out.

    Raises :class:`EvaluationError` for anything but arrays, null too. MongoDB: $setUnion (array accumulator).
    """

    takes_array = False
    inlines = ()
    fast = None
    folds = False

    def add(self, state: dict[Any, Any], value: Any) -> dict[Any, Any]:
        for item in _items(value, "$setUnion"):
            self._keep(state, canonical(item), item)
        return state


def _items(value: Any, name: str) -> list[Any]:
    if isinstance(value, list):
        return value
    if value is MISSING:
        return []
    raise EvaluationError(f"{name} takes arrays, got a value of type {type_name(value)}")


@accumulator(
    "$mergeObjects",
    examples=[
        (
            [{"x": {"a": 1, "b": 2}}, {"x": None}, {}, {"x": {"b": 3, "c": None}}],
            {"$mergeObjects": "$x"},
            {"a": 1, "b": 3, "c": None},
        ),
        ([{}], {"$mergeObjects": "$x"}, {}),
        ([{"x": 1}], {"$mergeObjects": "$x"}, EvaluationError),
    ],
)
class MergeObjects(Accumulator):
    """One object with the fields of all; later documents overwrite earlier ones. Null and missing are left out.

    Raises :class:`EvaluationError` for anything but objects. MongoDB: $mergeObjects.
    """

    ordered = True
    fast = "if {v}.__class__ is dict: {s}.update({v})\nelse: {s} = {add}({s}, {v})"
    zero_code = "{}"

    def zero(self) -> dict[str, Any]:
        return {}

    def add(self, state: dict[str, Any], value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            state.update(value)
        elif value is not None and value is not MISSING:
            raise EvaluationError(f"$mergeObjects takes objects, got a value of type {type_name(value)}")
        return state

    def merge(self, a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
        a.update(b)
        return a

    def result(self, state: dict[str, Any]) -> dict[str, Any]:
        return state.copy()
