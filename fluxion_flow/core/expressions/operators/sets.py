"""Arrays as sets: $setUnion $setIntersection $setDifference $setEquals $setIsSubset, $allElementsTrue $anyElementTrue.

Items are the same when they are equal to $eq. MongoDB leaves the order of a result open; here items stand in the order
in which they first appear (MongoDB: set operators).
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from ...ordering import canonical
from ...values import is_nullish, truthy
from .. import kinds
from ..registry import operator
from .arrays import an_array
from .uniform import keys_of_themselves


def _keys(name: str, array: Any) -> set[Any]:
    an_array(name, array, "arrays")
    return set(array) if keys_of_themselves(array) else set(map(canonical, array))


def _items_by_key(array: list[Any]) -> dict[Any, Any]:
    """The items by their keys, the first of equal ones."""
    if keys_of_themselves(array):
        unique = dict.fromkeys(array)
        return dict(zip(unique, unique))  # noqa: B905
    result: dict[Any, Any] = {}
    for item in array:
        result.setdefault(canonical(item), item)
    return result


@operator(
    "$setUnion",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": [1, 2, 2], "b": [2.0, 3]}, {"$setUnion": ["$a", "$b"]}, [1, 2, 3]),
        ({"a": [1]}, {"$setUnion": ["$a", "$b"]}, None),
    ],
)
def set_union(*arrays: Any) -> Any:
    """What is in any of some arrays, each item once.

    Null from the first argument that is null or missing. Raises for anything that is not an array. MongoDB: $setUnion.
    """
    if all(array.__class__ is list and keys_of_themselves(array) for array in arrays):
        return list(dict.fromkeys(chain.from_iterable(arrays)))
    result: dict[Any, Any] = {}
    for array in arrays:
        if is_nullish(array):
            return None
        items = _items_by_key(an_array("$setUnion", array, "arrays"))
        result = {**result, **items, **result} if result else items  # the first of equal items stays
    return list(result.values())


@operator(
    "$setIntersection",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": [3, 1, 1, 2], "b": [1, 3]}, {"$setIntersection": ["$a", "$b"]}, [3, 1]),
        ({"a": [1]}, {"$setIntersection": ["$a", "$b"]}, None),
    ],
)
def set_intersection(*arrays: Any) -> Any:
    """What is in all of some arrays, each item once, as it stands in the first.

    Null from the first argument that is null or missing. Raises for anything that is not an array.
    MongoDB: $setIntersection.
    """
    result: dict[Any, Any] | None = None
    for array in arrays:
        if is_nullish(array):
            return None
        an_array("$setIntersection", array, "arrays")
        if result is None:
            result = _items_by_key(array)
        else:
            keys = _keys("$setIntersection", array)
            result = {key: item for key, item in result.items() if key in keys}
    return list((result or {}).values())


@operator(
    "$setDifference",
    returns=kinds.ARRAY | kinds.NULL,
    examples=[
        ({"a": [3, 1, 1, 2], "b": [1]}, {"$setDifference": ["$a", "$b"]}, [3, 2]),
        ({"a": [1]}, {"$setDifference": ["$a", "$b"]}, None),
    ],
)
def set_difference(minuend: Any, subtrahend: Any) -> Any:
    """What is in the first array and not in the second, each item once.

    Null if either is null or missing. Raises for anything else that is not an array. MongoDB: $setDifference.
    """
    if is_nullish(minuend) or is_nullish(subtrahend):
        return None
    items = _items_by_key(an_array("$setDifference", minuend, "arrays"))
    others = _keys("$setDifference", subtrahend)
    return [item for key, item in items.items() if key not in others]


@operator(
    "$setEquals",
    returns=kinds.BOOL,
    examples=[
        ({"a": [1, 2, 2], "b": [2, 1]}, {"$setEquals": ["$a", "$b"]}, True),
        ({"a": [1]}, {"$setEquals": ["$a", []]}, False),
    ],
)
def set_equals(first: Any, second: Any, *others: Any) -> bool:
    """Whether two or more arrays hold the same items, order and repetition aside.

    Raises for anything that is not an array, null and missing too. MongoDB: $setEquals.
    """
    sets = [_keys("$setEquals", array) for array in (first, second, *others)]
    return all(keys == sets[0] for keys in sets)


@operator(
    "$setIsSubset",
    returns=kinds.BOOL,
    examples=[
        ({"a": [1, 1]}, {"$setIsSubset": ["$a", [1, 2]]}, True),
        ({"a": [3]}, {"$setIsSubset": ["$a", [1, 2]]}, False),
    ],
)
def set_is_subset(first: Any, second: Any) -> bool:
    """Whether all items of the first array are in the second.

    Raises for anything that is not an array, null and missing too. MongoDB: $setIsSubset.
    """
    return _keys("$setIsSubset", first) <= _keys("$setIsSubset", second)


@operator(
    "$allElementsTrue",
    returns=kinds.BOOL,
    examples=[
        ({"a": [True, 1]}, {"$allElementsTrue": ["$a"]}, True),
        ({"a": [1, None]}, {"$allElementsTrue": ["$a"]}, False),
        ({"a": []}, {"$allElementsTrue": ["$a"]}, True),
    ],
)
def all_elements_true(array: Any) -> bool:
    """Whether no item of an array is false, null or zero; so it is of an empty one.

    Raises for anything that is not an array, null and missing too. MongoDB: $allElementsTrue.
    """
    an_array("$allElementsTrue", array)
    return all(array) or all(map(truthy, array))  # what is true to Python is true to MongoDB


@operator(
    "$anyElementTrue",
    returns=kinds.BOOL,
    examples=[({"a": [0, "x"]}, {"$anyElementTrue": ["$a"]}, True), ({"a": []}, {"$anyElementTrue": ["$a"]}, False)],
)
def any_element_true(array: Any) -> bool:
    """Whether an item of an array is neither false, null nor zero.

    Raises for anything that is not an array, null and missing too. MongoDB: $anyElementTrue.
    """
    an_array("$anyElementTrue", array)
    return any(array) or any(map(truthy, array))  # what is true to Python is true to MongoDB
